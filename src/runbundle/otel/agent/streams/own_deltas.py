"""Deltas of an application's own, such as `{"content": "…"}`: told by their fields, all of which must be known."""

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.fields import (
    KINDS,
    Fields,
    add_call,
    add_envelope,
    add_finish,
    add_usage,
    fields_of,
    list_in,
)

_TEXTS = ("content", "text", "delta")
_TEXT_TYPES = ("text", "delta", "chunk", "message", "content")
_CALLS = ("tool", "tool_call", "tool_calls", "tool_call_chunks", "function_call")
_USAGES = ("usage", "usage_metadata")
_ABOUT = frozenset(
    {"role", "id", "model", "type", "object", "created", "created_at", "finish_reason", "stop_reason", "index",
     "system_fingerprint", "service_tier", "sequence_number", "provider", "logprobs", *_USAGES}
)  # fmt: skip
_DELTA_KEYS = frozenset({*_TEXTS, *_CALLS, *_USAGES})
_KNOWN = frozenset({*_TEXTS, *_CALLS, *_ABOUT, "reasoning", "reasoning_content", "thinking", "refusal"})


def add_own_delta(answer: Answer, said: Fields) -> bool:
    """Add a delta; False, and nothing added, unless every field is known and one of them says something."""
    given = {key: value for key, value in said.items() if value is not None}
    if len(given) == 1:  # as nearly all are
        [(key, value)] = given.items()
        if key in _TEXTS and isinstance(value, str):
            answer.add_text("content", value, answer.message_index("", 0))
            return True
    if not _KNOWN.issuperset(given) or _DELTA_KEYS.isdisjoint(said):
        return False
    texts, calls = dict[str, str](), list[Fields]()
    for key, value in given.items():
        if key in _CALLS:
            calls += [fields_of(call) for call in (list_in(value) or [value])]
        elif key == "delta" and fields_of(value):
            return add_own_delta(answer, {**{k: v for k, v in given.items() if k != "delta"}, **fields_of(value)})
        elif key in _ABOUT:
            continue
        elif isinstance(value, str):
            texts["content" if key in _TEXTS else KINDS.get(key, key)] = value
        else:
            return False
    if sum(key in _TEXTS for key in given) > 1 or not all(map(_is_fragment, calls)):
        return False
    kind = given.get("type")
    if isinstance(kind, str) and "content" in texts and not any(word in kind for word in _TEXT_TYPES):
        texts[kind] = texts.pop("content")
    index, name = given.get("index"), given.get("id")
    choice = answer.message_index(
        str(name) if isinstance(name, str | int) else "", index if isinstance(index, int) else 0
    )
    for key, text in texts.items():
        answer.add_text(key, text, choice)
    for place, call in enumerate(calls):
        add_call(answer, call, place if len(calls) > 1 else None, choice)
    add_envelope(answer, given)
    add_finish(answer, given.get("finish_reason") or given.get("stop_reason"))
    for key in _USAGES:
        add_usage(answer, given.get(key))
    return True


def _is_fragment(call: Fields) -> bool:
    function = fields_of(call.get("function")) or call
    return ("index" in call or "id" in call or "name" in function) and isinstance(
        function.get("arguments", function.get("args")), str | dict | None
    )
