"""Times and ids that cannot be are said, and no more than they."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.verify_report import VerifyReport
from tests.conftest import sealed
from tests.support.handmade import FETCH, KEY, ROOT, TOOL, build, events

NOW = time.time_ns()
DAY = 86_400 * 10**9
MS = 10**6
BASE = 1_800_000_000_000_000_000


def codes(report: VerifyReport) -> list[str]:
    """Return what was found."""
    return [finding.code for finding in report.findings]


def found(handle: runbundle.Handle, start: Any, end: Any) -> set[str]:
    """Return what verify says of a run with a span of these times."""
    with runbundle.start_run("r"):
        handle.tracer.start_span("x", start_time=start).end(end)
    bundle = sealed(handle)
    report = verify(bundle.store, bundle.key)
    assert report.verdict in ("verified", "incomplete")
    assert bundle.index.completeness.spans_seen == 2
    return set(codes(report))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOW + DAY, NOW + DAY + 1, set()),
        (NOW + DAY, NOW + DAY - 1, {"RB310"}),
        (NOW - DAY, NOW, {"RB310"}),
        (NOW // 10**6, NOW // 10**6 + 500, {"RB310"}),
        (NOW // 10**3, NOW // 10**3 + 500, {"RB310"}),
        (NOW + 10**18, NOW + 10**18 + 5, {"RB310"}),
        (0, 1, {"RB310"}),
        (-5, -4, {"RB310", "RB311"}),
        (2**64, NOW + DAY, {"RB310", "RB311"}),
        (float(NOW + DAY), float(NOW + DAY), {"RB311"}),
        (time.time(), time.time() + 1, {"RB310", "RB311"}),
    ],
    ids=[
        "ahead", "backwards", "long", "in ms", "in us", "far ahead", "1970", "before 1970", "too large", "float",
        "in seconds",
    ],
)  # fmt: skip
def test_an_impossible_time_of_a_span_is_a_finding(
    configured: Callable[..., runbundle.Handle], start: Any, end: Any, expected: set[str]
) -> None:
    """The span is there, the run is sealed, and what cannot be is a finding; a time yet to come is none."""
    assert found(configured(), start, end) == expected


def moved(**times: int) -> list[dict[str, Any]]:
    """Return the run made by hand with some spans begun at other times, in canonical order."""
    names = {ROOT: "root", TOOL: "tool", FETCH: "fetch"}
    lines = [
        line | {"time_ns": str(BASE + times[names[line["span_id"]]])}
        if line["type"] == "span.started" and names[line["span_id"]] in times
        else line
        for line in events()
    ]
    ranks = {"run.started": 0, "span.started": 1, "span.ended": 4, "run.ended": 5}
    lines.sort(key=lambda e: (int(e["time_ns"]), e["span_id"], ranks.get(e["type"], 2)))
    return [line | {"seq": number} for number, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("earlier_ns", "more", "said"),
    [
        (MS // 2, {"lane": "run:r"}, []),
        (2 * MS, {"lane": "run:r"}, ["RB310"]),
        (2 * MS, {}, []),
        (2 * MS, {"lane": "run:r", "joined": "signed"}, []),
        (2000 * MS, {}, ["RB310"]),
    ],
)
def test_the_clocks_of_two_machines_may_differ_by_more_than_one_clock_does(
    earlier_ns: int, more: dict[str, Any], said: list[str]
) -> None:
    """Within a process a child may begin a millisecond before its parent; over a border, a second."""
    lines = moved(tool=-earlier_ns)
    lines = [line | more if line["span_id"] == TOOL and line["type"] == "span.started" else line for line in lines]
    assert codes(verify(build(lines=lines), KEY)) == said


def test_a_child_that_ends_before_its_parent_begins_is_a_finding() -> None:
    """Even if it began only a little before."""
    lines = moved(root=45)
    for line in lines:
        if line["type"] == "span.ended" and line["span_id"] == TOOL:
            line["parent_span_id"] = ROOT
            line["attributes"]["runbundle.lane"] = "run:r"
    assert "RB310" in codes(verify(build(lines=lines), KEY))


class Zeros(IdGenerator):
    """Gives one trace, and no span an id."""

    def generate_span_id(self) -> int:
        return 0

    def generate_trace_id(self) -> int:
        return 5


def test_an_id_of_zero_is_a_finding(configured: Callable[..., runbundle.Handle]) -> None:
    """A generator that gives zeros costs no run its seal."""
    handle = configured(tracer_provider=TracerProvider(id_generator=Zeros(), shutdown_on_exit=False))
    with runbundle.start_run("r"):
        pass
    assert "RB310" in codes(verify(handle.store, sealed(handle).key))


def test_records_that_are_forwarded_are_typed_too(configured: Callable[..., runbundle.Handle]) -> None:
    """An exporter is handed times and kinds that it can write, so that one span does not cost it a batch."""
    handle, kept = configured(), InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(kept))
    handle.tracer.start_span("x", kind="?", start_time=float(NOW)).end("soon")  # type: ignore[arg-type] # the point
    (span,) = kept.get_finished_spans()
    assert (span.start_time, span.end_time, span.kind.value) == (int(float(NOW)), int(float(NOW)), 0)


class Unnameable:
    """Cannot even be asked for its class."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise RuntimeError


def test_a_span_of_which_no_record_can_be_made_costs_itself_alone(
    configured: Callable[..., runbundle.Handle], caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, the bundle says so, and the run ends."""
    handle = configured()
    with caplog.at_level(logging.CRITICAL), runbundle.start_run("r"):
        span = handle.tracer.start_span("x")
        span.update_name(Unnameable())  # type: ignore[arg-type] # the point
        span.end()
    result = handle.flush()
    assert result.dropped == {"boundary_end": 1}
    completeness = Bundle.open(handle.store, result.sealed[0]).index.completeness
    assert (completeness.state, completeness.dropped) == ("lossy", {"journal": 1})
    assert verify(handle.store, result.sealed[0]).verdict == "incomplete"


def test_a_run_whose_span_begins_after_its_end_and_never_ends_is_sealed(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """The run's own span is over, another begins at once and stays open: the run does not wait for it for ever."""
    handle = configured(grace_s=0.05)
    for _ in range(5):
        scope = runbundle.start_run("r").start()
        scope.span.end()
        handle.tracer.start_span("late", scope.context)
    result = handle.flush()
    assert (len(result.sealed), result.failed) == (5, {})
