"""Of spans of OpenInference what no row can say besides their kind of work: envelopes, lists, parameters, documents.

Where a span has names of the GenAI conventions too, arguments and results are believed as they stand in OpenInference:
its own translation takes a tool's schema for arguments. All else is believed as it is translated.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.documents import add_documents
from runbundle.signals.dialects.forms.envelopes import OPENED_CHARS, arguments_of, response_id, result_of
from runbundle.signals.dialects.forms.flattened import Fields, messages_text
from runbundle.signals.dialects.forms.table import Reading, Row
from runbundle.signals.dialects.openinference_work import EMBEDDINGS, INPUT, OUTPUT, instrumentation, mapping_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP
from runbundle.signals.reading import json_of

_KEYWORDS = frozenset({"llama_index", "smolagents", "dspy"})
"""Instrumentations that write a call's keyword arguments under `kwargs`."""

# -- lists -------------------------------------------------------------------------------------------------------------


def _lists(reading: Reading, said: dict[str, list[Fields]]) -> None:
    """Read what was flattened. What has no attribute of ours stays, as JSON under the list's own key."""
    reasons = reading.attributes.get(semconv.FINISH_REASONS)
    for head, items in said.items():
        target, role = _MESSAGES.get(head, ("", ""))
        if target:
            if target not in reading.attributes:
                output = target == semconv.OUTPUT_MESSAGES and isinstance(reasons, list | tuple)
                ended = cast("list[Any]", reasons) if output else ()
                text = messages_text(items, role=role, finish=ended)
                reading.put(head if text is None else target, repr(items) if text is None else text)
        elif head == "llm.tools":
            reading.put(semconv.TOOL_DEFINITIONS, _definitions(items))
        elif head in _DOCUMENTS and reading.op == RETRIEVAL:
            add_documents(reading, [_document(item) for item in items])
        elif head in _SCORES:
            _add_scores(reading, items)
        else:
            reading.put(head, orjson.dumps(items, default=str).decode())


_MESSAGES = {
    "llm.input_messages": (semconv.INPUT_MESSAGES, ""),
    "llm.output_messages": (semconv.OUTPUT_MESSAGES, "assistant"),
    "llm.prompts": (semconv.INPUT_MESSAGES, "user"),
    "llm.choices": (semconv.OUTPUT_MESSAGES, "assistant"),
}
"""The heads of lists of messages: our attribute, and the role of those that have none."""
_DOCUMENTS = ("retrieval.documents", "reranker.output_documents", "output.documents")
_SCORES = tuple(f"{whose}{what}" for whose in ("", "trace.", "session.") for what in ("evaluations", "annotations"))
HEADS = frozenset(
    (
        *_MESSAGES, *_DOCUMENTS, *_SCORES, "llm.tools", "reranker.input_documents", "input.documents", "input.images",
        "output.images", "embedding.embeddings", "smolagents.managed_agents",
    )
)  # fmt: skip


def _definitions(items: list[Fields]) -> str | None:
    """Return the schemas of the tools that a model was offered as one list; they are JSON already."""
    schemas = [item.get("json_schema", item.get("tool.json_schema")) for item in items]
    return f"[{','.join(schema for schema in schemas if isinstance(schema, str))}]"


def _document(item: Fields) -> Fields:
    said = json_of(item.get("metadata"))
    about: Mapping[str, Any] = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    uri = item.get("url") or about.get("source") or about.get("url") or about.get("uri") or about.get("file_path")
    return {
        "id": item.get("id"), "content": item.get("content"), "score": item.get("score"), "uri": uri,
        "title": item.get("name") or about.get("title"),
    }  # fmt: skip


def _add_scores(reading: Reading, items: list[Fields]) -> None:
    for item in items:
        attributes = {
            key: value for word, key in _OF_SCORE.items() if (value := _word(item, word)) is not None and value != ""
        }
        event = {"name": semconv.EVALUATION_RESULT, "time_ns": reading.end_ns, "attributes": attributes, "dropped": 0}
        reading.added.append(cast("Any", event))


def _word(item: Fields, word: str) -> Any:
    return item.get(f"evaluation.{word}", item.get(f"annotation.{word}", item.get(word)))


_OF_SCORE = {
    "name": semconv.EVALUATION_NAME,
    "score": semconv.SCORE_VALUE,
    "label": semconv.SCORE_LABEL,
    "explanation": "gen_ai.evaluation.explanation",
}


# -- what no row can say -----------------------------------------------------------------------------------------------


def finish(reading: Reading) -> None:
    """Read all that is left: parameters, payloads, lists, documents, the run's result and the kind of error."""
    attributes = reading.attributes
    if "llm.invocation_parameters" in attributes or "embedding.invocation_parameters" in attributes:
        _parameters(reading)
    of_work = _OF_WORK.get(reading.op)
    if of_work is not None:
        of_work(reading)
    said = reading.lists.take(attributes)
    if said:
        _lists(reading, said)
    if reading.op == RETRIEVAL and OUTPUT in attributes:
        _documents_of_output(reading)
    if (reading.op == INVOKE_AGENT or (reading.op == STEP and reading.is_root)) and OUTPUT in attributes:
        reading.apply(_RESULT_OF_RUN)
    if reading.events and semconv.ERROR_TYPE not in attributes:
        for event in reading.events:
            if event["name"] == semconv.EXCEPTION:
                kind = event["attributes"].get(semconv.EXCEPTION_TYPE)
                reading.put(semconv.ERROR_TYPE, kind if isinstance(kind, str) else None)


_RESULT_OF_RUN = (Row(semconv.FINAL_RESULT, (OUTPUT,)),)


def _tool(reading: Reading) -> None:
    """Read arguments and result out of their envelopes, and what these say of the call."""
    attributes = reading.attributes
    schema, translated = attributes.get("tool.parameters"), attributes.get(semconv.ARGUMENTS)
    if translated is not None and (INPUT in attributes or translated == schema):
        del attributes[semconv.ARGUMENTS]
    if INPUT in attributes:
        keywords = instrumentation(reading) in _KEYWORDS
        opened = arguments_of(attributes.pop(INPUT), keywords=keywords)
        attributes[semconv.ARGUMENTS] = opened.value
        reading.moved[INPUT] = semconv.ARGUMENTS
        reading.put(semconv.CALL_ID, opened.call_id)
    if OUTPUT in attributes:
        opened = result_of(attributes.pop(OUTPUT))
        attributes[semconv.RESULT] = opened.value
        reading.moved[OUTPUT] = semconv.RESULT
        reading.put(semconv.CALL_ID, opened.call_id)
        if opened.failed:
            reading.put(semconv.ERROR_TYPE, "tool_error")


def _model(reading: Reading) -> None:
    attributes = reading.attributes
    if semconv.INPUT_TOKENS in attributes and semconv.OUTPUT_TOKENS in attributes:
        attributes.pop("llm.token_count.total", None)
    reading.put(semconv.REQUEST_MODEL, attributes.get(semconv.RESPONSE_MODEL))
    if semconv.RESPONSE_ID not in attributes and OUTPUT in attributes:
        reading.put(semconv.RESPONSE_ID, response_id(attributes[OUTPUT]))


def _retrieval(reading: Reading) -> None:
    """Read the retriever's name, and the question: text, or a field of the JSON of what it was called with."""
    reading.put(own.RETRIEVER_NAME, reading.name.removesuffix(".retrieve"))
    asked = reading.attributes.get(INPUT)
    if not isinstance(asked, str):
        return
    said = json_of(asked) if asked[:1] == "{" and len(asked) <= OPENED_CHARS else None
    if isinstance(said, dict):
        fields = cast("dict[str, Any]", said)
        inner = fields.get("query_bundle")
        fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else fields
        asked = next((text for word in _QUERIES if isinstance(text := fields.get(word), str)), None)
    if asked is not None:
        reading.put(semconv.QUERY_TEXT, asked)
        reading.moved[INPUT] = semconv.QUERY_TEXT
        del reading.attributes[INPUT]


_QUERIES = ("query", "query_str", "query_text", "question", "input", "text")


def _documents_of_output(reading: Reading) -> None:
    """Add the documents of LangChain's output, or their ids: only there it has them."""
    text = reading.attributes[OUTPUT]
    found = [event["attributes"] for event in reading.added if event["name"] == own.EVIDENCE]
    if any(not str(event.get(own.DOCUMENT_ID, "")).isdigit() for event in found) or '"documents"' not in str(text)[:64]:
        return
    said = json_of(text) if isinstance(text, str) and len(text) <= OPENED_CHARS else None
    documents = cast("dict[str, Any]", said).get("documents") if isinstance(said, dict) else None
    if not isinstance(documents, list):
        return
    listed = [
        cast("dict[str, Any]", document) for document in cast("list[Any]", documents) if isinstance(document, dict)
    ]
    if not found:
        add_documents(reading, [_listed(document) for document in listed])
        return
    for event, document in zip(found, listed, strict=False):
        identity = document.get("id")
        if isinstance(identity, str) and identity:
            event[own.DOCUMENT_ID] = identity


def _listed(document: Mapping[str, Any]) -> Fields:
    about = document.get("metadata")
    content = document.get("page_content", document.get("content"))
    return _document({**document, "content": content, "metadata": orjson.dumps(about).decode() if about else None})


_OF_WORK: dict[str, Callable[[Reading], None]] = {
    EXECUTE_TOOL: _tool, CHAT: _model, EMBEDDINGS: _model, RETRIEVAL: _retrieval,
}  # fmt: skip


# -- JSON within an attribute ------------------------------------------------------------------------------------------

_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "max_new_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "n": "gen_ai.request.choice.count",
    "stream": "gen_ai.request.stream",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
_TEXTS = {
    "model": semconv.REQUEST_MODEL,
    "model_name": semconv.REQUEST_MODEL,
    "reasoning_effort": "gen_ai.request.reasoning.level",
    "previous_response_id": "gen_ai.request.previous_response.id",
    "user": own.USER_ID,
}
_LISTS = {
    "stop": "gen_ai.request.stop_sequences",
    "stop_sequences": "gen_ai.request.stop_sequences",
    "encoding_format": "gen_ai.request.encoding_formats",
}


def _parameters(reading: Reading) -> None:
    """Read the parameters of a model's request. The whole stays where it is, as content: there may be keys in it."""
    for key in ("llm.invocation_parameters", "embedding.invocation_parameters"):
        for word, value in mapping_of(reading.attributes.get(key)).items():
            if word in _NUMBERS:
                reading.put(_NUMBERS[word], value if isinstance(value, int | float) else None)
            elif word in _TEXTS:
                reading.put(_TEXTS[word], value if isinstance(value, str) and value else None)
            elif word in _LISTS:
                listed: Any = [value] if isinstance(value, str) else value
                reading.put(_LISTS[word], listed if isinstance(listed, list) and listed else None)
