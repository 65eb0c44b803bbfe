"""What a step was given and what came of it, each as one text by which it is compared.

Of a value that a bundle shows it is the value, of one that it does not show the keyed digest. Ids of calls, which are
drawn anew in each run, are numbered in the digests of a prompt.
"""

import re
from typing import Any

from runbundle.redaction.captured import parse_capture
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.signals import own, semconv
from runbundle.signals.reading import text_of

_ASKED = (semconv.INPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS, semconv.PROMPT)
_ANSWERED = (semconv.OUTPUT_MESSAGES, semconv.COMPLETION)
_NEUTRAL = re.compile(r'"([a-z_.]+)":\{(?:"more":\d+,)?"neutral":"(h\d:[0-9a-zA-Z:]+)"')
"""In the attribute `runbundle.messages`, the key of messages and the digest of them all (see `redaction/messages`)."""
_PARTIAL = frozenset({"cut", "not_consumed", "abandoned", "unserialisable"})
_ARGUMENTS, _RESULT = own.PAYLOAD_DIGEST["arguments"], own.PAYLOAD_DIGEST["result"]


def content(op: str, said: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the name of a step, the model that was asked, what was given, and what came of it.

    A digest begins with `h`, a value with `=`, and `?` stands for what is neither shown nor digested.
    """
    if op == "tool":
        given = text_of(said, _ARGUMENTS) or identity(said.get(semconv.ARGUMENTS))
        gave = text_of(said, _RESULT) or identity(said.get(semconv.RESULT))
        return text_of(said, semconv.TOOL_NAME) or "", "", given, gave
    if op == "retrieval":
        query = _first(said, (semconv.QUERY_TEXT, own.QUERY))
        return text_of(said, own.RETRIEVER_NAME) or "", "", query, _first(said, (semconv.DOCUMENTS,))
    if op == "model":
        name, model = text_of(said, semconv.OPERATION) or "model", text_of(said, semconv.REQUEST_MODEL) or ""
        return name, model, *_messages(said)
    return text_of(said, semconv.AGENT_NAME) or text_of(said, own.NAME) or "", "", "", ""


def is_partial(captured: Any) -> bool:
    """Tell whether any value was recorded in part or not at all, so that equal digests say nothing of the rest."""
    return any(one.word in _PARTIAL for one in (parse_capture(captured) or {}).values())


def identity(value: Any) -> str:
    """Return what a redacted value is compared by: the digest of a marker, else the value; `?` if there is nothing."""
    if value is None:
        return ""
    if is_marker(value):
        digest, _ = marker_parts(value)
        return digest or f"?{value}"
    return f"={value}"


def _first(said: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((identity(said[key]) for key in keys if key in said), "")


def _messages(said: dict[str, Any]) -> tuple[str, str]:
    """Return what identifies a model's messages and its answer: digests in which ids of calls are numbered.

    Where there is no such digest it is the value. They are searched for, which takes a third of a parse.
    """
    described = said.get(own.MESSAGES)
    neutral = dict(_NEUTRAL.findall(described)) if isinstance(described, str) else {}
    asked = [neutral.get(key) or identity(said[key]) for key in _ASKED if key in said]
    answered = [neutral.get(key) or identity(said[key]) for key in _ANSWERED if key in said]
    return "\n".join(asked), "\n".join(answered)
