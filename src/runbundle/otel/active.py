"""The active configuration, to which decorated code writes: the one piece of state of the whole process."""

import contextlib
from collections.abc import Generator
from typing import Protocol

from opentelemetry import trace
from opentelemetry.trace import Tracer

from runbundle.contracts.approval import Decider
from runbundle.otel import composition
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.notices import say_unconfigured
from runbundle.recording.port import RecordPort
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own


class ActiveConfiguration(Protocol):
    """The part of a running configuration that the code an agent calls needs. `Handle` is one."""

    tracer: Tracer
    """Makes the spans of decorators and scopes."""
    owns_provider: bool
    """Whether everything that sees those spans is behind our boundary."""
    decider: Decider
    """Decides about tool calls that need approval."""
    redactor_at_source: Redactor
    """Redacts values before they are on spans of a provider that somebody else has built."""

    @property
    def recorder(self) -> RecordPort:
        """Counts what could not be recorded."""
        ...

    @property
    def redactor(self) -> Redactor:
        """Redacts for bundles; its policy holds the contracts."""
        ...

    @property
    def membership(self) -> Membership:
        """Knows the run of each live span."""
        ...

    def count_unsampled(self) -> None:
        """Count a run that a sampler keeps from being recorded."""
        ...


_recording: ActiveConfiguration | None = None
_said_unconfigured = False
_lent: Tracer | None = None


def get() -> ActiveConfiguration | None:
    """Return the configuration of the last `configure()`; None before it, and after it was shut down."""
    return _recording


def activate(recording: ActiveConfiguration | None) -> None:
    """Make decorated code write to a configuration; with None, to none."""
    global _recording, _said_unconfigured
    _recording = recording
    _said_unconfigured = True  # by who has called configure() once it need not be said


def tracer() -> Tracer:
    """Return the tracer of the active configuration; without one, a tracer of the global provider."""
    return _recording.tracer if _recording is not None else _lent or _tracer_of_nobody()


def redactor_at_source(configuration: ActiveConfiguration | None) -> Redactor:
    """Return the redactor for values of spans that our boundary does not own.

    `configuration`: as `get` returned it, so that one span is redacted under one configuration, also at a shutdown.
    """
    return configuration.redactor_at_source if configuration is not None else composition.fallback_redactor()


@contextlib.contextmanager
def lend_tracer(tracer: Tracer) -> Generator[None]:
    """Make decorated code use a tracer within the block, while nothing is configured; for checks."""
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
        with contextlib.suppress(Exception):  # it looks into what others have built; the agent must not notice
            say_unconfigured()
    return trace.get_tracer(own.SCOPE)
