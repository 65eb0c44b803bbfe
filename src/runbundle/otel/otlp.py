"""Builds the OTLP exporters of `configure(otlp=...)`, behind forwarders that see the outcome of each batch."""

import logging
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from runbundle.errors import ConfigError
from runbundle.otel.boundary.limits import (
    Limits,
    limited_attributes,
    limited_span,
    log_limits_of_environment,
    span_limits_of_environment,
)
from runbundle.otel.forwarding import (
    Forwarder,
    ForwardingLogProcessor,
    ForwardingSpanProcessor,
    Kind,
    Pace,
)

_FAILED = (SpanExportResult.FAILURE, LogRecordExportResult.FAILURE)
# Every instrumentation looks for it, and the SDK sets it while it exports; there is no public name.
_SUPPRESS: Any = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None)


def otlp_processors(endpoint: str | None) -> tuple[ForwardingSpanProcessor, ForwardingLogProcessor]:
    """Return processors that send redacted spans and logs to `endpoint`, or to that of the environment.

    Raises `ConfigError` for a protocol that is not supported, and for limits that are no numbers.
    """
    span_limits, log_limits = span_limits_of_environment(), log_limits_of_environment()
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").strip().lower()
    spans: Any
    logs: Any
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans

        spans, logs = GrpcSpans(endpoint=endpoint), GrpcLogs(endpoint=endpoint)
        sessions: dict[Kind, Any] = {"spans": None, "logs": None}
    elif protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = None if endpoint is None else endpoint.rstrip("/").removesuffix("/v1/traces")
        sessions = {"spans": _watched_session("TRACES"), "logs": _watched_session("LOGS")}
        spans = OTLPSpanExporter(endpoint=None if base is None else f"{base}/v1/traces", session=sessions["spans"])
        logs = OTLPLogExporter(endpoint=None if base is None else f"{base}/v1/logs", session=sessions["logs"])
    else:
        raise ConfigError(
            f"OTLP protocol {protocol!r} is not supported",
            hint="set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or grpc",
        )
    _hush_exporters()
    reason = "grpc" if protocol == "grpc" else "http"
    return (
        ForwardingSpanProcessor(_forwarder("spans", spans, sessions["spans"], reason, _limited(span_limits)), spans),
        ForwardingLogProcessor(_forwarder("logs", logs, sessions["logs"], reason, _limited_logs(log_limits)), logs),
    )


def _forwarder(kind: Kind, exporter: Any, session: Any, reason: str, prepare: Callable[[Any], Any]) -> Forwarder:
    def send(batch: Sequence[Any]) -> dict[str, int]:
        if session is not None:
            session.outcome, session.rejected = "not_encoded", 0
        try:
            with _sending():
                result = exporter.export([prepare(item) for item in batch])
        except Exception:  # noqa: BLE001 - an exporter's fault is not the application's; its text may quote the batch
            return {"exporter_failed": len(batch)}
        if result in _FAILED:
            return {getattr(session, "outcome", "") or reason: len(batch)}
        rejected = min(len(batch), getattr(session, "rejected", 0))
        return {getattr(session, "outcome", "") or "rejected": rejected} if rejected else {}

    return Forwarder(kind, send, exporter.shutdown, Pace.of_environment(kind))


def _limited(limits: Limits | None) -> Callable[[Any], Any]:
    return (lambda span: span) if limits is None else lambda span: limited_span(span, limits)


def _limited_logs(limits: Limits | None) -> Callable[[Any], Any]:
    def prepare(log: Any) -> Any:
        if limits is not None:
            record = log.log_record
            record.attributes = limited_attributes(
                record.attributes, log.dropped_attributes, limits.attributes, limits.chars
            )
        return log

    return prepare


# -- what a request met ---------------------------------------------------------------------------------------------


def _watched_session(signal: str) -> Any:
    """Return a session that notes the outcome of its last request; None where the environment names one of its own."""
    for variable in ("CREDENTIAL_PROVIDER", f"{signal}_CREDENTIAL_PROVIDER"):
        if os.environ.get(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{variable}"):
            return None
    import requests

    class Session(requests.Session):
        outcome = ""
        """Why the last request did not deliver its batch; empty if it did."""
        rejected = 0
        """How many of the batch a receiver that took the request did not take."""

        def request(self, *args: Any, **kwargs: Any) -> Any:
            self.rejected = 0
            try:
                response = super().request(*args, **kwargs)
            except Exception as error:
                self.outcome = failure_reason(error)
                raise
            code = response.status_code
            self.outcome = "" if 200 <= code < 300 else f"http_{code}"
            if 300 <= code < 400:
                self.rejected = 1 << 31  # the exporter takes a redirection for a success
            elif self.outcome == "" and response.content:
                self.rejected = _rejected(signal, response.content)
            return response

    return Session()


def failure_reason(error: BaseException) -> str:
    """Return one word for the error that a request met; its text is not used, as it may quote headers or the URL."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "timeout"
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "connection_refused" if _is_refused(error) else "connection"
    return "request"


def _is_refused(error: object) -> bool:
    """Look for the system's own error beneath what two libraries have put around it."""
    seen: list[Any] = [error]
    for cause in seen:
        if isinstance(cause, ConnectionRefusedError):
            return True
        if isinstance(cause, BaseException) and len(seen) < 20:
            seen += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return False


def _rejected(signal: str, body: bytes) -> int:
    """Return how many items a response says were not taken: `partial_success`, which the exporters do not read."""
    try:
        if signal == "TRACES":
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
                ExportTraceServiceResponse,
            )

            return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
            ExportLogsServiceResponse,
        )

        return int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records)
    except Exception:  # noqa: BLE001 - not the answer that the protocol has: the status is what counts then
        return 0


# -- nothing of a response in a log ---------------------------------------------------------------------------------

_on_this_thread = threading.local()


@contextmanager
def _sending() -> Generator[None]:
    """Mark this thread as sending for us: instrumentations make no spans of it, and the exporter says nothing."""
    token = otel_context.attach(otel_context.set_value(_SUPPRESS, True)) if _SUPPRESS else None
    _on_this_thread.sends = True
    try:
        yield
    finally:
        _on_this_thread.sends = False
        if token is not None:
            otel_context.detach(token)


class _Hush(logging.Filter):
    """Drops what an exporter logs while it sends for us: it quotes the receiver's words and the text of errors.

    The same exporters of the application, on other threads, go on logging. What ours met is logged by its forwarder.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let pass what is not about our sending."""
        del record
        return not getattr(_on_this_thread, "sends", False)


_hush = _Hush()


def _hush_exporters() -> None:
    """Put the filter on the loggers of the exporters that are loaded: filters are not inherited."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("opentelemetry.exporter"):
            logging.getLogger(name).addFilter(_hush)  # no filter is added twice
