"""The records of a run, gathered: each span once, however often it was recorded, in the order of their ids.

Two sources are merged: journals, and the bundle that was sealed before, if there is one. What the bundle says of a
span holds; a span that it has as interrupted is replaced by its end, should that come.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runbundle.bundle.assembly.origins import Origins
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.timeline import FAILED, UNFIT, Span, bare, ended_as, is_log, is_new, log_line, span_of
from runbundle.format.identity import RunKey, tenant_of
from runbundle.journal.entries import is_entry
from runbundle.signals.operations import attributes_of
from runbundle.signals.reading import text_of

_SEALED_END, _END, _BEGINNING, _START = b"0", b"1", b"2", b"3"
_IDS, _KIND, _PARENT, _BODY = 48, 49, slice(89, 105), 105
_NONE = " " * 16


class Found(NamedTuple):
    """One span of the run."""

    place: int
    """Where it stands in the table."""
    span: Span


class SpanTable:
    """Which spans a run has, who is whose parent, and which of them name an agent: some 45 bytes a span."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._every_16th: list[bytes] = []  # to look among few: a search over all asks 20 times, in Python
        self._parents = bytearray()
        self._agent_of = array("i")  # -1: not yet known
        self._agents: list[str | None] = [None]
        self._agent_numbers: dict[str, int] = {"": -1}

    def append(self, ids: bytes, parent: bytes, agent: str) -> None:
        """Add a span: `ids` are its trace's and its own, in hex, above those of the span before."""
        own = bytes.fromhex(ids.decode())
        if len(self) % 16 == 0:
            self._every_16th.append(own)
        self._ids += own
        self._parents += bytes.fromhex(parent.decode()) if parent != _NONE.encode() else bytes(8)
        number = self._agent_numbers.get(agent)
        if number is None:
            number = self._agent_numbers[agent] = len(self._agents)
            self._agents.append(agent)
        self._agent_of.append(number)

    def __len__(self) -> int:
        return len(self._agent_of)

    def index(self, trace_id: str, span_id: str) -> int:
        """Return where a span stands, -1 if the run does not have it."""
        return self._find(bytes.fromhex(trace_id + span_id)) if span_id else -1

    def span_id(self, place: int) -> str:
        """Return the id of the span that stands there."""
        return self._ids[place * 24 + 16 : place * 24 + 24].hex()

    def parent(self, place: int) -> int:
        """Return where the parent of a span stands, -1 if the run does not have it."""
        return self._find(self._ids[place * 24 : place * 24 + 16] + self._parents[place * 8 : place * 8 + 8])

    def agent_above(self, place: int) -> str | None:
        """Return the agent that a span names, or the nearest one above it does."""
        way: list[int] = []
        number = 0
        while place >= 0:
            number = self._agent_of[place]
            if number >= 0:
                break
            self._agent_of[place] = 0  # a hostile span may be its own ancestor
            way.append(place)
            place = self.parent(place)
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


class Gathered:
    """All that is known of one run, on disk where memory does not hold it. Close it after use."""

    def __init__(self, key: RunKey, scratch: Path) -> None:
        self.key = key
        """Whose run it is. Where no recorder has said so, as the run's own span says."""
        self.scratch = scratch
        self.table = SpanTable()
        """Filled by `finish()`."""
        self._origins = Origins()
        self.late = 0
        """Spans and logs that the sealed bundle did not have."""
        self.lines = Sorter(scratch)
        """What becomes events.jsonl, see `timeline`: the logs so far."""
        self.begins = False
        """Whether the run's own span is among the records: else they are a part of a run that began elsewhere."""
        self.anything = False
        """Whether there is any record."""
        self.collided = 0
        """Records whose trace and span ids another record of other content has, which holds."""
        self.malformed = 0
        """Records that no recorder writes. Each costs itself alone, or what it says beyond ids and times."""
        self._spans = Sorter(scratch)
        self._sealed = False

    def add(self, entries: Iterable[dict[str, Any]], *, sealed: bool = False) -> None:
        """Add the entries of journals, or those read back from the bundle sealed before."""
        self._sealed |= sealed
        for entry in entries:
            if not is_entry(entry):
                self.malformed += 1
                continue
            kind = entry["k"]
            self.anything = True
            if kind == "log":
                self.lines.add(log_line(entry, sealed=sealed))
            elif kind == "span":
                # One that no boundary has recorded, so that nothing but its place says what it is.
                alone = not entry["parent_span_id"] and "runbundle.spans.started" not in entry["attributes"]
                self._notice(entry, alone)
                self._add(_SEALED_END if sealed else _END, entry, entry["end_ns"])
            elif kind == "start":
                self._notice(entry, bool(entry.get("is_run")))
                self._add(_BEGINNING if "attributes" in entry else _START, entry, entry["start_ns"])

    def _notice(self, entry: dict[str, Any], begins: bool) -> None:
        attributes = entry.get("attributes", {})
        begins |= attributes.get("runbundle.op") == "run" or attributes.get("runbundle.implicit") is True
        self.begins |= begins
        tenant = attributes.get("runbundle.tenant.id") if begins else None
        if tenant and not self.key.tenant_id:
            self.key = RunKey(tenant_of(tenant), self.key.run_id)

    def _add(self, kind: bytes, entry: dict[str, Any], end_ns: int) -> None:
        ids, parent = entry["trace_id"] + entry["span_id"], entry["parent_span_id"] or _NONE
        times = f"{entry['start_ns']:020d}{end_ns:020d}"
        self._spans.add(f"{ids}{kind.decode()}{times}{parent}".encode() + orjson.dumps(entry))

    def finish(self) -> None:
        """Build the table of spans. Nothing is added afterwards."""
        for ids, lines in groupby(self._spans, key=lambda line: line[:_IDS]):
            of_span = list(lines)
            line = of_span[0]
            self.collided += _other_ends(of_span) if len(of_span) > 1 else 0
            agent = ""
            # Judged by what events.jsonl says too, so that what is read back comes to the same.
            if line[_IDS:_KIND] in (_SEALED_END, _END) and (
                b'"status_code":2' in line or b'"runbundle.status"' in line
            ):
                entry = orjson.loads(line[_BODY:])
                if ended_as(entry) in FAILED:
                    self._origins.add(len(self.table), entry)
            if b'"gen_ai.agent.name"' in line or b'"label":"agent:' in line:
                entry = orjson.loads(line[_BODY:])
                known = {**attributes_of(entry.get("label", "")), **entry.get("attributes", {})}
                agent = text_of(known, "gen_ai.agent.name") or ""
            self.table.append(ids, line[_PARENT], agent)
            if self._sealed and line[_IDS:_KIND] == _END:
                self.late += 1
        self._origins.settle(self.table.parent)

    def began(self, place: int) -> str:
        """Return the id of the span in which the error of this one began, "" if it is this one's own."""
        origin = self._origins.of(place)
        return self.table.span_id(origin) if origin != place else ""

    def spans(self) -> Iterator[Found]:
        """Yield the run's spans in the order of their ids. A span recorded twice counts once: the first end holds."""
        for index, (_, lines) in enumerate(groupby(self._spans, key=lambda line: line[:_IDS])):
            line = next(lines)
            span = span_of(orjson.loads(line[_BODY:]), ended=line[_IDS:_KIND] in (_SEALED_END, _END))
            if span.receipt is UNFIT:
                self.malformed += 1
                span = bare(span)
            yield Found(index, span)

    def timeline(self) -> Iterator[bytes]:
        """Yield what was put into `lines`, in canonical order; a log record that is there twice counts once."""
        for _, lines in groupby(self.lines, key=lambda line: line[:-1]):
            line = next(lines)
            if self._sealed and is_log(line) and is_new(line):
                self.late += 1
            yield line

    def close(self) -> None:
        """Give memory and disk back."""
        self._spans.close()
        self.lines.close()


def _other_ends(lines: list[bytes]) -> int:
    """Return how many further ends of a span there are that say something else than the one that holds, the first."""
    ends = [line for line in lines if line[_IDS:_KIND] in (_SEALED_END, _END)]
    return len({_said(line) for line in ends}) - 1 if len({line[_BODY:] for line in ends}) > 1 else 0


def _said(line: bytes) -> bytes:
    """Return what an end says that a bundle read back says too, in one form."""
    entry = orjson.loads(line[_BODY:])
    body = [entry[name] for name in ("name", "start_ns", "end_ns", "status_code", "attributes")]
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
