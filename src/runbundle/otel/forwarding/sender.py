"""Senders: an exporter of the SDK for one kind of record and one destination, whose outcome is known for each batch."""

import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
from runbundle.otel.forwarding.answers import Kind, may_pass, watched_session
from runbundle.otel.forwarding.forwarder import Pace
from runbundle.otel.forwarding.option import Protocol, url_of
from runbundle.redaction.detectors.known_secrets import KNOWN

KINDS: tuple[Kind, Kind] = ("spans", "logs")

_FAILED = (SpanExportResult.FAILURE, LogRecordExportResult.FAILURE)
_CREDENTIALS = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"
# Every instrumentation looks for it, and the SDK sets it while it exports; there is no public name.
_SUPPRESS: Any = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None)


@dataclass(frozen=True, repr=False)
class Way:
    """How a destination is reached. It has no `repr`: it holds secrets."""

    endpoint: str | None
    """None: that of the environment."""
    protocol: Protocol
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    own_headers: bool = False
    """Whether only `headers` are sent, and none of the environment."""
    timeout_s: float | None = None
    """None: that of the environment."""


class Result(NamedTuple):
    """What became of a batch."""

    refused: dict[str, int]
    """How many items were not delivered, by reason."""
    again: bool = False
    """Whether all of it may be sent again later."""


class Sender:
    """Sends batches of one kind; one thread at a time. Never raises."""

    def __init__(self, kind: Kind, exporter: Any, session: Any, word: str, prepare: Callable[[Any], Any]) -> None:
        """`word`: the reason for a failure of which no session tells more."""
        self.kind: Kind = kind
        self.exporter = exporter
        self._session, self._word, self._prepare = session, word, prepare
        self._changes, self._older = KNOWN.changes, 0

    def send(self, items: Sequence[Any]) -> Result:
        """Send records, as often as the exporter tries within its time-out."""
        self._look_for_secrets(len(items))
        return self._export(items, len(items))

    def _look_for_secrets(self, items: int) -> None:
        """Have records searched that may have been redacted before a secret was known: all that a queue then held."""
        if self._changes != (changes := KNOWN.changes):
            self._changes, self._older = changes, 2 * Pace.of_environment(self.kind).queue
        if self._session is not None:
            self._session.known_at = -1 if self._older > 0 else changes
        self._older -= items

    def send_encoded(self, body: bytes, items: int) -> Result:
        """Send a request that was encoded before, which holds `items` records, once. Over HTTP only.

        Secrets that have become known since are masked in it.
        """
        self._session.body = body
        try:
            return self._export((), items)
        finally:
            self._session.body = None

    def encoded(self, items: Sequence[Any]) -> bytes:
        """Return the request that `send` would send, not compressed. Raises what the encoder raises."""
        prepared = [self._prepare(item) for item in items]
        if self.kind == "spans":
            from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

            return encode_spans(prepared).SerializePartialToString()
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

        return encode_logs(prepared).SerializePartialToString()

    @property
    def retry_after_s(self) -> float:
        """How many seconds the receiver asked to be left alone, in its last answer."""
        return getattr(self._session, "retry_after_s", 0.0)

    def stop(self) -> None:
        """End the exporter; one that waits between two attempts gives up."""
        self.exporter.shutdown()

    def _export(self, items: Sequence[Any], count: int) -> Result:
        session = self._session
        if session is not None:
            session.outcome, session.rejected = "not_encoded", 0
        try:
            with _sending():
                result = self.exporter.export([self._prepare(item) for item in items])
        except Exception:  # noqa: BLE001 - an exporter's fault is not the application's; its text may quote the batch
            return Result({"exporter_failed": count})
        word = getattr(session, "outcome", "")
        if result in _FAILED:
            return Result({word or self._word: count}, may_pass(word))
        rejected = min(count, getattr(session, "rejected", 0))
        return Result({word or "rejected": rejected} if rejected else {}, may_pass(word))


def senders(way: Way, *, whole: bool = False) -> dict[Kind, Sender]:
    """Return senders of spans and of logs. Raises `ConfigError` for limits that are no numbers, and a way that is none.

    Each has a connection of its own. `whole`: the limits of the environment do not cut what is sent.
    """
    limits = (None, None) if whole else (span_limits_of_environment(), log_limits_of_environment())
    prepare = _limited(limits[0]), _limited_logs(limits[1])
    sessions: tuple[Any, Any] = (None, None)
    if way.protocol == "grpc":
        exporters = _quietly(lambda: _grpc(way))
    else:
        own = frozenset(way.headers) if way.own_headers else None
        if not names_credentials():
            sessions = watched_session("spans", own), watched_session("logs", own)
        elif own is not None:
            raise ConfigError(
                "credentials of OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER are for one destination",
                hint="unset it and give headers, or name one URL alone in otlp=",
            )
        exporters = _quietly(lambda: _http(way, sessions))
    _hush_exporters()
    word = "grpc" if way.protocol == "grpc" else "http"
    made = zip(KINDS, exporters, sessions, prepare, strict=True)
    return {kind: Sender(kind, exporter, session, word, ready) for kind, exporter, session, ready in made}


def names_credentials() -> bool:
    """Tell whether the environment names a session of its own for HTTP, on which no outcome is seen."""
    return any(os.environ.get(_CREDENTIALS.format(signal)) for signal in ("", "TRACES_", "LOGS_"))


def _http(way: Way, sessions: tuple[Any, Any]) -> tuple[Any, Any]:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    endpoint = way.endpoint
    common: dict[str, Any] = {"headers": dict(way.headers), "timeout": way.timeout_s}
    traces, logs = (None, None) if endpoint is None else (url_of(endpoint, "traces"), url_of(endpoint, "logs"))
    return (
        OTLPSpanExporter(endpoint=traces, session=sessions[0], **common),
        OTLPLogExporter(endpoint=logs, session=sessions[1], **common),
    )


def _grpc(way: Way) -> tuple[Any, Any]:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    parts = urlsplit(way.endpoint or "")
    if parts.username or parts.password or parts.query:
        raise ConfigError("a URL for gRPC takes no user, password or query", hint="give Otlp(..., headers={...})")
    if parts.path.strip("/"):
        raise ConfigError("a URL for gRPC takes no path", hint='as in "http://localhost:4317"')
    # The exporter takes the headers of the environment where it is given none; a blank line is none that it parses.
    headers: Any = dict(way.headers) or (" " if way.own_headers else None)
    common: Any = {"endpoint": way.endpoint, "headers": headers, "timeout": way.timeout_s}
    return OTLPSpanExporter(**common), OTLPLogExporter(**common)


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


# -- nothing of a response in a log ---------------------------------------------------------------------------------

_on_this_thread = threading.local()
_HEADERS_PARSER = "opentelemetry.util.re"
"""The logger of what reads headers of the environment, which quotes one that is malformed, with its key."""
_log = logging.getLogger("runbundle")


def _quietly(build: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return the exporters that `build` makes. Of headers that are malformed we say so, and nobody quotes them."""
    logging.getLogger(_HEADERS_PARSER).addFilter(_hush)
    _on_this_thread.builds, _on_this_thread.malformed = True, False
    try:
        made = build()
    finally:
        _on_this_thread.builds = False
    if _on_this_thread.malformed:
        _log.warning("OTLP: headers of the environment are malformed and are not sent; write name=value,name=value")
    return made


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
        if record.name == _HEADERS_PARSER and getattr(_on_this_thread, "builds", False):
            _on_this_thread.malformed = True
            return False
        return not getattr(_on_this_thread, "sends", False)


_hush = _Hush()


def _hush_exporters() -> None:
    """Put the filter on the loggers of the exporters and clients that are loaded: filters are not inherited."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("opentelemetry.exporter", "urllib3", "requests", "grpc")):  # these name the URL
            logging.getLogger(name).addFilter(_hush)  # no filter is added twice
