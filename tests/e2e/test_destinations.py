"""Several destinations: each has what it is due, whatever the others do; an outage loses nothing that fits on disk."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.errors import ConfigError
from runbundle.otel.forwarding import disk_queue, redelivery
from runbundle.otel.forwarding.sender import Way, senders
from runbundle.otel.inspection.canaries import CONTRACT, RESOURCE, found_in, plant_logs, plant_spans
from runbundle.otel.inspection.leak_check import check_application
from tests.conftest import all_bytes
from tests.support.receiver import Receiver, wait_until

Configured = Callable[..., runbundle.Handle]
TOKEN = "tok-9f3b7c21-canary-header"
PASSWORD = "pw-5d1e8a44-canary-url"
QUERY = "qu-77c2e0b5-canary-query"


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Two receivers."""
    made = [Receiver(), Receiver()]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def receiver(receivers: list[Receiver]) -> Receiver:
    """One receiver."""
    return receivers[0]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redelivery, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(redelivery, "LONGEST_PAUSE_S", 0.2)


def one_run(name: str = "r") -> None:
    """Record a run of two spans."""
    with runbundle.start_run(name), runbundle.start_tool("f"):
        pass


def test_each_destination_has_all_of_it_and_counts_of_its_own(
    configured: Configured, receivers: list[Receiver]
) -> None:
    """One takes everything, the other refuses."""
    well, ill = receivers
    ill.mood = 400
    handle = configured(otlp=[well.url, runbundle.Otlp(ill.url, timeout_s=3)])
    one_run()
    handle.logger_provider.get_logger("t").emit(body="x")
    result = handle.flush()
    assert result.refused == {"http_400": 3}
    assert result.destinations == {
        f"127.0.0.1:{well.port}": runbundle.Delivery(delivered=3),
        f"127.0.0.1:{ill.port}": runbundle.Delivery(refused={"http_400": 3}),
    }
    assert (len(well.spans()), len(well.logs()), bool(result), len(result.sealed)) == (2, 1, False, 1)


@pytest.mark.alone
@pytest.mark.parametrize("mood", ["hang", "drip"])
def test_one_that_is_slow_holds_up_neither_the_others_nor_the_agent_nor_the_seal(
    mood: Any, configured: Configured, receivers: list[Receiver]
) -> None:
    """The run is sealed, and the other has it, while the first still waits for an answer."""
    slow, well = receivers
    slow.mood = mood
    handle = configured(otlp=[runbundle.Otlp(slow.url, timeout_s=30), runbundle.Otlp(well.url)])
    began = time.monotonic()
    one_run()
    assert time.monotonic() - began < 1
    result = handle.flush(timeout_s=1)
    assert len(result.sealed) == 1
    assert result.destinations[f"127.0.0.1:{well.port}"].delivered == 2
    assert result.destinations[f"127.0.0.1:{slow.port}"].unsent == 2
    handle.shutdown(timeout_s=0.5)


@pytest.mark.parametrize(
    ("mood", "refused"),
    [
        ("html", {"not_otlp": 2}), ("flood", {"not_otlp": 2}), ("redirect", {"http_307": 2}), ("half", {"rejected": 1}),
        ("half_json", {"rejected": 1}), ("drip", {"timeout": 2}), ("hang", {"timeout": 2}),
        ("close", {"connection": 2}), (429, {"http_429": 2}), (503, {"http_503": 2}), (401, {"http_401": 2}),
        (500, {"http_500": 2}),
    ],
)  # fmt: skip
def test_each_misbehaviour_has_a_word(
    mood: Any, refused: dict[str, int], configured: Configured, receiver: Receiver
) -> None:
    """Nothing raises, the bundle is whole, and no redirection is followed."""
    receiver.mood, receiver.retry_after = mood, "30"
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.5)])
    one_run()
    began = time.monotonic()
    result = handle.flush()
    assert time.monotonic() - began < 10
    assert (result.refused, len(result.sealed), bool(result)) == (refused, 1, False)
    assert [path for path, _, _ in receiver.requests if path == "/elsewhere"] == []


def test_a_busy_receiver_is_asked_again_when_it_said(configured: Configured, receiver: Receiver) -> None:
    """As the SDK's exporter does, within the time-out."""
    receiver.mood, receiver.retry_after = 503, "1"
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=10)])
    one_run()
    handle.destinations[0].wake()
    wait_until(lambda: receiver.asked)
    receiver.mood = "well"
    assert handle.flush().destinations[f"127.0.0.1:{receiver.port}"].delivered == 2


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_headers_and_passwords_are_nowhere_but_on_the_wire(
    configured: Configured, receivers: list[Receiver], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, results, reprs, errors, the queue or the bundle, though the agent itself repeats them."""
    caplog.set_level(logging.DEBUG)
    receiver, other = receivers
    receiver.mood = 503
    url = f"http://user:{PASSWORD}@127.0.0.1:{receiver.port}?token={QUERY}"
    rules = [{"selector": "", "action": "keep"}]
    destination = runbundle.Otlp(
        url,
        headers={"X-Api-Key": TOKEN, "authorization-2": f"Bearer {TOKEN}2"},
        timeout_s=0.5,
        queue=tmp_path / "queue",
    )
    handle = configured(otlp=[destination, other.url], contracts=[{"name": "f", "data": {"rules": rules}}])
    with runbundle.start_run("r"), runbundle.start_tool("f", {"note": f"I saw {TOKEN}, {PASSWORD}, {QUERY}"}):
        pass
    result = handle.flush()
    said = f"{result} {destination!r} {handle.destinations[0].name} {caplog.text}".encode()
    with pytest.raises(ConfigError) as raised:
        runbundle.configure(otlp=[destination, destination])
    said += str(raised.value).encode()
    for secret in (TOKEN, PASSWORD, QUERY):
        assert secret.encode() not in said
        assert secret.encode() not in all_bytes(tmp_path)
        assert secret.encode() not in other.sent
    assert result.destinations[f"127.0.0.1:{receiver.port}"].queued == 2
    receiver.mood = "well"
    assert handle.flush()
    assert {path for path, _, _ in receiver.requests} == {f"/v1/traces?token={QUERY}"}
    assert {headers["x-api-key"] for _, _, headers in receiver.requests} == {TOKEN}
    assert all(headers["authorization"].startswith("Basic ") for _, _, headers in receiver.requests)


def test_headers_of_the_environment_do_not_go_to_a_destination_of_a_list(
    configured: Configured, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be another's key. To one URL that stands alone they do go."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-vendor={TOKEN}")
    handle = configured(otlp=[receivers[0].url, runbundle.Otlp(receivers[1].url, headers={"x-own": "mine"})])
    one_run()
    assert handle.flush()
    handle.shutdown()
    assert "x-vendor" not in repr([headers for one in receivers for _, _, headers in one.requests])
    assert {headers["x-own"] for _, _, headers in receivers[1].requests} == {"mine"}
    handle = configured(otlp=receivers[0].url)
    one_run()
    assert handle.flush()
    assert receivers[0].requests[-1][2]["x-vendor"] == TOKEN


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("signal", ["", "TRACES_"])
def test_malformed_headers_of_the_environment_are_said_and_never_quoted(
    protocol: Any, signal: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK's own warning has the key in it."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}HEADERS", f"bad header {TOKEN}")
    for sender in senders(Way("http://127.0.0.1:9", protocol)).values():
        sender.stop()
    assert TOKEN not in caplog.text
    assert "headers of the environment are malformed" in caplog.text


# -- an outage --------------------------------------------------------------------------------------------------------


def queued(handle: runbundle.Handle) -> int:
    """Return how many records wait on disk for the first destination."""
    return handle.destinations[0].delivery().queued


@pytest.mark.parametrize("mood", [503, 429, "html", "redirect", "close"])
def test_what_an_outage_held_up_is_sent_in_order_when_it_is_over(
    mood: Any, configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """Once each; flush() says how much waits, and is not true meanwhile."""
    receiver.mood = mood
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    for number in range(4):
        one_run(f"r{number}")
        result = handle.flush()
        assert not result
        assert result.destinations[f"127.0.0.1:{receiver.port}"].queued == 2 * (number + 1)
        assert result.refused == {}
    files = [path for path in (tmp_path / "queue").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "queue").rglob("*") if path.is_dir()} == {0o700}
    receiver.mood = "well"
    wait_until(lambda: queued(handle) == 0)
    one_run("after")
    result = handle.flush()
    assert result
    assert result.destinations[f"127.0.0.1:{receiver.port}"] == runbundle.Delivery(delivered=10, resent=8)
    names = [span.name for span in receiver.spans() if span.name.startswith("run ")]
    assert names == ["run r0", "run r1", "run r2", "run r3", "run after"]


ENDS_IN_AN_OUTAGE = """
import os, sys, runbundle
store, url, queue = sys.argv[1:]
otlp = runbundle.Otlp(url, timeout_s=30, queue=queue, headers={"x-own": "mine"})
handle = runbundle.configure(store=store, key=b"a key for tests only", otlp=[otlp])
def one_run(name):
    with runbundle.start_run(name), runbundle.start_tool("f"):
        pass
one_run("first")
handle.destinations[0].wake()
sys.stdin.readline()  # it is being sent
one_run("second")
handle.shutdown(timeout_s=0.2)
print(handle.destinations[0].delivery().queued, flush=True)
os._exit(0)  # with the request that hangs
"""


def test_a_process_that_ends_in_an_outage_leaves_its_records_to_the_next(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """Which sends them by itself, with the headers that it was given; what never got a try is left too."""
    receiver.mood = "hang"
    options: Any = {"queue": tmp_path / "queue", "headers": {"x-own": "mine"}}
    command = [sys.executable, "-c", ENDS_IN_AN_OUTAGE, str(tmp_path / "store"), receiver.url, str(options["queue"])]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: receiver.asked, 60.0)
    said, _ = first.communicate("\n", 60)
    assert (said.strip(), first.returncode) == ("4", 0)
    receiver.mood = "well"
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=5, **options)])
    wait_until(lambda: queued(handle) == 0)
    assert set(receiver.names()) == {"run first", "run second", "execute_tool f"}
    assert {headers["x-own"] for _, _, headers in receiver.requests} == {"mine"}
    assert handle.flush().destinations[f"127.0.0.1:{receiver.port}"].resent == 4


def test_a_flush_tries_though_an_attempt_before_it_fails_meanwhile(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """One that was under way had met the receiver before it was back."""
    receiver.mood = 503
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=5, queue=tmp_path / "queue")])
    one_run()
    assert not handle.flush()
    receiver.mood = "hang"
    asked = receiver.asked
    wait_until(lambda: receiver.asked > asked)
    back = threading.Timer(0.3, setattr, (receiver, "mood", "well"))
    back.start()
    assert handle.flush()
    back.join()


def test_nothing_raw_of_an_agent_waits_on_disk(configured: Configured, receiver: Receiver, tmp_path: Path) -> None:
    """A canary in every channel of spans and logs, and not one in the files."""
    receiver.mood = 503
    destination = runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")
    handle = configured(otlp=[destination], resource=RESOURCE, contracts=[CONTRACT])
    with runbundle.start_run("leak"):
        plant_spans(handle.tracer_provider)
        plant_logs(handle.logger_provider)
    assert handle.flush().destinations[f"127.0.0.1:{receiver.port}"].queued > 2
    written = all_bytes(tmp_path / "queue")
    assert b"execute_tool" in written
    assert found_in(written) == []


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_secret_that_becomes_known_while_a_batch_waits_is_not_sent(
    configured: Configured, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """In memory or on disk, in spans and logs, in any encoding; all else of the batch arrives as it was."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    receiver.mood = 503
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    secret, again, run = "Bremen-Rathaus-4711", "QnJlbWVuLVJhdGhhdXMtNDcxM", "Bremen-run-4711"

    @runbundle.tool(keep=["/city", "/code", "/other"])
    def weather(city: str, code: str, other: str) -> None: ...

    def record(name: str) -> None:
        with runbundle.start_run("r", run_id=f"{run}-{name}"):
            weather(city=f"in {secret}", code=f"{again}Q==", other="Hamburg")

    record("disk")
    handle.flush()
    assert queued(handle) > 0
    record("memory")
    runbundle.register_secret(secret, f"{run}-disk")
    receiver.mood = "well"
    handle.flush()
    wait_until(lambda: len(receiver.spans()) >= 4)
    assert len(receiver.spans()) == 4
    assert secret.encode() not in receiver.sent
    assert again.encode() not in receiver.sent
    assert receiver.sent.count(b"Hamburg") == 2
    assert receiver.sent.count(f"{run}-disk".encode()) > 0


def test_a_check_for_leaks_leaves_nothing_in_a_queue(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """What an outage held up before goes on waiting; nothing of the check is sent later."""
    receiver.mood = 503
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    one_run("before")
    assert not handle.flush()
    assert all(not report.leaked for report in check_application(handle))
    assert b"run before" in all_bytes(tmp_path / "queue")
    assert b"leak-check" not in all_bytes(tmp_path / "queue")
    one_run("after")
    handle.flush()
    receiver.mood = "well"
    wait_until(lambda: queued(handle) == 0)
    assert {name for name in receiver.names() if name.startswith("run")} == {"run before", "run after"}


def test_two_processes_on_one_queue_send_nothing_twice(receiver: Receiver, tmp_path: Path) -> None:
    """Both wait for the same receiver; one at a time sends."""
    receiver.mood = 503
    code = f"""
import sys, time, runbundle
from runbundle.otel.forwarding import redelivery
redelivery.FIRST_PAUSE_S = redelivery.LONGEST_PAUSE_S = 0.05
handle = runbundle.configure(store="s", otlp=[runbundle.Otlp({receiver.url!r}, timeout_s=0.3, queue="q")])
for number in range(10):
    with runbundle.start_run(f"{{sys.argv[1]}}-{{number}}"): pass
    handle.destinations[0].wake()
    time.sleep(0.02)
handle.flush()
print("ready", flush=True)
sys.stdin.readline()
deadline = time.monotonic() + 20
while handle.destinations[0].delivery().queued and time.monotonic() < deadline:
    time.sleep(0.02)
"""
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen([*command, name], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    receiver.mood = "well"
    for process in both:
        assert process.communicate("\n", timeout=40) is not None
        assert process.returncode == 0
    assert receiver.names() == {f"run {name}-{number}": 1 for name in "ab" for number in range(10)}


def test_a_batch_that_a_crash_cut_off_costs_itself_and_is_counted(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """Whether it was never renamed, or altered since; the others arrive."""
    receiver.mood = 503
    destination = runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")
    handle = configured(otlp=[destination])
    for number in range(3):
        one_run(f"r{number}")
        handle.flush()
    handle.shutdown()
    waits = sorted((tmp_path / "queue").rglob("*.spans.*"))
    torn = int(waits[0].name.split(".")[2])
    waits[0].write_bytes(waits[0].read_bytes()[:-5])
    old = f".{time.time_ns() - int(2e9 * disk_queue.TORN_AFTER_S):020d}-00000000.spans.7.99"
    (waits[0].parent / old).write_bytes(b"half")
    receiver.mood = "well"
    handle = configured(otlp=[destination])
    wait_until(lambda: queued(handle) == 0)
    result = handle.flush()
    assert result.refused == {"queue_on_disk_torn": torn + 7}
    assert len(receiver.spans()) == 6 - torn
    assert not (waits[0].parent / old).exists()


def test_a_queue_is_bounded_and_drops_the_oldest(configured: Configured, receiver: Receiver, tmp_path: Path) -> None:
    """What was dropped is counted; the rest arrives."""
    receiver.mood = 503
    destination = runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue", queue_limit_bytes=8_000)
    handle = configured(otlp=[destination])
    for number in range(12):
        one_run(f"r{number}")
        handle.flush()
    size = sum(path.stat().st_size for path in (tmp_path / "queue").rglob("*.spans.*"))
    result = handle.flush()
    lost = result.refused["queue_on_disk_full"]
    assert size <= 8_000
    assert 0 < lost < 24
    receiver.mood = "well"
    wait_until(lambda: queued(handle) == 0)
    assert len(receiver.spans()) + lost == 24
    assert "run r11" in receiver.names()


def test_a_disk_that_is_full_costs_the_batch_and_no_more(
    configured: Configured, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and nothing is left behind."""
    receiver.mood = 503

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(disk_queue.disk, "write", full)
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    one_run()
    assert handle.flush().refused == {"queue_on_disk_failed": 2}
    assert [path.name for path in (tmp_path / "queue").rglob("*") if path.is_file()] == ["lock"]


def test_what_a_receiver_refuses_does_not_wait(configured: Configured, receiver: Receiver, tmp_path: Path) -> None:
    """It would refuse it again: it is counted, before an outage and after one."""
    receiver.mood = 400
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    one_run()
    assert handle.flush().refused == {"http_400": 2}
    receiver.mood = 503
    one_run()
    assert handle.flush().destinations[f"127.0.0.1:{receiver.port}"].queued == 2
    receiver.mood = 413
    wait_until(lambda: queued(handle) == 0)
    assert handle.flush().refused == {"http_400": 2, "http_413": 2}


def test_a_forked_child_in_an_outage_sends_and_counts_its_own(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """And what waits arrives once, though both have the queue."""
    receiver.mood = 503
    handle = configured(otlp=[runbundle.Otlp(receiver.url, timeout_s=0.3, queue=tmp_path / "queue")])
    one_run("parent")
    assert not handle.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        one_run("child")
        done = handle.flush().destinations[f"127.0.0.1:{receiver.port}"].queued == 4
        handle.shutdown()
        os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    receiver.mood = "well"
    wait_until(lambda: queued(handle) == 0)
    assert receiver.names() == {"run parent": 1, "run child": 1, "execute_tool f": 2}


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_destination_that_cannot_work_is_refused_with_what_to_do(configured: Configured, tmp_path: Path) -> None:
    """Before anything is made."""
    url, other = "http://127.0.0.1:9", "http://127.0.0.1:10"
    (tmp_path / "file").write_text("")
    cases: list[tuple[Any, str]] = [
        ([runbundle.Otlp(url, protocol="grpc", queue="q")], "over HTTP alone"),
        ([runbundle.Otlp("http://u:p@127.0.0.1:9", protocol="grpc")], "headers"),
        ([runbundle.Otlp("http://127.0.0.1:9/v1/traces", protocol="grpc")], "no path"),
        ([runbundle.Otlp(url, queue=tmp_path / "file")], "cannot be used"),
        ([url, f"{url}/v1/traces"], "twice"),
        ([runbundle.Otlp(url, headers={"a": "1"}, queue="q"), runbundle.Otlp(url, queue="q")], "folder of its own"),
        ([other, True], "no URL"),
        ([other, ""], "no URL"),
        ({"a": url}, "no URL"),
    ]
    for option, said in cases:
        with pytest.raises(ConfigError) as raised:
            configured(otlp=option)
        assert said in f"{raised.value.message} {raised.value.hint}", option
    assert not (tmp_path / "store").exists()


def test_over_grpc_a_partial_success_is_said_not_to_be_seen(
    configured: Configured, receiver: Receiver, tmp_path: Path
) -> None:
    """By the result, beside a destination over HTTP, where it is."""
    from tests.support.grpc_receiver import GrpcReceiver

    with GrpcReceiver(rejects=1) as grpc:
        destinations = [
            runbundle.Otlp(grpc.url, protocol="grpc", headers={"X-Own": "mine"}, timeout_s=5),
            runbundle.Otlp(receiver.url),
        ]
        handle = configured(otlp=destinations)
        one_run()
        result = handle.flush()
        handle.shutdown()
    found = result.destinations
    assert found[f"127.0.0.1:{grpc.port}"] == runbundle.Delivery(delivered=2, sees_rejected=False)
    assert found[f"127.0.0.1:{receiver.port}"] == runbundle.Delivery(delivered=2)
    assert ("x-own", "mine") in grpc.metadata


def test_the_variable_names_destinations_too(
    configured: Configured, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the argument is left out; `otlp=False` is stronger."""
    monkeypatch.setenv("RUNBUNDLE_OTLP", " ".join(one.url for one in receivers))
    handle = configured()
    one_run()
    assert handle.flush()
    handle.shutdown()
    assert [len(one.spans()) for one in receivers] == [2, 2]
    handle = configured(otlp=False)
    assert handle.flush().destinations == {}
    handle.shutdown()
    monkeypatch.setenv("RUNBUNDLE_OTLP", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receivers[0].url)
    handle = configured()
    one_run()
    assert list(handle.flush().destinations) == [f"127.0.0.1:{receivers[0].port}"]
    handle.shutdown()
    monkeypatch.setenv("RUNBUNDLE_OTLP", f"http://u:{PASSWORD}@[::1")
    with pytest.raises(ConfigError) as raised:
        configured()
    assert "RUNBUNDLE_OTLP is no URL" in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(("sampler", "argument"), [("traceidratio", "0.5"), ("parentbased_traceidratio", "0.5")])
def test_a_sampled_forward_leaves_the_bundles_whole(
    sampler: str, argument: str, configured: Configured, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some traces are forwarded, whole, and every run has its bundle with every span."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    handle = configured(otlp=[receiver.url])
    for number in range(40):
        one_run(f"r{number}")
    result = handle.flush()
    assert result
    assert len(result.sealed) == 40
    for key in result.sealed:
        index = json.loads(handle.store.get(f"{key}/run.json"))
        assert (index["counts"]["spans"], index["completeness"]["state"]) == (2, "complete")
    runs = [name for name in receiver.names() if name.startswith("run ")]
    assert 0 < len(runs) < 40
    assert receiver.names()["execute_tool f"] == len(runs)
