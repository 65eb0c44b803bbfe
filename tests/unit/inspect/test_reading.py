"""The public API for reading: runs of a store, and what a sealed run says."""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.cli.demo_agent import record
from runbundle.inspect import frames
from runbundle.store import LocalStore, MemoryStore
from tests.support import handmade

Configured = Callable[..., runbundle.Handle]


@pytest.fixture
def demo(tmp_path: Path) -> runbundle.SealedRun:
    """The run of the demo."""
    record(LocalStore(tmp_path / "runs"))
    return runbundle.open_store(tmp_path / "runs").run("@last")


def failing(configured: Configured, **options: Any) -> runbundle.SealedRun:
    """Record a run whose tool raises, two scopes down, with a contract that keeps its message and an argument."""
    rules = [{"selector": "/order", "action": "keep"}, {"selector": "", "target": "error", "action": "keep"}]
    handle = configured(contracts=[{"name": "charge", "data": {"rules": rules}}], **options)

    @runbundle.tool
    def charge(order: str, iban: str) -> None:
        raise ValueError("declined by the bank")

    with pytest.raises(ValueError, match="declined"), runbundle.start_run("checkout", run_id="r-1"):  # noqa: SIM117
        with runbundle.start_agent("helper"), runbundle.start_step("pay"):
            charge("A-1", "DE89")
    handle.flush()
    return runbundle.open_store(handle.store).run("r-1")


def test_runs_of_a_store_are_listed_newest_first_and_filtered(configured: Configured, tmp_path: Path) -> None:
    """By the conditions of ls; as many as are wanted; a run is opened by what its summary says."""
    handle = configured()
    for number in range(5):
        with runbundle.start_run("job", run_id=f"job-{number}", tenant_id="acme" if number == 4 else None):  # noqa: SIM117
            with runbundle.start_tool("odd" if number % 2 else "even"):
                pass
    handle.flush()
    (tmp_path / "store" / "cut-off").mkdir()
    (tmp_path / "store" / "cut-off" / "events.jsonl").write_text("")
    store = runbundle.open_store(tmp_path / "store")
    found = list(store.runs())
    assert [run.run_id for run in found] == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    assert (found[0].key, found[0].tenant_id, found[0].status, found[0].tool_calls) == ("acme/job-4", "acme", "ok", 1)
    assert [run.run_id for run in store.runs(runbundle.RunFilter(tool="odd"))] == ["job-3", "job-1"]
    assert [run.run_id for run in store.runs(limit=2)] == ["job-4", "job-3"]
    assert next(store.runs(runbundle.RunFilter())).problem == "unsealed"
    assert store.run(found[0].key).run_id == store.run("@last").run_id == "job-4"


def test_more_runs_than_a_page_are_each_yielded_once(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page."""
    monkeypatch.setattr("runbundle.inspect.open_store._PAGE", 2)
    handle = configured()
    for number in range(5):
        with runbundle.start_run("job", run_id=f"job-{number}"):
            pass
    handle.flush()
    store = runbundle.open_store(handle.store)
    assert sorted(run.run_id for run in store.runs()) == [f"job-{number}" for number in range(5)]
    assert len(list(store.runs(limit=3))) == 3


def test_a_store_or_run_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(runbundle.StoreUnavailable):
        runbundle.open_store(tmp_path / "nowhere")
    with pytest.raises(runbundle.KeyNotFound):
        runbundle.open_store(MemoryStore()).run("nothing")


def test_a_run_says_what_its_bundle_says(demo: runbundle.SealedRun) -> None:
    """Spans, events, calls, configuration, evidence, and whether it is verified."""
    spans = list(demo.spans())
    assert [span.name for span in spans][:2] == ["run demo", "invoke_agent support"]
    assert spans[0].parent_id is None
    assert spans[1].parent_id == spans[0].span_id
    assert {span.tool for span in spans} == {"", "find_order", "weather", "refund"}
    assert sum(span.tokens_out for span in spans) == 21
    assert [call.tool for call in demo.tool_calls()] == ["find_order", "weather", "refund"]
    assert len(demo.span_events(spans[0].span_id)) == sum(e["span_id"] == spans[0].span_id for e in demo.events())
    assert demo.config["retriever"] == {"index": "handbook", "top_k": 2}
    evidence = demo.evidence()
    assert evidence is not None
    assert len(evidence.retrievals) == 1
    assert (demo.status, demo.name, demo.failure()) == ("ok", "demo", None)
    assert demo.verify().verdict == "verified"
    assert repr(demo) == f"SealedRun({demo.run_id!r}, status='ok')"


def test_what_was_refused_is_among_the_errors(demo: runbundle.SealedRun) -> None:
    """With the decision of policy; a run that went on has no failure."""
    (error,) = demo.errors()
    assert (error.span.tool, error.span.status, error.type) == ("refund", "blocked", "PolicyBlocked")
    assert error.policy["decision"] == "blocked"
    assert error.arguments == {"amount": 49.9, "order_id": "A-1001"}


def test_the_failure_of_a_run_is_the_span_where_it_began(configured: Configured) -> None:
    """With the path to it, the message and arguments that the contract keeps, and the frame that raised."""
    run = failing(configured)
    error = run.failure()
    assert error is not None
    assert error.path == ("run checkout", "invoke_agent helper", "step pay", "execute_tool charge")
    assert (error.type, error.message) == ("ValueError", "declined by the bank")
    assert error.arguments["order"] == "A-1"
    assert "DE89" not in str(error)
    assert error.frames[-1].endswith("in charge")
    assert list(run.errors()) == [error]


def test_the_failure_of_a_run_that_died_is_the_innermost_open_span() -> None:
    """Of those that never ended the last that began."""
    lines = [line for line in handmade.events() if line["type"] in ("run.started", "span.started")]
    store = handmade.build(lines=lines, change=lambda run: run.update(status="incomplete"))
    error = runbundle.open_store(store).run(handmade.KEY).failure()
    assert error is not None
    assert (error.span.span_id, error.span.status, error.span.duration_ns) == (handmade.FETCH, "interrupted", None)
    assert (error.type, error.message, error.frames, error.policy) == ("", "", (), {})


def test_tables_without_their_packages_say_what_to_install(
    demo: runbundle.SealedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line to type."""
    for package in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)
    for method in (demo.to_pandas, demo.to_arrow):
        with pytest.raises(runbundle.ConfigError) as raised:
            method()
        assert "runbundle[pandas]" in raised.value.hint


@pytest.mark.parametrize("table", ["spans", "tool_calls", "events"])
def test_tables_have_a_row_each_and_typed_columns(demo: runbundle.SealedRun, table: Any) -> None:
    """Times are times, numbers are numbers, objects are JSON text."""
    pytest.importorskip("pyarrow")
    made = demo.to_arrow(table)
    assert made.num_rows == len(list(getattr(demo, table)()))
    started = {"spans": "start", "tool_calls": "started_at", "events": "time"}[table]
    assert str(made.schema.field(started).type) == "timestamp[ns, tz=UTC]"
    assert str(made.schema.field("duration_ns").type) == "int64"
    pytest.importorskip("pandas")
    assert len(demo.to_pandas(table)) == made.num_rows


@pytest.mark.parametrize(
    "text", ["2026-11-25T04:56:00.000000001Z", "2026-11-25T04:56:00Z", "2026-11-25T04:56:00+00:00"]
)
def test_times_of_calls_keep_their_nanoseconds(text: str) -> None:
    """Seconds since 1970, and the fraction as it is written."""
    whole = int(datetime.datetime.fromisoformat("2026-11-25T04:56:00+00:00").timestamp()) * 10**9
    assert frames._ns(text) == whole + ("000001Z" in text)


def test_there_are_three_tables(demo: runbundle.SealedRun) -> None:
    """Any other word is an error of ours."""
    with pytest.raises(runbundle.ConfigError):
        frames._rows(demo, "logs")
