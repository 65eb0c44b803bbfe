"""What a receiver answers over HTTP, as one word of ours: its own words may quote what it was sent.

The SDK's exporters say only whether a batch was delivered. They take a redirection and a page of HTML for a success,
do not read a partial success, and read a body for as long as it drips. A session of ours, which they are given, sees
all of that.
"""

import gzip
import os
import time
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from runbundle.otel.forwarding.late_secrets import Kind, without_known_secrets
from runbundle.redaction.detectors.known_secrets import KNOWN

ALL = 1 << 31
"""More than any batch holds: none of it was taken."""
_MOST_BYTES = 65_536
"""Of an answer; no answer of the protocol is longer."""
_PAGE = ("text/html", "application/xhtml")
_OF_PROTOCOL = frozenset({"content-type", "content-encoding", "user-agent"})
_MAY_PASS = frozenset({"timeout", "tls", "proxy", "connection", "connection_refused", "not_otlp"})
_MAY_PASS_CODES = frozenset({"429", "502", "503", "504"})


def may_pass(word: str) -> bool:
    """Tell whether a batch that met this is worth sending again later: its receiver was away, or did not say no.

    Of statuses these are the four that OTLP calls retryable, and redirections. Whatever else a receiver refuses, it
    would refuse again.
    """
    return word in _MAY_PASS or (word.startswith("http_") and (word[5:] in _MAY_PASS_CODES or word[5] == "3"))


def watched_session(kind: Kind, own_headers: Collection[str] | None = None) -> Any:
    """Return a `requests.Session` that notes the outcome of its last request.

    `own_headers`: names, in lower case, of the only headers that are sent besides those of the protocol; by default all
    that the exporter has, also from the environment.
    """
    import requests
    from requests.adapters import HTTPAdapter

    class Session(requests.Session):
        outcome = ""
        """Why the last request did not deliver its batch; empty if it did."""
        rejected = 0
        """How many of the batch a receiver that took the request did not take."""
        body: bytes | None = None
        """What is sent instead of what the exporter has encoded. Then there is one attempt: its caller comes again."""
        retry_after_s = 0.0
        """How long the receiver asked to be left alone."""
        known_at = KNOWN.changes
        """The count of `KNOWN` since which no secret became known that could be in what is sent."""
        _pid = os.getpid()

        def request(self, method: str, url: str, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            self.rejected, self.retry_after_s = 0, 0.0
            if self._pid != os.getpid():  # the parent's connections are the parent's
                self._pid = os.getpid()
                self.mount("https://", HTTPAdapter())
                self.mount("http://", HTTPAdapter())
            headers: Mapping[str, str] = kwargs.get("headers") or {}
            if own_headers is not None:
                headers = {k: v for k, v in headers.items() if k.lower() in _OF_PROTOCOL or k.lower() in own_headers}
            deadline = time.monotonic() + (kwargs.get("timeout") or 10.0)
            try:
                if self.body is not None or self.known_at != KNOWN.changes:
                    kwargs["data"] = _without_known_secrets(kind, self.body, kwargs.get("data"), headers)
                kwargs |= {"headers": dict(headers), "stream": True}
                response = super().request(method, url, **kwargs)
                self._note(response, deadline)
            except Exception as error:  # noqa: BLE001 - it goes on to the exporter
                self.outcome = failure_reason(error)
                raise (_Once() if self.body is not None else error) from None
            if self.body is not None and self.outcome:
                raise _Once
            return response

        def get_redirect_target(self, resp: Any) -> None:
            """Follow nothing: the data were meant for the address that was given."""
            del resp

        def _note(self, response: Any, deadline: float) -> None:
            code = response.status_code
            after = response.headers.get("retry-after", "")
            self.retry_after_s = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0.0
            self.outcome = "" if 200 <= code < 300 else f"http_{code}"
            if self.outcome:
                response.close()
                self.rejected = ALL if 300 <= code < 400 else 0  # which the exporter takes for a success
                return
            body = _read(response, deadline)
            kind_of_body = response.headers.get("content-type", "").lower()
            if _is_page(kind_of_body, body):
                self.outcome, self.rejected = "not_otlp", ALL
            elif body:
                self.rejected = rejected_in(kind, kind_of_body, body)

    return Session()


class _Once(Exception):
    """Ends an exporter's attempts: it tries again only after errors of a connection."""


def _read(response: Any, deadline: float) -> bytes:
    """Return the body of a response, up to a byte more than an answer has. Raises `Timeout` at the deadline."""
    import requests

    body = b""
    read = getattr(response.raw, "read1", response.raw.read)  # what has come, not all that was asked for
    while len(body) <= _MOST_BYTES:
        chunk = read(_MOST_BYTES + 1 - len(body), decode_content=True)
        if not chunk:
            return body
        body += chunk
        if time.monotonic() > deadline:
            response.close()
            raise requests.exceptions.Timeout
    response.close()
    return body


def _is_page(content_type: str, body: bytes) -> bool:
    """Tell whether an answer is a page for people, such as that of a proxy or a login, and not a receiver's."""
    begins = body[:64].lstrip().lower()
    return content_type.startswith(_PAGE) or begins.startswith((b"<!doctype", b"<html")) or len(body) > _MOST_BYTES


def _without_known_secrets(kind: Kind, kept: bytes | None, made: Any, headers: Mapping[str, str]) -> Any:
    """Return what to send: `kept`, which is not compressed, else what was `made`, which is as the headers say."""
    encoding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
    body = kept if kept is not None else _whole(made, encoding)
    masked = without_known_secrets(kind, body)
    if kept is None and masked is body:
        return made
    return gzip.compress(masked) if encoding == "gzip" else zlib.compress(masked) if encoding == "deflate" else masked


def _whole(data: bytes, encoding: str) -> bytes:
    return gzip.decompress(data) if encoding == "gzip" else zlib.decompress(data) if encoding == "deflate" else data


def failure_reason(error: BaseException) -> str:
    """Return one word for the error that a request met; its text is not used, as it may quote headers or the URL."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return "tls"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "connection_refused" if _is_refused(error) else "connection"
    if isinstance(error, urllib3.exceptions.HTTPError | OSError) and not isinstance(
        error, requests.exceptions.RequestException
    ):
        return "connection"  # while the body was read
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


def rejected_in(kind: Kind, content_type: str, body: bytes) -> int:
    """Return how many items an answer says were not taken: its `partial_success`, in protobuf or in JSON.

    0 for what is no answer of the protocol: then the status counts. Total.
    """
    name = "rejectedSpans" if kind == "spans" else "rejectedLogRecords"
    try:
        if content_type.startswith("application/json"):
            return max(0, int(orjson.loads(body)["partialSuccess"][name]))
        if kind == "spans":
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
                ExportTraceServiceResponse,
            )

            return max(0, int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans))
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
            ExportLogsServiceResponse,
        )

        return max(0, int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records))
    except Exception:  # noqa: BLE001 - not the answer that the protocol has: the status is what counts then
        return 0
