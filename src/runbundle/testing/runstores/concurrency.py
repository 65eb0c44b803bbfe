"""Tests of several users of one store at once: writers, readers, and new owners of leases."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from runbundle.errors import StateConflict
from runbundle.runstate import Lease, Payload, RunRecord, RunStore
from runbundle.testing.runstores import crash
from runbundle.testing.runstores.hooks import RunStoreHooks, record, refused


class ConcurrencyTests(RunStoreHooks):
    """The guarantees of every store that is used by several at once."""

    def test_of_two_writers_one_is_first(self) -> None:
        """Counters that are read, raised and written back by eight at once count every time; one gets the lease."""
        store = self.make_store()
        store.create_run(RunRecord("r", payload=Payload("x", b"0")))
        leased: list[str] = []

        def count(name: str) -> None:
            mine = self.reopen(store)
            for _ in range(5):
                while True:
                    run = mine.get_run("r")
                    assert run.payload is not None
                    try:
                        mine.update_run(replace(run, payload=Payload("x", b"%d" % (int(run.payload.data) + 1))))
                    except StateConflict:
                        continue
                    break
            try:
                mine.acquire_lease("r", name, 60)
            except StateConflict:
                pass
            else:
                leased.append(name)
            mine.close()

        _at_once([lambda name=name: count(name) for name in "abcdefgh"])
        run = store.get_run("r")
        assert (run.revision, run.payload) == (41, Payload("x", b"40"))
        assert len(leased) == 1

    def test_readers_see_whole_states_whatever_happens(self) -> None:
        """While one writes, one prunes and one copies, whoever reads a checkpoint reads all of it."""
        store = self.make_store()
        crash.put(store, "t", 1)
        done = threading.Event()

        def writer() -> None:
            mine = self.reopen(store)
            for number in range(2, 60):
                crash.put(mine, "t", number, size=number % 8)
            mine.close()
            done.set()

        def pruner() -> None:
            mine = self.reopen(store)
            while not done.is_set():
                mine.prune(["t"])
                time.sleep(0.002)
            mine.close()

        def reader() -> None:
            mine, turn = self.reopen(store), 0
            while not done.is_set():
                turn += 1
                mine.copy_thread("t", f"copy{turn}")
                for thread_id in ("t", f"copy{turn}"):
                    found = mine.get_checkpoint(thread_id)
                    assert found is not None
                    number = int(found.key.checkpoint_id)
                    assert found.head.data == b"head %d" % number
                    assert found.slot_payloads["log"] == crash.slot(number % 8 if number > 1 else 1)
            mine.close()

        _at_once([writer, pruner, reader, checkpoint_reader(store, self, done)])
        store.prune(["t"])
        assert [key.checkpoint_id for key in store.find_checkpoints(thread_id="t")] == ["0059"]

    def test_a_read_is_of_one_moment(self) -> None:
        """A thread that is deleted between any two statements of a read is read whole, or not at all."""
        store = self.make_store()
        other = self.reopen(store)
        whole, found, number, count = None, None, 0, 1
        while count >= number:
            number += 1
            count = 0
            crash.prepare(store, f"t{number}")

            def before() -> None:
                nonlocal count
                count += 1
                if count == number:  # noqa: B023 - called within the turn
                    other.delete_threads([f"t{number}"])  # noqa: B023

            whole = store.get_checkpoint(f"t{number}")
            store.watch(before)
            found = store.get_checkpoint(f"t{number}")
            store.watch(None)
            assert found in (whole, None)
        assert whole is not None
        assert found == whole  # the last was left alone
        assert number > 3

    def test_a_lease_is_not_given_away_in_the_middle_of_a_write(self) -> None:
        """Once a write has found its fence to be the latest, whoever acquires the lease waits for it to be done."""
        store = self.make_store()
        store.create_run(RunRecord("r"))
        fence, count, taken = store.acquire_lease("r", "a", 60), 0, list[Lease]()
        other = self.reopen(store)
        taker = threading.Thread(target=lambda: taken.append(other.acquire_lease("r", "a", 60)))

        def before() -> None:
            nonlocal count
            count += 1

        def last() -> None:
            nonlocal count
            count -= 1
            if count == 0:
                taker.start()
                taker.join(0.3)
                assert taken == []

        store.put_checkpoint(record(number=1), {}, fence=fence)  # the first of a thread may take more statements
        store.watch(before)
        store.put_checkpoint(record(number=2), {}, fence=fence)
        store.watch(last)
        store.put_checkpoint(record(number=3), {}, fence=fence)
        store.watch(None)
        taker.join(30)
        assert [lease.token > fence.token for lease in taken] == [True]
        refused(StateConflict, [lambda: store.put_checkpoint(record(number=4), {}, fence=fence)])


def checkpoint_reader(store: RunStore, tests: RunStoreHooks, done: threading.Event) -> Callable[[], None]:
    """Return a function that reads all checkpoints of the thread `t` until `done` is set.

    It asserts that each is found whole or not at all.
    """

    def read() -> None:
        mine = tests.reopen(store)
        while not done.is_set():
            for key in mine.find_checkpoints(thread_id="t"):
                found = mine.get_checkpoint(*key)
                assert found is None or found.slot_payloads.keys() == {"log", "same"}
        mine.close()

    return read


def _at_once(calls: list[Callable[[], None]]) -> None:
    """Run functions in threads; raise the first error that one of them raised."""
    failures: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
