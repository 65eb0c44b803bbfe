"""Handles the return value of a decorated function: records it, hands it on untouched, or follows it."""

from collections.abc import Coroutine
from typing import Any

from opentelemetry import context as otel_context

from runbundle.otel.agent.current import detach
from runbundle.otel.agent.scopes import SpanScope
from runbundle.otel.agent.streams.kinds import handling_of
from runbundle.otel.agent.streams.proxy import copy_name, follow
from runbundle.otel.agent.streams.stream import CallRecording, Stream, not_consumed


def hand_on(value: Any, scope: SpanScope, recording: CallRecording) -> tuple[Any, bool]:
    """Return the value for the caller, and whether the span goes on with it.

    The span goes on for a stream or a coroutine, and ends with it; otherwise the caller ends it.
    """
    handling = handling_of(type(value))  # pyright: ignore[reportUnknownArgumentType]
    if not handling:
        recording.returned(scope, value)
        return value, False
    if handling == "iterator":
        not_consumed(scope)
        return value, False
    if handling == "coroutine":
        made = _awaited(value, scope, recording, _Unawaited(value, scope, recording))
        copy_name(made, value)
        return made, True
    return follow(value, handling, Stream(scope, recording)), True


class _Unawaited(Stream):
    """A coroutine that perhaps nobody awaits: ours tells the interpreter so, not the one within it."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any], scope: SpanScope, recording: CallRecording) -> None:
        super().__init__(scope, recording)
        self._coroutine = coroutine

    def dropped(self) -> None:
        """End the span."""
        if not self._done:
            self._coroutine.close()
        super().dropped()


async def _awaited(
    coroutine: Coroutine[Any, Any, Any], scope: SpanScope, recording: CallRecording, stream: Stream
) -> Any:
    """Await what a function that is none of coroutine's kind has returned. `stream` is for one that nobody awaits."""
    token = otel_context.attach(scope.context)
    try:
        value, goes_on = hand_on(await coroutine, scope, recording)
    except BaseException as error:
        stream.failed(error)
        raise
    finally:
        detach(token)
    stream.handed_on()
    if not goes_on:
        scope.finish()
    return value
