"""Tests of operations on whole threads: delete, copy and prune."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from runbundle.errors import StateConflict, StateNotFound, StateRefused
from runbundle.runstate import Payload
from runbundle.testing.runstores import crash
from runbundle.testing.runstores.hooks import RunStoreHooks, crash_snapshot, record, refused, write


class ThreadTests(RunStoreHooks):
    """The guarantees of every store about threads."""

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
