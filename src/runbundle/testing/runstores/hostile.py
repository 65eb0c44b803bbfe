"""Tests with hostile input: filters, names, other tenants, and payloads that must never be shown."""

from collections.abc import Callable
from typing import Any

import pytest

from runbundle.errors import ConfigError, RunStateError, StateConflict, StateNotFound
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite
from runbundle.testing.runstores import crash
from runbundle.testing.runstores.hooks import RunStoreHooks, crash_snapshot, record, refused, write

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


class HostileTests(RunStoreHooks):
    """The guarantees of every store for any input."""

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
