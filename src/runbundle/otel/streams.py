"""Streams: what a function yields, or the stream that it returns, followed to its end.

A span that follows a stream is current while the producer's code runs and at no other time. It ends when the stream
does: exhausted, failed, closed, or dropped and collected. A stream that is dropped before its end is `abandoned`.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import lru_cache
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Literal, NamedTuple

from opentelemetry import context as otel_context

from runbundle.format.base import CaptureWord
from runbundle.otel.at_source import set_attributes, set_value
from runbundle.otel.current import release
from runbundle.otel.given import lost
from runbundle.otel.scopes import SpanScope
from runbundle.otel.stream_answer import Answer
from runbundle.otel.stream_parts import Joiner, Joining, with_returned
from runbundle.otel.stream_steps import Follower, stepping, stepping_async
from runbundle.redaction.captured import Said
from runbundle.redaction.markers import marker

Handling = Literal["", "generator", "async generator", "coroutine", "stream", "iterator"]
"""What becomes of a value that was returned: "": recorded; an iterator: handed on untouched; the others: followed."""


class Recording(NamedTuple):
    """What a decorator records of a call."""

    returned: Callable[[SpanScope, Any], None]
    """Records a value that was returned."""
    joining: Joining
    """What the items of a stream are put together to."""
    each: Callable[[SpanScope, Any, int], None] | None = None
    """Records one item, the first of which is number 1."""
    returned_only: bool = False
    """Whether what a generator yields says nothing once it has returned a value."""
    is_model: bool = False
    """Whether what chunks say of the model's answer is said of the span."""


class Stream:
    """One stream on its way to the consumer. Its methods never raise, and end the span once."""

    __slots__ = ("_count", "_done", "_joiner", "_recording", "_scope", "here")

    def __init__(self, scope: SpanScope, recording: Recording) -> None:
        self._scope, self._recording = scope, recording
        self.here = scope.context
        self._joiner = Joiner(recording.joining)
        self._count = 0
        self._done = False

    def take(self, item: Any) -> None:
        """Take an item that was yielded."""
        if self._done:
            return
        self._count += 1
        self._joiner.add(item)
        if self._recording.each is not None:
            try:
                self._recording.each(self._scope, item, self._count)
            except Exception:  # noqa: BLE001 - hostile items: the agent must not notice
                lost("documents")

    def ended(self, returned: Any = None) -> None:
        """End the span well: the stream is exhausted. `returned` is a generator's value."""
        if self._done:
            return
        self._done = True
        if returned is not None and (not self._count or self._recording.returned_only or not self._scope.output):
            self._recording.returned(self._scope, returned)
        else:
            self._record("whole", returned)
        self._scope.finish()

    def ended_unseen(self, answer: Any) -> None:
        """End the span well: something else has read the stream to its end, and this is the answer, or None."""
        if self._done:
            return
        joiner = Joiner(self._recording.joining)
        if joiner.read_whole(answer):
            self._joiner, self._count = joiner, 1
            self.ended()
        else:
            self._done = True
            self._record("not_consumed")
            self._scope.finish()

    def handed_on(self) -> None:
        """Leave the span to somebody else."""
        self._done = True

    def failed(self, error: BaseException) -> None:
        """End the span: the producer raised."""
        if not self._done:
            self._done = True
            if self._count:
                self._record("abandoned")
            self._scope.finish(error)

    def dropped(self) -> None:
        """End the span: nobody wants the rest. Does nothing if it has ended."""
        if not self._done:
            self._done = True
            self._record("abandoned" if self._count else "not_consumed")
            self._scope.finish(status="abandoned")

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be half gone
            self.dropped()

    def _record(self, word: CaptureWord, returned: Any = None) -> None:
        scope = self._scope
        if not self._recording.joining or not scope.output or not scope.span.is_recording():
            return
        if word == "not_consumed":
            _not_consumed(scope)
            return
        made = self._joiner.joined()
        if returned is not None:
            made = with_returned(made, returned)
        set_value(scope.span, scope.output, made.text, made.said(word))
        if scope.output == "runbundle.result":
            set_attributes(scope.span, {"runbundle.result.kind": "stream"})
        if made.answer is not None and self._recording.is_model:
            _tell(scope, made.answer)


def _not_consumed(scope: SpanScope) -> None:
    if scope.output:
        set_value(scope.span, scope.output, marker("unserialisable"), Said("not_consumed"))


def _tell(scope: SpanScope, answer: Answer) -> None:
    """Set what the chunks of a model say of the call, unless the span says it already."""
    known: Mapping[str, Any] = getattr(scope.span, "attributes", None) or {}
    said: dict[str, Any] = dict(answer.usage)
    for key, value in (("finish_reasons", answer.finish_reasons), ("model", answer.model), ("id", answer.response_id)):
        if value:
            said[f"gen_ai.response.{key}"] = value
    set_attributes(scope.span, {key: value for key, value in said.items() if key not in known})


def follow(value: Any, handling: Handling, stream: Follower) -> Any:
    """Return what the caller gets in the place of a stream: of its type, and with its attributes."""
    if handling == "generator":
        made = stepping(lambda: (value, stream))()
    elif handling == "async generator":

        async def begin() -> tuple[AsyncGenerator[Any, Any], Follower]:
            return value, stream

        made = stepping_async(begin)()
    else:
        from runbundle.otel.stream_proxy import proxy_of  # which needs what is here

        return proxy_of(value, stream)
    _call_alike(made, value)
    return made


def _call_alike(made: Any, value: Any) -> None:
    made.__name__, made.__qualname__ = value.__name__, value.__qualname__


def hand_on(value: Any, scope: SpanScope, recording: Recording) -> tuple[Any, bool]:
    """Return what the caller gets for a value that a function has returned, and whether the span goes on with it."""
    handling = handling_of(type(value))  # pyright: ignore[reportUnknownArgumentType]
    if not handling:
        recording.returned(scope, value)
        return value, False
    if handling == "iterator":
        _not_consumed(scope)
        return value, False
    if handling == "coroutine":
        made = _awaited(value, scope, recording, _Unawaited(value, scope, recording))
        _call_alike(made, value)
        return made, True
    return follow(value, handling, Stream(scope, recording)), True


class _Unawaited(Stream):
    """A coroutine that perhaps nobody awaits: ours tells the interpreter so, not the one within it."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any], scope: SpanScope, recording: Recording) -> None:
        super().__init__(scope, recording)
        self._coroutine = coroutine

    def dropped(self) -> None:
        """End the span."""
        if not self._done:
            self._coroutine.close()
        super().dropped()


async def _awaited(coroutine: Coroutine[Any, Any, Any], scope: SpanScope, recording: Recording, stream: Stream) -> Any:
    """Await what a function that is none of coroutine's kind has returned. `stream` is for one that nobody awaits."""
    token = otel_context.attach(scope.context)
    try:
        value, goes_on = hand_on(await coroutine, scope, recording)
    except BaseException as error:
        stream.failed(error)
        raise
    finally:
        release(token)
    stream.handed_on()
    if not goes_on:
        scope.finish()
    return value


_OWN: dict[type, Handling] = {
    GeneratorType: "generator",
    AsyncGeneratorType: "async generator",
    CoroutineType: "coroutine",
}
_STREAMS = frozenset(
    f"{asynchronous}{what}Stream"
    for asynchronous in ("", "Async", "Beta", "BetaAsync", "AsyncBeta")
    for what in ("", "Message", "Response", "ChatCompletion")
) | {"CustomStreamWrapper"}
_MANAGERS = frozenset(f"{name}Manager" for name in _STREAMS)
"""Names of classes: what OpenAI, Anthropic and their likes return for a stream, and what a `with` makes one of."""


@lru_cache(maxsize=1024)
def handling_of(kind: type) -> Handling:
    """Return how values of a type are handled."""
    known = _OWN.get(kind)
    if known is not None:
        return known
    iterates = any(hasattr(kind, name) for name in ("__iter__", "__aiter__"))
    names = {base.__name__ for base in kind.__mro__}
    if names & _MANAGERS and (hasattr(kind, "__enter__") or hasattr(kind, "__aenter__")):
        return "stream"
    if iterates and names & _STREAMS and any(hasattr(kind, name) for name in ("close", "aclose", "response")):
        return "stream"
    lazy = hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__")
    return "iterator" if lazy else ""
