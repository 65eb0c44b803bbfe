"""A queue on disk is bounded, in order, private, and notices what is not whole."""

import os
import time
from pathlib import Path

import pytest

from runbundle.otel.forwarding import disk_queue
from runbundle.otel.forwarding.disk_queue import FAILED, FULL, DiskQueue


@pytest.fixture
def queue(tmp_path: Path) -> DiskQueue:
    """Return an empty queue for four kilobytes."""
    made = DiskQueue(tmp_path / "queue", 4000)
    made.create()
    return made


def test_batches_come_back_in_order_and_whole(queue: DiskQueue) -> None:
    """With their kind and number of records; after it is removed, a batch is gone."""
    assert not queue.holds_anything()
    for number in range(5):
        assert queue.put("logs" if number % 2 else "spans", number + 1, b"body %d" % number) == {}
    waiting = queue.waiting()
    assert [(batch.kind, batch.items) for batch in waiting] == [
        ("spans", 1), ("logs", 2), ("spans", 3), ("logs", 4), ("spans", 5)
    ]  # fmt: skip
    assert [queue.body(batch) for batch in waiting] == [b"body %d" % number for number in range(5)]
    assert queue.remove(waiting[0])
    assert not queue.remove(waiting[0])
    assert queue.body(waiting[0]) is None
    assert len(queue.waiting()) == 4


def test_the_oldest_go_when_it_is_full(queue: DiskQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """By bytes and by number; a batch that would not fit alone drops no other."""
    for number in range(3):
        assert queue.put("spans", 10 + number, bytes(1200)) == {}
    assert queue.put("spans", 1, bytes(1200)) == {FULL: 10}
    assert queue.put("spans", 7, bytes(4000)) == {FULL: 7}
    assert [batch.items for batch in queue.waiting()] == [11, 12, 1]
    monkeypatch.setattr(disk_queue, "MOST_BATCHES", 2)
    assert queue.put("logs", 2, b"") == {FULL: 11 + 12}


def test_altered_bytes_are_no_batch(queue: DiskQueue) -> None:
    """Cut, longer, or another byte; nor is a link to a file that is one."""
    queue.put("spans", 1, b"some body")
    (batch,) = queue.waiting()
    path = queue.folder / batch.name
    whole = path.read_bytes()
    for bad in (whole[:-1], whole + b"x", whole[:-1] + b"x", b"", whole[:5]):
        path.write_bytes(bad)
        assert queue.body(batch) is None
    path.write_bytes(whole)
    assert queue.body(batch) == b"some body"
    path.rename(queue.folder / "elsewhere")
    path.symlink_to(queue.folder / "elsewhere")
    assert queue.body(batch) is None


def test_what_was_begun_and_not_finished_is_counted_when_it_is_old(queue: DiskQueue) -> None:
    """Another process may be writing the young one; a file of another kind is left alone."""
    now = time.time_ns()
    names = [f".{now - int(age * 1e9):020d}-0123abcd.spans.{items}.50" for age, items in ((200, 3), (100, 4), (1, 5))]
    for name in (*names, "notes.txt"):
        (queue.folder / name).write_bytes(b"half")
    assert (queue.waiting(), queue.holds_anything()) == ([], True)
    assert queue.sweep() == 7
    assert sorted(path.name for path in queue.folder.iterdir()) == sorted([names[2], "lock", "notes.txt"])
    assert queue.sweep() == 0


def test_its_files_are_private(queue: DiskQueue) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        queue.put("spans", 1, b"x")
    finally:
        os.umask(before)
    assert queue.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in queue.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707])
def test_a_folder_that_others_may_write_to_is_none(queue: DiskQueue, mode: int) -> None:
    """What they put there would be sent with the headers of this process."""
    queue.create()
    queue.folder.chmod(mode)
    with pytest.raises(PermissionError, match="others may write"):
        queue.create()


def test_one_at_a_time_sends(queue: DiskQueue) -> None:
    """And when it has done so, another may."""
    other = DiskQueue(queue.folder, 4000)
    with queue.sole_sender() as first, other.sole_sender() as second:
        assert (first, second) == (True, False)
    with other.sole_sender() as again:
        assert again


def test_a_folder_that_goes_away_costs_what_is_put_there(queue: DiskQueue) -> None:
    """Nothing raises; the batch is counted."""
    for path in queue.folder.iterdir():
        path.unlink()
    queue.folder.rmdir()
    assert queue.put("spans", 3, b"x") == {FAILED: 3}
    assert (queue.waiting(), queue.sweep(), queue.holds_anything()) == ([], 0, False)
    with queue.sole_sender() as sole:
        assert not sole


def test_a_name_that_says_too_much_is_not_believed(queue: DiskQueue) -> None:
    """No batch goes for one of a size that none can have, which is not read; and none holds more records than bytes."""
    queue.put("spans", 1, b"ours")
    (queue.folder / f"{10**18:020d}-deadbeef.logs.7.999999999999").write_bytes(b"")
    (queue.folder / f"{10**19:020d}-deadbeef.logs.999999999.50").write_bytes(b"x" * 50)
    assert queue.put("spans", 2, b"ours") == {}
    assert [batch.items for batch in queue.waiting()] == [7, 1, 2, 50]
    assert queue.body(queue.waiting()[0]) is None
