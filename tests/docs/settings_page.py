"""Writes docs/settings.md from the table of settings: python -m tests.docs.settings_page."""

from pathlib import Path

from runbundle.settings import table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

Made from the table in the code by `python -m tests.docs.settings_page`.

Each is an argument of `configure()`, a variable, or both; the argument comes first. What is not valid is refused where it is given, with what is nearest to it; a `RUNBUNDLE_*` variable that nobody reads is named by a warning and by `doctor` ([RB920](findings.md#rb920)).
"""  # noqa: E501 - a line of Markdown is a paragraph


def page() -> str:
    """Return the page."""
    return f"{_INTRODUCTION}\n{table()}"


if __name__ == "__main__":
    PAGE.write_text(page())
