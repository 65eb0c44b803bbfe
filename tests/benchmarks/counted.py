"""One subject under callgrind, in blocks of runs whose instructions can be told apart: see `instructions`.

It is started with counting off, does some runs, switches counting on, and asks for a dump between blocks. In a block it
does runs and flushes. All it is given is in the arguments; what it measures is in callgrind's files.
"""

import gc
import os
import random
import subprocess
import sys

from tests.benchmarks import workload as work
from tests.benchmarks.emit import emit, flush
from tests.benchmarks.subjects import BY_KEY, Setting

WARM = 12
"""Runs that go before. After some hundred searches known secrets are compiled into one pattern, which takes the
instructions of two runs: with three runs before it came into what is counted, once in nine times."""


def tell(prefix: str, *words: str) -> None:
    """Tell callgrind something of this process, which must not sleep for long: it listens while it works."""
    command = ["vgdb", f"--pid={os.getpid()}", f"--vgdb-prefix={prefix}", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    process.wait(60)  # in short sleeps
    if process.returncode:
        raise RuntimeError(process.communicate()[0])


def main(key: str, folder: str, prefix: str, *blocks: str) -> None:
    """Do all."""
    random.seed(0)
    work.fill(work.MANY)
    running = BY_KEY[key].make(Setting(f"{folder}/store", "", work.STEPS, BY_KEY[key].options))
    emit(running, range(WARM))
    flush(running, WARM)
    gc.collect()
    gc.freeze()
    tell(prefix, "instrumentation", "on")
    begin = WARM
    for block in (1, *map(int, blocks)):  # the first is what comes with counting for the first time
        emit(running, range(begin, begin + block))
        flush(running, block)
        begin += block
        tell(prefix, "dump")
    tell(prefix, "instrumentation", "off")
    running.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
