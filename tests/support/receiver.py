"""A real OTLP/HTTP receiver that misbehaves on demand."""

import gzip
import http.server
import threading
import time
from collections import Counter
from typing import Any, Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
    ExportLogsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

HTML = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
Mood = Literal["well", "html", "half", "half_json", "redirect", "drip", "hang", "close", "flood"] | int


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has gone."""


class Receiver:
    """Takes what it is sent, or does what its `mood` says; a number is the status that it answers."""

    def __init__(self, port: int = 0) -> None:
        self.mood: Mood = "well"
        self.retry_after = ""
        self.requests: list[tuple[str, bytes, dict[str, str]]] = []
        """Path, body and headers of each request that it took, whole or in part."""
        self.asked = 0
        """How many requests came, taken or not."""
        self._gone = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.asked += 1
                try:
                    self._answer(body, receiver.mood)
                except OSError:
                    self.close_connection = True

            def _answer(self, body: bytes, mood: Mood) -> None:
                if isinstance(mood, int):
                    self._reply(mood, b"no", **({"retry-after": receiver.retry_after} if receiver.retry_after else {}))
                elif mood == "html":
                    self._reply(200, HTML, **{"content-type": "text/html; charset=utf-8"})
                elif mood == "redirect":
                    self._reply(307, b"", location=f"{receiver.url}/elsewhere")
                elif mood == "flood":
                    self._reply(200, b"x" * 1_000_000)
                elif mood == "hang":
                    while receiver.mood == "hang" and not receiver._gone.wait(0.02):
                        pass  # and then no answer: whoever asked may be gone by then
                    self.close_connection = True
                elif mood == "close":
                    self.close_connection = True
                elif mood == "drip":
                    self.send_response(200)
                    self.send_header("content-length", "100000")
                    self.end_headers()
                    while not receiver._gone.wait(0.02):
                        self.wfile.write(b"x")
                else:
                    receiver.requests.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
                    if mood == "half_json":
                        said = b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"half"}}'
                        self._reply(200, said, **{"content-type": "application/json"})
                    else:
                        half = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1))
                        self._reply(200, half.SerializeToString() if mood == "half" else b"")

            def _reply(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = _Quiet(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def sent(self) -> bytes:
        """All bodies and headers that it took."""
        return b"".join(body + repr(headers).encode() for _, body, headers in self.requests)

    def spans(self) -> list[Any]:
        """Return the spans that it took, in their order, each as often as it came."""
        requests = [ExportTraceServiceRequest.FromString(b) for path, b, _ in self.requests if path == "/v1/traces"]
        scopes = [scope for request in requests for group in request.resource_spans for scope in group.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def logs(self) -> list[Any]:
        """Return the log records that it took."""
        requests = [ExportLogsServiceRequest.FromString(b) for path, b, _ in self.requests if path == "/v1/logs"]
        scopes = [scope for request in requests for group in request.resource_logs for scope in group.scope_logs]
        return [record for scope in scopes for record in scope.log_records]

    def names(self) -> Counter[str]:
        """Return how often a span of each name came."""
        return Counter(span.name for span in self.spans())

    def close(self) -> None:
        """Stop serving; requests that hang end."""
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def wait_until(condition: Any, seconds: float = 15.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
