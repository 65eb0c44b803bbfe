"""Documents that a retrieval found, as the events that evidence.json is made of."""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.signals import own
from runbundle.signals.dialects.forms.envelopes import unwrapped
from runbundle.signals.dialects.forms.table import Reading
from runbundle.signals.reading import json_of, number_of, text_of

MOST = 1000
"""Documents that are read from one span; those beyond stay in the attribute that has them all."""
_TEXTS = {
    "id": own.DOCUMENT_ID,
    "content": own.DOCUMENT_CONTENT,
    "uri": own.DOCUMENT_URI,
    "title": own.DOCUMENT_TITLE,
}


def add_documents(reading: Reading, documents: Any) -> None:
    """Add an event for each document of a list, or of its JSON text; a span that has such events gets none."""
    if documents is None or any(event["name"] == own.EVIDENCE for event in (*reading.events, *reading.added)):
        return
    found = json_of(documents) if isinstance(documents, str) else documents
    if not isinstance(found, list):
        return
    for rank, document in enumerate(cast("list[Any]", found)[:MOST], 1):
        if isinstance(document, dict):
            add_document(reading, cast("dict[str, Any]", document), rank)


def add_document(reading: Reading, said: Mapping[str, Any], rank: int) -> None:
    """Add the event of one document, of what is said under `id`, `score`, `content`, `uri` and `title`."""
    attributes: dict[str, Any] = {key: text for field, key in _TEXTS.items() if (text := text_of(said, field))}
    attributes.setdefault(own.DOCUMENT_ID, str(rank))
    attributes[own.DOCUMENT_RANK] = rank
    score = number_of(said, "score")
    if score is not None:
        attributes[own.DOCUMENT_SCORE] = score
    reading.added.append({"name": own.EVIDENCE, "time_ns": reading.end_ns, "attributes": attributes, "dropped": 0})


def document_of(document: Any) -> Any:
    """Return a document of LangChain or LlamaIndex in the words of `add_document`; anything else as it is."""
    if not isinstance(document, dict):
        return document
    said = unwrapped(cast("dict[str, Any]", document))
    node = cast("dict[str, Any]", said["node"]) if isinstance(said.get("node"), dict) else said
    about = cast("dict[str, Any]", node["metadata"]) if isinstance(node.get("metadata"), dict) else {}
    return {
        "id": node.get("id") or node.get("id_") or about.get("id"),
        "content": node.get("page_content") or node.get("text"),
        "uri": about.get("source") or about.get("url") or about.get("file_path"),
        "title": about.get("title") or about.get("file_name"),
        "score": said.get("score"),
    }
