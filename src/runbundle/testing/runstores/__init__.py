"""The conformance suite of run stores.

The author of a store subclasses `RunStoreTests`, provides the three hooks of `RunStoreHooks`, and lets pytest run the
class. The suite needs pytest and hypothesis.
"""

import subprocess
import sys

import pytest

from runbundle.testing.runstores import crash
from runbundle.testing.runstores.checkpoints import CheckpointTests
from runbundle.testing.runstores.concurrency import ConcurrencyTests
from runbundle.testing.runstores.hooks import crash_snapshot
from runbundle.testing.runstores.hostile import HostileTests
from runbundle.testing.runstores.runs import RunTests
from runbundle.testing.runstores.threads import ThreadTests

__all__ = ["RunStoreTests"]


class RunStoreTests(RunTests, CheckpointTests, ThreadTests, HostileTests, ConcurrencyTests):
    """The guarantees of every `RunStore`, as tests.

    class TestMyStore(RunStoreTests):
        def make_store(self): ...
        def reopen(self, store): ...
        def code_to_open(self, store): ...
    """

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
            [sys.executable, "-m", "runbundle.testing.runstores.crash", operation],
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
        from runbundle.testing.runstores.machine import check_against_dicts

        check_against_dicts(self.make_store())
