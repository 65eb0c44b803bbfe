"""The handle on a run, through which an agent records results, scores and evidence."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from opentelemetry import trace

from runbundle.contracts import approval
from runbundle.otel.agent.at_source import add_event, set_attributes
from runbundle.otel.agent.attribute_values import (
    attribute_of,
    count_lost,
    integer_of,
    kind_of,
    never_raise,
    number_of,
    put,
    text_of,
    with_value,
)
from runbundle.otel.agent.capture import MAX_CAPTURE_BYTES
from runbundle.otel.agent.json_kinds import items_of, json_kind, type_of
from runbundle.otel.agent.json_walk import JsonWalk
from runbundle.otel.agent.run_context import current_scope
from runbundle.otel.belonging.claims import RunScope
from runbundle.redaction.markers import is_marker
from runbundle.signals import own, semconv

MAX_DOCUMENTS = 10_000
"""Documents taken from one call of `add_evidence`; further ones are counted as lost."""


class RunHandle:
    """Records facts about a run while it goes on. Every method may be called anywhere, with anything.

        with runbundle.start_run("support", user_id="u-7") as run:
            answer = agent(question)
            run.score("grounded", 0.92)
            run.set_result({"answer": answer})

    Outside a run the methods do nothing. None of them raises: a value of another type is recorded as far as it can be;
    the rest is counted in `FlushResult.dropped` and logged.
    """

    def __init__(self, scope: RunScope | None) -> None:
        self._scope = scope

    @property
    def run_id(self) -> str:
        """The run's id; "" outside a run."""
        return self._scope.run_id if self._scope else ""

    @never_raise
    def set_result(self, value: Any) -> None:
        """Set the run's final result; a later call replaces it.

        Works only in the process that began the run, and only until the run ends. Fields of the result are withheld
        unless `configure(result=...)` keeps them.
        """
        root = self._scope.root if self._scope else None
        if root is not None:
            put(root, own.RESULT, value)
            set_attributes(root, {own.RESULT_KIND: kind_of(value)})

    @never_raise
    def policy_decision(self, decision: approval.Outcome, *, rule: str = "", reason: str = "", tool: str = "") -> None:
        """Record a policy's decision about the current call, as the event `runbundle.policy.decision`."""
        said = {"decision": decision, "rule": rule, "reason": reason, "tool": tool}
        texts = {own.POLICY[key]: text_of(value) for key, value in said.items()}
        self._emit(own.DECISION, {key: text for key, text in texts.items() if text})

    @never_raise
    def add_evidence(
        self,
        documents: Iterable[Mapping[str, Any]],
        *,
        query: str | None = None,
        retriever: str = "",
        first_rank: int = 1,
    ) -> None:
        """Record documents that were retrieved, each as an event of the current span.

            run.add_evidence([{"id": "doc-12", "uri": "kb://12", "score": 0.8}], query="refund policy")

        A document is a mapping with `id`, and `uri`, `title`, `score` and `content` where known. A text is the content
        of a document whose id is its rank. A single document need not be in a list. `first_rank` is the rank of the
        first document, for results that come in pages. After 10,000 documents the rest is counted as lost.
        """
        if self._scope is None:
            return
        common: dict[str, Any] = {}
        if query is not None:
            _with_text(common, own.QUERY, query)
        if name := text_of(retriever):
            common[own.RETRIEVER_NAME] = name
        first = integer_of(first_rank)
        for number, document in enumerate(_each(documents)):
            if number >= MAX_DOCUMENTS:
                count_lost("documents")
                break
            if document is not None:
                rank = number + (1 if first is None else first)
                self._emit(own.EVIDENCE, _document(document, rank, dict(common)))

    @never_raise
    def score(self, name: str, value: float, *, label: str = "") -> None:
        """Record a score of the run, as the event `gen_ai.evaluation.result`.

        A value that is no number becomes the score's label.
        """
        number, word = number_of(value) if value is not None else None, text_of(label)  # pyright: ignore[reportUnnecessaryComparison]
        if number is None and value is not None:  # pyright: ignore[reportUnnecessaryComparison]
            said = text_of(value)
            if word or is_marker(said):
                count_lost("score")
            word = word or said
        attributes: dict[str, Any] = {semconv.EVALUATION_NAME: text_of(name, "score")}
        if number is not None:
            attributes[semconv.SCORE_VALUE] = float(number)
        if word:
            attributes[semconv.SCORE_LABEL] = word
        if len(attributes) > 1:
            self._emit(semconv.EVALUATION_RESULT, attributes)

    @never_raise
    def event(self, name: str, **attributes: Any) -> None:
        """Record an event of your own. Its attributes are kept only if `configure(safe_keys=...)` names them.

            run.event("cache", hit=True)

        The event's name is kept if it reads as a name; otherwise it is withheld.
        """
        body = {text_of(key): attribute_of(value) for key, value in attributes.items() if value is not None}
        self._emit(own.EVENT, {own.EVENT_NAME: text_of(name, "event"), **body})

    @never_raise
    def usage(self, *, input_tokens: int = 0, output_tokens: int = 0, model: str = "") -> None:
        """Set the token counts and the model of the current model call, on the current span."""
        span = trace.get_current_span()
        for key, value in ((semconv.INPUT_TOKENS, input_tokens), (semconv.OUTPUT_TOKENS, output_tokens)):
            number = integer_of(value) if value is not None else None  # pyright: ignore[reportUnnecessaryComparison]
            if number is not None:
                set_attributes(span, {key: number})
            elif value is not None:  # pyright: ignore[reportUnnecessaryComparison]
                count_lost("usage")
        if text := text_of(model):
            set_attributes(span, {semconv.RESPONSE_MODEL: text})

    def _emit(self, name: str, attributes: dict[str, Any]) -> None:
        if self._scope is not None:
            add_event(trace.get_current_span(), name, attributes)


def current_run() -> RunHandle:
    """Return a handle on the run that the calling code is in; outside a run, one that does nothing.

        runbundle.current_run().score("helpful", 1.0)

    The run was begun in this process, or is proved by the headers given to `continue_run`.
    """
    return RunHandle(current_scope())


def _each(documents: Any) -> Iterator[Any]:
    """Yield the documents in what was given as such: a collection of them, what yields them, one, or None."""
    tag = json_kind(type_of(documents))
    if documents is None:
        return
    if tag in ("list", "set"):
        yield from items_of(documents)
    elif tag == "none" and hasattr(type_of(documents), "__iter__"):
        try:
            yield from documents
        except Exception:  # noqa: BLE001 - what came before it is recorded
            count_lost("documents")
    else:
        yield documents


def _document(document: Any, rank: int, attributes: dict[str, Any]) -> dict[str, Any]:
    fields = _fields(document)
    content = next((fields[name] for name in ("content", "page_content") if fields.get(name) is not None), None)
    if not fields:
        content = document
    identity = fields.get("id")
    attributes[own.DOCUMENT_ID] = text_of(rank if identity is None else identity)
    if not attributes[own.DOCUMENT_ID]:
        attributes[own.DOCUMENT_ID] = str(rank)
    attributes[own.DOCUMENT_RANK] = rank
    for name, key in (("uri", own.DOCUMENT_URI), ("title", own.DOCUMENT_TITLE)):
        if fields.get(name) is not None:
            attributes[key] = text_of(fields[name])
    score = fields.get("score")
    if score is not None:
        number = number_of(score)
        if number is None:
            count_lost("document_score")
        else:
            attributes[own.DOCUMENT_SCORE] = number
    if content is not None:
        _with_text(attributes, own.DOCUMENT_CONTENT, content)
    return attributes


def _fields(document: Any) -> dict[Any, Any]:
    """Return the fields of a document that has any: a mapping's as they are, those of others as JSON values."""
    if type(document) is dict:
        return cast("dict[Any, Any]", document)
    if json_kind(type_of(document)) not in ("map", "model", "fields"):
        return {}
    plain, _ = JsonWalk().to_json(document)
    return cast("dict[Any, Any]", plain) if type(plain) is dict else {}


def _with_text(attributes: dict[str, Any], key: str, value: Any) -> None:
    if type(value) is str and value.isascii() and len(value) <= MAX_CAPTURE_BYTES:
        attributes[key] = value
    else:
        with_value(attributes, key, value, as_text=True)
