"""Streams: what a function yields, or the stream that it returns, followed to its end.

A span that follows a stream is current while the producer's code runs and at no other time. It ends when the stream
does: exhausted, failed, closed, or dropped and collected. A stream that is dropped before its end is `abandoned`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from runbundle.format.base import CaptureWord
from runbundle.otel.agent.at_source import set_attributes, set_value
from runbundle.otel.agent.attribute_values import count_lost
from runbundle.otel.agent.scopes import SpanScope
from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.parts import Joiner, Joining, with_returned
from runbundle.redaction.captured import Said
from runbundle.redaction.markers import marker


class CallRecording(NamedTuple):
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
            not_consumed(scope)
            return
        made = self._joiner.joined()
        if returned is not None:
            made = with_returned(made, returned)
        set_value(scope.span, scope.output, made.text, made.said(word))
        if scope.output == "runbundle.result":
            set_attributes(scope.span, {"runbundle.result.kind": "stream"})
        if made.answer is not None and self._recording.is_model:
            _tell(scope, made.answer)


def not_consumed(scope: SpanScope) -> None:
    """Say of a span's output that nobody has read it."""
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
