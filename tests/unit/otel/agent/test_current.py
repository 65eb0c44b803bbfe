"""Contexts of scopes: entered and left so that no ended span stays current."""

import contextvars

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from runbundle.otel.agent.current import ScopeMark, context_with_span, detach, leave_scope


def span(number: int) -> NonRecordingSpan:
    """Return a span that is told from others by its number."""
    return NonRecordingSpan(SpanContext(number, number, is_remote=False))


def current() -> int:
    """Return the number of the current span, 0 for none."""
    return trace.get_current_span().get_span_context().span_id


def test_the_context_before_is_current_again_after_a_scope() -> None:
    """And its mark says that it has been left."""
    context, mark = context_with_span(span(1), otel_context.get_current())
    assert isinstance(mark, ScopeMark)
    assert mark.within
    token = otel_context.attach(context)
    assert current() == 1
    leave_scope(token, context, mark, otel_context.get_current())
    assert (current(), mark.within) == (0, False)


def test_a_scope_that_is_left_in_another_task_is_current_nowhere() -> None:
    """The context in which it was entered says what the one around it says."""
    outer = Context()
    context, mark = context_with_span(span(2), outer)
    elsewhere = contextvars.copy_context()
    token = elsewhere.run(otel_context.attach, context)
    leave_scope(token, context, mark, outer)
    assert elsewhere.run(current) == 0
    assert trace.get_current_span(context).get_span_context().span_id == 0


def test_detaching_twice_or_elsewhere_is_told_and_not_raised() -> None:
    """It changes nothing then."""
    token = otel_context.attach(Context({"a": 1}))
    assert not contextvars.copy_context().run(detach, token)
    assert detach(token)
    assert not detach(token)
