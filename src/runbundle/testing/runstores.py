"""The conformance suite of run stores.

A store's author subclasses `RunStoreTests`, provides three hooks and lets pytest run it; hypothesis is needed too.
"""

import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runbundle.errors import ConfigError, RunStateError, StateConflict, StateNotFound, StateRefused
from runbundle.runstate import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, RunStore, StepWrite
from runbundle.testing import crash

SECRET = b"CANARY-of-a-payload"
_HOSTILE = [
    "'", '"', "'; DROP TABLE runbundle_runs; --", "a' OR '1'='1", "$.a", "$", "a.b", "a[0]", "{}", "%", "_", "%s",
    "%(a)s", "?", ":a", "\\", "a'b\"c", "ä\u202e\U0001f600", "",
]  # fmt: skip

_KINDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "null": (None, (False, 0, "")),
    "true": (True, (1, "true")),
    "one": (1, (True, "1", 2)),
    "pi": (2.5, (2, "2.5")),
    "list": ([1, "a", None], ([1, "a"], '[1,"a",null]')),
    "dict": ({"b": 1, "a": [2]}, ({"b": 1}, {})),
}


def refused(error: type[Exception] | tuple[type[Exception], ...], calls: Sequence[Callable[[], object]]) -> str:
    """Call each; each must raise such an error, and nothing of what it was made from. Return what the errors show."""
    shown: list[str] = []
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        shown.append(f"{caught.value!r} {caught.value}")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return "\n".join(shown)


def record(thread_id: str = "t", number: int = 1, ns: str = "", **fields: Any) -> CheckpointRecord:
    """Return a checkpoint without slots."""
    key = CheckpointKey(thread_id, ns, f"{number:04}")
    return replace(CheckpointRecord(key, Payload("x", b"head %d" % number)), **fields)


def write(task_id: str = "task", idx: int = 0, data: bytes = b"w", path: str = "") -> StepWrite:
    """Return a write."""
    return StepWrite(task_id, idx, "c", Payload("x", data), path)


class RunStoreTests(ABC):
    """What every `RunStore` guarantees."""

    @abstractmethod
    def make_store(self) -> RunStore:
        """Return a new, empty store."""

    @abstractmethod
    def reopen(self, store: RunStore) -> RunStore:
        """Return another store over the same data, with connections of its own, as another process would."""

    @abstractmethod
    def code_to_open(self, store: RunStore) -> str:
        """Return Python code that binds `store` to a store over the same data, for another process."""

    # Runs

    def test_runs_are_created_once_and_updated_by_compare_and_set(self) -> None:
        """A taken id, an old revision and an unknown run are refused; what is stored is what was given."""
        store = self.make_store()
        given = RunRecord("r", "t", payload=Payload("x", b"one"), metadata={"a": [1, {"b": None}], "c": 1.5})
        first = store.create_run(given)
        assert first.revision == 1
        assert 0 < first.created_at == first.updated_at
        assert replace(first, revision=0, created_at=0, updated_at=0) == given
        with pytest.raises(StateConflict):
            store.create_run(given)
        second = store.update_run(replace(first, status="done", payload=None))
        assert (second.revision, second.status, second.payload) == (2, "done", None)
        assert second.created_at == first.created_at <= second.updated_at
        with pytest.raises(StateConflict):
            store.update_run(first)
        assert self.reopen(store).get_run("r") == second
        refused(StateNotFound, [lambda: store.get_run("s"), lambda: store.update_run(replace(first, run_id="s"))])

    def test_runs_are_listed_as_asked(self) -> None:
        """By thread, status and metadata, the latest first."""
        store = self.make_store()
        for name, thread_id, status in (("a", "t", "running"), ("b", "t", "done"), ("c", "u", "running")):
            store.create_run(RunRecord(name, thread_id, status, metadata={"name": name, "even": name == "b"}))

        def found(**asked: Any) -> list[str]:
            return [run.run_id for run in store.list_runs(**asked)]

        assert found() == ["c", "b", "a"]
        assert found(limit=2) == ["c", "b"]
        assert found(thread_id="t") == ["b", "a"]
        assert found(thread_id="t", status="running") == ["a"]
        assert found(where={"even": True}) == ["b"]
        assert found(where={"even": True, "name": "a"}) == []

    # Leases

    def test_a_lease_is_one_owners_until_it_expires(self) -> None:
        """Another is refused meanwhile; each lease has a greater token, also that of a run made anew."""
        store = self.make_store()
        with pytest.raises(StateNotFound):
            store.acquire_lease("r", "a", 60)
        store.create_run(RunRecord("r"))
        first = store.acquire_lease("r", "a", 60)
        assert (first.run_id, first.owner) == ("r", "a")
        other = self.reopen(store)
        with pytest.raises(StateConflict):
            other.acquire_lease("r", "b", 60)
        again = store.acquire_lease("r", "a", 0.05)
        time.sleep(0.1)
        taken = other.acquire_lease("r", "b", 60)
        other.release_lease(first)  # lost long ago: nothing happens
        other.release_lease(taken)
        last = store.acquire_lease("r", "a", 60)
        store.delete_runs(["r"])
        store.create_run(RunRecord("r"))
        anew = store.acquire_lease("r", "a", 60)
        tokens = [lease.token for lease in (first, again, taken, last, anew)]
        assert tokens == sorted(set(tokens))

    def test_a_lease_is_renewed_by_its_holder_only(self) -> None:
        """The expiry moves, the token stays; who lost it is told."""
        store = self.make_store()
        store.create_run(RunRecord("r"))
        lease = store.acquire_lease("r", "a", 1)
        renewed = store.renew_lease(lease, 60)
        assert renewed.token == lease.token
        assert renewed.expires_at > lease.expires_at
        with pytest.raises(StateConflict):
            store.acquire_lease("r", "b", 1)
        store.release_lease(renewed)
        with pytest.raises(StateConflict):
            store.renew_lease(renewed, 60)

    def test_a_stale_fence_writes_nothing(self) -> None:
        """After another has taken the run over, each write of the old holder is refused and leaves no trace."""
        store = self.make_store()
        run = store.create_run(RunRecord("r"))
        stale = store.acquire_lease("r", "a", 60)
        store.put_checkpoint(record(), {}, fence=stale)
        store.release_lease(stale)

        def writes(fence: Lease) -> list[Callable[[], object]]:
            return [
                lambda: store.put_checkpoint(record(number=2), {}, fence=fence),
                lambda: store.put_checkpoint(record(number=2), {}, fence=fence, run=run),
                lambda: store.append_writes(record().key, [write()], fence=fence),
                lambda: store.append_writes(record().key, [write()], replace=True, fence=fence),
                lambda: store.update_run(run, fence=fence),
            ]

        refused(StateConflict, writes(stale))
        taken = self.reopen(store).acquire_lease("r", "b", 60)
        for lease in (stale, taken._replace(owner="a"), taken._replace(token=stale.token)):
            refused(StateConflict, writes(lease))
        assert store.get_checkpoint("t") == record()
        assert store.get_run("r") == run

    # Checkpoints

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

    # Whatever comes from outside

    def test_hostile_filters_find_what_is_there_and_nothing_else(self) -> None:
        """Keys and values that would be SQL, paths or patterns are plain text."""
        store = self.make_store()
        store.put_checkpoint(record(number=1, metadata={"a": "b"}), {}, run=RunRecord("r", metadata={"a": "b"}))
        for number, text in enumerate(_HOSTILE, 2):
            assert store.find_checkpoints(where={text: "b"}) == []
            assert store.find_checkpoints(where={"a": text}) == []
            assert store.list_runs(where={text: text}) == []
            store.put_checkpoint(record(number=number, metadata={text: text}), {})
            assert [key.checkpoint_id for key in store.find_checkpoints(where={text: text})] == [f"{number:04}"]
        for kind, (same, others) in _KINDS.items():
            store.put_checkpoint(record("kinds", metadata={kind: same}), {})
            assert len(store.find_checkpoints(where={kind: same})) == 1, kind
            for other in others:
                assert store.find_checkpoints(where={kind: other}) == [], (kind, other)
        assert len(store.find_checkpoints()) == len(_HOSTILE) + 2
        assert store.get_run("r").metadata == {"a": "b"}

    def test_hostile_names_are_stored_or_refused(self) -> None:
        """Text that would be SQL is a name like any other; what databases cannot hold is a `ConfigError`."""
        store = self.make_store()
        for text in filter(None, _HOSTILE):
            key = CheckpointKey(text, text, text)
            put = CheckpointRecord(key, Payload("x", b""), parent_id=text, run_id=text, slots={text: text})
            store.put_checkpoint(put, {text: Payload("x", b"s")}, run=RunRecord(text, text, text))
            store.append_writes(key, [StepWrite(text, 0, text, Payload("x", b""), text)])
            found = store.get_checkpoint(*key)
            assert found is not None
            assert (found.key, found.run_id, found.slots, found.writes[0].task_path) == (key, text, {text: text}, text)
            assert store.find_checkpoints(run_id=text) == [key]
            assert store.get_run(text).status == text

        def uses(bad: str) -> list[Callable[[], object]]:
            return [
                lambda: store.get_checkpoint(bad),
                lambda: store.get_run(bad),
                lambda: store.create_run(RunRecord(bad)),
                lambda: store.put_checkpoint(record(bad), {}),
                lambda: store.put_checkpoint(record(slots={"a": bad}), {"a": Payload("x", b"")}),
                lambda: store.append_writes(record().key, [write(bad)]),
                lambda: store.delete_threads(["t", bad]),
                lambda: store.for_tenant(bad),
            ]

        for bad in ("", "a\x00b", "\ud800", "x" * 256):
            shown = refused(ConfigError, uses(bad))
            assert not bad or bad not in shown
        metadata: list[dict[str, Any]] = [{"a": "\x00"}, {"a": ["\ud800"]}, {"\x00": 1}, {"a": object()}]
        for wrong in metadata:
            with pytest.raises(ConfigError):
                store.put_checkpoint(record(metadata=wrong), {})
            with pytest.raises(ConfigError):
                store.find_checkpoints(where=wrong)

    def test_tenants_do_not_meet(self) -> None:
        """Under the same names each has its own; no method finds, changes or deletes what is another's."""
        store = self.make_store()
        other = store.for_tenant("other")
        assert other.tenant == "other" != store.tenant
        crash.prepare(store, "t")
        kept = crash_snapshot(store, "t")
        assert other.find_checkpoints() == []
        assert other.list_runs() == []
        assert other.get_checkpoint("t") is None
        absent: list[Callable[[], object]] = [
            lambda: other.get_run("t/run"), lambda: other.acquire_lease("t/run", "a", 1),
            lambda: other.copy_thread("t", "u"), lambda: other.update_run(RunRecord("t/run", revision=1)),
        ]  # fmt: skip
        refused(StateNotFound, absent)
        with pytest.raises(StateConflict):  # the slot is there, but not for this tenant
            other.put_checkpoint(record(number=4, parent_id="0003", slots={"log": "3"}), {})
        lease = store.acquire_lease("t/run", "a", 60)
        other.release_lease(lease)
        with pytest.raises(StateConflict):
            other.append_writes(record().key, [write()], fence=lease)
        other.delete_threads(["t"])
        other.delete_runs(["t/run"])
        other.prune(["t"])
        assert crash_snapshot(store, "t") == kept
        store.renew_lease(lease, 60)
        crash.prepare(other, "t")
        crash.put(other, "t", 4)
        store.delete_runs(["t/run"])
        assert store.find_checkpoints() == []
        assert len(other.find_checkpoints()) == 4
        assert self.reopen(store).for_tenant("other").get_run("t/run").revision == 1

    def test_no_payload_is_shown(self) -> None:
        """Not by records, and not by errors."""
        store = self.make_store()
        put = record(head=Payload("x", SECRET), slots={"a": "1", "b": "1"})
        calls: list[Callable[[], object]] = [
            lambda: store.put_checkpoint(put, {"a": Payload("x", SECRET)}),
            lambda: store.put_checkpoint(put, {"c": Payload("x", SECRET)}),
            lambda: store.append_writes(put.key, [write("\x00", 0, SECRET)]),
            lambda: store.append_writes(put.key, [write("t", 2**70, SECRET)]),
            lambda: store.update_run(RunRecord("r", payload=Payload("x", SECRET), revision=1)),
        ]
        shown = refused((RunStateError, ConfigError), calls) + repr(put)
        assert SECRET.decode() not in shown

    # Lifecycle

    def test_deleting_takes_what_it_names(self) -> None:
        """Threads with their writes, runs with their checkpoints; the rest stays whole; the unknown is passed over."""
        store = self.make_store()
        for thread_id in ("t", "u"):
            crash.prepare(store, thread_id)
        kept = crash_snapshot(store, "u")
        store.delete_threads(["t", "none"])
        assert store.find_checkpoints(thread_id="t") == []
        assert store.get_run("t/run").revision == 1
        store.put_checkpoint(record("t", 3), {})
        assert getattr(store.get_checkpoint("t"), "writes", None) == ()
        store.delete_runs(["t/run", "none"])
        with pytest.raises(StateNotFound):
            store.get_run("t/run")
        assert len(store.find_checkpoints(thread_id="t")) == 1
        store.delete_runs([])
        store.delete_threads([])
        assert crash_snapshot(store, "u") == kept

    def test_pruning_keeps_the_latest_of_each_namespace(self) -> None:
        """With its writes, and writes for checkpoints to come; namespaces and threads beside it are untouched."""
        store = self.make_store()
        for thread_id in ("t", "u"):
            crash.prepare(store, thread_id)
        for number in (1, 2):
            store.put_checkpoint(record("t", number, ns="sub"), {})
        coming = record("t", 4)
        store.append_writes(coming.key, [write()])
        store.append_writes(record("t", 1).key, [write("gone")])
        latest, kept = store.get_checkpoint("t"), crash_snapshot(store, "u")
        store.prune(["t", "none"])
        store.prune([])
        assert [(k.ns, k.checkpoint_id) for k in store.find_checkpoints(thread_id="t")] == [
            ("", "0003"),
            ("sub", "0002"),
        ]
        assert store.get_checkpoint("t") == latest
        store.put_checkpoint(coming, {})
        assert getattr(store.get_checkpoint("t"), "writes", None) == (write(),)
        store.put_checkpoint(record("t", 1), {})
        assert getattr(store.get_checkpoint("t", "", "0001"), "writes", None) == ()
        assert crash_snapshot(store, "u") == kept

    def test_copies_are_whole_and_apart(self) -> None:
        """All checkpoints with slots and writes, rewritten if asked; neither sees what becomes of the other."""
        store = self.make_store()
        crash.prepare(store, "t")
        store.copy_thread("t", "copy")
        assert crash_snapshot(store, "copy")[0] == crash_snapshot(store, "t")[0]
        for source, target, error in (
            ("t", "copy", StateConflict), ("t", "t", StateConflict), ("none", "x", StateNotFound)
        ):  # fmt: skip
            with pytest.raises(error):
                store.copy_thread(source, target)
        store.copy_thread("t", "new", rewrite=lambda copied: replace(copied, head=Payload("x", b"rewritten")))
        assert getattr(store.get_checkpoint("new"), "head", None) == Payload("x", b"rewritten")
        copy = crash_snapshot(store, "copy")
        store.delete_threads(["t"])
        assert crash_snapshot(store, "copy") == copy

    def test_chained_checkpoints_keep_their_ancestors(self) -> None:
        """Neither pruning nor deleting a run takes them away, and nothing is changed by trying; whole threads go."""
        store = self.make_store()
        crash.prepare(store, "t")
        crash.prepare(store, "other")
        store.put_checkpoint(record("t", 4, parent_id="0003", run_id="later", chained=True), {})
        store.put_checkpoint(record("t", 1, ns="sub", run_id="sub"), {})
        before, beside = crash_snapshot(store, "t"), crash_snapshot(store, "other")
        breaking: list[Callable[[], object]] = [
            lambda: store.prune(["other", "t"]), lambda: store.delete_runs(["other/run", "t/run"]),
            lambda: store.delete_runs(["later"]),
        ]  # fmt: skip
        refused(StateRefused, breaking)
        assert (crash_snapshot(store, "t"), crash_snapshot(store, "other")) == (before, beside)
        store.copy_thread("t", "copy")
        store.delete_runs(["sub"])  # another line of checkpoints
        store.delete_runs(["later", "t/run"])  # all there is
        assert store.find_checkpoints(thread_id="t") == []

    # Others, and crashes

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

        _at_once([writer, pruner, reader, reader_apart(store, self, done)])
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

        store.watch(before)
        store.put_checkpoint(record(number=1), {}, fence=fence)
        store.watch(last)
        store.put_checkpoint(record(number=2), {}, fence=fence)
        store.watch(None)
        taker.join(30)
        assert [lease.token > fence.token for lease in taken] == [True]
        refused(StateConflict, [lambda: store.put_checkpoint(record(number=3), {}, fence=fence)])

    @pytest.mark.parametrize("operation", sorted(crash.OPERATIONS))
    def test_a_crash_leaves_all_or_nothing(self, operation: str) -> None:
        """Killed ahead of each of its statements, an operation has been done or has not."""
        store = self.make_store()
        crash.prepare(store, "control")
        before = crash_snapshot(store, "control")
        crash.OPERATIONS[operation](store, "control")
        after = crash_snapshot(store, "control")
        assert before != after
        ran = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "runbundle.testing.crash", operation],
            input=self.code_to_open(store), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        count = int(ran.stdout)
        found = [crash_snapshot(store, f"{operation}-{number}") for number in range(1, count + 1)]
        assert found[0] == before
        assert found[-1] == after
        assert all(state in (before, after) for state in found)
        crash.prepare(store, "later")  # and the store still works
        for number in range(1, count):
            store.delete_threads([f"{operation}-{number}"])

    def test_it_behaves_like_a_dict(self) -> None:
        """Whatever is done to it in whatever order, it says what a dict would say."""
        from runbundle.testing.runstore_machine import check

        check(self.make_store())


def reader_apart(store: RunStore, tests: RunStoreTests, done: threading.Event) -> Callable[[], None]:
    """Return a reader of all checkpoints, who may find them gone, but not in part."""

    def read() -> None:
        mine = tests.reopen(store)
        while not done.is_set():
            for key in mine.find_checkpoints(thread_id="t"):
                found = mine.get_checkpoint(*key)
                assert found is None or found.slot_payloads.keys() == {"log", "same"}
        mine.close()

    return read


def crash_snapshot(store: RunStore, thread_id: str) -> tuple[Any, ...]:
    """Return all there is of a thread, its copy and its run, without their names and times."""
    try:
        run = store.get_run(f"{thread_id}/run")
        seen = (run.status, run.revision, run.payload)
    except StateNotFound:
        seen = None
    threads: list[Any] = []
    for name in (thread_id, f"{thread_id}/copy"):
        found = [store.get_checkpoint(*key) for key in store.find_checkpoints(thread_id=name)]
        threads.append([(r.key[1:], r.parent_id, r.head, r.slots, r.slot_payloads, r.writes) for r in found if r])
    return (*threads, seen)


def _at_once(calls: list[Callable[[], None]]) -> None:
    """Run functions in threads; raise what one of them raised."""
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
