"""Reads the identity of a span: its context, its attributes, its operation and its label."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext

from runbundle.redaction.permitted.values import is_name
from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import canonical_attributes
from runbundle.signals.operations import Operation, operation


def copied_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of a span's attributes; each look-up in the original costs as much as the copy."""
    # A private name, where it is what it was: the public one costs three times as much.
    attributes: Any = getattr(span, "_attributes", None)
    if attributes.__class__ is BoundedAttributes:
        return attributes.copy()
    attributes = span.attributes
    return dict(attributes) if attributes else {}


def operation_and_label(attributes: Mapping[str, Any], scope: str = "") -> tuple[Operation, str]:
    """Return a span's operation and its label, which is the operation with the name: such as `tool:find_order`.

    The attributes may be of any dialect; those of our own `scope` are in our terms. A name that may not be kept is left
    out of the label.
    """
    if scope != own.SCOPE:
        attributes = canonical_attributes("", attributes)
    op = operation(attributes)
    for key in (own.NAME, semconv.TOOL_NAME, semconv.AGENT_NAME):
        name = attributes.get(key)
        # By the redactor's own question: the label of a span that never ends comes into its bundle as it is.
        if isinstance(name, str) and "/" not in name and is_name(name):
            return op, f"{op}:{name}"
    return op, op


def span_context_of(span: ReadableSpan) -> SpanContext:
    """Return a span's context; an invalid one where the span has none, as the SDK's types allow."""
    return span.context or INVALID_SPAN_CONTEXT
