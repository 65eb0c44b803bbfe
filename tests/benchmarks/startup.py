"""Start-up of the command line over bare Python, in milliseconds. `make bench`."""

import subprocess
import sys
import time


def best_of(arguments: list[str], times: int = 15) -> float:
    """Return the fastest of several runs, in milliseconds."""
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best * 1000


def main() -> None:
    """Measure and print."""
    bare = best_of(["-c", "pass"])
    print(f"runbundle --help: {best_of(['-m', 'runbundle', '--help']) - bare:.0f} ms over bare Python (target 100)")


if __name__ == "__main__":
    main()
