"""The one piece of process-wide state: which configuration the decorators write to."""

import contextlib
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Tracer

from runbundle.otel.run_context import current_scope

if TYPE_CHECKING:
    from runbundle.otel.configure import Handle

_handle: "Handle | None" = None
_said_unconfigured = False
_UNSAMPLED = otel_context.create_key("runbundle-unsampled")


def get() -> "Handle | None":
    """Return the handle of the last `configure()`, until it is shut down."""
    return _handle


def set_handle(handle: "Handle | None") -> None:
    """Make `handle` the one the decorators use."""
    global _handle, _said_unconfigured
    _handle = handle
    _said_unconfigured = True  # by who has called configure() once it need not be said


def tracer() -> Tracer:
    """Return the tracer of the active configuration, else one of the global provider (which may record nothing)."""
    return _handle.tracer if _handle is not None else _tracer_of_nobody()


def _tracer_of_nobody() -> Tracer:
    global _said_unconfigured
    if not _said_unconfigured:
        _said_unconfigured = True
        from runbundle.otel.notices import say_unconfigured

        with contextlib.suppress(Exception):  # it looks into what others have built; the agent must not notice
            say_unconfigured()
    return trace.get_tracer("runbundle")


def unrecorded(outer: Context, inner: Context, *, is_run: bool) -> Context:
    """Count work whose span, begun in `outer`, somebody else's sampler keeps from being recorded.

    Returns `inner`, the context that the work is done in, marked so that a run is counted once, not by each call in it.
    """
    handle = _handle
    if handle is None:
        return inner
    if not is_run:
        if otel_context.get_value(_UNSAMPLED, outer):
            return inner
        if trace.get_current_span(outer).is_recording():
            handle.recorder.count_dropped("unsampled_span")  # a part of something that is recorded
            return inner
        if current_scope(outer) is not None:
            return inner
    handle.count_unsampled()
    return otel_context.set_value(_UNSAMPLED, True, inner)
