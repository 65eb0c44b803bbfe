"""Telemetry that is not an agent's: which keys tell the two apart, and how secrets in it are masked all the same."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from runbundle.redaction.detectors.credential_words import is_credential
from runbundle.redaction.markers import is_marker, key_marker, marker
from runbundle.redaction.permitted.kept_text import credential_in_key, is_known_number, redact_text
from runbundle.redaction.receipt import Receipt
from runbundle.signals.keys import SPAN_KEYS

_FAMILIES = (
    "gen_ai.", "runbundle.", "llm.", "traceloop.", "openinference.", "pydantic_ai.", "mcp.", "ai.", "langchain.",
    "langgraph.", "langsmith.", "langfuse.", "mlflow.", "crewai.", "agno.", "smolagents.", "haystack.", "litellm.",
    "autogen.", "strands.", "event_loop.", "anthropic.", "openai.", "cohere.", "agent.", "tool.", "tool_",
    "retrieval.", "embedding.", "reranker.", "input.value", "output.value", "input.mime_type", "output.mime_type",
    "graph.node.", "jsonrpc.", "gcp.vertex.agent.", "fastmcp.",
)  # fmt: skip
_OF_THE_WEB = frozenset(
    {
        "url.full", "url.path", "url.query", "http.url", "http.target", "http.user_agent", "db.statement",
        "db.query.text", "exception.message", "user_agent.original", "code.file.path", "code.filepath", "logfire.msg",
        "logfire.json_schema", "logfire.msg_template", "logfire.metrics", "logfire.tags", "logfire.null_args",
        "logfire.scrubbed", "logfire.exception.fingerprint",
    }
)  # fmt: skip
"""Content that spans of servers and databases have, too."""
_CONTENT = frozenset({"content", "messages", "arguments", "result", "config"})
_MAX_DEPTH = 64


@lru_cache(maxsize=8192)
def is_agent_key(key: str) -> bool:
    """Tell whether only an agent's telemetry has this attribute key."""
    return key.startswith(_FAMILIES) or (SPAN_KEYS.get(key) in _CONTENT and key not in _OF_THE_WEB)


def has_agent_key(keys: Iterable[Any]) -> bool:
    """Tell whether any of the keys is one that only an agent's telemetry has."""
    return any(is_agent_key(key) for key in keys if key.__class__ is str)


def mask_text(text: str) -> str:
    """Return a text with known secrets and detected credentials masked; any other text is returned unchanged."""
    return redact_text(text, Receipt(), "")


def mask_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return attributes with known secrets and credentials masked; the same object if there are none."""
    masked: dict[str, Any] | None = None
    keys = _keys(attributes)
    for key, value in attributes.items():
        shown_key = keys.get(key, key)
        shown = _value(value, 0) if not _withheld(key, value) else _under_secret_key(value)
        if shown_key is not key or shown is not value:
            masked = masked if masked is not None else dict(attributes)
            if shown_key is not key:
                del masked[key]
            masked[shown_key] = shown
    return attributes if masked is None else masked


def mask_value(value: Any) -> Any:
    """Return the body of a log record with known secrets and credentials masked."""
    return _value(value, 0)


def _keys(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys that are credentials, each with a marker that no other key is."""
    found: dict[str, str] = {}
    index = 0
    for number, key in enumerate(given, 1):
        if credential_in_key(key):
            found[key], index = key_marker(max(index + 1, number), given)
    return found


def _withheld(key: str, value: Any) -> bool:
    return key not in SPAN_KEYS and is_credential(key, value)


def _under_secret_key(value: Any) -> Any:
    """Mask everything but what says only whether something was set."""
    if value is None or isinstance(value, bool) or value == "" or is_marker(value):
        return value
    if isinstance(value, list | tuple):
        return tuple(_under_secret_key(item) for item in cast("list[Any]", value))
    return marker("credential")


def _value(value: Any, depth: int) -> Any:
    if type(value) is str:
        shown = redact_text(value, Receipt(), "")
        return value if shown == value else shown
    if value is None or type(value) is bool:
        return value
    if type(value) in (int, float):
        return marker("credential") if is_known_number(value) else value
    if depth > _MAX_DEPTH:
        return marker("oversize")
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return value if mask_text(text) == text else marker("credential")
    if isinstance(value, Mapping):
        given = {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()}
        keys = _keys(given)
        shown = {
            keys.get(key, key): _under_secret_key(item) if is_credential(key, item) else _value(item, depth + 1)
            for key, item in given.items()
        }
        return cast("Any", value) if all(shown.get(key) is item for key, item in given.items()) else shown
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        new = [_value(item, depth + 1) for item in items]
        return items if all(a is b for a, b in zip(new, items, strict=True)) else tuple(new)
    return value
