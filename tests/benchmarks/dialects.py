"""The cost of reading spans of any dialect, and of spans that are of no run. `python -m tests.benchmarks.dialects`.

(a) CPU time of `canonical`, which turns a span into our terms, for each span of each dump in tests/interop/dumps: the
median and the 95th percentile of the dump's spans, of each the best of some rounds. The target is 5 us for the median,
and 1 us for spans of our own and of others that are no agent's. (b) The same of what is asked at each start and end:
whether a span begins a run, and whether it is a guest. (c) CPU time of the calling thread for a span of a web service
without agents: by the bare SDK, and behind the boundary of `configure()`, where it waits until its request is over and
then is forgotten. The target is 3 us, and no file.

Beside each figure stands its ratio to a loop that always does the same, measured at the same time: where a figure is
higher and its ratio is not, the machine was slow.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind

import runbundle
from runbundle.otel.boundary.guests import is_guest
from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import canonical
from runbundle.signals.operations import begins_run
from tests.interop.dumps import FOLDER, load

ROUNDS, CALLS = 15, 40
REQUESTS, REQUEST_ROUNDS = 400, 25
WEB = {
    "http.request.method": "GET", "url.scheme": "https", "url.path": "/orders/17", "http.route": "/orders/{id}",
    "server.address": "shop.example", "server.port": 443, "http.response.status_code": 200,
    "network.protocol.version": "1.1", "client.address": "192.0.2.1", "user_agent.original": "curl/8.5.0",
}  # fmt: skip
QUERY = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM orders WHERE id = $1", "db.namespace": "shop"}
OURS = {
    semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: "search", semconv.CALL_ID: "c",
    semconv.ARGUMENTS: '{"query":"bundle"}', semconv.RESULT: '{"found":true}',
}  # fmt: skip


def record_of(name: str, attributes: dict[str, Any], **more: Any) -> Any:
    """Return a span's record, as far as a table looks at it."""
    return {
        "name": name, "attributes": attributes, "events": [], "scope": {"name": "s"}, "end_ns": 9,
        "parent_span_id": "1" * 16, "remote_parent": False, **more,
    }  # fmt: skip


def records_of(path: Path) -> list[Any]:
    """Return the records of a dump's spans."""
    return [
        record_of(
            span["name"],
            span["attributes"],
            events=[{**event, "dropped": 0} for event in span["events"]],
            scope=span["scope"],
            end_ns=span["end_ns"],
            parent_span_id=span["parent_span_id"] or "",
            remote_parent=span["remote"],
        )
        for span in load(path)["spans"]
    ]


def calls_us(function: Callable[[], object]) -> float:
    """Return microseconds of this thread's CPU time a call: the best of some rounds."""
    best = 1 << 62
    function()
    for _ in range(ROUNDS):
        begun = time.thread_time_ns()
        for _ in range(CALLS):
            function()
        best = min(best, time.thread_time_ns() - begun)
    return best / CALLS / 1000


def always_the_same() -> dict[str, int]:
    """Do some of what tables do: look-ups, and a copy."""
    found = dict(_SAME)
    for key in _SAME:
        if key in found and key.startswith("1"):
            found[key] += 1
    return found


_SAME = {str(number): number for number in range(40)}


def show(name: str, measured: Iterable[float], same: float) -> None:
    """Print the line of one kind of spans."""
    every = sorted(measured)
    median, tail = statistics.median(every), every[min(len(every) * 95 // 100, len(every) - 1)]
    print(f"{name:<41}{len(every):>6}{median:>8.2f}{tail:>8.2f}{median / same:>9.2f}{same:>7.2f}")


def mapping() -> None:
    """Print the cost of `canonical`, dump by dump."""
    print(f"{'canonical: us a span':<41}{'spans':>6}{'median':>8}{'95th':>8}{'ratio':>9}{'same':>7}")
    for path in sorted(FOLDER.glob("*.json.gz")):
        same = calls_us(always_the_same)
        measured = [calls_us(lambda record=record: canonical(record)) for record in records_of(path)]
        show(path.name.removesuffix(".json.gz"), measured, min(same, calls_us(always_the_same)))
    served = record_of("GET /orders/{id}", WEB)
    show("of a web service", [calls_us(lambda: canonical(served))], calls_us(always_the_same))


def questions() -> None:
    """Print the cost of what is asked of each span as it starts and ends."""
    print(f"\n{'questions: us a span':<41}{'spans':>6}{'median':>8}{'95th':>8}{'ratio':>9}{'same':>7}")
    for name, attributes, scope in (("of our own", OURS, own.SCOPE), ("of a web service", WEB, "web")):
        span = ended(name, attributes, scope)
        same = calls_us(always_the_same)
        show(f"begins_run, {name}", [calls_us(lambda a=attributes, n=name: begins_run(n, a))], same)
        show(f"is_guest, {name}", [calls_us(lambda span=span: is_guest(span))], same)


def ended(name: str, attributes: dict[str, Any], scope: str) -> ReadableSpan:
    """Return a span as processors see it at its end."""
    provider = TracerProvider(shutdown_on_exit=False)
    span: Any = provider.get_tracer(scope).start_span(name, attributes=attributes)
    span.end()
    return span


def request(tracer: Any) -> None:
    """Do what the instrumentations of a web service do for one request: three spans."""
    with tracer.start_as_current_span("GET /orders/{id}", kind=SpanKind.SERVER, attributes=WEB):
        for _ in range(2):
            with tracer.start_as_current_span("SELECT shop", kind=SpanKind.CLIENT, attributes=QUERY):
                pass


def requests_us(tracer: Any) -> float:
    """Return microseconds of this thread's CPU time for a span of some requests."""
    begun = time.thread_time_ns()
    for _ in range(REQUESTS):
        request(tracer)
    return (time.thread_time_ns() - begun) / REQUESTS / 3 / 1000


def provisional() -> None:
    """Print what spans of a web service cost that has no agents, and which files there are afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        plain = TracerProvider(shutdown_on_exit=False)
        handle = runbundle.configure(store=f"{folder}/store", key=b"a key for benchmarks")
        tracers = [plain.get_tracer("web"), handle.tracer_provider.get_tracer("web")]
        rounds: list[list[float]] = [[], []]
        for _ in range(REQUEST_ROUNDS):
            for tracer, took in zip(tracers, rounds, strict=True):
                took.append(requests_us(tracer))
        bare, behind = map(min, rounds)
        handle.flush()
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        handle.shutdown()
    same = calls_us(always_the_same)
    print(f"\n{'a web service without agents: us a span':<41}{'':>6}{'best':>8}{'':>8}{'ratio':>9}{'same':>7}")
    for name, took in (("bare SDK", bare), ("behind the boundary", behind), ("more (target 3)", behind - bare)):
        print(f"{name:<41}{'':>6}{took:>8.2f}{'':>8}{took / same:>9.2f}{same:>7.2f}")
    print(f"files: {', '.join(path.name for path in files) or 'none'}")


def main() -> None:
    """Measure all."""
    mapping()
    questions()
    provisional()


if __name__ == "__main__":
    main()
