"""Assembling a bundle from records, as a pure function: no clock, host name or process id enters a bundle."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.bundle.assembly import about
from runbundle.bundle.assembly.about import Agents, Outcome
from runbundle.bundle.assembly.acts import Acts, CountedActs
from runbundle.bundle.assembly.entries import (
    captures_of_span,
    complete_call,
    retrieval,
    rfc3339,
    tool_call,
    worst_by_key,
)
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.parts import FileMaker, NewFile, make_file
from runbundle.bundle.assembly.plain_run import COUNTS, INDEX, written
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.tally import RunTotals
from runbundle.bundle.assembly.timeline import Span, event_line, is_log, run_lines, span_lines, without_content
from runbundle.bundle.entry_lines import entry_bytes, parsed_entry, write_listing
from runbundle.bundle.facts import Facts
from runbundle.format.canonical import to_json_bytes, with_self_digest
from runbundle.format.identity import RunKey
from runbundle.format.layout import CONFIG, EVENTS, EVIDENCE, TOOL_CALLS
from runbundle.format.words import RULES, CaptureWord
from runbundle.redaction.markers import is_marker
from runbundle.signals import own
from runbundle.signals.reading import written_of


@dataclass
class Assembled:
    """A bundle that is not in a store yet: its files in the order of writing, and the fields of its run.json."""

    run: RunKey
    files: list[NewFile]
    completeness: dict[str, Any]
    """The field `completeness` of run.json. `late` counts the records that the previously sealed bundle did not
    have."""
    collided: dict[str, int]
    """Numbers of records that claimed an id that another record has, by kind, as in `FlushResult.collided`."""
    _index: dict[str, Any] = field(repr=False)
    _made: bytes = field(default=b"", repr=False)
    facts: Facts | None = None
    """What an index needs of the files, if whoever made them knows it."""

    @property
    def key(self) -> str:
        """Key of the bundle in a store: `<run_id>` or `<tenant>/<run_id>`."""
        return self.run.path

    def index(self, paths: Mapping[str, str] | None = None, **fields: Any) -> bytes:
        """Return the bytes of run.json. `paths`: paths of files that are not at their names. `fields` replace others.

        Raises `ValidationError` if the result does not fit its own schema, so that it cannot be sealed.
        """
        if self._made and not (paths or fields):
            return self._made
        at: Callable[[str], str] = lambda name: (paths or {}).get(name, name)  # noqa: E731
        entries = [
            {"path": at(p.name), "bytes": p.size, "sha256": p.sha256, "media_type": p.media_type} for p in self.files
        ]
        config = next(entry for p, entry in zip(self.files, entries, strict=True) if p.name == CONFIG)
        # Validated, not merely dumped: a bundle that its own schema refuses must never be sealed.
        index: dict[str, Any] = {
            **self._index,
            "completeness": self.completeness,
            **fields,
            "config": {"path": config["path"], "sha256": config["sha256"]},
            "files": sorted(entries, key=lambda entry: entry["path"]),
        }
        said = written(INDEX, index) or _written_by_model(index)
        # What names no rules was assembled before there were any, and stays as it was.
        made = with_self_digest(said) if "rules" in said else to_json_bytes(said, indent=True)
        if not (paths or fields):
            self._made = made
        return made

    @property
    def run_fields(self) -> dict[str, Any]:
        """The fields of run.json, without `files`, `config` and `completeness`."""
        return self._index

    def set_run_fields(self, index: dict[str, Any]) -> None:
        """Replace the fields of run.json."""
        self._index, self._made = index, b""

    def close(self) -> None:
        """Close the files, which frees their space on disk."""
        for made in self.files:
            made.close()


def _written_by_model(index: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of run.json as its model writes them. Raises `ValidationError`."""
    from runbundle.format.run import RunIndex  # most runs need no models

    return RunIndex.model_validate(index).model_dump(mode="json", by_alias=True, exclude_none=True)


def assemble(
    gathered: GatheredRun,
    *,
    torn: int = 0,
    sdk_versions: frozenset[str] = frozenset(),
    grace_s: float | None = None,
    make: FileMaker = make_file,
    rules: int = RULES,
) -> Assembled:
    """Assemble the bundle of one run.

    `torn`: number of journal lines that could not be read. `sdk_versions`: versions of the OpenTelemetry SDK that the
    journals name. `grace_s`: seconds for which open spans were waited for, or None. `make` builds each file.
    `rules`: version of the rules to assemble by; earlier ones only to verify what was assembled by them.

    The same records give the same bytes, in any order and from any number of writers. The use of memory does not grow
    with the run (see `sorting`). Raises `OSError` if the disk is full.
    """
    tally = RunTotals(gathered.key.run_id, rules)
    with ExitStack() as held:
        calls, found = (held.enter_context(Sorter(gathered.scratch)) for _ in range(2))
        acts = held.enter_context(closing(Acts(gathered.scratch)))
        agents = held.enter_context(closing(Agents(gathered.scratch)))
        gathered.finish()
        _spread(gathered, tally, acts, agents, calls, found)
        of_run = attributes_of_run(tally)
        parts = [make(CONFIG, [config_of(of_run)], gathered.scratch)]
        try:
            parts.append(make(EVENTS, _numbered(gathered, tally), gathered.scratch))
            named = {"run_id": gathered.key.run_id}
            if tally.counts["evidence"]:
                entries = write_listing("retrievals", unkeyed(found), **named, schema="runbundle/evidence/v1")
                parts.append(make(EVIDENCE, entries, gathered.scratch))
            entries = entries_of_calls(calls, acts, tally, gathered.scratch)
            entries = write_listing("calls", entries, **named, schema="runbundle/tool_calls/v1")
            parts.append(make(TOOL_CALLS, entries, gathered.scratch))
        except BaseException:
            for made in parts:
                made.close()
            raise
        final, table = tally.final, gathered.table
        row = table.index(*final.order[1:]) if final is not None else -1
        began = gathered.began(row) if final is not None else ""
        whole = Whole(gathered.key, gathered.begins, tally, acts, agents, table.parent, row, began)
        index = index_of(whole, of_run, sdk_versions)
    completeness = tally.completeness(
        torn=torn, malformed=gathered.malformed, collided=gathered.collided, late=gathered.late, grace_s=grace_s,
        begun=gathered.begins,
    )  # fmt: skip
    twice = {"span_id": gathered.collided, "run_begun_twice": tally.roots - 1}
    return Assembled(gathered.key, parts, completeness, {kind: n for kind, n in twice.items() if n > 0}, index)


def _spread(gathered: GatheredRun, tally: RunTotals, acts: Acts, agents: Agents, calls: Sorter, found: Sorter) -> None:
    """Sort out each span: its lines, its tool call, its evidence, and its share of the totals."""
    table = gathered.table
    for row, found_span in gathered.spans():
        record = found_span.record
        parent_here = record["parent_span_id"] != "" and table.parent(row) >= 0
        above = Above(table.agent_above(row), gathered.began(row), parent_here)
        try:
            made = derived(found_span, above)
        except Exception:  # noqa: BLE001 - a record costs itself alone, whatever is in it
            gathered.malformed += 1
            made = derived(without_content(found_span), above)
        tally.add(made.span, parent_here=parent_here)
        tally.captured(made.words)
        acts.add(made.span)
        if made.span.op == "agent":
            agents.add(row, made.span, above.began)
        for line in made.lines:
            gathered.lines.add(line)
        if made.call is not None:
            calls.add(call_line(made.span, row, made.call))
        if made.evidence is not None:
            tally.counts["evidence"] += 1
            found.add(keyed(made.span, entry_bytes(made.evidence)))
    tally.finish()
    acts.link(table.parent)
    if tally.begun is not None and tally.final is not None:
        for line in run_lines(tally.begun, tally.final):
            gathered.lines.add(line)


class Derived(NamedTuple):
    """The contribution of one span to the bundle."""

    span: Span
    lines: list[bytes]
    call: dict[str, Any] | None
    evidence: dict[str, Any] | None
    words: dict[str, list[CaptureWord]]
    """How completely its values were captured, by attribute key."""


class Above(NamedTuple):
    """Facts about a span that follow from other spans."""

    agent: str | None
    """The agent for which the span works."""
    began: str
    """Id of the span in which its error began; empty if in itself."""
    parent_here: bool
    """Whether the parent is part of the run."""


def derived(span: Span, above: Above) -> Derived:
    """Return what a span contributes."""
    words = captures_of_span(span)
    lines = list(span_lines(span, parent_here=above.parent_here, began=above.began, capture=worst_by_key(words)))
    call = tool_call(span, above.agent, above.began) if span.op == "tool" else None
    return Derived(span, lines, call, retrieval(span), words)


_KEY, _ROW = 20 + 32 + 16, 10
_ENTRY = _KEY + _ROW + 1


def keyed(span: Span, line: bytes) -> bytes:
    """Return a line that sorts by its span: by start, trace and span."""
    start_ns, trace_id, span_id = span.order
    return f"{start_ns:020d}{trace_id}{span_id}".encode() + line


def unkeyed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return the lines that `keyed` was given."""
    return (line[_KEY:] for line in lines)


def call_line(span: Span, row: int, call: dict[str, Any]) -> bytes:
    """Return the entry of a tool's span as a line for `entries_of_calls`."""
    return keyed(span, b"%010d%d" % (row, refused(call)) + entry_bytes(call))


def refused(call: dict[str, Any]) -> bool:
    """Tell whether a call was not allowed, by its entry."""
    return call["policy"]["decision"] in ("blocked", "denied")


def entries_of_calls(spans: Sorter, acts: Acts, tally: RunTotals, scratch: Path) -> Iterator[bytes]:
    """Yield the entries of the calls in the order in which they began, each once. `spans`: an entry for each span."""
    if tally.rules < 2 or not acts.repeated:
        for line in spans:
            tally.counts["policy_blocks"] += line[_KEY + _ROW : _ENTRY] == b"1"
            yield line[_ENTRY:]
        return
    with Sorter(scratch) as of_calls, Sorter(scratch) as calls:
        for line in spans:
            row = int(line[_KEY : _KEY + _ROW])
            first = acts.first(row)
            # The call's own span before the others, which are in the order in which they began.
            of_calls.add(b"%010d%d" % (first, row != first) + line)
        for _, lines in groupby(of_calls, key=lambda line: line[:_ROW]):
            place, call = b"", dict[str, Any]()
            for line in lines:
                entry = parsed_entry(line[_ROW + 1 + _ENTRY :])
                if call:
                    complete_call(call, entry)
                else:
                    place, call = line[_ROW + 1 : _ROW + 1 + _KEY], entry
            tally.counts["policy_blocks"] += refused(call)
            calls.add(place + entry_bytes(call))
        yield from unkeyed(calls)


def _numbered(gathered: GatheredRun, tally: RunTotals) -> Iterator[bytes]:
    events = logs = 0
    for line in gathered.timeline():
        logs += is_log(line)
        yield event_line(line, events)
        events += 1
    tally.counts["events"], tally.counts["logs"] = events, logs


def attributes_of_run(tally: RunTotals) -> dict[str, Any]:
    """Return the attributes of the run's own span; if the run was resumed, those of the last one take precedence."""
    begun, final = tally.begun, tally.final
    return {**begun.attributes, **final.attributes} if begun is not None and final is not None else {}


class Whole(NamedTuple):
    """A run of which every span was added."""

    key: RunKey
    begins: bool
    """Whether the run's beginning is there."""
    tally: RunTotals
    acts: Acts | CountedActs
    agents: Agents
    parent_of: Callable[[int], int]
    """Gives the row of a row's parent, or -1."""
    row: int
    """Of the run's own span; -1 if there is none."""
    began: str
    """Id of the span in which that one's error began; empty if in itself."""


def index_of(whole: Whole, of_run: dict[str, Any], sdk_versions: frozenset[str]) -> dict[str, Any]:
    """Return the fields of run.json. `of_run`: the attributes of the run's own span."""
    tally, acts = whole.tally, whole.acts
    begun, final, rules = tally.begun, tally.final, tally.rules
    started = begun.record["start_ns"] if begun else tally.first_ns or 0
    ended = final.record["end_ns"] if final and final.ended else tally.last_ns or started
    outcome = Outcome()
    if rules > 1:
        tally.counts.update(acts.counts())
        if tally.is_implicit:
            outcome = whole.agents.outcome(whole.row, acts, whole.parent_of, tally.good_ns)
    failed = outcome.error is not None and final is not None and final.status == "unset"
    index: dict[str, Any] = {
        "schema": "runbundle/run/v1",
        "rules": rules,
        "run_id": whole.key.run_id,
        **({"tenant_id": whole.key.tenant_id} if whole.key.tenant_id else {}),
        **about.identity(of_run, tally, rules),
        **({"children": tally.children} if tally.children else {}),
        "started_at": rfc3339(started),
        "ended_at": rfc3339(ended),
        "duration_ns": str(max(0, ended - started)),
        "status": about.status(tally, begun=whole.begins, failed=failed),
        "versions": about.versions(of_run, tally, sdk_versions),
        "counts": {
            **{kind: tally.counts[kind] for kind in COUNTS.needed},
            **{kind: tally.counts[kind] for kind in COUNTS.optional if tally.counts[kind]},
        },
        "usage": acts.usage() if rules > 1 else tally.usage(),
        "trace_ids": sorted(tally.trace_ids),
        "redaction": about.redaction(of_run, tally),
        "revision": 1,
    }
    if final is not None:
        error = outcome.error if failed else final.error(whole.began or final.order[2])
        result = about.result_of(of_run, rules) or outcome.result
        index |= {k: v for k, v in (("error", error), ("result", result)) if v}
    return index


def config_of(of_run: dict[str, Any]) -> bytes:
    """Return the content of config.json."""
    text = of_run.get(own.CONFIG)
    value = text if is_marker(text) else written_of(text)
    return to_json_bytes({"schema": "runbundle/config/v1", "config": value}, indent=True)
