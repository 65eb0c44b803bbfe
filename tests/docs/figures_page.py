"""Writes measured figures from benchmarks/results into two pages: python -m tests.docs.figures_page.

`python -m tests.benchmarks.peers --write` writes the file of results, and calls this too. What stands around the tables
is written by hand, and has no figures of its own.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.results import measure_rows, measured_variants, read, said_of, slower, subject_rows, times
from tests.benchmarks.rounds import ratio
from tests.benchmarks.subjects import FLOOR, PEER, VARIANTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "figures.md"
README = ROOT / "README.md"
_BEGIN = "<!-- made by python -m tests.docs.figures_page -->\n"
_END = "<!-- end of what is made -->\n"
_END_IN_README = "## More\n"
_PEERS = {"otlp": "OTLP/HTTP", PEER: "Langfuse", "logfire": "Logfire"}
_OURS = {
    key: title for variant in VARIANTS for key, title in (
        (variant.key, variant.title.split()[-1]), (f"{variant.key}-contract", f"{variant.title.split()[-1]}, contract"),
    )
}  # fmt: skip
_FIGURES = (
    ("CPU of a span over the floor's, whole process", FLOOR, "total_us"),
    ("the agent's thread alone", FLOOR, "caller_us"),
    ("whole process over Langfuse's", PEER, "total_us"),
)
_WIDTH = 120


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows)).replace(
        "| --- ", "|---"
    )


def in_page(found: Mapping[str, Any]) -> str:
    """Return what docs/figures.md says of the peers."""
    head = ("CPU of a span", "whole process, µs", "over the floor", "caller's thread, µs", "over the floor",
            "whole process over Langfuse's")  # fmt: skip
    compared = _table(head, subject_rows(found["rounds"]))
    titles = [variant.title for variant in measured_variants(found["measures"])]
    rows = ((*row, measure.wanted) for measure, row in measure_rows(found["measures"]))
    return f"{said_of(found)}\n\n{compared}\n{_table(('measure', *titles, 'target'), rows)}"


def in_readme(found: Mapping[str, Any]) -> str:
    """Return the README's table, of peers and of ours, and in which of its columns we take more than a peer."""
    rounds, measures = found["rounds"], found["measures"]
    peers, ours = (
        {key: title for key, title in of.items() if any(key in each for each in rounds)} for of in (_PEERS, _OURS)
    )
    columns = peers | ours
    rows = [(name, *(times(ratio(rounds, key, over, figure)) for key in columns)) for name, over, figure in _FIGURES]
    variants = [variant.key for variant in measured_variants(measures)]
    for measure, (title, *values) in measure_rows(measures):
        if measure.in_readme:
            value = dict(zip(variants, values, strict=True))
            rows.append((title, *(value.get(key, "") for key in columns)))
    head = f"[in one run]({PAGE.relative_to(ROOT)}#what-a-run-costs); the floor is the SDK, its batches going nowhere"
    text = " ".join((*slower(rounds, ours, peers), "OTLP/HTTP and Langfuse redact nothing."))
    titles = (f"runbundle {title}" if key in ours else title for key, title in columns.items())
    return f"{_table((head, *titles), rows)}\n{textwrap.fill(text, _WIDTH, break_on_hyphens=False)}\n"


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
