"""Comparing two runs: from two bundles to a report."""

import hashlib
from collections import Counter
from typing import Any, cast

from runbundle.bundle.listings import each_retrieval
from runbundle.bundle.reader import Bundle
from runbundle.compare.causes import RECORD, Cause, causes
from runbundle.compare.changes import Change, Compared, compared
from runbundle.compare.diff_report import (
    DiffCause,
    DiffReport,
    DiffSubject,
    Patch,
    StepDiff,
    ToolCount,
    Total,
    ValueDiff,
)
from runbundle.compare.steps import OPS, Steps
from runbundle.compare.subjects import require_one_key, subject
from runbundle.compare.values import patch
from runbundle.redaction.markers import is_marker
from runbundle.signals import own, semconv
from runbundle.signals.reading import written_of
from runbundle.store import ArtifactStore

MOST_CHANGES = 200
"""Differences of steps that are listed, unless more are asked for."""
_TOOL = OPS.index("tool")
_COUNTS = ("model_calls", "tool_calls", "retrievals", "policy_blocks", "errors")
_LIMITS = "what no bundle holds, such as the agent's code, may be behind it"
_VALUES: dict[tuple[str, str], tuple[Any, tuple[str, ...]]] = {
    ("tool", "given"): ("arguments", (semconv.ARGUMENTS,)),
    ("tool", "gave"): ("result", (semconv.RESULT,)),
    ("retrieval", "given"): ("query", (semconv.QUERY_TEXT, own.QUERY)),
    ("retrieval", "gave"): ("documents", (semconv.DOCUMENTS,)),
    ("model", "given"): ("prompt", (semconv.INPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS)),
    ("model", "gave"): ("answer", (semconv.OUTPUT_MESSAGES,)),
}
"""What a value is called, and the attributes that show it, by kind of work and part."""


def diff_runs(
    a: tuple[ArtifactStore, str], b: tuple[ArtifactStore, str], *, incomplete: bool = False,
    most_changes: int = MOST_CHANGES,
) -> DiffReport:  # fmt: skip
    """Compare two runs, each named by its store and key; see `subject` and `diff`, and what they raise."""
    one, other = subject(*a, incomplete=incomplete), subject(*b, incomplete=incomplete)
    return diff(one, other, most_changes=most_changes)


def diff(a: Bundle, b: Bundle, *, most_changes: int = MOST_CHANGES) -> DiffReport:
    """Compare two runs that `subjects.subject` has opened: why they differ, and in what.

    `most_changes`: differences of steps that are listed with their values. Raises `NotComparable` if their digests were
    made with different keys, and `MalformedBundle`.
    """
    found = compared(a, b)
    require_one_key(a, b, found.steps_a, found.steps_b)
    config = [] if a.index.config.sha256 == b.index.config.sha256 else _patch(a.config().config, b.config().config)
    listed = causes(found, [one.path or "/" for one in config])
    if not listed and _ended_otherwise(found):
        listed = [Cause(RECORD, "the runs ended otherwise, though no step of them differs")]
    said = [_cause(found, cause) for cause in listed]
    unknown = found.steps_a.blind + found.steps_b.blind
    differs = bool(listed or found.changes or config)
    return DiffReport(
        outcome="different" if differs else "unknown" if unknown else "same",
        a=_subject(a, found.steps_a),
        b=_subject(b, found.steps_b),
        cause=said[0] if said else None,
        causes=said,
        also=_also(a, b),
        config=config,
        same_steps=found.same,
        changes=[_step(found, change) for change in found.changes[:most_changes]],
        changes_total=len(found.changes),
        tools=_tools(found),
        totals=_totals(a, b),
        duration_ns=(a.index.duration_ns, b.index.duration_ns),
        is_fewest=found.pairing.is_fewest,
        unknown=unknown,
        limits=_LIMITS,
    )


def between(store: ArtifactStore, a: str, b: str) -> dict[str, Any]:
    """Compare two runs of one store by their keys, and return the report as JSON has it."""
    return document(diff_runs((store, a), (store, b)))


def document(report: DiffReport) -> dict[str, Any]:
    """Return a report as JSON has it: what `diff --format json` prints, and the page of two runs shows."""
    return report.model_dump(mode="json", by_alias=True, exclude_none=True)


def _subject(bundle: Bundle, steps: Steps) -> DiffSubject:
    index = bundle.index
    return DiffSubject(
        run_id=index.run_id, tenant_id=index.tenant_id, name=index.name,
        sha256=hashlib.sha256(bundle.index_bytes).hexdigest(), status=index.status, steps=len(steps),
    )  # fmt: skip


def _ended_otherwise(found: Compared) -> bool:
    a, b = found.a.index, found.b.index
    results = [(run.result.kind, run.result.digest) if run.result is not None else None for run in (a, b)]
    return not found.changes and (a.status != b.status or results[0] != results[1])


def _cause(found: Compared, cause: Cause) -> DiffCause:
    change = cause.change
    ids = _ids(found, change) if change is not None else (None, None)
    return DiffCause(code=cause.code, sentence=cause.sentence, a_span_id=ids[0], b_span_id=ids[1])


def _ids(found: Compared, change: Change) -> tuple[str | None, str | None]:
    return (
        found.steps_a.id_of(change.row_a) if change.row_a >= 0 else None,
        found.steps_b.id_of(change.row_b) if change.row_b >= 0 else None,
    )


def _step(found: Compared, change: Change) -> StepDiff:
    a_span_id, b_span_id = _ids(found, change)
    return StepDiff(
        verdict=change.verdict, op=change.op, name=change.name, a_span_id=a_span_id, b_span_id=b_span_id,
        steps=1 + change.beneath, follows=change.follows, equal_before=change.equal_before,
        values=_values(found, change),
    )  # fmt: skip


def _values(found: Compared, change: Change) -> list[ValueDiff]:
    if change.verdict != "changed":
        return []
    texts, values = found.numbers.texts, list[ValueDiff]()
    before, after = found.lines(change)
    for part in change.parts:
        if part in ("status", "model"):
            of_a, of_b = (
                (found.steps_a.status, found.steps_b.status)
                if part == "status"
                else (found.steps_a.model, found.steps_b.model)
            )
            one, other = (
                ", ".join(word for word in texts[n] if word) for n in (of_a[change.row_a], of_b[change.row_b])
            )
            values.append(ValueDiff(value=part, patch=_patch(one, other)))
            continue
        value, keys = _VALUES[change.op, part]
        shown = [
            [written_of(said.get(key)) or said.get(key) for key in keys if key in said] for said in (before, after)
        ]
        one, other = (each[0] if len(each) == 1 else each or None for each in shown)
        if value == "documents":
            one = _documents(found.a, found.event(found.a, found.steps_a, change.row_a))
            other = _documents(found.b, found.event(found.b, found.steps_b, change.row_b))
        operations = _patch(one, other)
        hidden = all(is_marker(operation.was) and is_marker(operation.value) for operation in operations)
        values.append(ValueDiff(value=value, patch=operations, hidden=hidden))
    return values


def _documents(bundle: Bundle, ended: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a retrieval found, by the event of its end: the documents' ids, ranks and digests."""
    for retrieval in each_retrieval(bundle):
        if (retrieval.trace_id, retrieval.span_id) == (ended["trace_id"], ended["span_id"]):
            return [one.model_dump(mode="json", exclude_none=True) for one in retrieval.documents]
    return []


def _patch(before: Any, after: Any) -> list[Patch]:
    return [
        Patch(**operation, was=None if operation["op"] == "add" else _at(before, operation["path"]))
        for operation in patch(before, after)
    ]


def _at(value: Any, path: str) -> Any:
    """Return what stands at a path of a value."""
    for step in path.split("/")[1:]:
        if isinstance(value, list):
            value = cast("list[Any]", value)[int(step)]
        elif isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step.replace("~1", "/").replace("~0", "~"))
    return value


def _also(a: Bundle, b: Bundle) -> list[str]:
    """Return what differs of the surroundings: no cause by itself, but worth a look."""
    one, other = a.index.versions, b.index.versions
    named = [
        ("runbundle", one.runbundle, other.runbundle),
        ("Python", one.python, other.python),
        ("OpenTelemetry SDK", one.otel_sdk, other.otel_sdk),
        ("commit", _commit(a), _commit(b)),
    ]
    said = [f"{what}: {left or 'unknown'} and {right or 'unknown'}" for what, left, right in named if left != right]
    states = (("A", a.index.completeness), ("B", b.index.completeness))
    said += [f"{which} is {one.state}: steps may be missing" for which, one in states if one.state != "complete"]
    return said


def _commit(bundle: Bundle) -> str:
    git = bundle.index.versions.git
    return f"{git.commit[:12]}{', with changes' if git.dirty else ''}" if git is not None else ""


def _tools(found: Compared) -> list[ToolCount]:
    counts: list[Counter[str]] = []
    for steps in (found.steps_a, found.steps_b):
        numbers = Counter(name for op, name in zip(steps.op, steps.name, strict=True) if op == _TOOL)
        counts.append(Counter({found.numbers.texts[name][0]: count for name, count in numbers.items()}))
    one, other = counts
    tools = sorted(one.keys() | other.keys(), key=lambda tool: (one[tool] == other[tool], tool))
    return [ToolCount(tool=tool, a=one[tool], b=other[tool]) for tool in tools]


def _totals(a: Bundle, b: Bundle) -> list[Total]:
    one, other = a.index, b.index
    kinds = sorted(one.usage.keys() | other.usage.keys())
    found = [Total(what=kind, a=one.usage.get(kind, 0), b=other.usage.get(kind, 0)) for kind in kinds]
    return [
        *found,
        *(Total(what=kind, a=getattr(one.counts, kind), b=getattr(other.counts, kind)) for kind in _COUNTS),
    ]
