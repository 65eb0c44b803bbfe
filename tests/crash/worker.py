"""A worker process that was not forked: `python -m tests.crash.worker STORE FD ROLE HEADERS`."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import runbundle
from tests.crash.harness import Teller, active_handle
from tests.crash.programs import begin

THREADS = 4
TOOLS_A_THREAD = 3


def work(teller: Teller, role: str) -> None:
    """Work in the run of the current context: four threads here, and as many in a process forked from this one."""
    pid = os.fork()
    if pid == 0:
        exit_after(lambda: four_threads(teller, f"{role}-fork"))
    four_threads(teller, role)
    assert os.waitpid(pid, 0)[1] == 0
    active_handle().flush()


def exit_after(body: Callable[[], object]) -> None:
    """Do `body` in a forked process, have sealed what is its to seal, and exit."""
    code = 1
    try:
        body()
        active_handle().flush()
        code = 0
    finally:
        os._exit(code)


def four_threads(teller: Teller, role: str) -> None:
    """Call tools from four threads at once."""
    threads = [
        threading.Thread(target=runbundle.in_context(lambda n=n: call_tools(teller, f"{role}.{n}")))
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def call_tools(teller: Teller, role: str) -> None:
    """Call tools one after another, each of which calls another."""
    for turn in range(TOOLS_A_THREAD):
        with teller.span(runbundle.start_tool(role, {"turn": turn})):
            with teller.span(runbundle.start_tool(f"{role}.inner", {"turn": turn})):
                pass
            if runbundle.current_run().run_id:  # not where the run came by headers, see test_known.py
                teller.log()


def main(store: Path, fd: int, role: str, headers: dict[str, str]) -> None:
    """Continue the run of `headers`."""
    # Without orphans: a fork while they are looked at would leave the child with their lock, see test_known.py.
    begin(store, orphans=False)
    with runbundle.continue_run(headers):
        work(Teller(fd), role)
    os._exit(0)  # after flush(); shutdown() would take half a minute, see test_known.py


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
