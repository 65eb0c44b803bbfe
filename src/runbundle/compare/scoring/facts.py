"""The facts of a run that scores are made from, read from its bundle once."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runbundle.bundle.listings import each_retrieval, each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import EventRef, Score, Subject
from runbundle.format.run import RunIndex
from runbundle.signals import semconv
from runbundle.signals.reading import count_of, number_of, text_of

SIGNALS = "signals"
"""Id of the evaluator that stands for the run itself."""


@dataclass(frozen=True)
class Call:
    """One tool call: its tool, its place, and its arguments as far as the contract keeps them."""

    tool: str
    at: EventRef
    status: str
    decision: str
    view: Any = None
    digest: str | None = None
    comparable: bool = False
    """Whether equal digests mean equal arguments: they were captured as a whole."""


@dataclass(frozen=True)
class Facts:
    """All that scores and checks ask of a run."""

    subject: Subject
    index: RunIndex
    calls: tuple[Call, ...] = ()
    signals: tuple[Score, ...] = ()
    """Scores that the run recorded itself, one for each time."""
    failed: tuple[EventRef, ...] = ()
    """Spans that ended in an error."""
    documents: tuple[tuple[str, EventRef], ...] = ()
    """Ids of retrieved documents, with the retrieval of each."""
    tokens: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    """Numbers of tokens by model and kind, as the spans of model calls say them."""


def facts_of(bundle: Bundle) -> Facts:
    """Read the facts of a run. Two passes over its files, one entry at a time. Raises `MalformedBundle`."""
    starts: dict[tuple[str, str], int] = {}  # by trace and span: ids of two traces may be equal
    signals: list[Score] = []
    failed: list[EventRef] = []
    tokens: dict[str, Counter[str]] = {}
    for event in bundle.events():
        kind = event["type"]
        if kind == "span.started":
            if event.get("op") in ("tool", "retrieval"):
                starts[event["trace_id"], event["span_id"]] = event["seq"]
        elif kind == "score" or (kind == "log" and event["name"] == semconv.EVALUATION_RESULT):
            signals.append(_signal(event))
        elif kind == "span.ended":
            if event.get("status") == "error":
                failed.append(EventRef(seq=event["seq"], span_id=event["span_id"]))
            if event.get("op") == "model":
                _add_tokens(tokens, event["attributes"])
    calls = tuple(
        Call(
            call.tool,
            EventRef(seq=starts.get((call.trace_id, call.span_id), 0), span_id=call.span_id),
            call.status,
            call.policy.decision,
            call.arguments.view if call.arguments else None,
            call.arguments.digest if call.arguments else None,
            call.arguments is not None and call.arguments.capture in ("whole", "oversize"),
        )
        for call in each_tool_call(bundle)
    )
    documents = tuple(
        (document.id, EventRef(seq=starts.get((retrieval.trace_id, retrieval.span_id), 0), span_id=retrieval.span_id))
        for retrieval in each_retrieval(bundle)
        for document in retrieval.documents
    )
    index = bundle.index
    subject = Subject(
        run_id=index.run_id, run_sha256=sha256_hex(bundle.index_bytes), tenant_id=index.tenant_id,
        case_id=index.case_id, repeat=index.repeat,
    )  # fmt: skip
    return Facts(subject, index, calls, tuple(signals), tuple(failed), documents, tokens)


def _signal(event: dict[str, Any]) -> Score:
    """Return the score of an event that recorded one, whichever library did."""
    attributes = event["attributes"]
    value = number_of(attributes, semconv.SCORE_VALUE)
    label = text_of(attributes, semconv.SCORE_LABEL) or None
    failed = text_of(attributes, semconv.ERROR_TYPE)
    reason = None
    if failed:
        reason = f"the evaluation ended in {failed}"
    elif value is None and (label is None or label.lower() in ("nan", "inf", "-inf", "infinity", "-infinity")):
        reason = f"its value is {label or 'missing'}, which is no number"
    return Score(
        name=text_of(attributes, semconv.EVALUATION_NAME) or "score",
        value=None if value is None else float(value),
        label=label,
        status="error" if reason else "ok",
        reason=reason,
        evidence=[EventRef(seq=event["seq"], span_id=event["span_id"])],
        evaluator=SIGNALS,
    )


def _add_tokens(tokens: dict[str, Counter[str]], attributes: dict[str, Any]) -> None:
    model = text_of(attributes, semconv.RESPONSE_MODEL) or text_of(attributes, semconv.REQUEST_MODEL) or ""
    of_model = tokens.setdefault(model, Counter())
    for key in attributes:
        if key.startswith(semconv.USAGE):
            of_model[key[len(semconv.USAGE) :]] += count_of(attributes, key)
