"""Gathering the records of one run: each span once, however often it was recorded, in the order of their ids.

Two sources are merged: journals, and the previously sealed bundle if there is one. A span that the bundle has stays as
it is there, except that an interrupted span is replaced when its end arrives.
"""

from array import array
from binascii import unhexlify
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runbundle.bundle.assembly.origins import ErrorOrigins
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.timeline import (
    FAILED,
    UNFIT,
    Span,
    is_log,
    is_new,
    log_line,
    span_from_entry,
    status_of_entry,
    with_new_receipt,
)
from runbundle.format.identity import RunKey, tenant_of
from runbundle.journal.entries import is_entry
from runbundle.signals import own, semconv
from runbundle.signals.operations import attributes_of
from runbundle.signals.reading import text_of

_SEALED_END, _END, _BEGINNING, _START = "0123"
_ENDS, _NEW_END = b"01", ord("1")
_KIND, _PARENT, _BODY = 48, slice(89, 105), 105
_NONE = " " * 16
_NO_PARENT, _ZEROS = _NONE.encode(), bytes(8)
_PARSED_BYTES = 2_097_152
"""Bytes of lines that are kept parsed, too, which takes up to ten times as much: enough for a run of 1,400 spans."""
_OPEN_BYTES = 4_194_304
"""Bytes of the starts of spans whose end did not come yet, before they are sorted in with all others."""
_STATED, _NAMES_AGENT = f'"{own.STATUS}"'.encode(), f'"{semconv.AGENT_NAME}"'.encode()
"""What the line of a span has in it that states its status, and that names an agent."""


class SpanRow(NamedTuple):
    """A span of the run and its row in the table."""

    row: int
    """Number of the row in the `SpanTable`."""
    span: Span


class SpanTable:
    """A table of a run's spans, with the parent and the agent of each: about 49 bytes a span.

    Spans are added in the order of their ids; the row of a span is its number in that order.
    """

    def __init__(self) -> None:
        self._ids = bytearray()
        self._every_16th: list[bytes] = []  # to look among few: a search over all asks 20 times, in Python
        self._parents = bytearray()
        self._agent_of = array("i")  # -1: not yet known
        self._agents: list[str | None] = [None]
        self._agent_numbers: dict[str, int] = {"": -1}
        self._parent_rows = array("i")  # -2: not yet looked for

    def append(self, ids: bytes, parent: bytes, agent: str) -> None:
        """Add a span. `ids`: the ids of trace and span in hex, greater than those of the span before. `parent`: the
        parent's id, or 16 spaces. `agent`: the agent that the span names, or an empty text.
        """
        pair = unhexlify(ids)
        if len(self._agent_of) % 16 == 0:
            self._every_16th.append(pair)
        self._ids += pair
        self._parents += unhexlify(parent) if parent != _NO_PARENT else _ZEROS
        if self._parent_rows:
            self._parent_rows = array("i")
        number = self._agent_numbers.get(agent)
        if number is None:
            number = self._agent_numbers[agent] = len(self._agents)
            self._agents.append(agent)
        self._agent_of.append(number)

    def __len__(self) -> int:
        return len(self._agent_of)

    def index(self, trace_id: str, span_id: str) -> int:
        """Return the row of a span, or -1 if the run does not have it."""
        return self._find(bytes.fromhex(trace_id + span_id)) if span_id else -1

    def span_id(self, row: int) -> str:
        """Return the id of the span in a row."""
        return self._ids[row * 24 + 16 : row * 24 + 24].hex()

    def parent(self, row: int) -> int:
        """Return the row of a span's parent, or -1 if the run does not have it."""
        if not self._parent_rows:
            self._parent_rows = array("i", [-2]) * len(self)
        found = self._parent_rows[row]
        if found == -2:
            found = self._find(self._ids[row * 24 : row * 24 + 16] + self._parents[row * 8 : row * 8 + 8])
            self._parent_rows[row] = found
        return found

    def agent_above(self, row: int) -> str | None:
        """Return the agent that a span or the nearest span above it names, or None."""
        way: list[int] = []
        number = 0
        while row >= 0:
            number = self._agent_of[row]
            if number >= 0:
                break
            self._agent_of[row] = 0  # a hostile span may be its own ancestor
            way.append(row)
            row = self.parent(row)
        for passed in way:
            self._agent_of[passed] = max(0, number)
        return self._agents[max(0, number)]

    def _find(self, ids: bytes | bytearray) -> int:
        block = bisect_right(self._every_16th, ids) - 1
        if block < 0:
            return -1
        # Aligned: the blocks' rows are 24 bytes each, and a hit within a row is none.
        at = self._ids.find(ids, block * 384, block * 384 + 384)
        while at >= 0 and at % 24:
            at = self._ids.find(ids, at + 1, block * 384 + 384)
        return at // 24


class GatheredRun:
    """The gathered records of one run, on disk where memory is not enough. Close it after use.

    Call `add` for each source, then `finish`, then read `spans` and `timeline`.
    """

    def __init__(self, key: RunKey, scratch: Path) -> None:
        self.key = key
        """The run. If its tenant is not given, it is taken from the run's own span."""
        self.scratch = scratch
        self.table = SpanTable()
        """The table of spans; filled by `finish`."""
        self._origins = ErrorOrigins()
        self.late = 0
        """Number of spans and logs that the sealed bundle did not have."""
        self.lines = Sorter(scratch)
        """The lines of events.jsonl (see `timeline`): logs first; the assembler adds those of spans."""
        self.begins = False
        """Whether the run's own span is among the records. If not, they are a part of a run that began elsewhere."""
        self.anything = False
        """Whether there is any record."""
        self.collided = 0
        """Number of records with the ids of another record that has other content. That other record is kept."""
        self.malformed = 0
        """Number of records that are malformed. Each is left out, or reduced to ids and times; the others are kept."""
        self._spans = Sorter(scratch)
        self._parsed: dict[bytes, dict[str, Any]] = {}  # of lines among them, while there is room
        self._parsed_bytes = 0
        self._open: dict[str, bytes] = {}  # starts, by ids; most spans end, and of those a start says nothing more
        self._open_bytes = 0
        self._sealed = False

    def add(self, entries: Iterable[dict[str, Any]], *, sealed: bool = False) -> None:
        """Add entries of a journal, or with `sealed` those read back from the previously sealed bundle.

        An entry is as JSON gives it, and belongs to the gathered run from then on.
        """
        self._sealed |= sealed
        for entry in entries:
            if not is_entry(entry):
                self.malformed += 1
                continue
            kind = entry["k"]
            self.anything = True
            if kind == "span":
                # One that no boundary has recorded, so that nothing but its place says what it is.
                alone = not entry["parent_span_id"] and own.SPANS_STARTED not in entry["attributes"]
                self._notice(entry, alone)
                self._ended(_SEALED_END if sealed else _END, entry)
            elif kind == "start":
                self._notice(entry, bool(entry.get("is_run")))
                self._started(entry)
            elif kind == "log":
                self.lines.add(log_line(entry, sealed=sealed))

    def _notice(self, entry: dict[str, Any], begins: bool) -> None:
        attributes = entry.get("attributes")
        if attributes is None:
            self.begins |= begins
            return
        claims = attributes.get(own.OP) == "run" and own.DIALECT not in attributes
        begins |= claims or attributes.get(own.IMPLICIT) is True
        self.begins |= begins
        tenant = attributes.get(own.TENANT_ID) if begins else None
        if tenant and not self.key.tenant_id:
            self.key = RunKey(tenant_of(tenant), self.key.run_id)

    def _ended(self, kind: str, entry: dict[str, Any]) -> None:
        line = _sortable(kind, entry, entry["end_ns"])
        self._spans.add(line)
        if self._parsed_bytes + len(line) <= _PARSED_BYTES:
            self._parsed[line] = entry
            self._parsed_bytes += len(line)
        if self._open:
            self._open_bytes -= len(self._open.pop(entry["trace_id"] + entry["span_id"], b""))

    def _started(self, entry: dict[str, Any]) -> None:
        line = _sortable(_BEGINNING if "attributes" in entry else _START, entry, entry["start_ns"])
        ids = entry["trace_id"] + entry["span_id"]
        if ids in self._open:  # twice: only the first by its bytes counts
            self._spans.add(line)
            return
        self._open[ids] = line
        self._open_bytes += len(line)
        if self._open_bytes > _OPEN_BYTES:
            self._sort_open()

    def _sort_open(self) -> None:
        for line in self._open.values():
            self._spans.add(line)
        self._open, self._open_bytes = {}, 0

    def _entry(self, line: bytes) -> dict[str, Any]:
        return self._parsed.get(line) or orjson.loads(line[_BODY:])

    def finish(self) -> None:
        """Build the table of spans. Call it once, after the last `add`."""
        self._sort_open()
        for of_span in _of_each_span(self._spans):
            line = of_span[0]
            self.collided += _other_ends(of_span) if len(of_span) > 1 else 0
            agent = ""
            # Judged by what events.jsonl says too, so that what is read back comes to the same.
            if line[_KIND] in _ENDS and (b'"status_code":2' in line or _STATED in line):
                entry = self._entry(line)
                if status_of_entry(entry) in FAILED:
                    self._origins.add(len(self.table), entry)
            if _NAMES_AGENT in line or b'"label":"agent:' in line:
                entry = self._entry(line)
                known = {**attributes_of(entry.get("label", "")), **entry.get("attributes", {})}
                agent = text_of(known, semconv.AGENT_NAME) or ""
            self.table.append(line[:_KIND], line[_PARENT], agent)
            if self._sealed and line[_KIND] == _NEW_END:
                self.late += 1
        self._origins.link(self.table.parent)

    def began(self, row: int) -> str:
        """Return the id of the span in which a span's error began; empty if it began in that span itself."""
        origin = self._origins.origin_of(row)
        return self.table.span_id(origin) if origin != row else ""

    def spans(self) -> Iterator[SpanRow]:
        """Yield the spans in the order of their ids. Of a span that was recorded twice the first end is kept."""
        for row, (line, *_) in enumerate(_of_each_span(self._spans)):
            entry = self._parsed.pop(line, None) if self._parsed else None
            span = span_from_entry(entry or orjson.loads(line[_BODY:]), ended=line[_KIND] in _ENDS)
            if span.receipt is UNFIT:
                self.malformed += 1
                span = with_new_receipt(span)
            yield SpanRow(row, span)

    def timeline(self) -> Iterator[bytes]:
        """Yield the lines in canonical order; equal log records are yielded once."""
        before = b""
        for line in self.lines:
            said = line[:-1]
            if said != before:
                before = said
                if self._sealed and is_log(line) and is_new(line):
                    self.late += 1
                yield line

    def close(self) -> None:
        """Free memory and disk."""
        self._parsed = {}
        self._spans.close()
        self.lines.close()


def _sortable(kind: str, entry: dict[str, Any], end_ns: int) -> bytes:
    key = f"{entry['trace_id']}{entry['span_id']}{kind}{entry['start_ns']:020d}{end_ns:020d}"
    return f"{key}{entry['parent_span_id'] or _NONE}".encode() + orjson.dumps(entry)


def _of_each_span(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of each span, given all in order."""
    of_span: list[bytes] = []
    ids = b""
    for line in lines:
        if not line.startswith(ids) or not of_span:
            if of_span:
                yield of_span
            of_span, ids = [line], line[:_KIND]
        else:
            of_span.append(line)
    if of_span:
        yield of_span


def _other_ends(lines: list[bytes]) -> int:
    """Return the number of ends of a span whose content differs from the first, which is kept."""
    ends = [line for line in lines if line[_KIND] in _ENDS]
    return len({_said(line) for line in ends}) - 1 if len({line[_BODY:] for line in ends}) > 1 else 0


def _said(line: bytes) -> bytes:
    """Return the part of an end that a bundle can be read back to, in one form."""
    entry = orjson.loads(line[_BODY:])
    said = ("name", "parent_span_id", "start_ns", "end_ns", "status_code", "attributes")
    body: list[Any] = [entry[name] for name in said]
    body += [(e["time_ns"], e["name"], e["attributes"]) for e in sorted(entry["events"], key=itemgetter("time_ns"))]
    body += [(link["trace_id"], link["span_id"], link["attributes"]) for link in entry["links"]]
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
