"""Writes the table of docs/settings.md from the settings: python -m tests.docs.settings_page.

What stands below the table is written by hand.
"""

from pathlib import Path

from runbundle.settings import table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

The table is made from the code by `python -m tests.docs.settings_page`.

Each setting is an argument of `configure()`, a variable, or both; the argument comes first. A value that is not valid is refused where it is given, and the error names the nearest valid one. A warning and `doctor` name every `RUNBUNDLE_*` variable that nobody reads ([RB920](findings.md#rb920)).
"""  # noqa: E501 - a line of Markdown is a paragraph


_BY_HAND = "## More of each argument"


def page() -> str:
    """Return the page."""
    written = PAGE.read_text()
    return f"{_INTRODUCTION}\n{table().rstrip()}\n\n{written[written.index(_BY_HAND) :]}"


if __name__ == "__main__":
    PAGE.write_text(page())
