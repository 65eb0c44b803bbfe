"""What a span that is about to start says of itself."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext

from runbundle.redaction.permitted.safe_text import safe_name
from runbundle.signals.operations import Operation, operation


def copied_attributes(span: Span) -> dict[str, Any]:
    """Return a copy of a starting span's attributes: each look into its own takes as long as the copy."""
    attributes: Any = span.attributes
    return attributes.copy() if attributes else {}


def operation_and_label(attributes: Mapping[str, Any]) -> tuple[Operation, str]:
    """Return what kind of work a span is, and that with its name if it has one that may be kept: `tool:find_order`."""
    op = operation(attributes)
    for key in ("runbundle.name", "gen_ai.tool.name", "gen_ai.agent.name"):
        name = attributes.get(key)
        if isinstance(name, str) and len(name) <= 64 and "/" not in name and safe_name(name):
            return op, f"{op}:{name}"
    return op, op


def span_context_of(span: ReadableSpan) -> SpanContext:
    """Return a span's context; the SDK types it as optional, and an invalid one stands for none."""
    return span.context or INVALID_SPAN_CONTEXT
