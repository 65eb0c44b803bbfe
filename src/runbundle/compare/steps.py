"""The steps of a sealed run as columns: what two runs are compared by, without their payloads.

A step is a span of a run, an agent, a step, a model call, a tool call or a retrieval; spans of other work are left out,
and what lies beneath them stands beneath the step around them. Of a step it is kept where its line is, what it was
given and what it gave, each as a digest, and how it ended: 54 bytes.

The span columns of `inspect/` do not have what steps are compared by: digests, errors, decisions, documents. So the
lines are read, and those of a span's end, about half of them, are parsed.
"""

from array import array
from collections.abc import Iterator, Sequence
from operator import itemgetter, lt
from typing import Any, BinaryIO

import orjson

from runbundle.bundle.reader import MAX_LINE_BYTES, Bundle, parse_event_line
from runbundle.compare.contents import content, identity, is_partial
from runbundle.errors import MalformedBundle, NotComparable
from runbundle.format.layout import EVENTS
from runbundle.signals import own
from runbundle.signals.reading import text_of

OPS = ("run", "agent", "step", "model", "tool", "retrieval")
"""The kinds of work that are steps."""
_PLACES = {op: place for place, op in enumerate(OPS)}
_MOST_BETWEEN = 64
"""Spans of other work between two steps. It bounds the search where parents form a circle."""
NOT_HERE = -1
"""The row of what the run does not have."""


_ENDED, _DECISION = b'"type":"span.ended"}', b'"type":"policy.decision"}'
_EVIDENCE = f'"name":"{own.EVIDENCE}"'.encode()
_BLOCK_BYTES = 262_144
_ROWS = 512
"""Rows that are put into the columns at once."""


class Numbers:
    """Numbers for texts, shared by the runs that are compared: equal texts have one number."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], int] = {}
        self.texts: list[tuple[str, ...]] = []
        """The texts by number."""

    def of(self, texts: tuple[str, ...]) -> int:
        """Return the number of one text, or of several together."""
        number = self._of.get(texts)
        if number is None:
            number = self._of[texts] = len(self.texts)
            self.texts.append(texts)
        return number


class Steps:
    """The steps of one run, in the order in which they began. Each column has one entry a step."""

    def __init__(self) -> None:
        self.span_id = array("Q")
        self.op = array("b")
        """Place in `OPS`."""
        self.name = array("i")
        """Number of the step's name: of a tool, an agent, a retriever; of a model call its operation."""
        self.given = array("q")
        """Arguments, query or messages as a number; 0 for nothing."""
        self.gave = array("q")
        """Result, documents or answer, likewise."""
        self.status = array("i")
        """Number of how it ended: status, type of the error, decision of the policy and its rule."""
        self.model = array("i")
        """Number of the model that was asked."""
        self.at = array("q")
        """Where the line of its end begins in events.jsonl, in bytes."""
        self.bytes = array("i")
        """How long that line is, without its end."""
        self.parent = array("i")
        """Row of the step around it, or -1."""
        self.together = bytearray()
        """Whether it ran beside another that stands beneath the same step."""
        self.digested = 0
        """Steps of which something is known by its digest only."""
        self.blind = 0
        """Steps of which something is neither shown nor digested, or was not recorded whole, so that nobody can tell
        whether it is equal."""

    def __len__(self) -> int:
        return len(self.op)

    def columns(self) -> "list[array[Any]]":
        """Return the columns that follow from a step's own line."""
        return [
            self.span_id, self.op, self.name, self.given, self.gave, self.status, self.model, self.at, self.bytes
        ]  # fmt: skip

    def id_of(self, row: int) -> str:
        """Return the id of a step's span."""
        return f"{self.span_id[row]:016x}"


class _Reading:
    """What is known of a run's steps while its lines are read: in the order of their ends, with times and parents."""

    def __init__(self, numbers: Numbers) -> None:
        self.steps, self.numbers = Steps(), numbers
        self.start_ns, self.duration_ns = array("q"), array("q")
        self.number, self.parent = array("i"), array("i")
        """Number of the span of each row, and of the span around it; -1 for none. A span id is unique in its trace."""
        self.numbered: dict[str, int] = {}
        self.above: dict[int, int] = {}
        """The span around each span that is no step."""
        self.trace: str | None = None
        self.decided: dict[str, tuple[str, str]] = {}
        self.documents: dict[str, int] = {}
        self.waiting: list[tuple[Any, ...]] = []

    def key(self, event: dict[str, Any], span_id: str) -> str:
        """Return what names a span: its id, but for spans of a second trace and all after it with the trace's."""
        trace = event["trace_id"]
        if trace == self.trace:
            return span_id
        if self.trace is None:
            self.trace = trace
            return span_id
        return f"{trace}{span_id}"

    def note(self, event: dict[str, Any]) -> None:
        """Take note of a decision, or of a document that was found."""
        said, key = event["attributes"], self.key(event, event["span_id"])
        if event["type"] == "policy.decision":
            self.decided[key] = text_of(said, own.POLICY_DECISION) or "", text_of(said, own.POLICY_RULE) or ""
        elif event["name"] == own.EVIDENCE:
            found = str(said.get(own.DOCUMENT_ID)), str(said.get(own.DOCUMENT_RANK))
            self.documents[key] = hash((self.documents.get(key, 0), *found, identity(said.get(own.DOCUMENT_CONTENT))))

    def add(self, event: dict[str, Any], at: int, size: int) -> None:
        """Take up the end of a span."""
        op, key, parent_key, numbered = (
            event.get("op") or "",
            event["span_id"],
            event.get("parent_span_id"),
            self.numbered,
        )
        span_id = int(key, 16)
        if event["trace_id"] != self.trace:
            key = self.key(event, key)
            parent_key = self.key(event, parent_key) if parent_key else None
        number = numbered.setdefault(key, len(numbered))
        parent = numbered.setdefault(parent_key, len(numbered)) if parent_key else -1
        place = _PLACES.get(op)
        if place is None:
            self.above[number] = parent
            return
        said, steps, numbers = event["attributes"], self.steps, self.numbers
        name, model, given, gave = content(op, said)
        ended: tuple[str, ...] = (event.get("status") or "unset",)
        if "error" in event:
            ended = (*ended, text_of(event["error"], "type") or "")
        if key in self.decided:
            ended = (*ended, *self.decided.pop(key))
        documents = self.documents.pop(key, 0) if self.documents else 0
        duration_ns = int(event.get("duration_ns") or 0)
        if given[:1] == "h" or gave[:1] == "h":
            steps.digested += 1
        if given[:1] == "?" or gave[:1] == "?" or (own.CAPTURE in said and is_partial(said[own.CAPTURE])):
            steps.blind += 1
        self.waiting.append((
            span_id, place, numbers.of((name or event["name"],)), hash(given) or 1 if given else 0,
            hash((gave, documents)) if documents else hash(gave) or 1 if gave else 0, numbers.of(ended),
            numbers.of((model,)), at, size, int(event["time_ns"]) - duration_ns, duration_ns, number, parent,
        ))  # fmt: skip
        if len(self.waiting) == _ROWS:
            self.flush()

    def flush(self) -> None:
        """Put the rows that wait into the columns."""
        columns = [*self.steps.columns(), self.start_ns, self.duration_ns, self.number, self.parent]
        for column, values in zip(columns, zip(*self.waiting, strict=True), strict=False):
            column.extend(values)
        self.waiting.clear()


def steps_of(bundle: Bundle, numbers: Numbers) -> Steps:
    """Read the steps of a bundle in one pass over its events.

    Only the lines in which spans end, and decisions and documents, are parsed; of them nothing but the columns is kept.
    Raises `MalformedBundle`, and `NotComparable` if two spans of one trace have one id.
    """
    reading = _Reading(numbers)
    _read(bundle, reading)
    reading.flush()
    steps = reading.steps
    order = sorted(range(len(steps)), key=reading.start_ns.__getitem__)
    for name in ("span_id", "op", "name", "given", "gave", "status", "model", "at", "bytes"):
        setattr(steps, name, _in_order(getattr(steps, name), order))
    number, above = _in_order(reading.number, order), reading.above
    row_of = array("i", [NOT_HERE]) * len(reading.numbered)
    for row, one in enumerate(number):
        if row_of[one] >= 0:
            raise NotComparable(
                f"{bundle.key}: two spans of one trace have the id {steps.id_of(row)}, so nobody can tell which steps"
                " lie beneath which",
                hint="whoever recorded the run must give each span an id of its own",
            )
        row_of[one] = row
    steps.parent = array("i", (_row_above(one, row_of, above) for one in _in_order(reading.parent, order)))
    open_circles(steps.parent)
    steps.together = _together(steps.parent, _in_order(reading.start_ns, order), _in_order(reading.duration_ns, order))
    return steps


def _in_order(column: "array[int]", order: list[int]) -> "array[int]":
    return array(column.typecode, itemgetter(*order)(column)) if len(order) > 1 else column


def _row_above(number: int, row_of: "array[int]", above: dict[int, int]) -> int:
    """Return the row of the nearest step around a span; -1 if there is none."""
    for _ in range(_MOST_BETWEEN):
        if number < 0:
            break
        row = row_of[number]
        if row >= 0 or number not in above:
            return row
        number = above[number]
    return NOT_HERE


def _together(parent: "array[int]", start_ns: "array[int]", duration_ns: "array[int]") -> bytearray:
    """Return of each row whether it ran beside another beneath the same step."""
    found = bytearray(len(parent))
    last: dict[int, tuple[int, int]] = {}  # beneath each row, the step that ends last of those that began, and its end
    for row, (above, begun, took) in enumerate(zip(parent, start_ns, duration_ns, strict=True)):
        before = last.get(above)
        if before is not None and begun < before[1]:
            found[before[0]] = found[row] = 1
        if before is None or begun + took > before[1]:
            last[above] = row, begun + took
    return found


def open_circles(parent: "array[int]") -> None:
    """Let the steps that stand in a circle begin at its first one. Only a bundle that somebody made up has such."""
    if all(map(lt, parent, range(len(parent)))):
        return  # each begins after the step around it
    known = bytearray(len(parent))
    for row in range(len(parent)):
        way: list[int] = []
        at = row
        while at >= 0 and not known[at]:
            known[at] = 1
            way.append(at)
            at = parent[at]
        if at >= 0 and known[at] == 1:
            parent[at] = NOT_HERE
        for passed in way:
            known[passed] = 2


def _read(bundle: Bundle, reading: _Reading) -> None:
    """Take up the steps in the order of their ends."""
    path, at = bundle.path(EVENTS), 0
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        for number, line in enumerate(_lines(file, path), 1):
            if line.endswith(_ENDED):
                try:
                    reading.add(orjson.loads(line), at, len(line))
                except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
                    parse_event_line(line + b"\n", path, number)  # which says what is wrong with most
                    raise MalformedBundle("is not the end of a span", file=path, line=number) from None
            elif line.endswith(_DECISION) or _EVIDENCE in line:
                reading.note(parse_event_line(line + b"\n", path, number))
            at += len(line) + 1


def _lines(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Yield the lines without their ends, many at a time from the file. Raises `MalformedBundle` for one too long."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        lines: Sequence[bytes] = (rest + block).split(b"\n")
        yield from lines[:-1]
        rest = lines[-1]
        if len(rest) > MAX_LINE_BYTES:
            raise MalformedBundle("has a line that is too long", file=path)
    if rest:
        raise MalformedBundle("is cut off: no line end", file=path)
