"""What a change costs: this checkout's runbundle beside that of another commit, `make bench-compare BASE=main`.

    python -m tests.benchmarks.compare HEAD~3 --rounds 5

The other commit is checked out into a temporary folder. If its native core has other sources, that is built: this takes
two minutes. Both sides run the workload of this checkout, in the same environment, and alternate. Beside them runs the
floor, which stands still. Printed is each subject's CPU of the whole process and of the calling thread, over that of
the other commit: the median of the rounds' ratios, the least and the most of them. Less than 1 is faster now. A subject
that the other commit does not know has no ratio.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.results import git
from tests.benchmarks.rounds import Bench, Failed, Round, bench, emitted, progress, ratios, unpack_native
from tests.benchmarks.subjects import BY_KEY, FLOOR, Subject
from tests.interop.environments import ROOT

OURS = tuple(subject.key for subject in BY_KEY.values() if subject.is_ours)
FIGURES = ("total_us", "caller_us")
_BASE = "base of "
"""Before the key of a subject that ran with the other commit's code."""


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, which is gone afterwards; this checkout is left as it is."""
    with tempfile.TemporaryDirectory(prefix="runbundle-bench-") as folder:
        place = Path(folder) / "base"
        for words in (
            ("clone", "--quiet", "--no-checkout", "--shared", str(ROOT), str(place)),
            ("-C", str(place), "checkout", "--quiet", "--detach", commit),
        ):
            done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr.strip())
        yield place


def one_round(
    on: Bench, subjects: Sequence[Subject], runs: int, base: Path, failed: dict[str, str], *, now_first: bool
) -> Round:
    """Run each subject on both sides; what the other commit cannot run goes into `failed`, with its last words."""
    found: Round = {}
    for subject in subjects:
        for source in (ROOT, base) if now_first else (base, ROOT):
            if source is ROOT:
                found[subject.key] = emitted(on, subject, runs)
                continue
            try:
                found[_BASE + subject.key] = emitted(on, subject, runs, source=base)
            except Failed as error:
                failed[subject.title] = str(error).strip().splitlines()[-1]
    return found


def rows(rounds: Sequence[Round], keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each subject: its title, and for each figure the median ratio with its range."""
    for key in keys:
        yield BY_KEY[key].title, *(_range(ratios(rounds, key, _BASE + key, figure)) for figure in FIGURES)


def _range(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else "-"


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.compare", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("base", help="a commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", nargs="*", choices=OURS, metavar="SUBJECT", help=", ".join(OURS))
    given = parser.parse_args()
    commit = git("rev-parse", "--verify", "--quiet", f"{given.base}^{{commit}}")
    if not commit:
        parser.error(f"{given.base} is no commit of this repository")
    keys = [FLOOR, *(given.only or OURS)]
    rounds: list[Round] = []
    failed: dict[str, str] = {}
    with checked_out(commit) as base, bench() as on:
        progress("the native core of the other commit")
        unpack_native(on.folder, base)
        subjects = [BY_KEY[key] for key in keys if on.native or not BY_KEY[key].needs_native]
        for number in range(given.rounds + 1):
            progress(f"round {number} of {given.rounds}" if number else "warming up")
            found = one_round(on, subjects, given.runs if number else 1, base, failed, now_first=number % 2 == 1)
            rounds += [found] if number else []
    progress("")
    print(f"{f'CPU now over {commit[:12]}':<38}{'process':>21}{'caller':>21}")
    for row in rows(rounds, [subject.key for subject in subjects]):
        print("{:<38}{:>21}{:>21}".format(*row))
    for title, why in failed.items():
        print(f"{title}: the other commit failed: {why}"[:80])


if __name__ == "__main__":
    sys.exit(main())
