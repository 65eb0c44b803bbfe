"""The completion hook of GenAI instrumentations: content goes to bundles as digests, and to nobody else.

Instrumentations that build on `opentelemetry-util-genai` hand a hook the messages of each model call, raw, whether or
not they put them on their spans; the hook that comes with them uploads them. With
`OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK=runbundle` they are put on the call's span, redacted as our own content is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span

from runbundle.otel.agent import at_source
from runbundle.otel.agent.capture import capture
from runbundle.signals import semconv


class RedactingCompletionHook:
    """Puts messages on the span of their model call, redacted wherever others see it. Uploads nothing.

    In debug mode the vault has the originals. Content that the instrumentation has put on the span itself is left to
    the boundary, and content of log records too; set `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` to
    `NO_CONTENT`, the default, and there is none.
    """

    def on_completion(
        self,
        *,
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
        system_instruction: Sequence[Any] = (),
        span: Span | None = None,
        **unused: Any,  # noqa: ARG002 - definitions of tools, and the log record, which is redacted on its own way
    ) -> None:
        """Take the content of a model call that has just ended; its span has not."""
        if span is None or not span.is_recording():
            return
        there: Mapping[str, Any] = getattr(span, "attributes", None) or {}
        for key, value in (
            (semconv.INPUT_MESSAGES, inputs),
            (semconv.OUTPUT_MESSAGES, outputs),
            (semconv.SYSTEM_INSTRUCTIONS, system_instruction),
        ):
            if value and key not in there:
                captured = capture(value)
                at_source.set_value(span, key, captured.text, captured.said)
