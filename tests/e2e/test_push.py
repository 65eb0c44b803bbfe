"""`runbundle push --otlp`: a backend gets what a bundle holds, under its own ids and times, and loss is said."""

import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import Link, SpanContext

import runbundle
from runbundle.cli.commands import transfers
from runbundle.cli.main import group
from runbundle.otel.forwarding import reemit
from tests.conftest import left_open, sealed
from tests.support.receiver import Receiver

Configured = Callable[..., runbundle.Handle]
TOKEN = "tok-7ab2f1c9-canary-header"


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Two receivers."""
    made = [Receiver(), Receiver()]
    yield made
    for one in made:
        one.close()


def call(*arguments: str) -> Result:
    """Run a command on the store of the test."""
    return CliRunner().invoke(group, [*arguments, "--store", "store"], catch_exceptions=False)


def recorded(configured: Configured, run_id: str = "whole", spans: int = 1, **options: Any) -> str:
    """Seal a run; return its key."""
    handle = configured(**options)
    with runbundle.start_run("r", run_id=run_id) as run:
        run.score("quality", 0.5)
        for number in range(spans):
            with runbundle.start_tool("f", {"number": number}):
                pass
        link = Link(SpanContext(7, 8, is_remote=False), {"gen_ai.tool.name": "g"})
        handle.tracer_provider.get_tracer("lib", "1.2").start_span("chat", links=[link]).end()
        handle.logger_provider.get_logger("t").emit(
            body="x", event_name="gen_ai.choice", severity_number=SeverityNumber.INFO, timestamp=time.time_ns()
        )
        with pytest.raises(ValueError, match="no"), runbundle.start_tool("bad"):
            raise ValueError("no")
    key = sealed(handle).key
    handle.shutdown()
    return key


def told(span: Any) -> dict[str, Any]:
    """Return what a span says, without what a bundle does not hold."""
    attributes = {a.key: str(a.value) for a in span.attributes}
    events = [(e.name, e.time_unix_nano, sorted((a.key, str(a.value)) for a in e.attributes)) for e in span.events]
    return {
        "trace": span.trace_id, "parent": span.parent_span_id, "name": span.name, "from": span.start_time_unix_nano,
        "to": span.end_time_unix_nano, "status": span.status.code, "events": events,
        "links": [(link.trace_id, link.span_id, sorted(a.key for a in link.attributes)) for link in span.links],
        "flags": span.flags, "attributes": attributes,
    }  # fmt: skip


def test_a_backend_gets_by_push_what_it_would_have_got_by_forwarding(
    configured: Configured, receivers: list[Receiver]
) -> None:
    """The same spans, span by span, under the same ids; and the log record. (Of an error a bundle has one message.)"""
    live, pushed = receivers
    key = recorded(configured, otlp=[live.url])
    done = call("push", key, "--otlp", pushed.url)
    assert (done.exit_code, f"5 of 5 records delivered to 127.0.0.1:{pushed.port}" in done.output) == (0, True)
    before, after = ({span.span_id: told(span) for span in one.spans()} for one in receivers)
    assert before == after
    assert len(after) == 4
    log, again = live.logs()[0], pushed.logs()[0]
    assert log.time_unix_nano == again.time_unix_nano
    assert (log.trace_id, log.span_id, log.severity_number) == (again.trace_id, again.span_id, again.severity_number)
    assert (log.event_name, log.body) == (again.event_name, again.body)


def test_it_may_be_sent_again(configured: Configured, receivers: list[Receiver]) -> None:
    """The same bytes: a backend that merges by ids has the run once."""
    key = recorded(configured)
    for one in receivers:
        assert call("push", key, "--otlp", one.url).exit_code == 0
    first, second = ([body for _, body, _ in one.requests] for one in receivers)
    assert first == second


def test_several_runs_are_sent_and_json_says_what_became_of_each(
    configured: Configured, receivers: list[Receiver]
) -> None:
    """One document."""
    for run_id in ("one", "two"):
        recorded(configured, run_id)
    done = call("push", "one", "two", "--otlp", receivers[0].url, "--format", "json")
    runs = json.loads(done.stdout)["runs"]
    assert [(run["key"], run["outcome"], run["delivered"]) for run in runs] == [
        ("one", "delivered", 5), ("two", "delivered", 5)
    ]  # fmt: skip


def test_requests_are_bounded_and_progress_is_told(
    configured: Configured, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In number and bytes, whatever the run."""
    key = recorded(configured, spans=1200)
    clock = iter(range(0, 10_000, 11))
    monkeypatch.setattr(transfers, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    done = call("push", key, "--otlp", receivers[0].url)
    assert done.exit_code == 0, done.output
    assert "whole: 512 records of 1204 records" in done.stderr
    assert sorted(len(body) > 0 for _, body, _ in receivers[0].requests) == [True] * 4
    monkeypatch.setattr(reemit, "MOST_BYTES", 20_000)
    receivers[0].requests.clear()
    assert call("push", key, "--otlp", receivers[0].url).exit_code == 0
    assert len(receivers[0].requests) > 20
    assert len({span.span_id for span in receivers[0].spans()}) == len(receivers[0].spans()) == 1203


def test_memory_does_not_grow_with_the_run(configured: Configured, tmp_path: Path) -> None:
    """Four times the run takes no more, but for what sorting may hold."""
    peaks: list[int] = []
    for spans in (1000, 4000):
        key = recorded(configured, f"n{spans}", spans=spans)
        bundle = runbundle_open(tmp_path / "store", key)
        backend = reemit.Backend("http://127.0.0.1:9", {}, 1.0)
        for sender in backend._senders.values():
            sender.exporter.export = lambda batch: len(batch) and None
        tracemalloc.start()
        backend.push(bundle, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4000 * 2500  # the sorter holds lines up to 16 MiB, and no span is held beyond a batch


def runbundle_open(store: Path, key: str) -> Any:
    """Open a bundle of a local store."""
    from runbundle.bundle.reader import Bundle
    from runbundle.store import LocalStore

    return Bundle.open(LocalStore(store), key)


@pytest.mark.parametrize(
    ("mood", "code", "outcome", "refused"),
    [
        ("half", 1, "rejected", {"rejected": 2}), (401, 5, "undelivered", {"http_401": 4}),
        ("html", 5, "undelivered", {"not_otlp": 4}), ("hang", 5, "undelivered", {"timeout": 4}),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_shown_as_loss(
    mood: Any, code: int, outcome: str, refused: dict[str, int], configured: Configured, receivers: list[Receiver]
) -> None:
    """With an exit code, and a word for it; after a request that was refused as a whole nothing is sent."""
    key = recorded(configured)
    receivers[0].mood = mood
    arguments = ("push", key, "--otlp", receivers[0].url, "--timeout", "0.5")
    done = call(*arguments, "--format", "json")
    run = json.loads(done.stdout)["runs"][0]
    assert (done.exit_code, run["outcome"], run["refused"]) == (code, outcome, refused)
    shown = call(*arguments)
    assert (shown.exit_code, f"not taken: {next(iter(refused))}" in shown.output) == (code, True)


def test_a_receiver_that_is_not_there_is_said(configured: Configured) -> None:
    """With exit code 5, and the reason."""
    done = call("push", recorded(configured), "--otlp", "http://127.0.0.1:9", "--timeout", "0.5")
    assert (done.exit_code, "connection_refused" in done.output) == (5, True)


def test_only_a_bundle_that_is_as_it_was_sealed_is_sent(
    configured: Configured, receivers: list[Receiver], tmp_path: Path
) -> None:
    """A damaged one is refused with its finding, an unsealed one is left; the others are sent."""
    for run_id in ("good", "bad", "open"):
        recorded(configured, run_id)
    events = tmp_path / "store" / "bad" / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-1] + b" ")
    (tmp_path / "store" / "open" / "run.json").unlink()
    url = receivers[0].url
    done = call("push", "good", "bad", "--otlp", url)
    assert (done.exit_code, "RB201" in done.output, "5 of 5 records delivered" in done.output) == (4, True, True)
    assert call("push", str(tmp_path / "store" / "open"), "--otlp", url).exit_code == 3
    assert call("push", "nope", "good", "--otlp", url).exit_code == 2
    assert len(receivers[0].spans()) == 4


def test_a_span_that_never_ended_says_so(configured: Configured, receivers: list[Receiver]) -> None:
    """It ends where it began."""
    handle = configured(grace_s=0.05)
    with runbundle.start_run("r"):
        left_open(lambda: runbundle.start_tool("never", {"a": 1}))
    key = sealed(handle).key
    assert call("push", key, "--otlp", receivers[0].url).exit_code == 0
    never = next(span for span in receivers[0].spans() if "never" in span.name)
    said = {a.key: a.value.string_value for a in never.attributes}
    assert never.start_time_unix_nano == never.end_time_unix_nano
    assert said["runbundle.status"] == "interrupted"


def test_headers_go_to_the_receiver_and_are_shown_nowhere(
    configured: Configured, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the command line and of the environment."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-env={TOKEN}")
    key = recorded(configured)
    arguments = ("push", key, "--otlp", receivers[0].url, "--header", f"X-Own={TOKEN}")
    done = call(*arguments)
    assert done.exit_code == 0
    headers = receivers[0].requests[0][2]
    assert (headers["x-own"], headers["x-env"]) == (TOKEN, TOKEN)
    receivers[0].mood = 403
    bad = call("push", key, "--otlp", receivers[0].url, "--header", TOKEN)
    assert bad.exit_code == 2
    assert TOKEN not in done.output + bad.output + call(*arguments).output + call(*arguments, "--format", "json").output


def test_what_makes_no_sense_is_refused_as_usage(configured: Configured) -> None:
    """A run without a place to go to, a header without a receiver, a URL that is none."""
    recorded(configured, "one")
    for arguments in (["one"], ["one", "two", "three"], ["one", "there", "--header", "a=b"], ["one", "--otlp", "x:1"],
                      ["one", "--otlp", "http://127.0.0.1:9", "--timeout", "-1"]):  # fmt: skip
        done = CliRunner().invoke(group, ["push", *arguments, "--store", "store"])
        assert done.exit_code == 2, (arguments, done.output)


def test_the_run_goes_on_being_sent_while_others_record(configured: Configured, receivers: list[Receiver]) -> None:
    """A push beside a process that records takes no lock of the store."""
    key = recorded(configured)
    handle = configured()
    stop = threading.Event()

    def record() -> None:
        while not stop.is_set():
            with runbundle.start_run("beside"):
                time.sleep(0.001)

    thread = threading.Thread(target=record)
    thread.start()
    done = call("push", key, "--otlp", receivers[0].url)
    stop.set()
    thread.join()
    handle.flush()
    assert done.exit_code == 0
