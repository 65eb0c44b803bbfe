"""Crashes an operation at each of its statements: `python -m runbundle.testing.runstores.crash OPERATION`.

Python code that opens a store is read from stdin. For each n, a child process opens the store, prepares a thread named
`<operation>-<n>`, and begins the operation; ahead of the n-th statement it kills itself (SIGKILL, which no handler
survives). The first child that completes the operation is the last. The number of children is printed.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunRecord, RunStore, StepWrite

_BLOCKS = [bytes([65 + n]) * 700 for n in range(8)]


def slot(size: int) -> Payload:
    """Return the slot of a size from 0 to 8. Each size begins with the bytes of the size before."""
    return Payload("x", b"".join(_BLOCKS[:size]))


def put(store: RunStore, thread: str, number: int, *, size: int | None = None, **more: Any) -> None:
    """Store a checkpoint of a thread. The version of its slot `log` is `number`."""
    size = number if size is None else size
    record = CheckpointRecord(
        key=CheckpointKey(thread, "", f"{number:04}"),
        parent_id=f"{number - 1:04}" if number > 1 else None,
        run_id=f"{thread}/run",
        head=Payload("x", b"head %d" % number),
        slots={"log": str(number), "same": "1"},
        metadata={"step": number},
    )
    store.put_checkpoint(record, {"log": slot(size), "same": Payload("x", b"same")}, **more)


def prepare(store: RunStore, thread: str) -> None:
    """Store a run with three checkpoints; the last of them has a write."""
    store.create_run(RunRecord(f"{thread}/run", thread, payload=Payload("x", b"one")))
    for number in (1, 2, 3):
        put(store, thread, number)
    write = StepWrite("task", 0, "c", Payload("x", b"w"))
    store.append_writes(CheckpointKey(thread, "", "0003"), [write])


def _put(store: RunStore, thread: str) -> None:
    run = RunRecord(f"{thread}/run", thread, "done", payload=Payload("x", b"two"), revision=1)
    put(store, thread, 4, fence=store.acquire_lease(f"{thread}/run", "me", 60), run=run)


def _write(store: RunStore, thread: str) -> None:
    writes = [StepWrite("task", n, "c", Payload("x", b"new")) for n in range(3)]
    store.append_writes(CheckpointKey(thread, "", "0003"), writes, replace=True)


def _keep(store: RunStore, thread: str) -> None:
    writes = [StepWrite("other", n, "c", Payload("x", b"new")) for n in range(3)]
    store.append_writes(CheckpointKey(thread, "", "0003"), writes)


def _update(store: RunStore, thread: str) -> None:
    store.update_run(RunRecord(f"{thread}/run", thread, "done", payload=Payload("x", b"two"), revision=1))


OPERATIONS: dict[str, Callable[[RunStore, str], None]] = {
    "put": _put,
    "write": _write,
    "keep": _keep,
    "update": _update,
    "copy": lambda store, thread: store.copy_thread(thread, f"{thread}/copy"),
    "prune": lambda store, thread: store.prune([thread]),
    "delete": lambda store, thread: store.delete_threads([thread]),
    "delete-run": lambda store, thread: store.delete_runs([f"{thread}/run"]),
}


def main(operation: str, code: str) -> int:
    """Crash an operation at each of its statements; return the number of child processes.

    `code` is Python that binds `store`. Raises `SystemExit` if a child fails in any other way.
    """
    number = 0
    while True:
        number += 1
        child = os.fork()
        if child == 0:
            _child(operation, code, number)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            continue
        if status:
            raise SystemExit(f"the operation failed: {status}")
        return number


def _child(operation: str, code: str, number: int) -> None:
    try:
        opened: dict[str, Any] = {}
        exec(code, opened)  # noqa: S102 - the test's own
        store, thread, count = opened["store"], f"{operation}-{number}", 0

        def before() -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        prepare(store, thread)
        store.watch(before)
        OPERATIONS[operation](store, thread)
    except BaseException:  # noqa: BLE001 - told to who waits
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(str(main(sys.argv[1], sys.stdin.read())))
