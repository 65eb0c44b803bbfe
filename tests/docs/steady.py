"""Runs a program, or the `runbundle` command, with a clock and ids that are the same each time.

`python -m tests.docs.steady START_NS agent.py`, or `python -m tests.docs.steady START_NS runbundle ls`. In the main
thread each look at the clock takes 1 µs. A sleep of the program itself moves the clock without waiting, unless it is of
10 s or more.
"""

import hashlib
import itertools
import os
import runpy
import sys
import threading
import time

_STEP_NS = 1_000
_REAL_S = 10.0


def hold_steady(start_ns: int, program: str) -> None:
    """Replace the clock and the random bytes of the main thread, and the sleep of a program. Call it before imports."""
    now_ns, numbers = start_ns, itertools.count()
    really = time.time_ns, time.sleep, os.urandom
    main = threading.main_thread()

    def time_ns() -> int:
        nonlocal now_ns
        if threading.current_thread() is not main:
            return really[0]()
        now_ns += _STEP_NS
        return now_ns

    def sleep(seconds: float, /) -> None:
        nonlocal now_ns
        if sys._getframe(1).f_code.co_filename != program or seconds >= _REAL_S:
            really[1](seconds)
        else:
            now_ns += round(seconds * 1e9)

    def urandom(size: int, /) -> bytes:
        if threading.current_thread() is not main:
            return really[2](size)
        return hashlib.shake_256(f"{start_ns} {next(numbers)}".encode()).digest(size)

    time.time_ns, time.sleep, os.urandom = time_ns, sleep, urandom


if __name__ == "__main__":
    hold_steady(int(sys.argv[1]), sys.argv[2])
    del sys.argv[:2]
    if sys.argv[0] == "runbundle":
        from runbundle.cli.main import main

        main()
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
