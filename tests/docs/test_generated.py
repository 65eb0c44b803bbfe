"""Pages that list things are made from the code, and no code, setting or command is without its place there."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from runbundle import settings
from runbundle.signals.dialects.canonical import DIALECTS
from tests.docs import commands_page, dialects_page, figures_page, findings_page, format_page, settings_page

ROOT = Path(__file__).parents[2]
PAGES = [commands_page, dialects_page, figures_page, findings_page, format_page, settings_page]


@pytest.mark.parametrize("made", PAGES, ids=[module.PAGE.name for module in PAGES])
def test_the_page_is_what_the_code_gives(made: ModuleType) -> None:
    """`python -m` with the name of its module writes it again."""
    assert made.PAGE.read_text() == made.page()


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    """`python -m tests.docs.figures_page` writes both pages again."""
    assert figures_page.README.read_text() == figures_page.readme()


def test_every_code_has_its_place() -> None:
    """Each of the catalogue in exactly one group; and each that the sources name is in the catalogue."""
    headings = re.findall(r"^### (.+)$", findings_page.PAGE.read_text(), re.MULTILINE)
    catalogue = {**findings_page.FINDINGS, **findings_page.CAUSES, **findings_page.RULES}
    assert sorted(headings) == sorted(catalogue)
    named = {
        code
        for path in (ROOT / "src" / "runbundle").rglob("*.py")
        for code in re.findall(r"\bR[BC]\d{3}\b", path.read_text())
    }
    assert named <= set(headings)


def test_every_setting_has_its_place() -> None:
    """By its argument, its variable, or both."""
    text = settings_page.PAGE.read_text()
    for name in (*settings.ARGUMENTS, *settings.VARIABLES):
        assert f"`{name}`" in text


def test_every_command_has_its_place_and_an_example() -> None:
    """An example is a line that could be typed, and names the command that it shows."""
    headings = re.findall(r"^###? (.+)$", commands_page.PAGE.read_text(), re.MULTILINE)
    commands = dict(commands_page.commands())
    assert headings == list(commands)
    for name, command in commands.items():
        assert command.help, name
        assert name in commands_page.example(command), name


def test_every_table_of_a_dialect_is_read_and_has_its_place() -> None:
    """A table that nothing names would read nothing; each is in one module of its name."""
    assert sorted(dialects_page.modules()) == sorted(map(id, DIALECTS))
