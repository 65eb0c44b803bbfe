"""Makes all simulations, prints them, and writes the table of docs/gates.md: python -m tests.calibration [SIMULATIONS].

It ends with 1 if a gate fails without a reason more often than it says.
"""

import re
import sys
from pathlib import Path

from tests.calibration.simulate import Cell, decided, outcomes, stated

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"
_TABLE = re.compile(r"(<!-- made by make calibrate -->\n).*?(<!-- end -->)", re.DOTALL)
MARGIN = 0.05
_HEAD = (
    "| cases | repetitions | pass rate | cases differ | false fail, margin 0 | pass | inconclusive |",
    "|--:|--:|--:|--:|--:|--:|--:|",
)
_SIZES = (
    "| spread of differences | margin | cases asked for | decided with n / 1.3 | with n | with 1.3 n |",
    "|--:|--:|--:|--:|--:|--:|",
)


def main(simulations: int = 1_000) -> int:
    """Return the exit code."""
    worst = 0.0
    rows = [*_HEAD]
    for n in (10, 30, 100):
        for k in (1, 5):
            for p in (0.5, 0.8, 0.95):
                for sd in (0.0, 1.5):
                    cell = Cell(n, k, p, sd)
                    strict, usual = outcomes(cell, (0.0, MARGIN), simulations)
                    share = strict["fail"] / simulations
                    worst = max(worst, share)
                    rows.append(
                        f"| {n} | {k} | {p:.0%} | {'yes' if sd else 'no'} | {share:.1%} |"
                        f" {usual['pass'] / simulations:.0%} | {usual['inconclusive'] / simulations:.0%} |"
                    )
                    print(rows[-1], flush=True)
    rows += ["", *_SIZES]
    off = False
    for spread, margin in ((0.2, 0.05), (0.3, 0.1), (0.1, 0.05)):
        n = stated(30 if spread / margin > 3 else 12, spread, margin, 101)
        shares = [decided(round(n * factor), spread, margin, simulations // 4) for factor in (1 / 1.3, 1.0, 1.3)]
        off = off or not shares[0] < 0.8 < shares[2]
        rows.append(f"| {spread} | {margin} | {n} | {' | '.join(f'{share:.0%}' for share in shares)} |")
        print(rows[-1], flush=True)
    if PAGE.is_file():
        PAGE.write_text(_TABLE.sub(lambda m: m[1] + "\n".join(rows) + "\n" + m[2], PAGE.read_text()))
    print(f"worst share of false failures: {worst:.1%}")
    return int(worst > 0.07 or off)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
