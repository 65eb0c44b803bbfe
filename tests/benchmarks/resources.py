"""What a process and those below it have used: CPU time and memory."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s() -> float:
    """Return the CPU seconds, of user and system, of this process and of all below it, ended or not.

    Of those below that have not ended the kernel tells in hundredths of a second, and only on Linux.
    """
    ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in ended) + sum(map(_cpu_of, _below(os.getpid())))


def peak_mb() -> float:
    """Return the most memory that this process has had resident, with that of all that now run below it."""
    return sum(_kilobytes(process, "VmHWM") for process in (os.getpid(), *_below(os.getpid()))) / 1024


def resident_mb() -> float:
    """Return the memory that is resident now, with that of all that run below this process."""
    return sum(_kilobytes(process, "VmRSS") for process in (os.getpid(), *_below(os.getpid()))) / 1024


def _below(process: int) -> Iterator[int]:
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = [int(word) for word in children.read_text().split()]
        except OSError:  # the thread has ended
            continue
        for child in found:
            yield child
            yield from _below(child)


def _cpu_of(process: int) -> float:
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / _TICKS  # utime, stime, cutime, cstime


def _kilobytes(process: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # not on Linux, where the peak of the process itself is all there is
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (most if os.uname().sysname == "Linux" else most // 1024) if process == os.getpid() else 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
