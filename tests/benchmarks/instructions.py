"""Instructions a span, ours over the floor's, held to a bound: noise-free, so that `make test` can ask for it.

    python -m tests.benchmarks.instructions                        # measure, and compare with what is recorded
    python -m tests.benchmarks.instructions --record --reason "…"  # measure, and record

Counted are the native core and pure Python, each with a contract. The floor is the SDK with a batch processor that
exports to nowhere. Valgrind's callgrind counts the instructions of user space in a process of each subject, on all
threads, until everything is flushed and sealed; in processes below it, it counts nothing. It counts a short and a long
block of runs. Their difference is divided by the spans of it, so that neither the start nor a flush is in it. Ids of
spans and hashes are the same each time. Two measurements differ by some thousandths.

The bounds are in `instructions.json`: the last entry holds. A measurement above one by more than its tolerance fails.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks import workload as work
from tests.benchmarks.rounds import progress, unpack_native, variables_of
from tests.benchmarks.subjects import BY_KEY, FLOOR, VARIANTS
from tests.interop.environments import ROOT

RECORDED = Path(__file__).with_name("instructions.json")
COMMAND = 'python -m tests.benchmarks.instructions --record --reason "why"'
SUBJECTS = tuple(f"{variant.key}-contract" for variant in VARIANTS)
SHORT, LONG = 2, 6
"""Runs of the two blocks."""
_TIMEOUT_S = 600
PYTHON = ".".join(map(str, sys.version_info[:2]))


def missing() -> str:
    """Return why nothing can be counted here; nothing if it can."""
    absent = [program for program in ("valgrind", "vgdb") if shutil.which(program) is None]
    return f"{', '.join(absent)} not found: no instructions are counted" if absent else ""


def counted(text: str) -> int:
    """Return the instructions that a file of callgrind's has counted."""
    found = re.search(r"^summary: (\d+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError("no summary in callgrind's file")
    return int(found[1])


def of_a_span(short: int, long: int) -> float:
    """Return the instructions of a span from those of the two blocks."""
    return (long - short) / ((LONG - SHORT) * work.spans_of(work.STEPS))


def instructions(key: str, folder: Path) -> float:
    """Return how many instructions a span of a subject takes. `folder` has its caches, and what it writes."""
    place = Path(tempfile.mkdtemp(dir=folder))
    _run([
        "valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={place}/counted",
        f"--vgdb-prefix={place}/vgdb", sys.executable, "-m", "tests.benchmarks.counted", key, place, f"{place}/vgdb",
        SHORT, LONG,
    ], variables_of(folder, ROOT, BY_KEY[key].variables))  # fmt: skip
    short, long = (counted((place / f"counted.{number}").read_text()) for number in (2, 3))
    return of_a_span(short, long)


def compile_rules(folder: Path) -> None:
    """Fill the caches below a folder, which would take minutes under valgrind."""
    key = SUBJECTS[-1]
    emit = [sys.executable, "-m", "tests.benchmarks.emit", key, "--runs", "1", "--folder", folder / "first"]
    _run(emit, variables_of(folder, ROOT, BY_KEY[key].variables))


def _run(command: list[Any], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"[-4000:])


def measured(say: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """Return each subject's instructions a span over the floor's, and the floor's own count: of those that can run."""
    with tempfile.TemporaryDirectory(prefix="runbundle-bench-") as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        native = unpack_native(folder, ROOT)
        keys = [FLOOR, *(key for key in SUBJECTS if native or not BY_KEY[key].needs_native)]
        say("compiling the rules")
        compile_rules(folder)
        say(f"counting: {', '.join(keys)}")
        found = dict(zip(keys, pool.map(lambda key: instructions(key, folder), keys), strict=True))
        say("")
    floor = found.pop(FLOOR)
    return {FLOOR: floor, **{key: count / floor for key, count in found.items()}}


def recorded() -> dict[str, Any]:
    """Return what is recorded: `python`, `tolerance`, and `entries`, each with a reason and ratios; the last holds."""
    return json.loads(RECORDED.read_text())


def above(found: Mapping[str, float], table: Mapping[str, Any]) -> dict[str, str]:
    """Return what is to be said of each subject that is above its bound, or has none."""
    bounds, said = table["entries"][-1]["ratios"], {}
    for key in (key for key in found if key != FLOOR):
        if key not in bounds:
            said[key] = f"{key}: {found[key]:.2f} times the floor's instructions; nothing is recorded. {COMMAND}"
        elif found[key] > bounds[key] * (1 + table["tolerance"]):
            said[key] = (
                f"{key}: a span takes {found[key]:.2f} times the floor's instructions; recorded are {bounds[key]:.2f}, "
                f"and {table['tolerance']:.0%} more is allowed. If it must be so: {COMMAND}"
            )
    return said


def with_entry(table: Mapping[str, Any], found: Mapping[str, float], reason: str) -> dict[str, Any]:
    """Return the table with another entry at its end."""
    ratios = {key: round(value, 2) for key, value in found.items() if key != FLOOR}
    entries = [*table["entries"], {"reason": reason, "ratios": ratios}]
    return {"python": PYTHON, "tolerance": table["tolerance"], "entries": entries}


def main() -> int:
    """Measure, and compare or record; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.instructions", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--record", action="store_true", help="write the measurement down; takes a reason")
    parser.add_argument("--reason", default="")
    given = parser.parse_args()
    if given.record != bool(given.reason.strip()):
        parser.error("--record and --reason go together")
    if missing():
        print(missing(), file=sys.stderr)
        return 1
    found, table = measured(progress), recorded()
    bounds = table["entries"][-1]["ratios"] if table["entries"] else {}
    print(f"{'instructions a span':<40}{'thousands':>12}{'over floor':>12}{'recorded':>12}")
    for key, value in found.items():
        count = found[FLOOR] * (1 if key == FLOOR else value)
        ratio, bound = ("", "") if key == FLOOR else (f"{value:.2f}", f"{bounds[key]:.2f}" if key in bounds else "-")
        print(f"{BY_KEY[key].title:<40}{count / 1000:>12,.0f}{ratio:>12}{bound:>12}")
    if given.record:
        RECORDED.write_text(json.dumps(with_entry(table, found, given.reason), indent=2) + "\n")
        return 0
    said = above(found, table)
    print(*said.values(), sep="\n", end="\n" if said else "", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
