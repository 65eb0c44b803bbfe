"""The steps of a sealed run as columns: what two runs are compared by, without their payloads.

A step is a span of a run, an agent, a step, a model call, a tool call or a retrieval; spans of other work are left out,
and what lies beneath them stands beneath the step around them. Of a step it is kept where its line is, what it was
given and what it gave, each as a digest, and how it ended: about 70 bytes.
"""

import re
from array import array
from typing import Any

import orjson

from runbundle.bundle.reader import Bundle, event_lines, parse_event_line
from runbundle.errors import MalformedBundle
from runbundle.format.layout import EVENTS
from runbundle.redaction.captured import parse_capture
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.signals import own, semconv
from runbundle.signals.reading import text_of

OPS = ("run", "agent", "step", "model", "tool", "retrieval")
"""The kinds of work that are steps."""
_PLACES = {op: place for place, op in enumerate(OPS)}
_ENDED = b'"type":"span.ended"}\n'
_EVIDENCE, _DECISION = f'"name":"{own.EVIDENCE}"'.encode(), b'"type":"policy.decision"}\n'
_ASKED = (semconv.INPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS, semconv.PROMPT)
_ANSWERED = (semconv.OUTPUT_MESSAGES, semconv.COMPLETION)
_NEUTRAL = re.compile(r'"([a-z_.]+)":\{(?:"more":\d+,)?"neutral":"(h\d:[0-9a-zA-Z:]+)"')
"""In the attribute `runbundle.messages`, the key of messages and the digest of them all (see `redaction/messages`)."""
_PARTIAL = frozenset({"cut", "not_consumed", "abandoned", "unserialisable"})
_MOST_BETWEEN = 64
"""Spans of other work between two steps. It bounds the search where parents form a circle."""
NOT_HERE = -1
"""The row of what the run does not have."""


class Numbers:
    """Numbers for texts, shared by the runs that are compared: equal texts have one number."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], int] = {}
        self.texts: list[tuple[str, ...]] = []
        """The texts by number."""

    def __call__(self, *texts: str) -> int:
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
        self.parent_id = array("Q")
        """Id of the span around it; 0 for none."""
        self.op = array("b")
        """Place in `OPS`."""
        self.name = array("i")
        """Number of the step's name: of a tool, an agent, a retriever; of a model call its operation."""
        self.start_ns = array("q")
        self.duration_ns = array("q")
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
        """How long that line is."""
        self.parent = array("i")
        """Row of the step around it, or -1."""
        self.digested = 0
        """Steps of which something is known by its digest only."""
        self.blind = 0
        """Steps of which something is neither shown nor digested, or was not recorded whole, so that nobody can tell
        whether it is equal."""

    def __len__(self) -> int:
        return len(self.op)

    def columns(self) -> "list[array[Any]]":
        """Return all columns but `parent`."""
        return [
            self.span_id, self.parent_id, self.op, self.name, self.start_ns, self.duration_ns, self.given, self.gave,
            self.status, self.model, self.at, self.bytes,
        ]  # fmt: skip

    def id_of(self, row: int) -> str:
        """Return the id of a step's span."""
        return f"{self.span_id[row]:016x}"


def steps_of(bundle: Bundle, numbers: Numbers) -> Steps:
    """Read the steps of a bundle in one pass over its events. Raises `MalformedBundle`.

    Only the lines in which spans end, and decisions and documents, are parsed; of them nothing but the columns is kept.
    """
    steps, above = Steps(), dict[int, int]()
    _read(bundle, steps, above, numbers)
    order = sorted(range(len(steps)), key=steps.start_ns.__getitem__)
    for column in steps.columns():
        column[:] = array(column.typecode, [column[row] for row in order])
    row_of = dict(zip(steps.span_id, range(len(steps)), strict=True))
    steps.parent = array("i", (_row_above(parent_id, row_of, above) for parent_id in steps.parent_id))
    open_circles(steps.parent)
    return steps


def _row_above(parent_id: int, row_of: dict[int, int], above: dict[int, int]) -> int:
    """Return the row of the nearest step around a span; -1 if there is none."""
    for _ in range(_MOST_BETWEEN):
        row = row_of.get(parent_id, NOT_HERE)
        if row >= 0 or parent_id not in above:
            return row
        parent_id = above[parent_id]
    return NOT_HERE


def open_circles(parent: "array[int]") -> None:
    """Let the steps that stand in a circle begin at its first one. Only a bundle that somebody made up has such."""
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


class _Seen:
    """What lines before the end of a span said of it."""

    def __init__(self) -> None:
        self.decided: dict[str, tuple[str, str]] = {}
        self.documents: dict[str, int] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Take note of a decision, or of a document that was found."""
        said, span_id = event["attributes"], event["span_id"]
        if event["type"] == "policy.decision":
            self.decided[span_id] = text_of(said, own.POLICY_DECISION) or "", text_of(said, own.POLICY_RULE) or ""
        elif event["name"] == own.EVIDENCE:
            found = str(said.get(own.DOCUMENT_ID)), str(said.get(own.DOCUMENT_RANK))
            content = _identity(said.get(own.DOCUMENT_CONTENT))
            self.documents[span_id] = hash((self.documents.get(span_id, 0), *found, content))


def _read(bundle: Bundle, steps: Steps, above: dict[int, int], numbers: Numbers) -> None:
    """Add the steps in the order of their ends; note in `above` which span lies around each span that is none."""
    path, at, seen = bundle.path(EVENTS), 0, _Seen()
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        for number, line in event_lines(file):
            if line.endswith(_ENDED):
                try:
                    _add(orjson.loads(line), at, len(line), steps, above, seen, numbers)
                except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
                    parse_event_line(line, path, number)  # which says what is wrong with most
                    raise MalformedBundle("is not the end of a span", file=path, line=number) from None
            elif line.endswith(_DECISION) or _EVIDENCE in line:
                seen.add(parse_event_line(line, path, number))
            at += len(line)


def _add(
    event: dict[str, Any], at: int, size: int, steps: Steps, above: dict[int, int], seen: _Seen, numbers: Numbers
) -> None:
    op, span_id = event.get("op") or "", event["span_id"]
    number, parent = int(span_id, 16), event.get("parent_span_id")
    parent_id = int(parent, 16) if parent else 0
    place = _PLACES.get(op)
    if place is None:
        above[number] = parent_id
        return
    said = event["attributes"]
    name, model, given, gave = _content(op, said)
    ended: tuple[str, ...] = (event.get("status") or "unset",)
    if "error" in event:
        ended = (*ended, text_of(event["error"], "type") or "")
    if span_id in seen.decided:
        ended = (*ended, *seen.decided.pop(span_id))
    documents = seen.documents.pop(span_id, 0) if seen.documents else 0
    duration_ns = int(event.get("duration_ns") or 0)
    if given[:1] == "h" or gave[:1] == "h":
        steps.digested += 1
    if given[:1] == "?" or gave[:1] == "?" or (own.CAPTURE in said and _is_partial(said[own.CAPTURE])):
        steps.blind += 1
    steps.span_id.append(number)
    steps.parent_id.append(parent_id)
    steps.op.append(place)
    steps.name.append(numbers(name or event["name"]))
    steps.start_ns.append(int(event["time_ns"]) - duration_ns)
    steps.duration_ns.append(duration_ns)
    steps.given.append(_number(given))
    steps.gave.append(hash((gave, documents)) if documents else _number(gave))
    steps.status.append(numbers(*ended))
    steps.model.append(numbers(model))
    steps.at.append(at)
    steps.bytes.append(size)


def _content(op: str, said: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the name of a step, the model that was asked, what was given, and what came of it."""
    if op == "tool":
        return text_of(said, semconv.TOOL_NAME) or "", "", _payload(said, "arguments"), _payload(said, "result")
    if op == "retrieval":
        query = _first(said, (semconv.QUERY_TEXT, own.QUERY))
        return text_of(said, own.RETRIEVER_NAME) or "", "", query, _first(said, (semconv.DOCUMENTS,))
    if op == "model":
        name, model = text_of(said, semconv.OPERATION) or "model", text_of(said, semconv.REQUEST_MODEL) or ""
        return name, model, *_messages(said)
    return text_of(said, semconv.AGENT_NAME) or text_of(said, own.NAME) or "", "", "", ""


def _payload(said: dict[str, Any], which: str) -> str:
    key = semconv.ARGUMENTS if which == "arguments" else semconv.RESULT
    return text_of(said, own.PAYLOAD_DIGEST[which]) or _identity(said.get(key))


def _first(said: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((_identity(said[key]) for key in keys if key in said), "")


def _messages(said: dict[str, Any]) -> tuple[str, str]:
    """Return what identifies a model's messages and its answer: digests in which ids of calls are numbered.

    Where there is no such digest it is the value. They are searched for, which takes a third of a parse.
    """
    described = said.get(own.MESSAGES)
    neutral = dict(_NEUTRAL.findall(described)) if isinstance(described, str) else {}
    asked, answered = (
        [neutral.get(key) or _identity(said[key]) for key in keys if key in said] for keys in (_ASKED, _ANSWERED)
    )
    return "\n".join(asked), "\n".join(answered)


def _is_partial(captured: Any) -> bool:
    """Tell whether any value was recorded in part or not at all, so that equal digests say nothing of the rest."""
    return any(one.word in _PARTIAL for one in (parse_capture(captured) or {}).values())


def _identity(value: Any) -> str:
    """Return what a redacted value is compared by: the digest of a marker, else the value; `?` if there is nothing."""
    if value is None:
        return ""
    if is_marker(value):
        digest, _ = marker_parts(value)
        return digest or f"?{value}"
    return f"={value}"


def _number(identity: str) -> int:
    return hash(identity) or 1 if identity else 0
