"""What an agent pays for a span while the backend that it is forwarded to is well, away, slow or silent.

python -m tests.benchmarks.outage

The 99th percentile of the wall time of one decorated tool call, a call every millisecond, as of an agent that works;
each state in a process of its own, with a queue on disk and without. States alternate; the median of the rounds, and
its ratio to the healthy state. The target is 1.1. The receiver is a process too, so that its work is not measured.
"""

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time

import runbundle
from tests.support.receiver import Receiver

SPANS, ROUNDS, EVERY_S = 2000, 5, 0.001
STATES = ("well", "away", "hang", "503", "drip")


@runbundle.tool
def lookup(word: str, page: int) -> dict[str, object]:
    """Return something small."""
    return {"word": word, "page": page, "found": True}


def measured_us(url: str, queue: str) -> tuple[float, float]:
    """Return the 50th and 99th percentile of a call, in microseconds."""
    took: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        destination = runbundle.Otlp(url, timeout_s=2, queue=f"{folder}/queue" if queue else None)
        handle = runbundle.configure(store=f"{folder}/store", key=b"a key for benchmarks", otlp=[destination])
        with runbundle.start_run("r"):
            for page in range(SPANS + 500):
                begun = time.perf_counter_ns()
                lookup("bundle", page)
                took.append(time.perf_counter_ns() - begun)
                time.sleep(EVERY_S)
        handle.shutdown(timeout_s=1)
    kept = sorted(took[500:])
    return kept[len(kept) // 2] / 1000, kept[len(kept) * 99 // 100] / 1000


def serve(mood: str, told: "multiprocessing.Queue[str]") -> None:
    """Be a receiver until the process is ended."""
    receiver = Receiver()
    receiver.mood = int(mood) if mood.isdigit() else mood  # type: ignore[assignment]
    told.put(receiver.url)
    time.sleep(3600)


def one(state: str, queue: str) -> tuple[float, float]:
    """Measure one state in a process of its own."""
    url, server = "http://127.0.0.1:9", None
    if state != "away":
        told: multiprocessing.Queue[str] = multiprocessing.Queue()
        server = multiprocessing.Process(target=serve, args=(state, told), daemon=True)
        server.start()
        url = told.get()
    command = [sys.executable, "-m", "tests.benchmarks.outage", url, queue]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if server is not None:
        server.terminate()
        server.join()
    return tuple(json.loads(done.stdout))  # type: ignore[return-value]


def main() -> None:
    """Measure all, and print a line for each."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for queue in ("", "queue"):
            for state in STATES:
                found.setdefault((state, queue), []).append(one(state, queue))
                print(".", end="", file=sys.stderr, flush=True)
    for (state, queue), rounds in found.items():
        median, tail = (statistics.median(column) for column in zip(*rounds, strict=True))
        well = statistics.median(tail for _, tail in found["well", queue])
        name = f"{state}, {'a queue on disk' if queue else 'no queue'}"
        print(f"{name:<24} p50 {median:6.0f} us, p99 {tail:6.0f} us: {tail / well:.2f} of a healthy one (target 1.1)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured_us(sys.argv[1], sys.argv[2])))
    else:
        multiprocessing.set_start_method("spawn")
        main()
