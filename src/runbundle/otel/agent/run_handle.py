"""The handle on a run: what an agent says of it while it goes on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from opentelemetry import trace

from runbundle.contracts import approval
from runbundle.otel.agent.at_source import add_event, set_attributes
from runbundle.otel.agent.capture import MAX_CAPTURE_BYTES
from runbundle.otel.agent.given import (
    attribute_of,
    integer_of,
    kind_of,
    lost,
    number_of,
    put,
    text_of,
    total,
    with_value,
)
from runbundle.otel.agent.leaves import items_of, tag_of, type_of
from runbundle.otel.agent.plain import Walk
from runbundle.otel.agent.run_context import current_scope
from runbundle.otel.belonging.claims import RunScope
from runbundle.redaction.markers import is_marker
from runbundle.signals import own, semconv

MAX_DOCUMENTS = 10_000
"""Documents that are taken from one call; further ones are counted as lost."""


class RunHandle:
    """What an agent says of its run. Every method is safe to call anywhere, with anything.

    Outside a run it does nothing. What has another type than it should is recorded as far as it can be; what cannot be
    is counted in `FlushResult.dropped`.
    """

    def __init__(self, scope: RunScope | None) -> None:
        self._scope = scope

    @property
    def run_id(self) -> str:
        """The run's id, or "" outside a run."""
        return self._scope.run_id if self._scope else ""

    @total
    def set_result(self, value: Any) -> None:
        """Set the run's final result. Has effect in the process that began the run, until the run ends."""
        root = self._scope.root if self._scope else None
        if root is not None:
            put(root, own.RESULT, value)
            set_attributes(root, {own.RESULT_KIND: kind_of(value)})

    @total
    def policy_decision(self, decision: approval.Outcome, *, rule: str = "", reason: str = "", tool: str = "") -> None:
        """Record what a policy decided about the current call."""
        said = {"decision": decision, "rule": rule, "reason": reason, "tool": tool}
        texts = {own.POLICY[key]: text_of(value) for key, value in said.items()}
        self._emit(own.DECISION, {key: text for key, text in texts.items() if text})

    @total
    def add_evidence(
        self,
        documents: Iterable[Mapping[str, Any]],
        *,
        query: str | None = None,
        retriever: str = "",
        first_rank: int = 1,
    ) -> None:
        """Record retrieved documents: mappings with `id`, and `uri`, `title`, `score`, `content` where known.

        A text is the content of a document whose id is its rank. One document need not be in a list. `first_rank` is
        the rank of the first, for documents that come a page at a time.
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
                lost("documents")
                break
            if document is not None:
                rank = number + (1 if first is None else first)
                self._emit(own.EVIDENCE, _document(document, rank, dict(common)))

    @total
    def score(self, name: str, value: float, *, label: str = "") -> None:
        """Record a score of the run, as the event `gen_ai.evaluation.result`. What is no number is its label."""
        number, word = number_of(value) if value is not None else None, text_of(label)  # pyright: ignore[reportUnnecessaryComparison]
        if number is None and value is not None:  # pyright: ignore[reportUnnecessaryComparison]
            said = text_of(value)
            if word or is_marker(said):
                lost("score")
            word = word or said
        attributes: dict[str, Any] = {semconv.EVALUATION_NAME: text_of(name, "score")}
        if number is not None:
            attributes[semconv.SCORE_VALUE] = float(number)
        if word:
            attributes[semconv.SCORE_LABEL] = word
        if len(attributes) > 1:
            self._emit(semconv.EVALUATION_RESULT, attributes)

    @total
    def event(self, name: str, **attributes: Any) -> None:
        """Record an event of your own. Its attributes are kept only if `configure(safe_keys=...)` names them."""
        body = {text_of(key): attribute_of(value) for key, value in attributes.items() if value is not None}
        self._emit(own.EVENT, {own.EVENT_NAME: text_of(name, "event"), **body})

    @total
    def usage(self, *, input_tokens: int = 0, output_tokens: int = 0, model: str = "") -> None:
        """Set what the current model call used."""
        span = trace.get_current_span()
        for key, value in ((semconv.INPUT_TOKENS, input_tokens), (semconv.OUTPUT_TOKENS, output_tokens)):
            number = integer_of(value) if value is not None else None  # pyright: ignore[reportUnnecessaryComparison]
            if number is not None:
                set_attributes(span, {key: number})
            elif value is not None:  # pyright: ignore[reportUnnecessaryComparison]
                lost("usage")
        if text := text_of(model):
            set_attributes(span, {semconv.RESPONSE_MODEL: text})

    def _emit(self, name: str, attributes: dict[str, Any]) -> None:
        if self._scope is not None:
            add_event(trace.get_current_span(), name, attributes)


def current_run() -> RunHandle:
    """Return a handle on the run that the calling code is in."""
    return RunHandle(current_scope())


def _each(documents: Any) -> Iterator[Any]:
    """Yield the documents in what was given as such: a collection of them, what yields them, one, or None."""
    tag = tag_of(type_of(documents))
    if documents is None:
        return
    if tag in ("list", "set"):
        yield from items_of(documents)
    elif tag == "none" and hasattr(type_of(documents), "__iter__"):
        try:
            yield from documents
        except Exception:  # noqa: BLE001 - what came before it is recorded
            lost("documents")
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
            lost("document_score")
        else:
            attributes[own.DOCUMENT_SCORE] = number
    if content is not None:
        _with_text(attributes, own.DOCUMENT_CONTENT, content)
    return attributes


def _fields(document: Any) -> dict[Any, Any]:
    """Return the fields of a document that has any: a mapping's as they are, those of others as JSON values."""
    if type(document) is dict:
        return cast("dict[Any, Any]", document)
    if tag_of(type_of(document)) not in ("map", "model", "fields"):
        return {}
    plain, _ = Walk().plain(document)
    return cast("dict[Any, Any]", plain) if type(plain) is dict else {}


def _with_text(attributes: dict[str, Any], key: str, value: Any) -> None:
    if type(value) is str and value.isascii() and len(value) <= MAX_CAPTURE_BYTES:
        attributes[key] = value
    else:
        with_value(attributes, key, value, as_text=True)
