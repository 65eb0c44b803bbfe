"""The tree keeps its measure, and the page that says where to change what names places that are there."""

import re
import statistics
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "runbundle"
MODULES = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
MOST_LINES, MEDIAN_LINES, MOST_MODULES = 400, 150, 15


def test_no_module_is_too_long() -> None:
    """None has more than 400 lines; half of them have 150 or fewer."""
    assert {path.name: lines for path, lines in MODULES.items() if lines > MOST_LINES} == {}
    assert statistics.median(lines for path, lines in MODULES.items() if path.name != "__init__.py") <= MEDIAN_LINES


def test_no_room_is_too_full() -> None:
    """None has more than 15 modules, but for the commands, which are one small module each."""
    full = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    del full[SOURCE / "cli" / "commands"]
    assert {str(room): count for room, count in full.items() if count > MOST_MODULES} == {}


def test_every_place_of_the_contributing_page_is_there() -> None:
    """Whole paths, and paths below the package; at least twenty things have exactly one place."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(
        r"^\| (?!to change|add |---)([^|]+) \| `(src/runbundle/[a-z0-9_/]+\.py)`[^|]*\|$", page, re.MULTILINE
    )
    assert len(rows) >= 20
    assert len({place for _, place in rows}) == len(rows)
    for place in re.findall(r"`((?:src|tests)/[a-z0-9_/]+(?:\.py)?/?)`", page):
        assert (ROOT / place).exists(), place
    for place in re.findall(r"`([a-z_]+/[a-z0-9_/]*\.py|[a-z_]+/)`", page):
        if not place.startswith(("src", "tests")):
            assert (SOURCE / place).exists(), place


def test_the_glossary_has_one_row_a_word_and_forty_at_most() -> None:
    """In the order of the alphabet, each word once."""
    words = re.findall(r"^\| \*\*([a-z -]+)\*\* \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert words == sorted(set(words))
    assert 30 <= len(words) <= 40
