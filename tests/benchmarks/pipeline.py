"""CPU of the whole pipeline against the bare SDK, as a ratio in one process. `make bench`.

The workload: runs of 31 spans, model calls with 2 KB prompts, tool calls with 1.3 KB payloads. Compared are
(a) the SDK with a no-op exporter behind its BatchSpanProcessor, (b) the SDK with its OTLP/HTTP exporter to a sink on
this machine that runs in a process of its own, and (c) runbundle: record, redact, journal, assemble, seal to disk.
Measured is CPU time of this process, all threads; rounds alternate, and the median of the ratios is printed.
"""

import gc
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import runbundle

PROMPT = json.dumps([{"role": "system", "content": "a" * 900}, {"role": "user", "content": "b" * 1050}])
PAYLOAD = json.dumps({"query": "weather in Bremen", "filters": ["x" * 40] * 20, "limit": 10, "note": "y" * 300})
KEEP = [("/query", "input"), ("/limit", "input"), ("/query", "output")]
RULES = [{"selector": selector, "target": target, "action": "keep"} for selector, target in KEEP]
CONTRACTS = [{"name": "search", "data": {"rules": RULES}}]
RUNS, ROUNDS = 200, 5


class Nothing(SpanExporter):
    """Exports nowhere."""

    def export(self, spans: Any) -> SpanExportResult:
        """Do nothing."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def one_run(tracer: Any, begin: Callable[[], Any]) -> None:
    """Emit one run: a root, 15 model calls and 15 tool calls."""
    with begin():
        for _ in range(15):
            with tracer.start_as_current_span("chat m", attributes={
                "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "p",
                "gen_ai.input.messages": PROMPT,
            }) as span:  # fmt: skip
                span.set_attribute("gen_ai.output.messages", PROMPT)
                span.set_attribute("gen_ai.usage.input_tokens", 500)
                span.set_attribute("gen_ai.usage.output_tokens", 200)
            with tracer.start_as_current_span("execute_tool search", attributes={
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search",
                "gen_ai.tool.call.id": "call_1", "gen_ai.tool.call.arguments": PAYLOAD,
            }) as span:  # fmt: skip
                span.set_attribute("gen_ai.tool.call.result", PAYLOAD)


def bare(exporter: SpanExporter) -> tuple[Callable[[], None], Callable[[], object]]:
    """Return what emits a run through the bare SDK, and what finishes."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    tracer = provider.get_tracer("bench")
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "r"}
    return (
        lambda: one_run(tracer, lambda: tracer.start_as_current_span("invoke_agent r", attributes=attributes)),
        provider.shutdown,
    )


def ours() -> tuple[Callable[[], None], Callable[[], object]]:
    """Return what emits a run through runbundle, and what finishes."""
    handle = runbundle.configure(store=tempfile.mkdtemp(), contracts=CONTRACTS, key=b"a key for benchmarks")
    tracer = handle.tracer_provider.get_tracer("bench")
    return (lambda: one_run(tracer, lambda: runbundle.start_run("r"))), lambda: (handle.flush(), handle.shutdown())


def cpu_of(make: Callable[[], tuple[Callable[[], None], Callable[[], object]]], runs: int) -> float:
    """Return CPU seconds for `runs` runs, with everything that follows from them."""
    emit, finish = make()
    for _ in range(5):
        emit()
    gc.collect()
    started = time.process_time()
    for _ in range(runs):
        emit()
    finish()
    return time.process_time() - started


def serve(port: Any) -> None:
    """Serve a sink that accepts everything."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def memory_of(runs: int) -> tuple[int, int]:
    """Return resident kilobytes after a tenth of `runs` runs and after all of them."""
    handle = runbundle.configure(store=tempfile.mkdtemp(), contracts=CONTRACTS, key=b"a key for benchmarks")
    tracer = handle.tracer_provider.get_tracer("bench")
    early = 0
    for number in range(runs):
        one_run(tracer, lambda: runbundle.start_run("r"))
        if number % 50 == 0:
            handle.flush()
        if number == runs // 10:
            early = resident_kb()
    handle.shutdown()
    return early, resident_kb()


def resident_kb() -> int:
    """Return the resident memory of this process."""
    gc.collect()
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().split("\n") if line.startswith("VmRSS"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sink = multiprocessing.get_context("spawn").Process(target=serve, args=(sender,), daemon=True)
    sink.start()
    endpoint = f"http://127.0.0.1:{receiver.recv()}/v1/traces"
    ratios: list[float] = []
    against_otlp: list[float] = []
    per_span: list[float] = []
    for _ in range(ROUNDS):
        base = cpu_of(lambda: bare(Nothing()), runs)
        otlp = cpu_of(lambda: bare(OTLPSpanExporter(endpoint=endpoint)), runs)
        full = cpu_of(ours, runs)
        ratios.append(full / base)
        against_otlp.append(full / otlp)
        per_span.append(full / runs / 31 * 1e6)
    print(
        f"runbundle / bare SDK:            {statistics.median(ratios):.2f}"
        f"  (target 2.0; {min(ratios):.2f} to {max(ratios):.2f})"
    )
    print(f"runbundle / SDK with OTLP/HTTP:  {statistics.median(against_otlp):.2f}  (target below 1.0)")
    print(f"runbundle, CPU per span:         {statistics.median(per_span):.0f} µs")
    early, late = memory_of(2000)
    print(f"memory after 200 and 2,000 runs: {early / 1024:.1f} MB, {late / 1024:.1f} MB")
    sink.terminate()


if __name__ == "__main__":
    main()
