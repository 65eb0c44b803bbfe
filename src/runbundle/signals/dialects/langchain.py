"""What LangChain and LlamaIndex hand to whoever instruments them: messages and documents in forms of their own.

Any dialect may have them within its attributes, as JSON.
"""

from typing import Any, cast

_KINDS = frozenset({"tool", "ai", "human", "system", "AIMessageChunk", "ToolMessage", "AIMessage", "HumanMessage"})


def unwrapped(said: dict[str, Any]) -> dict[str, Any]:
    """Return what an object of LangChain was made of, from the form in which it is written down."""
    if said.get("lc") == 1 and isinstance(said.get("kwargs"), dict):
        return cast("dict[str, Any]", said["kwargs"])
    return said


def content_of(output: Any) -> tuple[Any, Any]:
    """Return what a message of LangChain holds and the id of the call that it answers; anything else as it is."""
    if isinstance(output, dict):
        said = unwrapped(cast("dict[str, Any]", output))
        if "content" in said and said.get("type") in _KINDS:
            return said["content"], said.get("tool_call_id")
    return cast("Any", output), None


def document_of(document: Any) -> Any:
    """Return a document of LangChain or LlamaIndex in the words of our events; anything else as it is."""
    if not isinstance(document, dict):
        return document
    said = unwrapped(cast("dict[str, Any]", document))
    node = cast("dict[str, Any]", said["node"]) if isinstance(said.get("node"), dict) else said
    about = node.get("metadata")
    known = cast("dict[str, Any]", about) if isinstance(about, dict) else {}
    return {
        "id": node.get("id") or node.get("id_") or node.get("node_id") or known.get("id"),
        "content": node.get("page_content") or node.get("text"),
        "uri": known.get("source") or known.get("file_path"),
        "title": known.get("title") or known.get("file_name"),
        "score": said.get("score"),
    }
