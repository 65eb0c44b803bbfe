"""Verify a bundle: everything it says of itself, checked against its bytes. The result is a value."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel

from runbundle.bundle.event_checks import EventChecks, holds_credential
from runbundle.bundle.listings import Listing
from runbundle.bundle.reader import event_lines, parse_event_line, parse_index, parse_model, pointer
from runbundle.errors import BundleError, KeyNotFound, MalformedBundle, UnsupportedVersion
from runbundle.models.bundle import ConfigSnapshot, FileEntry, RunIndex
from runbundle.models.canonical import sha256_hex
from runbundle.models.evidence import Evidence, Retrieval
from runbundle.models.findings import FINDINGS
from runbundle.models.report import Dimension, Finding, VerifyReport
from runbundle.models.tools import ToolCall, ToolCalls
from runbundle.store import ArtifactStore

M = TypeVar("M", bound=BaseModel)
DIMENSIONS: tuple[Dimension, ...] = ("structure", "integrity", "completeness", "redaction", "references")
_OUTSIDE_CORE = ("eval/", "revisions/")
_BESIDE_CORE = ("attestation.dsse.json", "hold.json")
_CHUNK = 1_048_576
_LIMIT_PER_CODE = 50  # of each kind, so that many of one kind cannot crowd out another


class _Report:
    """Findings as they are made."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.made: Counter[str] = Counter()
        self.files = 0
        self.bytes = 0

    def add(self, code: str, message: str, *, file: str | None = None, line: int | None = None) -> None:
        """Add a finding; its severity and dimension are the catalogue's."""
        self.made[code] += 1
        if self.made[code] <= _LIMIT_PER_CODE:
            self.findings.append(_finding(code, message, file, line))

    def close(self) -> None:
        """Say of which kinds there were more than are listed."""
        for code, count in sorted(self.made.items()):
            if count > _LIMIT_PER_CODE:
                self.findings.append(_finding(code, f"and {count - _LIMIT_PER_CODE} more like these"))


def _finding(code: str, message: str, file: str | None = None, line: int | None = None) -> Finding:
    spec: Any = FINDINGS[code]
    return Finding(code=code, severity=spec.severity, dimension=spec.dimension, message=message, file=file, line=line)


def verify(store: ArtifactStore, key: str) -> VerifyReport:
    """Check a bundle in all five dimensions and return the report.

    Bad bundles give findings, never exceptions; only a store that cannot be read raises (`StoreUnavailable`).
    `verified` means: sealed, whole, unchanged since the seal, consistent, and nothing known to be missing. It does not
    mean that nobody could have written another run.json with other digests: that takes a signature.
    """
    report = _Report()
    try:
        data = store.get(f"{key}/run.json")
    except KeyNotFound:
        report.add("RB105", "there is no run.json", file="run.json")
        return _finished(report, key)
    report.files, report.bytes = 1, len(data)
    try:
        index = parse_index(data)
    except UnsupportedVersion as error:
        report.add("RB104", error.message, file="run.json")
        return _finished(report, key)
    except MalformedBundle as error:
        report.add("RB101", error.message, file="run.json", line=error.line or None)
        return _finished(report, key)
    if key.rpartition("/")[2] != index.run_id:
        report.add("RB505", "run.json is of another run than its folder's name says", file="run.json")
    _credentials(data, "run.json", report)
    present = {name[len(key) + 1 :] for name in store.list(f"{key}/")}
    unchanged = {entry.path for entry in index.files if _unchanged(store, key, entry, present, report)}
    earlier = {entry.path: entry for entry in _superseded(store, key, index, report)}
    for entry in earlier.values():
        if entry.path not in unchanged:
            _unchanged(store, key, entry, present, report)
    for extra in sorted(present - {entry.path for entry in index.files} - set(earlier) - {"run.json"}):
        if not extra.startswith(_OUTSIDE_CORE) and extra not in _BESIDE_CORE:
            code = "RB208" if _cut_off(extra, index) else "RB203"
            report.add(code, "is not listed in run.json", file=extra)
    _completeness(index, report)
    _contents(store, key, index, unchanged, report)
    return _finished(report, index.run_id)


def _cut_off(extra: str, index: RunIndex) -> bool:
    """Tell whether a seal that was cut off may have left this file: then run.json lists another of its name."""
    listed = pointer(index, extra)
    return listed is not None and listed.startswith("revisions/")


def _superseded(store: ArtifactStore, key: str, index: RunIndex, report: _Report) -> list[FileEntry]:
    """Follow the chain of revisions back to the first; return the files that the earlier ones list."""
    files: list[FileEntry] = []
    while index.revision > 1:
        path = f"revisions/{index.revision - 1}/run.json"
        try:
            data = store.get(f"{key}/{path}")
            before = parse_index(data)
        except (KeyNotFound, BundleError):
            report.add("RB207", f"revision {index.revision - 1} cannot be read", file=path)
            break
        if sha256_hex(data) != index.supersedes or before.revision != index.revision - 1:
            report.add("RB207", f"is not what revision {index.revision} supersedes", file=path)
            break
        files += before.files
        index = before
    return files


def _unchanged(store: ArtifactStore, key: str, entry: FileEntry, present: set[str], report: _Report) -> bool:
    """Compare one file with its entry: missing, modified, truncated, torn and grown are told apart."""
    if entry.path not in present:
        report.add("RB202", "is listed in run.json and not there", file=entry.path)
        return False
    digest, size, last = hashlib.sha256(), 0, b""
    try:
        with store.open(f"{key}/{entry.path}") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                last = chunk[-1:]
    except KeyNotFound:  # removed since the listing, or a link to nowhere
        report.add("RB202", "is listed in run.json and cannot be opened", file=entry.path)
        return False
    report.files += 1
    report.bytes += size
    if size < entry.bytes:
        code, how = ("RB204", "truncated") if last in (b"\n", b"") else ("RB205", "torn: it ends within a line")
        report.add(code, f"is {how}: {size} of {entry.bytes} bytes", file=entry.path)
    elif size > entry.bytes:
        report.add("RB206", f"has grown: {size} bytes, sealed with {entry.bytes}", file=entry.path)
    elif digest.hexdigest() != entry.sha256:
        report.add("RB201", "was modified: same size, another SHA-256", file=entry.path)
    else:
        return True
    return False


def _completeness(index: RunIndex, report: _Report) -> None:
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
    if any(said.dropped.values()):
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(said.dropped.items()))
        report.add("RB303", f"records were dropped ({reasons})", file="run.json")
    if said.roots > 1:
        report.add("RB306", f"{said.roots} spans claim to be this run", file="run.json")
    if said.late > 0 and index.revision == 1:
        report.add("RB308", f"{said.late} records came after the seal", file="run.json")
    elif said.state != "complete" and not any(code.startswith("RB3") for code in report.made):
        report.add("RB308", f"its state is {said.state}", file="run.json")
    if said.spans_seen != index.counts.spans:
        report.add("RB305", f"{said.spans_seen} spans were seen, {index.counts.spans} counted", file="run.json")


def _contents(store: ArtifactStore, key: str, index: RunIndex, unchanged: set[str], report: _Report) -> None:
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
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: _Report
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
    store: ArtifactStore, key: str, path: str, index: RunIndex, checks: EventChecks | None, report: _Report
) -> None:
    with store.open(f"{key}/{path}") as file:
        for retrieval in _entries(Listing(file, path, "retrievals", Evidence, Retrieval), path, index, report):
            if checks is not None and not checks.has_span(retrieval.trace_id, retrieval.span_id):
                report.add("RB503", "a retrieval names a span that is not there", file=path)


def _entries(listing: Listing[M], path: str, index: RunIndex, report: _Report) -> Iterator[M]:
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


def _parsed(store: ArtifactStore, key: str, path: str, model: Any, report: _Report) -> Any:
    data = store.get(f"{key}/{path}")
    _credentials(data, path, report)
    try:
        return parse_model(data, model, path)
    except MalformedBundle as error:
        report.add("RB102", error.message, file=path)
        return None


def _credentials(data: bytes, path: str, report: _Report) -> None:
    """Look at each text by itself: a key beside its marker would look like a credential in the bytes of the file."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return  # it has a finding for that
    if holds_credential(value):
        report.add("RB403", "something looks like a credential", file=path)


def _finished(report: _Report, run_id: str) -> VerifyReport:
    report.close()
    outcomes: dict[Dimension, Literal["pass", "warn", "fail"]] = dict.fromkeys(DIMENSIONS, "pass")
    for finding in report.findings:
        if finding.severity == "error":
            outcomes[finding.dimension] = "fail"
        elif outcomes[finding.dimension] == "pass":
            outcomes[finding.dimension] = "warn"
    return VerifyReport(
        run_id=run_id,
        verdict="failed" if "fail" in outcomes.values() else "incomplete" if report.findings else "verified",
        dimensions=outcomes,
        findings=report.findings,
        files_checked=report.files,
        bytes_checked=report.bytes,
    )
