"""A web service that sends its spans by OTLP already. We add an import and two lines; each request leaves one bundle.

Needs `pip install fastapi httpx opentelemetry-instrumentation-fastapi opentelemetry-exporter-otlp-proto-http
pydantic-ai-slim`. Runs offline: the receiver of OTLP is in this file, the model is Pydantic AI's test model.
"""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import runbundle

app = FastAPI()
concierge = Agent(TestModel(), name="concierge", instructions="Help the guest.")


@concierge.tool_plain
def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sunny in {city}"


@app.get("/ask")
async def ask(question: str) -> str:
    return (await concierge.run(question)).output


@app.get("/health")
async def health() -> str:
    return "well"


def set_up_telemetry(endpoint: str) -> runbundle.Handle:
    """Do what the service did before; the two lines that we add are numbered."""
    exporter: SpanExporter = OTLPSpanExporter(endpoint)
    exporter = runbundle.RedactingSpanExporter(exporter)  # 1: the backend gets agent spans redacted
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app)
    Agent.instrument_all()
    return runbundle.configure()  # 2: each request with agent work leaves a bundle


class Receiver(BaseHTTPRequestHandler):
    """Stands for a Collector, and keeps what it is sent."""

    received = b""

    def do_POST(self) -> None:
        """Take one request of spans."""
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.received += gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with set_up_telemetry(f"http://127.0.0.1:{server.server_port}/v1/traces") as handle:
        client = TestClient(app)
        for path in ("/health", "/ask?question=rain", "/ask?question=snow"):
            print(f"GET {path}: {client.get(path).json()}")
        handle.tracer_provider.force_flush()
        result = handle.flush()
        handle.tracer_provider.shutdown()
    server.shutdown()
    server.server_close()
    for word in ("execute_tool weather", "/ask?question=rain", "sunny in"):
        print(f"the backend has {word!r}: {word.encode() in Receiver.received}")
    print(f"outside any run: {dict(result.outside_scopes)}")
    print(f"sealed: {', '.join(result.sealed)}")
    print("next: runbundle show @last")
