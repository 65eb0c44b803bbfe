"""The cost of reading spans of any dialect, and of spans that are of no run. `python -m tests.benchmarks.dialects`.

(a) CPU time of `canonical`, which turns a span into our terms, for each span of each dump in tests/interop/dumps: the
median and the 95th percentile of the dump's spans, of each the best of some rounds. The target is 5 us for the median,
and 1 us for spans of our own and of others that are no agent's. (b) The same of what is asked at each start and end:
whether a span begins a run, its label, and whether it is a guest. (c) CPU time of the calling thread for a span of a
web service without agents: by the bare SDK, and behind the boundary of `configure()`, where it waits until its request
is over and then is forgotten. The target is 3 us, and no file. A boundary where nothing waits counts each span at its
start as outside any run.

Beside each figure stands its ratio to a loop that always does the same, measured in turns with it, and that loop's own
time: where a figure is higher and its ratio is not, the machine was slow. A span is read again and again, so what the
tables remember of the keys of spans is there; of values they remember nothing.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind

import runbundle
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.belonging.span_identity import operation_and_label
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


class Cost(NamedTuple):
    """Microseconds of this thread's CPU time a call, the best of some rounds: of a function, and of the loop."""

    us: float
    same_us: float

    @property
    def ratio(self) -> float:
        """How many times the loop it is."""
        return self.us / self.same_us


def costs_of(*functions: Callable[[], object], rounds: int = ROUNDS, calls: int = CALLS) -> list[Cost]:
    """Measure functions and the loop in turns, so that all meet the same machine."""
    every = (*functions, the_same)
    for function in every:
        function()
    *best, same = (min(one) for one in zip(*[[_us(one, calls) for one in every] for _ in range(rounds)], strict=True))
    return [Cost(us, same) for us in best]


def cost_of(function: Callable[[], object]) -> Cost:
    """Measure a function."""
    return costs_of(function)[0]


def _us(function: Callable[[], object], calls: int) -> float:
    begun = time.thread_time_ns()
    for _ in range(calls):
        function()
    return (time.thread_time_ns() - begun) / calls / 1000


def the_same() -> dict[str, int]:
    """Do some of what tables do: look-ups, and a copy."""
    found = dict(_SAME)
    for key in _SAME:
        if key in found and key.startswith("1"):
            found[key] += 1
    return found


_SAME = {str(number): number for number in range(40)}


def head(what: str) -> None:
    """Print the heads of columns."""
    print(f"\n{what:<40}{'spans':>6}{'median':>8}{'95th':>8}{'ratio':>8}{'loop':>8}")


def show(name: str, *costs: Cost) -> None:
    """Print the line of one kind of spans: microseconds, the median's ratio to the loop, and the loop's own."""
    every = sorted(cost.us for cost in costs)
    ratio, loop = (
        statistics.median(each) for each in zip(*[(cost.ratio, cost.same_us) for cost in costs], strict=True)
    )
    tail = every[min(len(every) * 95 // 100, len(every) - 1)]
    print(f"{name:<40}{len(every):>6}{statistics.median(every):>8.2f}{tail:>8.2f}{ratio:>8.2f}{loop:>8.2f}")


def mapping() -> None:
    """Print the cost of `canonical`, dump by dump."""
    head("canonical: us a span")
    for path in sorted(FOLDER.glob("*.json.gz")):
        costs = [cost_of(lambda record=record: canonical(record)) for record in records_of(path)]
        show(path.name.removesuffix(".json.gz"), *costs)
    served = record_of("GET /orders/{id}", WEB)
    show("of a web service", cost_of(lambda: canonical(served)))


def questions() -> None:
    """Print the cost of what is asked of each span as it starts and ends."""
    head("questions: us a span")
    for name, attributes, scope in (("of our own", OURS, own.SCOPE), ("of a web service", WEB, "web")):
        span = ended(name, attributes, scope)
        show(f"begins_run, {name}", cost_of(partial(begins_run, name, attributes, scope)))
        show(f"operation_and_label, {name}", cost_of(partial(operation_and_label, attributes, scope)))
        show(f"is_guest, {name}", cost_of(lambda span=span: is_guest(span)))


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


def provisional() -> None:
    """Print what spans of a web service cost that has no agents, and which files there are afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        plain = TracerProvider(shutdown_on_exit=False)
        handle = runbundle.configure(store=f"{folder}/store", key=b"a key for benchmarks")
        bare, ours = (provider.get_tracer("web") for provider in (plain, handle.tracer_provider))
        waiting, counting = handle.boundary.membership, Membership()

        def behind(membership: Membership) -> None:
            handle.boundary.membership = membership
            request(ours)

        functions = partial(request, bare), partial(behind, counting), partial(behind, waiting)
        costs = costs_of(*functions, rounds=REQUEST_ROUNDS, calls=REQUESTS)
        handle.flush()
        files = [path.name for path in Path(folder).rglob("*") if path.is_file()]
        handle.shutdown()
    bare_us, counted_us, waited_us = (cost.us / 3 for cost in costs)
    head("a web service without agents: us a span")
    for name, us in (
        ("by the bare SDK", bare_us),
        ("behind a boundary where nothing waits", counted_us),
        ("behind the boundary of configure()", waited_us),
        ("that is more than the bare SDK", waited_us - bare_us),
        ("of that, for waiting", waited_us - counted_us),
    ):
        show(name, Cost(us, costs[0].same_us))
    print(f"files: {', '.join(files) or 'none'}")


def main() -> None:
    """Measure all."""
    mapping()
    questions()
    provisional()


if __name__ == "__main__":
    main()
