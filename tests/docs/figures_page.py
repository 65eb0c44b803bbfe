"""Writes measured figures from benchmarks/results into two pages: python -m tests.docs.figures_page.

`python -m tests.benchmarks.peers --write` writes the file of results, and calls this too. What stands around the tables
is written by hand, and has no figures of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.results import measure_rows, measured_variants, read, said_of, subject_rows, times
from tests.benchmarks.rounds import ratio
from tests.benchmarks.subjects import FLOOR, PEER, VARIANTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "figures.md"
README = ROOT / "README.md"
_BEGIN = "<!-- made by python -m tests.docs.figures_page -->\n"
_END = "<!-- end of what is made -->\n"
_END_IN_README = "## More\n"
_IN_README = (
    ("otlp", "SDK, OTLP/HTTP"), (PEER, "Langfuse"), ("logfire", "Logfire"),
    *((key, title) for variant in VARIANTS for key, title in (
        (variant.key, variant.title), (f"{variant.key}-contract", f"{variant.title}, contract"),
    )),
)  # fmt: skip
_FIGURES = (("whole process", "total_us"), ("the agent's thread", "caller_us"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows)).replace(
        "| --- ", "|---"
    )


def in_page(found: Mapping[str, Any]) -> str:
    """Return what docs/figures.md says of the peers."""
    head = ("CPU of a span", "whole process, µs", "over the floor", "caller's thread, µs", "over the floor",
            "whole process over Langfuse's")  # fmt: skip
    compared = _table(head, subject_rows(found["rounds"]))
    measures = _table(("measure", *measured_variants(found["measures"])), measure_rows(found["measures"]))
    return f"{said_of(found)}\n\n{compared}\n{measures}"


def in_readme(found: Mapping[str, Any]) -> str:
    """Return the README's table: ratios to the floor."""
    rounds = found["rounds"]
    columns = [(key, title) for key, title in _IN_README if any(key in each for each in rounds)]
    head = (
        f"CPU of a span, over [the bare SDK's]({PAGE.relative_to(ROOT)}#what-a-run-costs)",
        *(t for _, t in columns),
    )
    rows = ((name, *(times(ratio(rounds, key, FLOOR, figure)) for key, _ in columns)) for name, figure in _FIGURES)
    return _table(head, rows)


def _with(path: Path, made: str, end: str) -> str:
    """Return the page with what is made between the line that says so and `end`."""
    before, begin, rest = path.read_text().partition(_BEGIN)
    _, found, after = rest.partition(end)
    if not begin or not found:
        raise ValueError(f"{path.name} has not the two lines between which the figures go")
    return f"{before}{_BEGIN}\n{made}\n{end}{after}"


def page() -> str:
    """Return docs/figures.md."""
    return _with(PAGE, in_page(read()), _END)


def readme() -> str:
    """Return README.md."""
    return _with(README, in_readme(read()), _END_IN_README)


def write() -> None:
    """Write both."""
    PAGE.write_text(page())
    README.write_text(readme())


if __name__ == "__main__":
    write()
