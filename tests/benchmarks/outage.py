"""What an agent pays for a span while the backend that it is forwarded to is well, away, slow or silent.

python -m tests.benchmarks.outage [ROUNDS]

The wall time of one decorated tool call, a call every millisecond, as of an agent that works; with a queue on disk and
without. The states take turns, so that what else the machine does meets all of them. A line has the 50th and the 99th
percentile over all rounds, and the latter's ratio to that of a healthy backend: the median of the rounds. The target is
1.1. The receivers are processes of their own, so that their work is not measured.
"""

import itertools
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
from typing import Any

import runbundle
from tests.support.receiver import Receiver

SPANS, WARM, EVERY_S = 1000, 100, 0.001
STATES: tuple[Any, ...] = ("well", "away", "hang", 503, "drip")


@runbundle.tool
def lookup(word: str, page: int) -> dict[str, object]:
    """Return something small."""
    return {"word": word, "page": page, "found": True}


def measured(url: str, *, queue: bool) -> list[float]:
    """Return how long each call took, in microseconds, in order of size."""
    took: list[float] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        destination = runbundle.Otlp(url, timeout_s=1, queue=f"{folder}/queue" if queue else None)
        handle = runbundle.configure(store=f"{folder}/store", key=b"a key for benchmarks", otlp=[destination])
        with runbundle.start_run("r"):
            for page in range(SPANS + WARM):
                begun = time.perf_counter_ns()
                lookup("bundle", page)
                took.append((time.perf_counter_ns() - begun) / 1000)
                time.sleep(EVERY_S)
        handle.recorder.flush(60.0)
        handle.shutdown(timeout_s=0.5)
    return sorted(took[WARM:])


def serve(mood: Any, told: Any) -> None:
    """Be a receiver until the process is ended."""
    receiver = Receiver()
    receiver.mood = mood
    told.put(receiver.url)
    time.sleep(3600)


def main(rounds: int) -> None:
    """Measure all, and print a line for each."""
    logging.getLogger("runbundle").setLevel(logging.CRITICAL)
    spawn = multiprocessing.get_context("spawn")
    urls: dict[Any, str] = {"away": "http://127.0.0.1:9"}
    servers: list[Any] = []
    for state in STATES:
        if state not in urls:
            told: Any = spawn.Queue()
            servers.append(spawn.Process(target=serve, args=(state, told), daemon=True))
            servers[-1].start()
            urls[state] = told.get()
    found: dict[tuple[Any, bool], list[list[float]]] = {}
    measured(urls["well"], queue=False)
    for _ in range(rounds):
        for queue, state in itertools.product((False, True), STATES):
            found.setdefault((state, queue), []).append(measured(urls[state], queue=queue))
    for server in servers:
        server.terminate()
    for (state, queue), each in found.items():
        everything = sorted(took for one in each for took in one)
        median, tail = everything[len(everything) // 2], everything[len(everything) * 99 // 100]
        pairs = zip(each, found["well", queue], strict=True)
        ratio = statistics.median(one[SPANS * 99 // 100] / well[SPANS * 99 // 100] for one, well in pairs)
        name = f"{state}, {'a queue on disk' if queue else 'no queue'}"
        print(f"{name:<22} p50 {median:6.0f} us, p99 {tail:6.0f} us: {ratio:.2f} of a healthy one (target 1.1)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
