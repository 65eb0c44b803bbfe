"""What each tab of a run says besides the timeline and the lines: read from its bundle, and given to the page.

A run that is not sealed is given as a snapshot of its journals. Its tabs say so, and nothing about it is verified.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from runbundle.bundle.custody.holds import hold_of
from runbundle.bundle.listings import each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.errors import MalformedBundle, StoreError
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import ATTESTATION
from runbundle.format.rules import rule_spec
from runbundle.format.verify_report import VerifyReport
from runbundle.inspect.columns import SpanColumns, event_at
from runbundle.inspect.failure import FAILED
from runbundle.inspect.outcome import next_step
from runbundle.journal.locks import is_held
from runbundle.journal.reader import journal_files
from runbundle.recording.waiting import Unsealed, contents
from runbundle.signals import own
from runbundle.view.blocks import Block, code, facts, heading, note, pre, spans, table
from runbundle.view.judged import scores

_MOST_TOOLS, _MOST_CALLS_READ = 40, 5000
_MOST_DECISIONS, _MOST_RETRIEVALS, _MOST_DOCUMENTS = 100, 200, 20
_MOST_RULES, _MOST_FINDINGS, _MOST_TRACES = 60, 50, 20
_MOST_LINE_BYTES = 1_048_576
_NONE = "\N{EN DASH}"
_UNVERIFIED = "This run is not sealed. This is what its journals say so far; it is not verified."
_ALTERED = "WARNING: this bundle is not what was sealed; Integrity says more. Anybody may have written what is shown."

Tab = Callable[[Bundle, SpanColumns], list[Block]]


def tools(bundle: Bundle, columns: SpanColumns) -> list[Block]:
    """Return the tools with their calls, faults and times; those with most faults first."""
    data, ops, statuses = columns.data, columns.header["ops"], columns.header["statuses"]
    tool = ops.index("tool") if "tool" in ops else -1
    by: dict[int, list[int]] = {}
    for row, op in enumerate(data["op"]):
        if op == tool:
            by.setdefault(data["tool"][row], []).append(row)
    if not by:
        return [note("This run called no tool.")]
    bad = {number for number, word in enumerate(statuses) if word in ("", *FAILED)}
    faults = {name: sum(data["status"][row] in bad for row in rows) for name, rows in by.items()}
    effects = _side_effects(bundle, len(by))
    lines: list[list[Any]] = []
    for name, rows in sorted(by.items(), key=lambda each: (-faults[each[0]], -len(each[1])))[:_MOST_TOOLS]:
        took = sorted(ns for row in rows if (ns := columns.duration_ns(row)) is not None)
        word = columns.header["strings"][name]
        version, effect = effects.get(word, (_NONE, _NONE))
        lines.append([
            {"tool": word}, len(rows), {"bad": f"✕ {faults[name]}"} if faults[name] else _NONE, _at(took, 0.5),
            _at(took, 0.95), sum(data["withheld"][row] for row in rows) or _NONE, version, effect,
        ])  # fmt: skip
    named = ("tool", "calls", "faults", "median", "p95", "withheld", "contract", "side effects")
    more = [note(f"and {len(by) - _MOST_TOOLS} more tools")] if len(by) > _MOST_TOOLS else []
    return [table("Tools", named, lines), *more, spans("Tool calls, faults first", "tool")]


def _side_effects(bundle: Bundle, wanted: int) -> dict[str, tuple[str, str]]:
    """Return the contract's version and the side effects of each tool, as far as the first calls say."""
    found: dict[str, tuple[str, str]] = {}
    try:
        for call in islice(each_tool_call(bundle), _MOST_CALLS_READ):
            version = f"version {call.contract.version or '?'}" if call.contract else "none"
            found.setdefault(call.tool, (version, call.side_effects or _NONE))
            if len(found) >= wanted:
                break
    except (MalformedBundle, StoreError):
        pass  # without the file there are still the spans
    return found


def _at(ordered: list[int], part: float) -> Any:
    return {"us": ordered[min(len(ordered) - 1, int(len(ordered) * part))] / 1000} if ordered else _NONE


def policy(bundle: Bundle, columns: SpanColumns) -> list[Block]:
    """Return what policy decided, in order."""
    places = list(columns.others_of_kind("policy.decision"))
    if not places:
        return [note("No policy decided anything in this run.")]
    lines: list[list[Any]] = []
    for place in places[:_MOST_DECISIONS]:
        size, row = columns.data["bytes"][place], columns.data["row"][place]
        said: dict[str, Any] = {}
        if size <= _MOST_LINE_BYTES:
            said = event_at(bundle, columns.data["at"][place], size)["attributes"]
        span = {"span": columns.span_id(row)} if row >= 0 else ""
        told = {word: said.get(name, "") for word, name in own.POLICY.items()}
        lines.append([
            {"pill": told["decision"] or "unknown"}, told["tool"], told["rule"], told["reason"],
            said.get(own.SIDE_EFFECTS, ""), span,
        ])  # fmt: skip
    named = ("decision", "tool", "rule", "reason", "side effects", "span")
    blocks = [table("Decisions of policy", named, lines)]
    if len(places) > _MOST_DECISIONS:
        blocks.append(note(f"and {len(places) - _MOST_DECISIONS} more decisions; Raw has all"))
    return blocks


def evidence(bundle: Bundle, _columns: SpanColumns) -> list[Block]:
    """Return what was retrieved: documents with ranks and scores."""
    found = bundle.evidence()
    if found is None:
        return [note("This run retrieved nothing.")]
    lines: list[list[Any]] = []
    for each in found.retrievals[:_MOST_RETRIEVALS]:
        place: Any = {"span": each.span_id, "text": each.retriever}
        lines += [] if each.documents else [[place, _NONE, "nothing came back"]]
        for document in each.documents[:_MOST_DOCUMENTS]:
            size = {"bytes": document.bytes} if document.bytes is not None else ""
            lines.append([place, document.rank, document.id, document.title, document.uri, document.score, size])
            place = ""
    named = ("retriever", "rank", "document", "title", "address", "score", "size")
    most = len(found.retrievals) > _MOST_RETRIEVALS
    more = [note(f"Only the first {_MOST_RETRIEVALS} retrievals are shown; evidence.json has all.")] if most else []
    return [table("Retrieved documents", named, lines), *more]


def redaction(bundle: Bundle, columns: SpanColumns) -> list[Block]:
    """Return how many values were withheld by which rule, and in which spans."""
    said = bundle.index.redaction
    total = sum(each.count for each in said.totals)
    ordered = sorted(said.totals, key=lambda each: -each.count)[:_MOST_RULES]
    lines = [[each.count, each.action, code(each.rule), _why(each.rule)] for each in ordered]
    mode = "prompts and outputs are digests only"
    if said.content_mode == "debug":
        mode = "DEBUG MODE: raw content lies encrypted in the vault"
    blocks = [
        heading(f"{total:,} value{'' if total == 1 else 's'} withheld"),
        facts(
            ("content", mode), ("policy", code(said.policy)), ("key", code(said.key_id)),
            ("masked at the seal", _counts(said.masked or {}, "{name}: {count}")),
        ),
    ]  # fmt: skip
    if lines:
        blocks.append(table("Withheld by rule", ("count", "action", "rule", "why"), lines))
    if any(columns.data["withheld"]):
        blocks.append(spans("Spans of which values were withheld, most first", "withheld"))
    return blocks


def _why(rule: str) -> str:
    spec = rule_spec(rule)
    return spec.title if spec is not None else ""


def config(bundle: Bundle, _columns: SpanColumns) -> list[Block]:
    """Return the configuration, and beside it the ids and versions of the run."""
    index, versions = bundle.index, bundle.index.versions
    text = orjson.dumps(bundle.config().config, option=orjson.OPT_INDENT_2).decode()
    dirty = " with local changes" if versions.git and versions.git.dirty else ""
    ended = index.ended_at if index.status != "interrupted" else ""  # else it may be going on
    of_run = facts(
        ("run", code(index.run_id)), ("name", index.name), ("tenant", index.tenant_id), ("case", index.case_id),
        ("repeat", index.repeat), ("attempt", index.attempt), ("request", index.request_id),
        ("session", index.session_id), ("user", index.user_id),
        ("inside", index.parent_run.run_id if index.parent_run else None), ("resumed from", index.resumed_from),
        ("began", {"when": index.started_at}), ("ended", {"when": ended} if ended else ""),
        ("traces", ", ".join(index.trace_ids[:_MOST_TRACES])),
    )  # fmt: skip
    of_versions = facts(
        ("runbundle", versions.runbundle), ("python", versions.python), ("OpenTelemetry", versions.otel_sdk),
        ("engine", f"{versions.engine.name} {versions.engine.version}" if versions.engine else None),
        ("conventions", versions.semconv),
        ("commit", f"{versions.git.commit[:12]}{dirty}" if versions.git else None),
        ("models", ", ".join(versions.models)), *versions.providers.items(),
    )  # fmt: skip
    beside = [heading("Run"), of_run, heading("Versions"), of_versions]
    return [heading("Configuration"), pre("Configuration", text), {"beside": beside}]


def integrity(bundle: Bundle, _columns: SpanColumns | None = None, *, whole: bool = False) -> list[Block]:
    """Return what `verify` finds, quick unless `whole`; completeness, files, revision, signature and hold."""
    index, done = bundle.index, bundle.index.completeness
    report = verify(bundle.store, bundle.key, quick=not whole)
    files = [["run.json", {"bytes": len(bundle.index_bytes)}, code(sha256_hex(bundle.index_bytes))]]
    files += [[entry.path, {"bytes": entry.bytes}, code(entry.sha256)] for entry in index.files]
    of = f" of {done.spans_expected:,}" if done.spans_expected is not None else ""
    signed = bundle.store.exists(f"{bundle.key}/{ATTESTATION}")
    beside = [
        heading("Completeness", done.state),
        facts(
            ("spans", f"{done.spans_seen:,}{of}"), ("open", len(done.open_spans)), ("cut off", len(done.cut_off or ())),
            ("late", done.late), ("dropped", _counts(done.dropped, "{count} {name}")),
            ("unread", _counts(done.unread or {}, "{count} of {name}")),
            ("waited", f"{done.grace_s:g} s for open spans" if done.grace_s is not None else None),
        ),
        heading("Files"), table("Files", ("file", "size", "SHA-256"), files),
        heading("Custody"),
        facts(
            ("revision", index.revision), ("supersedes", code(index.supersedes)),
            ("signed", "there is a signature; it is not checked here" if signed
             else "no: consistent, not authenticated"),
            ("held", _held(bundle) or "no"),
            ("sealed by", f"runbundle {index.versions.runbundle}" if index.versions.runbundle else None),
        ),
    ]  # fmt: skip
    return [*_verification(report), *([] if whole else [{"whole": "check everything"}]), {"beside": beside}]


def _verification(report: VerifyReport) -> list[Block]:
    unchanged = "The files are those that were sealed. Of their content not all was checked."
    now = datetime.now(UTC).isoformat(timespec="seconds")
    named = [
        [{"bad" if found.severity == "error" else "doubt": f"{'✕' if found.severity == 'error' else '!'} {found.code}"},
         f"{found.file or ''}{f':{found.line}' if found.line else ''}", found.message]
        for found in report.findings[:_MOST_FINDINGS]
    ]  # fmt: skip
    outcomes = report.model_dump(mode="json")["dimensions"]
    altered = report.dimensions.get("integrity") == "fail"
    return [
        *([{"warn": _ALTERED}] if altered else []),
        heading("Verification", report.verdict),
        *([note(unchanged)] if report.verdict == "unchanged" else []),
        table("Dimensions", ("dimension", "outcome"), [[name, {"pill": said}] for name, said in outcomes.items()]),
        *([table("Findings", ("code", "where", "what"), named)] if named else []),
        facts(("checked", f"{report.files_checked} files"), ("bytes", {"bytes": report.bytes_checked}),
              ("at", {"when": now})),
        note(report.limits), *map(note, report.notes or ()),
    ]  # fmt: skip


def _counts(counts: dict[str, int], form: str) -> str:
    return ", ".join(form.format(name=name, count=count) for name, count in counts.items())


def _held(bundle: Bundle) -> str | None:
    try:
        found = hold_of(bundle.store, bundle.key)
    except StoreError:
        return "cannot be read"
    return found.reason if found is not None else None


def not_sealed(run: Unsealed) -> list[Block]:
    """Return what stands in the place of integrity for a run that is not sealed."""
    held = contents(run)
    journals = [
        [path.name, {"bytes": path.stat().st_size}, "a process writes it" if is_held(path) else "no process holds it"]
        for path in [*([run.segment] if run.lines else []), *journal_files(run.folder)] if path.exists()
    ]  # fmt: skip
    since = datetime.fromtimestamp(run.since_ns / 1e9, UTC).isoformat(timespec="seconds")
    return [
        heading("Not sealed yet", run.state),
        note("There are no digests to check it by. When it is sealed, this says whether it is as it was sealed."),
        facts(("next", next_step(run))),
        facts(
            ("since", {"when": since}), ("why", run.note), ("ended", f"{held.spans:,} spans"),
            ("open", ", ".join(held.open[:_MOST_TRACES])), ("logs", held.logs), ("damaged lines", held.torn),
        ),
        table("Journals", ("journal", "size", "writer"), journals),
    ]  # fmt: skip


TABS: dict[str, Tab] = {
    "tools": tools, "policy": policy, "evidence": evidence, "redaction": redaction, "integrity": integrity,
    "config": config, "scores": scores,
}  # fmt: skip
"""The tabs by their names in the page."""


def unverified(blocks: list[Block]) -> list[Block]:
    """Return the blocks of a run that is not sealed, with a line ahead that says so."""
    return [note(_UNVERIFIED), *blocks]
