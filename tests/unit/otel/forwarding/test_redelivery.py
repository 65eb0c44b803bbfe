"""Sending again: in order, with pauses that grow, and as long as a receiver asks to be left alone."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runbundle.otel.forwarding import redelivery
from runbundle.otel.forwarding.disk_queue import DiskQueue
from runbundle.otel.forwarding.redelivery import Redelivery
from runbundle.otel.forwarding.sender import Result
from tests.support.receiver import wait_until


class Fake:
    """Stands for a sender of one destination."""

    def __init__(self) -> None:
        self.results: list[Result | Exception] = []
        """What comes of the next attempts; delivered when there are no more."""
        self.tried: list[tuple[float, bytes]] = []
        self.retry_after_s = self.pause_s = 0.0

    def encoded(self, items: Sequence[Any]) -> bytes:
        if not items:
            raise ValueError
        return b",".join(items)

    def send_encoded(self, body: bytes, items: int) -> Result:
        self.tried.append((time.monotonic(), body))
        time.sleep(self.pause_s)
        result = self.results.pop(0) if self.results else Result({})
        if isinstance(result, Exception):
            raise result
        return result

    def stop(self) -> None: ...


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return a sender, and let pauses be short."""
    monkeypatch.setattr(redelivery, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(redelivery, "LONGEST_PAUSE_S", 0.1)
    return Fake()


def made(fake: Fake, folder: Path) -> Redelivery:
    """Return what sends again from a folder."""
    queue = DiskQueue(folder / "queue", 100_000)
    queue.create()
    return Redelivery("h", queue, {"spans": fake, "logs": fake})  # type: ignore[dict-item]


def away(count: int) -> list[Result | Exception]:
    """Return the results of attempts at a receiver that is away."""
    return [Result({"connection_refused": 1}, again=True)] * count


def test_what_waits_is_tried_in_order_until_it_is_taken(fake: Fake, tmp_path: Path) -> None:
    """The first again and again, then the rest, each once."""
    fake.results = away(3)
    again = made(fake, tmp_path)
    for number in range(3):
        assert again.keep("spans", [b"a%d" % number]) == {}
    wait_until(lambda: not again.is_down)
    assert [body for _, body in fake.tried] == [b"a0"] * 4 + [b"a1", b"a2"]
    assert (again.delivered, again.refused(), again.queue.waiting()) == (3, {}, [])
    again.keep("logs", [b"later"])
    wait_until(lambda: again.delivered == 4)


def test_what_is_refused_is_counted_and_does_not_wait(fake: Fake, tmp_path: Path) -> None:
    """Whole or in part; what follows is sent."""
    fake.results = [*away(1), Result({"http_400": 2}), Result({"rejected": 1})]
    again = made(fake, tmp_path)
    for _ in range(3):
        again.keep("spans", [b"x", b"y"])
    wait_until(lambda: not again.is_down)
    assert (again.delivered, again.refused()) == (3, {"http_400": 2, "rejected": 1})


def test_a_receiver_that_asks_for_time_gets_it(fake: Fake, tmp_path: Path) -> None:
    """More than the pause would be."""
    fake.results, fake.retry_after_s = away(1), 0.5
    again = made(fake, tmp_path)
    again.keep("spans", [b"x"])
    wait_until(lambda: not again.is_down)
    assert fake.tried[1][0] - fake.tried[0][0] >= 0.45


@pytest.mark.alone
def test_a_flush_tries_at_once_and_waits_for_one_attempt(fake: Fake, tmp_path: Path) -> None:
    """And says whether anything still waits."""
    fake.results, fake.retry_after_s = away(2), 100.0
    again = made(fake, tmp_path)
    assert again.flush(time.monotonic())
    again.keep("spans", [b"x"])
    wait_until(lambda: again._passes == 1)
    began = time.monotonic()
    assert not again.flush(time.monotonic() + 20)
    assert again.flush(time.monotonic() + 20)
    assert time.monotonic() - began < 10


@pytest.mark.alone
def test_a_flush_waits_for_no_attempt_after_the_end(fake: Fake, tmp_path: Path) -> None:
    """Whether the end came before the flush or meanwhile; the next process sends."""
    fake.results, fake.retry_after_s = away(5), 100.0
    again = made(fake, tmp_path)
    again.keep("spans", [b"x"])
    wait_until(lambda: again._passes == 1)
    fake.pause_s = 0.3
    end = threading.Timer(0.1, again.close)
    end.start()
    began = time.monotonic()
    assert not again.flush(time.monotonic() + 20)
    end.join()
    assert not again.flush(time.monotonic() + 20)
    assert time.monotonic() - began < 10


def test_a_fault_of_ours_stops_nothing(fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread goes on; what cannot be encoded is counted."""
    fake.results = [ValueError("ada@example.org")]
    again = made(fake, tmp_path)
    assert again.keep("spans", []) == {"not_encoded": 0}
    again.keep("spans", [b"x"])
    wait_until(lambda: again.delivered)
    assert "ValueError" in caplog.text
    assert "ada" not in caplog.text


def test_what_an_earlier_process_left_is_begun_with(fake: Fake, tmp_path: Path) -> None:
    """Without a batch of its own; after the end nothing is tried any more."""
    first = made(fake, tmp_path)
    first.close()
    first.keep("spans", [b"left"])
    time.sleep(0.1)
    assert fake.tried == []
    second = made(fake, tmp_path)
    second.begin()
    wait_until(lambda: second.delivered == 1 and not second.is_down)
    third = made(fake, tmp_path)
    third.begin()
    assert not third.is_down


def test_a_batch_that_cannot_be_removed_is_dealt_with_once(
    fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Readable or not: nothing spins, what is behind it is sent, and new batches no longer go to the disk."""
    again = made(fake, tmp_path)
    unreadable = again.queue.folder / f"{1:020d}-deadbeef.spans.3.90"
    unreadable.mkdir()  # as a file in a folder that may only be read
    looks: list[str] = []
    body, remove = again.queue.body, again.queue.remove
    again.queue.body = lambda batch: (looks.append(batch.name), body(batch))[1]  # type: ignore[method-assign]
    again.queue.remove = lambda batch: b"stays" not in (body(batch) or b"") and remove(batch)  # type: ignore[method-assign]
    again.close()
    for batch in (b"stays", b"behind"):
        again.keep("spans", [batch])
    again.reset()
    again.begin()
    wait_until(lambda: not again.is_down)
    time.sleep(0.1)
    assert len(looks) == len(set(looks)) == 3
    assert [body for _, body in fake.tried] == [b"stays", b"behind"]
    assert (again.delivered, again.refused()) == (2, {"queue_on_disk_torn": 3})
    assert caplog.text.count("cannot be removed") == 1
    assert unreadable.is_dir()


def test_a_batch_that_says_to_be_huge_is_not_read(fake: Fake, tmp_path: Path) -> None:
    """It is lost and holds nothing up; nor is it believed to hold any number of records."""
    again = made(fake, tmp_path)
    with (again.queue.folder / f"{1:020d}-deadbeef.spans.999999999.999999999999").open("wb") as file:
        file.truncate(999_999_999_999)
    again.close()
    again.keep("spans", [b"behind"])
    again.reset()
    again.begin()
    wait_until(lambda: not again.is_down)
    assert [body for _, body in fake.tried] == [b"behind"]
    assert (again.delivered, again.refused()) == (1, {"queue_on_disk_torn": 100_000})
