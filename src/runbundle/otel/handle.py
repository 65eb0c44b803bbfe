"""The handle on a running configuration: flushes it, reports its losses, and ends it."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from runbundle.contracts.approval import Decider, default_decider
from runbundle.contracts.declared import DECLARED
from runbundle.otel import active, notices, switch
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.neighbours import raw_processors, value_limit_of
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.composition import set_fallback_redactor
from runbundle.otel.forwarding import EXPORTERS_S
from runbundle.recording.recorder import Recorder
from runbundle.recording.results import FlushResult
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own
from runbundle.store import ArtifactStore

if TYPE_CHECKING:
    from runbundle.otel.forwarding.destination import Destination

_log = logging.getLogger("runbundle")


class Handle:
    """A running configuration, which `configure()` returns. Leaving its `with` block flushes and shuts down.

        with runbundle.configure(store="./runs") as handle:
            agent()
            if not handle.flush():
                print("something was lost")

    Point instrumentations at `tracer_provider` and `logger_provider` where they are not the global ones. If
    `configure()` built the provider, processors added to it get redacted spans of agents, and other spans with their
    secrets masked.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        tracer_provider: TracerProvider,
        logger_provider: LoggerProvider,
        boundary: BoundarySpanProcessor,
        log_boundary: BoundaryLogProcessor,
        recorder: Recorder,
        *,
        owns_provider: bool,
        owns_logger_provider: bool = True,
        destinations: "Sequence[Destination]" = (),
        decider: Decider = default_decider,
    ) -> None:
        self.tracer_provider = tracer_provider
        self.logger_provider = logger_provider
        self.owns_provider = owns_provider
        self.owns_logger_provider = owns_logger_provider
        self.boundary = boundary
        self.recorder = recorder
        self.decider = decider
        self.redactor_at_source = DECLARED.twin(boundary.redactor)
        """Redacts values before they are on spans of a provider that somebody else has built."""
        self.tracer = tracer_provider.get_tracer(own.SCOPE)
        self.by_environment = False
        """Whether no line of code has called `configure()`; one that does replaces this configuration."""
        self._arguments = arguments
        self.log_boundary = log_boundary
        self.destinations = destinations
        """Where redacted spans and logs are forwarded to."""
        self._raw_at_start = 0 if owns_provider else len(raw_processors(tracer_provider))
        self._said_replaced = False

    @property
    def redactor(self) -> Redactor:
        """The redactor for bundles."""
        return self.boundary.redactor

    @property
    def membership(self) -> Membership:
        """The table of live spans and their runs."""
        return self.boundary.membership

    @property
    def store(self) -> ArtifactStore:
        """The store in which bundles are sealed."""
        return self.recorder.store

    def has_arguments(self, arguments: dict[str, Any]) -> bool:
        """Tell whether `configure()` was given these arguments."""
        return self._arguments == arguments

    def give_way(self) -> tuple[tuple[SpanProcessor, ...], tuple[LogRecordProcessor, ...]]:
        """Shut down for another configuration of this process; return the processors behind the boundary, unharmed."""
        taken = self.boundary.take_out(), self.log_boundary.take_out()
        self.shutdown()
        return taken

    def join(self, provider: Any) -> bool:
        """Join a proxy that was set after our tracer provider, as `configure()` would have joined it; or return False.

        Its library makes spans there in any case. Spans of the global provider go there from now on, and past its
        exporters too, so that it is as if it had been set first. An SDK's own provider is not joined: nobody uses one
        that was refused, and its exporters would be handed raw spans.
        """
        if not switch.is_proxy(provider, "add_span_processor", TracerProvider) or self._refuses_raw():
            return False
        self.tracer_provider, self.owns_provider = provider, False
        self.boundary.on_own_provider = False
        self.boundary.cut_to = value_limit_of(provider)
        provider.add_span_processor(self.boundary)
        self._follow_spans()
        self.tracer = provider.get_tracer("runbundle")
        switch.take_over_tracing(provider, self.join)
        notices.say_sampling(provider)
        self._look_around()
        return True

    def join_logs(self, provider: Any) -> bool:
        """Join a proxy that became a logger provider after ours; or return False."""
        if not switch.is_proxy(provider, "add_log_record_processor", LoggerProvider) or self._refuses_raw():
            return False
        self.logger_provider, self.owns_logger_provider = provider, False
        provider.add_log_record_processor(self.log_boundary)
        self._follow_logs()
        switch.take_over_logging(provider, self.join_logs)
        return True

    def follow(self) -> None:
        """Stay on the proxies that are joined when their owner leads them to other providers."""
        if not self.owns_provider:
            self._follow_spans()
        if not self.owns_logger_provider:
            self._follow_logs()

    def _follow_spans(self) -> None:
        self.boundary.outlives_provider = switch.follow(self.tracer_provider, self._attach)

    def _follow_logs(self) -> None:
        self.log_boundary.outlives_provider = switch.follow(self.logger_provider, self._attach_logs)

    def _attach(self) -> None:
        if not self.boundary.is_closed:
            self.tracer_provider.add_span_processor(self.boundary)

    def _attach_logs(self) -> None:
        if not self.log_boundary.is_closed:
            self.logger_provider.add_log_record_processor(self.log_boundary)

    def _refuses_raw(self) -> bool:
        return self.boundary.redacts_all and self._arguments.get("raw_exporters") != "allow"

    def count_unsampled(self) -> None:
        """Count a run whose span the application's sampler left out; the first one is logged."""
        if self.membership.outside.count_unsampled_run():
            notices.say_unsampled(self.tracer_provider)

    def flush(self, timeout_s: float = 30.0) -> FlushResult:
        """Wait until every ended run is sealed and every exporter has sent its queue, at most `timeout_s` seconds.

            result = handle.flush(timeout_s=10)
            if not result:
                print(result)

        The result is true only if nothing failed, nothing is pending, nothing was lost, no run was left out by a
        sampler, and the exporters of `configure(otlp=...)` have delivered everything. Exporters that the application
        added itself are flushed too; their losses are not known here. Does not raise for any of these.
        """
        deadline = time.monotonic() + timeout_s
        result = self.recorder.flush(timeout_s)
        membership = self.membership
        result.redacted_by = self.boundary.lines.counted()
        result.outside, result.outside_scopes = membership.outside.spans, membership.outside.by_scope()
        if membership.unfollowed:
            result.dropped["live_spans"] = membership.unfollowed
        result.unsampled = membership.outside.unsampled
        self._look_around()
        if self.destinations:
            from runbundle.otel.forwarding.destination import flush_all  # loaded by who made them, and by nobody else

            flush_all(self.destinations, deadline)
        providers = (self.tracer_provider, self.logger_provider)
        _until(deadline, [lambda p=p: p.force_flush(_left_ms(deadline)) for p in providers])
        result.refused = self._refused()
        result.destinations = {destination.name: destination.delivery() for destination in self.destinations}
        self._note_losses()
        return result

    def _note_losses(self) -> None:
        """Have what was counted here said by the spool too, when this process is gone."""
        losses = self.recorder.losses
        stated = {
            "unsampled": self.membership.outside.unsampled,
            "live_spans": self.membership.unfollowed,
        }
        stated |= {f"refused: {reason}": count for reason, count in self._refused().items()}
        for reason, total in stated.items():
            losses.state(reason, total)
        losses.write(now=True)

    def _refused(self) -> dict[str, int]:
        refused: Counter[str] = Counter()
        for destination in self.destinations:
            delivery = destination.delivery()
            refused.update(delivery.refused)
            if delivery.unsent:
                refused["unsent"] += delivery.unsent
        return dict(refused)

    def _look_around(self) -> None:
        """Say what has changed since `configure()` that keeps spans from us, or shows raw ones to others."""
        raw = [] if self.owns_provider else raw_processors(self.tracer_provider)
        if len(raw) > self._raw_at_start:
            self._raw_at_start = len(raw)
            _log.error("RB901: handed raw spans: %s; runbundle explain RB901", ", ".join(raw))
        if switch.is_led_to(self.tracer_provider) and switch.was_replaced() and not self._said_replaced:
            self._said_replaced = True
            _log.error("another global tracer provider was put in the place of ours; its spans are not recorded")

    def shutdown(self, timeout_s: float = 30.0) -> None:
        """Flush, seal and stop, within `timeout_s` seconds in all. May be called again.

        Bundles come first. Then exporters are waited for, for the rest of that time and at most five seconds, so that a
        backend that does not answer does not delay the end of the process. Items they still hold are logged as lost.
        Decorated code goes on working and records nothing.
        """
        deadline = time.monotonic() + timeout_s
        self._note_end()
        if active.get() is self:
            active.activate(None)
            set_fallback_redactor(self.redactor_at_source)
        switch.disconnect(self.tracer_provider, self.logger_provider)
        self._end(deadline)

    def end_with_process(self, timeout_s: float = 30.0) -> None:
        """Do as `shutdown()` does at the end of the process; spans that daemon threads still end are journalled."""
        self._note_end()
        self.boundary.is_exiting = self.log_boundary.is_exiting = True
        self._end(time.monotonic() + timeout_s)

    def _note_end(self) -> None:
        reached = not self.owns_provider or switch.is_led_to(self.tracer_provider)
        notices.note_end(seen=self.boundary.has_seen_span, reached=reached)

    def _end(self, deadline: float) -> None:
        try:
            self.recorder.close(max(0.0, deadline - time.monotonic()))
        finally:
            self.boundary.is_closed = self.log_boundary.is_closed = True
            self._stop_exporters(min(deadline, time.monotonic() + EXPORTERS_S))
            self._note_losses()

    def _stop_exporters(self, deadline: float) -> None:
        if self.destinations:
            from runbundle.otel.forwarding.destination import close_all

            close_all(self.destinations, deadline)
        stops: list[Callable[[], Any]] = [
            self.tracer_provider.shutdown if self.owns_provider else self.boundary.shutdown,
            self.logger_provider.shutdown if self.owns_logger_provider else self.log_boundary.shutdown,
        ]
        _until(deadline, stops)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.shutdown()


def _until(deadline: float, calls: Sequence[Callable[[], Any]]) -> None:
    """Make calls into other people's exporters, which know no deadline; leave them alone when it is over."""

    def make() -> None:
        for call in calls:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - an exporter's fault must not become the agent's
                _log.error("an exporter failed at a flush or at its end: %s", type(error).__name__)

    thread = threading.Thread(target=make, name="runbundle-exporters", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is shutting down
        make()
    else:
        thread.join(max(0.0, deadline - time.monotonic()))


def _left_ms(deadline: float) -> int:
    return max(1, int((deadline - time.monotonic()) * 1000))


def running() -> Handle | None:
    """Return the handle of the last `configure()`; None before it, and after it was shut down."""
    recording = active.get()
    return recording if isinstance(recording, Handle) else None


def shut_down_at_exit() -> None:
    """Shut down a configuration that is still active, then log it if the process has not seen one span."""
    handle = running()
    if handle is not None:
        handle.end_with_process()
    notices.say_nothing_seen()
