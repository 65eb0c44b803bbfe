"""The list of decisions is the folder, and each page has the form."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_the_list_is_the_folder() -> None:
    """Each page once, by its title."""
    listed = re.findall(r"^- \[(.+)\]\((\S+)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted((name, title) for title, name in listed) == [
        (path.name, path.read_text().split("\n")[0].removeprefix("# ")) for path in PAGES
    ]


def test_each_page_has_the_form_and_is_short() -> None:
    """With a figure where it says what was measured."""
    for path in PAGES:
        text = path.read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Decision", "Why", "Measured", "What it costs", "What would change it",
        ], path  # fmt: skip
        assert len(text.splitlines()) <= 40, path
        assert re.search(r"\d|six|eleven", text.split("## Measured")[1].split("## What it costs")[0]), path
