"""The one piece of process-wide state: which configuration the decorators write to."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Tracer

if TYPE_CHECKING:
    from runbundle.otel.configure import Handle

_handle: "Handle | None" = None
_said_unconfigured = False
_lent: Tracer | None = None


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
    return _handle.tracer if _handle is not None else _lent or _tracer_of_nobody()


@contextlib.contextmanager
def lent(tracer: Tracer) -> Generator[None]:
    """Let decorated code write to a tracer within the block, where nothing is configured: for checks."""
    global _lent
    before, _lent = _lent, tracer
    try:
        yield
    finally:
        _lent = before


def _tracer_of_nobody() -> Tracer:
    global _said_unconfigured
    if not _said_unconfigured:
        _said_unconfigured = True
        from runbundle.otel.notices import say_unconfigured

        with contextlib.suppress(Exception):  # it looks into what others have built; the agent must not notice
            say_unconfigured()
    return trace.get_tracer("runbundle")
