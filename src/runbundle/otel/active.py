"""The one piece of process-wide state: which configuration the decorators write to."""

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Tracer

if TYPE_CHECKING:
    from runbundle.otel.configure import Handle

_handle: "Handle | None" = None


def get() -> "Handle | None":
    """Return the handle of the last `configure()`, until it is shut down."""
    return _handle


def set_handle(handle: "Handle | None") -> None:
    """Make `handle` the one the decorators use."""
    global _handle
    _handle = handle


def tracer() -> Tracer:
    """Return the tracer of the active configuration, else one of the global provider (which may record nothing)."""
    return _handle.tracer if _handle is not None else trace.get_tracer("runbundle")
