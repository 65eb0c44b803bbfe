"""Verification of a bundle: everything that it says of itself is checked against its bytes."""

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from runbundle.bundle.assembly.parts import batches
from runbundle.bundle.checks.evaluations import check_evaluations
from runbundle.bundle.checks.events import EventChecks, holds_credential, suspicious
from runbundle.bundle.checks.integrity import (
    check_own_digest,
    check_revisions,
    check_strays,
    check_unlisted,
    is_unchanged,
)
from runbundle.bundle.checks.natively import NativeDerivation
from runbundle.bundle.checks.reassemble import Reassembly
from runbundle.bundle.checks.report import ReportBuilder, finished_report
from runbundle.bundle.checks.search import FileSearch
from runbundle.bundle.listings import Listing
from runbundle.bundle.reader import (
    Bundle,
    event_lines,
    index_bytes,
    listed_path,
    misplaced,
    parse_index,
    parse_model,
    parse_object_line,
    whole_file,
)
from runbundle.errors import BundleError, KeyNotFound, MalformedBundle, OddEntry, UnsupportedVersion
from runbundle.format.evidence import Evidence, Retrieval
from runbundle.format.layout import EVENTS, EVIDENCE, RUN, TOOL_CALLS, file_at
from runbundle.format.run import ConfigSnapshot, RunIndex
from runbundle.format.tool_calls import CallEntry, ToolCalls
from runbundle.format.verify_report import VerifyReport
from runbundle.redaction.permitted.safe_text import has_credential
from runbundle.store import ArtifactStore

M = TypeVar("M", bound=BaseModel)
_MOST_SEARCHED_BYTES = 64 * 1024 * 1024


def verify(store: ArtifactStore, key: str, *, quick: bool = False, search: bool = True) -> VerifyReport:
    """Check a bundle in all five dimensions and return the report.

    `quick`: check only that the files are those that were sealed, search them for credentials, and report the losses
    that run.json states. The verdict is then `unchanged` at best, and a note says what was left out. Without `search`
    that is left out, too.

    A bad bundle gives findings, never an exception. Raises `StoreUnavailable` if the store cannot be read.

    `verified` means that the bundle is sealed, complete as far as is known, unchanged since the seal, and that
    run.json, tool_calls.json and evidence.json follow from events.jsonl, except for guarded fields (see
    `checks.derived`). Of a bundle that is older than these rules that is not checked, and it is `unchanged` at best. It
    does not prove who wrote the bundle: somebody who replaces all files can write a consistent one.
    """
    report = ReportBuilder()
    try:
        data = index_bytes(store, key)
    except OddEntry as error:
        report.add("RB230", error.message, file="run.json")
        return finished_report(report, key)
    except KeyNotFound:
        report.add("RB105", "there is no run.json", file=RUN)
        return finished_report(report, key)
    report.files, report.bytes = 1, len(data)
    try:
        index = parse_index(data)
    except UnsupportedVersion as error:
        report.add("RB104", error.message, file=RUN)
        return finished_report(report, key)
    except MalformedBundle as error:
        report.add(error.finding or "RB101", error.message, file="run.json", line=error.line or None)
        return finished_report(report, key)
    if why := misplaced(key, index):
        report.add("RB505", why, file=RUN)
    by_rules = check_own_digest(data, index, report)
    _credentials(data, RUN, report)
    present = {name[len(key) + 1 :] for name in store.list(f"{key}/")}
    bundle = Bundle(store, key, index, data)
    with contextlib.ExitStack() as held:
        natively = held.enter_context(contextlib.closing(NativeDerivation(bundle))) if by_rules and not quick else None
        unchanged = _unchanged(bundle, present, natively, report, search=quick and search)
        earlier = {entry.path: entry for entry in check_revisions(store, key, index, report)}
        for entry in earlier.values():
            if entry.path not in unchanged:
                is_unchanged(store, key, entry, present, report)
        extra = present - {entry.path for entry in index.files} - set(earlier) - {RUN}
        check_unlisted(store, key, index, data, extra, report)
        check_strays(store, key, report)
        _completeness(index, report)
        if not quick:
            _contents(bundle, unchanged, natively, report, by_rules=by_rules)
            check_evaluations(store, key, index, data, present, report)
    for path in sorted(extra) if search else ():
        _searched(store, key, path, report)
    return finished_report(report, index.run_id, quick=quick, searched=search)


def _unchanged(
    bundle: Bundle, present: set[str], natively: NativeDerivation | None, report: ReportBuilder, *, search: bool
) -> set[str]:
    """Return the paths of the files that are those that were sealed.

    Each is read once: what it holds is derived by the native core, or searched for credentials, by the way.
    """
    unchanged: set[str] = set()
    for entry in bundle.index.files:
        searching = FileSearch(entry.path) if search else None
        also = searching.read if searching else natively.reader(entry.path) if natively else None
        if not is_unchanged(bundle.store, bundle.key, entry, present, report, also):
            continue
        unchanged.add(entry.path)
        if natively is not None:
            natively.whole(entry.path)
        for line in searching.found(bundle.store, bundle.key) if searching else ():
            report.add("RB403", "something looks like a credential", file=entry.path, line=line)
    return unchanged


def _completeness(index: RunIndex, report: ReportBuilder) -> None:
    if index.redaction.masked:
        rules = ", ".join(f"{rule}: {count}" for rule, count in sorted(index.redaction.masked.items()))
        report.add("RB413", f"credentials were masked when it was sealed ({rules})", file="run.json")
    said = index.completeness
    if said.unread:
        spans = ", ".join(f"{count} of {scope}" for scope, count in said.unread.items())
        report.notes.append(f"spans that could not be read, and are kept as other work ({spans})")
    if said.spans_expected is None:
        report.add(
            "RB307",
            f"{said.spans_seen} spans are here; nobody saw how many began: an exporter is handed only those that ended",
            file=RUN,
        )
    elif said.spans_expected > said.spans_seen:
        missing = said.spans_expected - said.spans_seen
        report.add("RB301", f"{missing} of {said.spans_expected} spans never arrived", file=RUN)
    if said.state == "crashed":
        report.add("RB304", "the run has no end", file=RUN)
    if said.open_spans:
        report.add("RB302", f"{len(said.open_spans)} spans never ended", file=RUN)
    if said.dropped.get("collided"):
        report.add("RB309", f"{said.dropped['collided']} records claim a span that another is", file=RUN)
    dropped = {reason: count for reason, count in said.dropped.items() if count and reason != "collided"}
    if dropped:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
        report.add("RB303", f"records were dropped ({reasons})", file=RUN)
    if said.roots > 1:
        report.add("RB306", f"{said.roots} spans claim to be this run", file=RUN)
    if said.late > 0 and index.revision == 1:
        report.add("RB308", f"{said.late} records came after the seal", file=RUN)
    elif said.state != "complete" and not any(code.startswith("RB3") for code in report.made):
        report.add("RB308", f"its state is {said.state}", file=RUN)
    if said.spans_seen != index.counts.spans:
        report.add("RB305", f"{said.spans_seen} spans were seen, {index.counts.spans} counted", file=RUN)


def _contents(
    bundle: Bundle, unchanged: set[str], natively: NativeDerivation | None, report: ReportBuilder, *, by_rules: bool
) -> None:
    """Check the content of the files. A damaged file has its finding already and is not read.

    `natively`: what derived the bundle while it was read, if that was possible. `by_rules`: whether its rules of
    assembly are known, by which it is derived again. A file that is equal to the derived one needs no further check.
    """
    store, key, index = bundle.store, bundle.key, bundle.index
    config = next((e for e in index.files if e.path == index.config.path), None)
    if config is None or config.sha256 != index.config.sha256:
        report.add("RB504", "the digest of the configuration is not that of its file", file=RUN)
    elif config.path in unchanged:
        _parsed(store, key, config.path, ConfigSnapshot, report)
    events, calls, evidence = (listed_path(index, name) for name in (EVENTS, TOOL_CALLS, EVIDENCE))
    for path, name in ((events, EVENTS), (calls, TOOL_CALLS)):
        if path is None:
            report.add("RB106", f"run.json does not list {name}", file=RUN)
    if evidence is None and index.counts.retrievals:
        report.add("RB106", "run.json counts retrievals and does not list evidence.json", file=RUN)
    checks: EventChecks | None = None
    derived = natively.compare(unchanged) if natively is not None else None
    if derived is None and events in unchanged:
        checks = EventChecks(report.add, events)
        with contextlib.closing(Reassembly(bundle)) if by_rules else contextlib.nullcontext() as again:
            whole = _stream_events(store, key, events, checks, again)
            checks.finish(index)
            if again is not None and whole:
                derived = again.compare(unchanged, report.add)
    derived = derived or set()
    if calls in unchanged and TOOL_CALLS not in derived:
        _tool_calls(store, key, calls, index, checks, report)
    if evidence in unchanged and EVIDENCE not in derived:
        _evidence(store, key, evidence, index, checks, report)


def _tool_calls(
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: ReportBuilder
) -> None:
    calls = refused = 0
    with store.open(f"{key}/{path}") as file:
        for call in _entries(Listing(file, path, "calls", ToolCalls, CallEntry), path, index, report):
            calls += 1
            refused += call.policy.decision in ("blocked", "denied")
            if checks is not None and not checks.has_span(call.trace_id, call.span_id):
                report.add("RB502", f"call {call.call_id} names a span that is not there", file=path)
    if report.made.keys() & {"RB102", "RB231", "RB232"}:
        return
    if calls != index.counts.tool_calls:
        report.add("RB305", "run.json counts another number of tool calls", file=path)
    if refused != index.counts.policy_blocks:
        report.add("RB305", "run.json counts another number of calls that policy refused", file=path)


def _evidence(
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: ReportBuilder
) -> None:
    with store.open(f"{key}/{path}") as file:
        for retrieval in _entries(Listing(file, path, "retrievals", Evidence, Retrieval), path, index, report):
            if checks is not None and not checks.has_span(retrieval.trace_id, retrieval.span_id):
                report.add("RB503", "a retrieval names a span that is not there", file=path)


def _entries(listing: Listing[M], path: str, index: RunIndex, report: ReportBuilder) -> Iterator[M]:
    """Yield the entries of a file and check them; an entry that does not parse is a finding."""
    try:
        for entry, data in listing:
            _credentials(data, path, report)
            yield entry
        _credentials(listing.around_bytes, path, report)
        if getattr(listing.around, "run_id", "") != index.run_id:
            report.add("RB505", "carries the id of another run", file=path)
    except MalformedBundle as error:
        report.add(error.finding or "RB102", error.message, file=path)


def _stream_events(store: ArtifactStore, key: str, path: str, checks: EventChecks, again: Reassembly | None) -> bool:
    """Check the events, line by line; return whether all of them are well-formed."""
    whole = True
    with store.open(f"{key}/{path}") as file:
        for lines in batches(event_lines(file), _size):
            suspect = suspicious(line for _, line in lines)
            for number, line in lines:
                try:
                    event = parse_object_line(line, path, number)
                except BundleError as error:
                    code = error.finding if isinstance(error, MalformedBundle) else ""
                    checks.malformed(number, error.message, line, code=code or "RB102")
                    whole = False
                else:
                    if not checks.event(number, event, line, suspect=suspect):
                        whole = False
                    elif again is not None:
                        again.event(event, line)
    return whole


def _size(line: tuple[int, bytes]) -> int:
    return len(line[1])


def _parsed(store: ArtifactStore, key: str, path: str, model: Any, report: ReportBuilder) -> Any:
    try:
        data = whole_file(store, key, path)
        _credentials(data, path, report)
        return parse_model(data, model, path)
    except MalformedBundle as error:
        report.add(error.finding or "RB102", error.message, file=path)
        return None


def _searched(store: ArtifactStore, key: str, path: str, report: ReportBuilder) -> None:
    """Search a file outside the seal for credentials, as text if it is not JSON."""
    file = file_at(path)
    if file is not None and not file.searched:
        return
    try:
        with store.open(f"{key}/{path}") as stream:
            data = stream.read(_MOST_SEARCHED_BYTES)
    except KeyNotFound:  # it has a finding, or is gone
        return
    report.files += 1
    report.bytes += len(data)
    try:
        leaks = holds_credential(orjson.loads(data))
    except orjson.JSONDecodeError:
        leaks = has_credential(data.decode("utf-8", "replace"))
    if leaks:
        report.add("RB403", "something looks like a credential", file=path)


def _credentials(data: bytes, path: str, report: ReportBuilder) -> None:
    """Search each text by itself: in the bytes of the file a key beside its marker would look like a credential."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return  # it has a finding for that
    if holds_credential(value):
        report.add("RB403", "something looks like a credential", file=path)
