"""Streams: the items that a function yields, or those of the stream it returns, recorded to the end.

A span that follows a stream is current only while the producer's code runs. It ends when the stream is exhausted,
fails, is closed, or is dropped and collected. A stream that is dropped before its end is `abandoned`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from runbundle.format.words import CaptureWord
from runbundle.otel.agent.at_source import set_attributes, set_value
from runbundle.otel.agent.attribute_values import count_lost
from runbundle.otel.agent.scopes import SpanScope
from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.parts import Joiner, Joining, with_returned
from runbundle.redaction.captured import Said
from runbundle.redaction.markers import marker
from runbundle.signals import own, semconv


class CallRecording(NamedTuple):
    """How a decorator records its calls."""

    returned: Callable[[SpanScope, Any], None]
    """Records a return value on the span."""
    joining: Joining
    """How the items of a stream are joined."""
    each: Callable[[SpanScope, Any, int], None] | None = None
    """Records one item of a stream; the first is number 1."""
    returned_only: bool = False
    """Whether the items a generator yielded are dropped once it has returned a value."""
    is_model: bool = False
    """Whether token counts, model and finish reasons in the chunks are set on the span."""


class Stream:
    """One stream on its way to the consumer. Its methods never raise and end the span once."""

    __slots__ = ("_count", "_done", "_joiner", "_recording", "_scope", "here")

    def __init__(self, scope: SpanScope, recording: CallRecording) -> None:
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
                count_lost("documents")

    def ended(self, returned: Any = None) -> None:
        """End the span: the stream is exhausted. `returned` is a generator's return value."""
        if self._done:
            return
        self._done = True
        if returned is not None and (not self._count or self._recording.returned_only or not self._scope.output):
            self._recording.returned(self._scope, returned)
        else:
            self._record("whole", returned)
        self._scope.finish()

    def ended_unseen(self, answer: Any) -> None:
        """End the span: other code has read the stream to its end; `answer` is the whole answer, or None.

        Without an answer the output is recorded as `not_consumed`.
        """
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
        """Leave the end of the span to another follower."""
        self._done = True

    def failed(self, error: BaseException) -> None:
        """End the span with the producer's error; items before it are recorded as `abandoned`."""
        if not self._done:
            self._done = True
            if self._count:
                self._record("abandoned")
            self._scope.finish(error)

    def dropped(self) -> None:
        """End the span as `abandoned`: nobody wants the rest. Does nothing if it has ended."""
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
            not_consumed(scope)
            return
        made = self._joiner.joined()
        if returned is not None:
            made = with_returned(made, returned)
        set_value(scope.span, scope.output, made.text, made.said(word))
        if scope.output == own.RESULT:
            set_attributes(scope.span, {own.RESULT_KIND: "stream"})
        if made.answer is not None and self._recording.is_model:
            _tell(scope, made.answer)


def not_consumed(scope: SpanScope) -> None:
    """Record that nobody has read the output of a span."""
    if scope.output:
        set_value(scope.span, scope.output, marker("unserialisable"), Said("not_consumed"))


def _tell(scope: SpanScope, answer: Answer) -> None:
    """Set what the chunks of a model say of the call, unless the span says it already."""
    known: Mapping[str, Any] = getattr(scope.span, "attributes", None) or {}
    about = {
        semconv.FINISH_REASONS: answer.finish_reasons,
        semconv.RESPONSE_MODEL: answer.model,
        semconv.RESPONSE_ID: answer.response_id,
    }
    said: dict[str, Any] = {**answer.usage, **{key: value for key, value in about.items() if value}}
    set_attributes(scope.span, {key: value for key, value in said.items() if key not in known})
