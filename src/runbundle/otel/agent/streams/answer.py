"""Puts the answer of a model together from its chunks, in bounded memory.

The same answer gives the same text however it was cut into chunks, and two different answers never give the same. Parts
that cannot become text are kept beside it, and the answer is then `chunked`.
"""

import io
from collections.abc import Hashable, Mapping
from hashlib import sha256
from typing import Any, Protocol

from runbundle.otel.agent.capture import MAX_CAPTURE_BYTES, capture
from runbundle.signals import semconv

MAX_CALLS = 1000
"""Tool calls that one answer keeps apart. An answer with more is recorded as cut."""
_BLOCK = 65_536


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class GrowingText:
    """Text that grows piece by piece; once told to, it is digested instead of kept, in constant memory."""

    __slots__ = ("_bytes", "_hash", "_text", "chars")

    def __init__(self) -> None:
        self._text = io.StringIO(newline="")
        self._hash: _Hash | None = None
        self._bytes = 0
        self.chars = 0

    def add(self, piece: str) -> None:
        """Add a piece at the end."""
        self._text.write(piece)
        self.chars += len(piece)
        if self._hash is not None and self._text.tell() > _BLOCK:
            self.digest_only()

    @property
    def oversize(self) -> bool:
        """Whether the text is digested, not kept."""
        return self._hash is not None

    def digest_only(self) -> None:
        """Stop keeping text; from here on only its digest grows."""
        if self._hash is None:
            self._hash = sha256()
        data = self._text.getvalue().encode("utf-8", "surrogatepass")
        self._hash.update(data)
        self._bytes += len(data)
        self._text = io.StringIO(newline="")

    def value(self) -> Any:
        """Return the text; once it is digested, a mapping with its `sha256` and `bytes`."""
        if self._hash is None:
            return self._text.getvalue()
        self.digest_only()
        return {"sha256": self._hash.hexdigest(), "bytes": self._bytes}


class _Call:
    __slots__ = ("arguments", "call_id", "name")

    def __init__(self) -> None:
        self.call_id, self.name = "", ""
        self.arguments = GrowingText()


class _Message:
    __slots__ = ("calls", "last", "more", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, GrowingText] = {}
        self.calls: dict[Hashable, _Call] = {}
        self.last: Hashable = None
        self.more: list[Any] = []


class Answer:
    """One model answer: a single message, or one for each choice that was asked for."""

    def __init__(self) -> None:
        self.usage: dict[str, int] = {}
        """Tokens by attribute key."""
        self.finish_reasons: list[str] = []
        self.model = self.response_id = ""
        self.chunked = False
        """Whether it holds parts that say nothing when they are put together."""
        self.oversize = False
        """Whether its texts are digests."""
        self.cut = False
        """Whether something is missing."""
        self.said = False
        """Whether it holds anything."""
        self.events = False
        """Whether events came that hold all of it, so that what repeats them is to be passed over."""
        self._messages: dict[int, _Message] = {}
        self.chars = 0
        """Characters of all its texts."""
        self._named, self._turn = "", 0

    def message_index(self, name: str, choice: int) -> int:
        """Return the index of the message that a delta belongs to.

        A delta that names another message than the deltas before it begins a new one; the answer is `chunked` then.
        """
        if name and self._named and name != self._named:
            if not self._turn:
                self.add_text("id", self._named, choice)
            self._turn += 1
            self.chunked = True
            self.add_text("id", name, self._turn * MAX_CALLS + choice)
        self._named = name or self._named
        return self._turn * MAX_CALLS + choice

    def add_text(self, kind: str, piece: str, choice: int = 0) -> None:
        """Add text of a kind: `content`, `reasoning`, `refusal`, or another name that a provider uses."""
        if not piece:
            return
        texts = self._message(choice).texts
        text = texts.get(kind)
        if text is None:
            text = texts[kind] = self._new()
        text.add(piece)
        self._grow(len(piece))

    def add_call(
        self, index: Hashable, call_id: str = "", name: str = "", arguments: str = "", choice: int = 0
    ) -> None:
        """Add a fragment of a tool call.

        A fragment without an index continues the last call, unless its id is another. Calls beyond 1,000 mark the
        answer as cut.
        """
        message = self._message(choice)
        if index is None:
            last = message.calls.get(message.last)
            known = last is not None and (not call_id or call_id == last.call_id)
            index = message.last if known else ("id", call_id, len(message.calls))
        call = message.calls.get(index)
        if call is None:
            if len(message.calls) >= MAX_CALLS:
                self.cut = True
                return
            call = message.calls[index] = _Call()
            if self.oversize:
                call.arguments.digest_only()
        message.last = index
        call.call_id = call.call_id or call_id
        if name and name != call.name:
            call.name += name
        if arguments:
            call.arguments.add(arguments)
        self._grow(len(arguments) + len(call_id) + len(name))

    def has_arguments(self, index: Hashable, choice: int = 0) -> bool:
        """Tell whether a call has arguments already."""
        call = self._message(choice).calls.get(index)
        return call is not None and call.arguments.chars > 0

    def has_text(self, choice: int = 0) -> bool:
        """Tell whether a choice has text already."""
        return "content" in self._message(choice).texts

    def add_part(self, value: Any, choice: int = 0) -> None:
        """Add a part that is neither text nor tool call; the answer is `chunked` from here on."""
        message = self._message(choice)
        self.chunked = True
        seen = capture(value)
        self._grow(len(seen.text))
        if seen.word != "whole":
            self.cut = True
        if self.oversize or len(message.more) >= MAX_CALLS:
            self.cut = True
        else:
            message.more.append(seen.text)

    def value(self) -> list[dict[str, Any]]:
        """Return the messages, in the order of the choices."""
        made: list[dict[str, Any]] = []
        for _, message in sorted(self._messages.items()) or [(0, _Message())]:
            one: dict[str, Any] = {"role": "assistant", "content": ""}
            one |= {kind: message.texts[kind].value() for kind in sorted(message.texts)}
            if message.calls:
                calls: list[Any] = list(message.calls)
                if all(isinstance(index, int) for index in calls):
                    calls.sort()
                one["tool_calls"] = [
                    {"id": call.call_id, "name": call.name, "arguments": call.arguments.value()}
                    for call in map(message.calls.__getitem__, calls)
                ]
            if message.more:
                one["parts"] = list(message.more)
            made.append(one)
        return made

    def add_usage(self, usage: Mapping[str, Any], *, add: bool = False) -> None:
        """Take token counts, under the names of any provider: the last count of each, or with `add` their sum."""
        for key, count in usage.items():
            target = _USAGE.get(key)
            if target is not None and isinstance(count, int) and not isinstance(count, bool):
                self.usage[target] = (self.usage.get(target, 0) if add else 0) + count

    def _message(self, choice: int) -> _Message:
        message = self._messages.get(choice)
        if message is None:
            if len(self._messages) >= MAX_CALLS:
                self.cut = True
                return _Message()
            message = self._messages[choice] = _Message()
        self.said = True
        return message

    def _new(self) -> GrowingText:
        text = GrowingText()
        if self.oversize:
            text.digest_only()
        return text

    def _grow(self, chars: int) -> None:
        self.chars += chars
        if self.chars > MAX_CAPTURE_BYTES and not self.oversize:
            self.digest_only()

    def digest_only(self) -> None:
        """Stop keeping text in all messages at once, so that the order of the chunks makes no difference."""
        self.oversize = True
        for message in self._messages.values():
            for text in (*message.texts.values(), *(call.arguments for call in message.calls.values())):
                text.digest_only()


_USAGE = {
    key: semconv.USAGE + target
    for target, keys in {
        "input_tokens": "input_tokens prompt_tokens",
        "output_tokens": "output_tokens completion_tokens",
        "cache_read.input_tokens": "cache_read_input_tokens prompt_tokens_details.cached_tokens "
        "input_tokens_details.cached_tokens input_token_details.cache_read",
        "cache_creation.input_tokens": "cache_creation_input_tokens input_token_details.cache_creation",
        "reasoning.output_tokens": "completion_tokens_details.reasoning_tokens output_token_details.reasoning "
        "output_tokens_details.reasoning_tokens",
    }.items()
    for key in keys.split()
}
