"""The one piece of process-wide state: which configuration the decorators write to."""

import contextlib
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Tracer

if TYPE_CHECKING:
    from runbundle.otel.configure import Handle

_handle: "Handle | None" = None
_said_unconfigured = False


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
