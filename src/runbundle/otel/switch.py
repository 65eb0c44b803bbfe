"""The global providers of this library: they pass every call to the provider of the active configuration.

OpenTelemetry lets a process set its global provider once; a process may call `configure()` often, as test suites do.
Tracers and loggers that somebody keeps, also from before the first `configure()`, follow. Without an active
configuration they record nothing and cost next to nothing. A span that began under one configuration ends under that
one.
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry._logs import Logger, NoOpLogger
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, NoOpTracer, Span, SpanKind, Tracer
from opentelemetry.util.types import Attributes

_log = logging.getLogger("runbundle")

Later = Callable[[Any], bool]
"""Is handed a provider that was set after ours; returns whether it was joined."""


class SwitchedTracer(NoOpTracer):
    """A tracer that starts each span under the configuration that is active then."""

    def __init__(self, switch: "GlobalTracerProvider", about: tuple[Any, ...]) -> None:
        self._switch = switch
        self._about = about
        self._bound: tuple[TracerProvider, Tracer] | None = None

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Start a span under the active configuration; without one, a span that records nothing."""
        provider = self._switch.current
        if provider is None:
            return super().start_span(name, context)
        bound = self._bound
        if bound is None or bound[0] is not provider:
            bound = self._bound = (provider, provider.get_tracer(*self._about))
        return bound[1].start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )


class GlobalTracerProvider(TracerProvider):
    """The global tracer provider. It is an SDK provider by its class, which many libraries require."""

    def __init__(self) -> None:
        super().__init__(sampler=ALWAYS_OFF, resource=Resource.get_empty(), shutdown_on_exit=False)
        self.current: TracerProvider | None = None
        self.later: Later | None = None

    @property
    def resource(self) -> Resource:
        """The resource of the current provider."""
        return self.current.resource if self.current is not None else Resource.get_empty()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return a tracer that follows the active configuration."""
        return SwitchedTracer(self, (instrumenting_module_name, instrumenting_library_version, schema_url, attributes))

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor behind the boundary of the active configuration; without one, log that it gets nothing."""
        if self.current is None:
            _log.warning("a span processor was added while runbundle is not configured; it will be handed nothing")
        else:
            self.current.add_span_processor(span_processor)

    def shutdown(self) -> None:
        """Shut down the current provider."""
        if self.current is not None:
            self.current.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the current provider."""
        return self.current is None or self.current.force_flush(timeout_millis)


class SwitchedLogger(NoOpLogger):
    """A logger that emits each record under the configuration that is active then."""

    def __init__(self, switch: "GlobalLoggerProvider", about: tuple[Any, ...]) -> None:
        super().__init__(*about)
        self._switch = switch
        self._about = about
        self._bound: tuple[LoggerProvider, Logger] | None = None

    def _logger(self) -> Logger | None:
        provider = self._switch.current
        if provider is None:
            return None
        bound = self._bound
        if bound is None or bound[0] is not provider:
            bound = self._bound = (provider, provider.get_logger(*self._about))
        return bound[1]

    def emit(self, record: Any = None, **fields: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - one signature for its two overloads
        """Emit a record under the active configuration, if there is one."""
        logger = self._logger()
        if logger is not None:
            logger.emit(**fields) if record is None else logger.emit(record, **fields)

    def enabled(self, **fields: Any) -> bool:
        """Tell whether a record would be processed."""
        logger = self._logger()
        return logger is not None and logger.enabled(**fields)


class GlobalLoggerProvider(LoggerProvider):
    """The global logger provider. It is an SDK provider by its class."""

    def __init__(self) -> None:
        super().__init__(resource=Resource.get_empty(), shutdown_on_exit=False)
        self.current: LoggerProvider | None = None
        self.later: Later | None = None

    @property
    def resource(self) -> Resource:
        """The resource of the current provider."""
        return self.current.resource if self.current is not None else Resource.get_empty()

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Logger:
        """Return a logger that follows the active configuration."""
        return SwitchedLogger(self, (name, version, schema_url, attributes))

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Add a processor behind the boundary of the active configuration, if there is one."""
        if self.current is not None:
            self.current.add_log_record_processor(log_record_processor)

    def shutdown(self) -> None:
        """Shut down the current provider."""
        if self.current is not None:
            self.current.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the current provider."""
        return self.current is None or self.current.force_flush(timeout_millis)


_tracers: GlobalTracerProvider | None = None
_loggers: GlobalLoggerProvider | None = None


def take_over_tracing(provider: TracerProvider, later: Later | None = None) -> None:
    """Make `provider` the one behind the global tracer provider, unless somebody else's is global.

    `later` is handed providers that others set afterwards.
    """
    global _tracers
    if _tracers is None and is_unset_tracing(trace.get_tracer_provider()):
        _tracers = GlobalTracerProvider()
        trace.set_tracer_provider(_tracers)
        _listen(
            "opentelemetry.trace",
            "TracerProvider",
            "_set_tracer_provider",
            lambda: _tracers is not None and _tracers.current is not None,
            lambda: _tracers.later if _tracers is not None else None,
        )
    if _tracers is not None and trace.get_tracer_provider() is _tracers:
        _tracers.current, _tracers.later = provider, later


def take_over_logging(provider: LoggerProvider, later: Later | None = None) -> None:
    """Make `provider` the one behind the global logger provider, unless somebody else's is global."""
    global _loggers
    if _loggers is None and is_unset_logging(otel_logs.get_logger_provider()):
        _loggers = GlobalLoggerProvider()
        otel_logs.set_logger_provider(_loggers)
        _listen(
            "opentelemetry._logs._internal",
            "LoggerProvider",
            "_set_logger_provider",
            lambda: _loggers is not None and _loggers.current is not None,
            lambda: _loggers.later if _loggers is not None else None,
        )
    if _loggers is not None and otel_logs.get_logger_provider() is _loggers:
        _loggers.current, _loggers.later = provider, later


def is_unset_tracing(provider: Any) -> bool:
    """Tell whether a global tracer provider is only the API's stand-in, or ours."""
    return isinstance(provider, trace.ProxyTracerProvider | GlobalTracerProvider)


def is_unset_logging(provider: Any) -> bool:
    """Tell whether a global logger provider is only the API's stand-in (which has no public name), or ours."""
    kind: Any = provider.__class__
    stands_in = kind.__name__ == "ProxyLoggerProvider" and kind.__module__.startswith("opentelemetry.")
    return stands_in or isinstance(provider, GlobalLoggerProvider)


def disconnect(provider: TracerProvider, loggers: LoggerProvider) -> None:
    """Stop passing calls to these providers, if the global ones do."""
    if _tracers is not None and _tracers.current is provider:
        _tracers.current = _tracers.later = None
    if _loggers is not None and _loggers.current is loggers:
        _loggers.current = _loggers.later = None


def is_led_to(provider: TracerProvider) -> bool:
    """Tell whether our global tracer provider passes calls to `provider`."""
    return _tracers is not None and _tracers.current is provider


def was_replaced() -> bool:
    """Tell whether other code has replaced our global tracer provider, bypassing the API."""
    return _tracers is not None and trace.get_tracer_provider() is not _tracers


def log_refused_provider(kind: str) -> None:
    """Log the consequences of a provider that was set after ours, and the remedy."""
    _log.error(
        "another %s was set after runbundle.configure() had set its own, and OpenTelemetry keeps the first: what was"
        " added to the other one is handed nothing. Set it before configure(), which then joins it; or call"
        " configure(set_global=False)",
        kind,
    )


# -- proxies --------------------------------------------------------------------------------------------------------


def is_proxy(provider: Any, method: str, of: type) -> bool:
    """Tell whether a provider is somebody's own, as Logfire's is, to whose library spans go in any case.

    `method` adds a processor to it; `of` is the SDK's class, whose providers are no proxies.
    """
    return not isinstance(provider, of) and all(
        callable(getattr(provider, name, None)) for name in (method, "force_flush")
    )


def follow(proxy: Any, attach: Callable[[], None]) -> bool:
    """Have `attach` called whenever a proxy is led to another provider; return whether it says when it is.

    Logfire's proxy has `set_provider` for it, which is replaced on this one object.
    """
    lead: Any = getattr(proxy, "set_provider", None)
    if not callable(lead):
        return False

    def lead_and_attach(provider: Any) -> None:
        lead(provider)
        attach()

    try:
        proxy.set_provider = lead_and_attach
    except AttributeError:  # it has no room for it
        return False
    return True


class _Refusals(logging.Filter):
    """Overhears the API's warning that a provider was refused, which does not say whose was first."""

    def __init__(self, kind: str, setter: str, ours: Callable[[], bool], later: Callable[[], Later | None]) -> None:
        super().__init__()
        self._kind, self._setter, self._ours, self._later = kind, setter, ours, later

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, but for that of a provider which is joined."""
        if str(record.msg).startswith(f"Overriding of current {self._kind}") and self._ours():
            later, provider = self._later(), _argument_of(self._setter)
            if later is not None and provider is not None and later(provider):
                return False
            log_refused_provider(self._kind)
        return True


def _argument_of(setter: str) -> Any:
    """Return the provider that the API is refusing, which is on the stack and nowhere else; None if it is not found."""
    frame = inspect.currentframe()
    for _ in range(24):
        if frame is None:
            break
        if frame.f_code.co_name == setter:
            return frame.f_locals.get(setter.removeprefix("_set_"))
        frame = frame.f_back
    return None


def _listen(logger: str, kind: str, setter: str, ours: Callable[[], bool], later: Callable[[], Later | None]) -> None:
    logging.getLogger(logger).addFilter(_Refusals(kind, setter, ours, later))
