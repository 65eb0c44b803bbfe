"""Tests of checkpoints with their slots, and of writes."""

from dataclasses import replace
from typing import Any

import pytest

from runbundle.errors import ConfigError, StateConflict, StateNotFound
from runbundle.runstate import Payload, RunRecord, RunStore
from runbundle.testing.runstores.hooks import RunStoreHooks, record, write


class CheckpointTests(RunStoreHooks):
    """The guarantees of every store about checkpoints."""

    def test_checkpoints_come_back_as_they_were_put(self) -> None:
        """With slots and writes, by id and as the latest; None where there is none."""
        store = self.make_store()
        assert store.get_checkpoint("t") is None
        first = record(slots={"a": "1", "b": "1"}, run_id="r", engine="e", metadata={"n": 1}, chained=True)
        slots = {"a": Payload("x", b"a1"), "b": Payload("y", b"")}
        store.put_checkpoint(first, slots)
        second = record(number=2, parent_id="0001", slots={"a": "2", "b": "1"})
        store.put_checkpoint(second, {"a": Payload("x", b"a2")})
        store.append_writes(second.key, [write()])
        other = self.reopen(store)
        assert other.get_checkpoint("t", "", "0001") == replace(first, slot_payloads=slots)
        expected = replace(second, slot_payloads={**slots, "a": Payload("x", b"a2")}, writes=(write(),))
        assert other.get_checkpoint("t") == expected
        assert other.get_checkpoint("t", "other") is None
        assert other.get_checkpoint("t", "", "0003") is None

    def test_putting_again_changes_nothing(self) -> None:
        """The same checkpoint twice is one, and keeps its writes; a version of a slot is what it was first."""
        store = self.make_store()
        first = record(slots={"a": "1"})
        for data in (b"first", b"second"):
            store.put_checkpoint(first, {"a": Payload("x", data)})
            store.append_writes(first.key, [write(data=data)])
        expected = replace(first, slot_payloads={"a": Payload("x", b"first")}, writes=(write(data=b"first"),))
        assert store.get_checkpoint("t") == expected
        assert len(store.find_checkpoints()) == 1

    def test_a_checkpoint_without_its_slots_is_refused(self) -> None:
        """A version that is neither stored nor given is an error, and nothing of the checkpoint stays."""
        store = self.make_store()
        with pytest.raises(StateConflict):
            store.put_checkpoint(record(slots={"a": "1", "b": "1"}), {"a": Payload("x", b"")})
        with pytest.raises(ConfigError):
            store.put_checkpoint(record(), {"a": Payload("x", b"")})
        assert store.find_checkpoints() == []
        with pytest.raises(StateConflict):
            store.put_checkpoint(record(slots={"a": "1"}), {})

    def test_the_run_is_updated_with_its_checkpoint(self) -> None:
        """Created or updated in the same transaction; if that is refused, there is no checkpoint either."""
        store = self.make_store()
        store.put_checkpoint(record(), {}, run=RunRecord("r"))
        store.put_checkpoint(record(number=2), {}, run=RunRecord("r", status="done", revision=1))
        assert (store.get_run("r").revision, store.get_run("r").status) == (2, "done")
        for revision in (0, 1, 3):
            with pytest.raises(StateConflict):
                store.put_checkpoint(record(number=3), {}, run=RunRecord("r", revision=revision))
        with pytest.raises(StateNotFound):
            store.put_checkpoint(record(number=3), {}, run=RunRecord("s", revision=1))
        assert len(store.find_checkpoints()) == 2

    def test_writes_come_in_any_order_and_are_returned_in_one(self) -> None:
        """Before their checkpoint, last first, twice: sorted by path, task and index, as bytes; the first one stays."""
        store = self.make_store()
        places = [
            ("", "b", 1),
            ("", "B", 0),
            ("", "a", -1),
            ("~", "c", 0),
            ("ä", "d", 0),
            ("Z", "z", 10),
            ("Z", "z", 9),
        ]
        for path, task_id, idx in places:
            store.append_writes(record().key, [write(task_id, idx, b"first", path)])
        store.append_writes(record().key, [write(task_id, idx, b"second", path) for path, task_id, idx in places])
        assert store.get_checkpoint("t") is None
        store.put_checkpoint(record(), {})
        found = store.get_checkpoint("t")
        assert found is not None
        assert [(w.task_path, w.task_id, w.idx) for w in found.writes] == sorted(places)
        assert {w.payload.data for w in found.writes} == {b"first"}
        store.append_writes(record().key, [write("a", -1, b"third"), write("a", -1, b"fourth")], replace=True)
        found = store.get_checkpoint("t")
        assert found is not None
        assert [w.payload.data for w in found.writes if w.idx == -1] == [b"fourth"]
        assert len(found.writes) == len(places)
        store.append_writes(record().key, [write("many", n) for n in range(1200)])
        store.append_writes(record().key, [])
        assert len(getattr(store.get_checkpoint("t"), "writes", ())) == len(places) + 1200

    def test_checkpoints_are_found_as_asked(self) -> None:
        """By thread, namespace, run and metadata; below an id; at most so many; the greatest first."""
        store = self.make_store()
        for number in range(4):
            store.put_checkpoint(record("t", number, run_id=f"r{number % 2}", metadata={"step": number}), {})
        store.put_checkpoint(record("t", 9, ns="sub"), {})
        store.put_checkpoint(record("u", 8), {})

        def found(**asked: Any) -> list[str]:
            return [key.thread_id + key.ns + key.checkpoint_id[-1] for key in store.find_checkpoints(**asked)]

        assert found() == ["tsub9", "u8", "t3", "t2", "t1", "t0"]
        assert found(thread_id="t", ns="") == ["t3", "t2", "t1", "t0"]
        assert found(thread_id="t", ns="", before="0003", limit=2) == ["t2", "t1"]
        assert found(run_id="r1") == ["t3", "t1"]
        assert found(where={"step": 2}) == ["t2"]
        assert found(where={"step": "2"}) == []
        assert found(limit=0) == []
        with pytest.raises(ConfigError):
            found(limit=-1)

    def test_every_version_of_a_slot_is_exact(self) -> None:
        """Growing, shrinking, changed in the middle, of another codec: each is what it was, copied and pruned too."""
        store = self.make_store()
        block = bytes(range(256)) * 8
        data, expected = b"\x90", list[Payload]()
        for number in range(1, 80):
            data = data + block[number:] if number % 9 else data[: len(data) // 2] + b"!" + data[len(data) // 2 + 1 :]
            data = data[:3000] if number == 40 else data
            expected.append(Payload("y" if number in (20, 21) else "x", bytes([number]) + data[1:]))
            parent = f"{number - 1:04}" if number > 1 else None
            put = record(number=number, parent_id=parent, slots={"log": str(number)}, run_id=f"r{number % 10}")
            (store if number % 3 else self.reopen(store)).put_checkpoint(put, {"log": expected[-1]})
        self._check_versions(store, "t", expected, range(1, 80))
        store.copy_thread("t", "copy")
        store.delete_runs(["r3", "r5", "r6"])
        left = [n for n in range(1, 80) if n % 10 not in (3, 5, 6)]
        self._check_versions(store, "t", expected, left)
        assert len(store.find_checkpoints(thread_id="copy")) == len(left)
        self._check_versions(store, "copy", expected, left)
        store.prune(["t"])
        self._check_versions(store, "t", expected, [79])
        store.delete_threads(["t"])
        self._check_versions(self.reopen(store), "copy", expected, left)

    def _check_versions(self, store: RunStore, thread_id: str, expected: list[Payload], numbers: Any) -> None:
        assert [key.checkpoint_id for key in store.find_checkpoints(thread_id=thread_id)] == [
            f"{number:04}" for number in reversed(numbers)
        ]
        for number in numbers:
            found = store.get_checkpoint(thread_id, "", f"{number:04}")
            assert found is not None
            assert found.slot_payloads["log"] == expected[number - 1], number

    def test_large_payloads(self) -> None:
        """10 MB in each place where a payload can be."""
        store = self.make_store()
        large = [Payload("x", bytes([n]) * 10_000_000) for n in range(4)]
        store.put_checkpoint(
            record(head=large[0], slots={"a": "1"}), {"a": large[1]}, run=RunRecord("r", payload=large[2])
        )
        store.append_writes(record().key, [replace(write(), payload=large[3])])
        found = store.get_checkpoint("t")
        assert found is not None
        assert (found.head, found.slot_payloads["a"]) == (large[0], large[1])
        assert (store.get_run("r").payload, found.writes[0].payload) == (large[2], large[3])
        grown = Payload("x", large[1].data + b"and more")
        store.put_checkpoint(record(number=2, parent_id="0001", slots={"a": "2"}), {"a": grown})
        assert getattr(store.get_checkpoint("t"), "slot_payloads", None) == {"a": grown}
