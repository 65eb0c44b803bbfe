"""Verify a bundle: everything it says of itself, checked against its bytes. The result is a value."""

from collections.abc import Iterator
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from runbundle.bundle.event_checks import EventChecks, holds_credential
from runbundle.bundle.integrity import cut_off, is_unchanged, superseded
from runbundle.bundle.listings import Listing
from runbundle.bundle.reader import event_lines, parse_event_line, parse_index, parse_model, pointer
from runbundle.bundle.report import Report, finished
from runbundle.errors import BundleError, KeyNotFound, MalformedBundle, UnsupportedVersion
from runbundle.models.bundle import ConfigSnapshot, RunIndex
from runbundle.models.evidence import Evidence, Retrieval
from runbundle.models.report import VerifyReport
from runbundle.models.tools import ToolCall, ToolCalls
from runbundle.store import ArtifactStore

M = TypeVar("M", bound=BaseModel)
_OUTSIDE_CORE = ("eval/", "revisions/")
_BESIDE_CORE = ("attestation.dsse.json", "hold.json", "removing.json")


def verify(store: ArtifactStore, key: str, *, quick: bool = False) -> VerifyReport:
    """Check a bundle in all five dimensions and return the report.

    `quick`: only that the files are those that were sealed, and what run.json says is missing; the verdict is then
    `unchanged` at best. Takes little more than the digests do.

    Bad bundles give findings, never exceptions; only a store that cannot be read raises (`StoreUnavailable`).
    `verified` means: sealed, whole, unchanged since the seal, consistent, and nothing known to be missing. It does not
    mean that nobody could have written another run.json with other digests: that takes a signature.
    """
    report = Report()
    try:
        data = store.get(f"{key}/run.json")
    except KeyNotFound:
        report.add("RB105", "there is no run.json", file="run.json")
        return finished(report, key)
    report.files, report.bytes = 1, len(data)
    try:
        index = parse_index(data)
    except UnsupportedVersion as error:
        report.add("RB104", error.message, file="run.json")
        return finished(report, key)
    except MalformedBundle as error:
        report.add("RB101", error.message, file="run.json", line=error.line or None)
        return finished(report, key)
    if key.rpartition("/")[2] != index.run_id:
        report.add("RB505", "run.json is of another run than its folder's name says", file="run.json")
    _credentials(data, "run.json", report)
    present = {name[len(key) + 1 :] for name in store.list(f"{key}/")}
    unchanged = {entry.path for entry in index.files if is_unchanged(store, key, entry, present, report)}
    earlier = {entry.path: entry for entry in superseded(store, key, index, report)}
    for entry in earlier.values():
        if entry.path not in unchanged:
            is_unchanged(store, key, entry, present, report)
    for extra in sorted(present - {entry.path for entry in index.files} - set(earlier) - {"run.json"}):
        if not extra.startswith(_OUTSIDE_CORE) and extra not in _BESIDE_CORE:
            code = "RB208" if cut_off(extra, index) else "RB203"
            report.add(code, "is not listed in run.json", file=extra)
    _completeness(index, report)
    if quick:
        return finished(report, index.run_id, quick=True)
    _contents(store, key, index, unchanged, report)
    return finished(report, index.run_id)


def _completeness(index: RunIndex, report: Report) -> None:
    if index.redaction.masked:
        rules = ", ".join(f"{rule}: {count}" for rule, count in sorted(index.redaction.masked.items()))
        report.add("RB413", f"credentials were masked when it was sealed ({rules})", file="run.json")
    said = index.completeness
    if said.spans_expected is None:
        report.add("RB307", f"{said.spans_seen} spans are here; nobody says how many there were", file="run.json")
    elif said.spans_expected > said.spans_seen:
        missing = said.spans_expected - said.spans_seen
        report.add("RB301", f"{missing} of {said.spans_expected} spans never arrived", file="run.json")
    if said.state == "crashed":
        report.add("RB304", "the run has no end", file="run.json")
    if said.open_spans:
        report.add("RB302", f"{len(said.open_spans)} spans never ended", file="run.json")
    if said.dropped.get("collided"):
        report.add("RB309", f"{said.dropped['collided']} records claim a span that another is", file="run.json")
    dropped = {reason: count for reason, count in said.dropped.items() if count and reason != "collided"}
    if dropped:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
        report.add("RB303", f"records were dropped ({reasons})", file="run.json")
    if said.roots > 1:
        report.add("RB306", f"{said.roots} spans claim to be this run", file="run.json")
    if said.late > 0 and index.revision == 1:
        report.add("RB308", f"{said.late} records came after the seal", file="run.json")
    elif said.state != "complete" and not any(code.startswith("RB3") for code in report.made):
        report.add("RB308", f"its state is {said.state}", file="run.json")
    if said.spans_seen != index.counts.spans:
        report.add("RB305", f"{said.spans_seen} spans were seen, {index.counts.spans} counted", file="run.json")


def _contents(store: ArtifactStore, key: str, index: RunIndex, unchanged: set[str], report: Report) -> None:
    """Check what the files say. A file that is damaged has its finding already and is not read further."""
    config = next((e for e in index.files if e.path == index.config.path), None)
    if config is None or config.sha256 != index.config.sha256:
        report.add("RB504", "the digest of the configuration is not that of its file", file="run.json")
    elif config.path in unchanged:
        _parsed(store, key, config.path, ConfigSnapshot, report)
    events, calls, evidence = (pointer(index, name) for name in ("events.jsonl", "tool_calls.json", "evidence.json"))
    for path, name in ((events, "events.jsonl"), (calls, "tool_calls.json")):
        if path is None:
            report.add("RB106", f"run.json does not list {name}", file="run.json")
    if evidence is None and index.counts.retrievals:
        report.add("RB106", "run.json counts retrievals and does not list evidence.json", file="run.json")
    checks: EventChecks | None = None
    if events in unchanged:
        checks = EventChecks(report.add, events)
        _stream_events(store, key, events, checks)
        checks.finish(index)
    if calls in unchanged:
        _tool_calls(store, key, calls, index, checks, report)
    if evidence in unchanged:
        _evidence(store, key, evidence, index, checks, report)


def _tool_calls(
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: Report
) -> None:
    calls = refused = 0
    with store.open(f"{key}/{path}") as file:
        for call in _entries(Listing(file, path, "calls", ToolCalls, ToolCall), path, index, report):
            calls += 1
            refused += call.policy.decision in ("blocked", "denied")
            if checks is not None and not checks.has_span(call.trace_id, call.span_id):
                report.add("RB502", f"call {call.call_id} names a span that is not there", file=path)
    if "RB102" in report.made:
        return
    if calls != index.counts.tool_calls:
        report.add("RB305", "run.json counts another number of tool calls", file=path)
    if refused != index.counts.policy_blocks:
        report.add("RB305", "run.json counts another number of calls that policy refused", file=path)


def _evidence(
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: Report
) -> None:
    with store.open(f"{key}/{path}") as file:
        for retrieval in _entries(Listing(file, path, "retrievals", Evidence, Retrieval), path, index, report):
            if checks is not None and not checks.has_span(retrieval.trace_id, retrieval.span_id):
                report.add("RB503", "a retrieval names a span that is not there", file=path)


def _entries(listing: Listing[M], path: str, index: RunIndex, report: Report) -> Iterator[M]:
    """Yield the entries of a file, and check them and what is around them; what does not parse is a finding."""
    try:
        for entry, data in listing:
            _credentials(data, path, report)
            yield entry
        _credentials(listing.around_bytes, path, report)
        if getattr(listing.around, "run_id", "") != index.run_id:
            report.add("RB505", "carries the id of another run", file=path)
    except MalformedBundle as error:
        report.add("RB102", error.message, file=path)


def _stream_events(store: ArtifactStore, key: str, path: str, checks: EventChecks) -> None:
    with store.open(f"{key}/{path}") as file:
        for number, line in event_lines(file):
            try:
                event = parse_event_line(line, path, number)
            except BundleError as error:
                checks.malformed(number, error.message, line)
            else:
                checks.event(number, event, line)


def _parsed(store: ArtifactStore, key: str, path: str, model: Any, report: Report) -> Any:
    data = store.get(f"{key}/{path}")
    _credentials(data, path, report)
    try:
        return parse_model(data, model, path)
    except MalformedBundle as error:
        report.add("RB102", error.message, file=path)
        return None


def _credentials(data: bytes, path: str, report: Report) -> None:
    """Look at each text by itself: a key beside its marker would look like a credential in the bytes of the file."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return  # it has a finding for that
    if holds_credential(value):
        report.add("RB403", "something looks like a credential", file=path)
