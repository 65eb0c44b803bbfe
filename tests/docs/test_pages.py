"""The README and the pages below docs/ are executed: a block of Python runs, and a session prints what is shown.

A block whose first line is `# NAME.py` is a file of that name in the page's sessions.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from runbundle.cli.main import group

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/contracts.md",
    "docs/dialects.md",
    "docs/figures.md",
    "docs/forwarding.md",
    "docs/gates.md",
    "docs/guarantees.md",
    "docs/recording.md",
    "docs/redaction.md",
    "docs/run-state.md",
    "docs/stores.md",
)
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    code: str


BLOCKS = [Block(page, *found) for page in PAGES for found in BLOCK.findall((ROOT / page).read_text())]


def of_language(language: str) -> list[object]:
    """Return the blocks of a language, named by their page and number."""
    found = [block for block in BLOCKS if block.language == language]
    return [pytest.param(block, id=f"{block.page}-{number}") for number, block in enumerate(found, 1)]


def normal(text: str) -> str:
    """Replace what differs between two runs: ids, times, durations, sizes and paths."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "<run>", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "<span>", text)
    text = re.sub(r"\bcall_[0-9a-f]{24}\b", "<call>", text)
    text = re.sub(r"h[12]:[0-9a-f]{8}:[A-Za-z2-7]{26}", "<digest>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "<time>", text)
    text = re.sub(r"code      [0-9a-f]{12}.*\n", "", text)
    text = re.sub(r"(show|verify) [0-9a-f]{8}\b", r"\1 <run>", text)
    text = re.sub(r"--span [0-9a-f]{6}\b", "--span <span>", text)
    text = re.sub(r"  [0-9a-f]{6}$", "  <span>", text, flags=re.MULTILINE)
    text = re.sub(r" +[0-9.]+ (ns|µs|ms|s)\b", " <t>", text)
    text = re.sub(r" +[0-9.]+ (B|kB)\b", " <n>", text)
    return re.sub(r"(: |')/\S+/(\.runbundle)", r"\1/path/to/\2", text)


def test_there_are_blocks_to_run() -> None:
    """Pages without examples would pass everything below."""
    counted = [(block.page, block.language) for block in BLOCKS]
    assert counted.count(("README.md", "python")) >= 2
    assert counted.count(("README.md", "console")) >= 2
    assert len(counted) >= 10
    fences = sum((ROOT / page).read_text().count("\n```python") for page in PAGES)
    assert fences == sum(block.language == "python" for block in BLOCKS)


@pytest.mark.parametrize("block", of_language("python"))
def test_python_blocks_run(block: Block) -> None:
    """Each stands for itself."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of_language("console"))
def test_console_sessions_print_what_they_show(block: Block) -> None:
    """Each command of a session, in one directory, prints the lines shown beneath it."""
    Path("examples").symlink_to(ROOT / "examples")
    for other in BLOCKS:
        named = FILE.match(other.code)
        if other.page == block.page and other.language == "python" and named:
            Path(named[1]).write_text(other.code)
    bin_dir = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)
        shown = re.split(r"^…$", normal(expected).rstrip(), flags=re.MULTILINE)
        printed = normal(done.stdout + done.stderr)
        for piece in shown:
            assert piece.strip("\n") in printed, f"$ {command}\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every link to a file of the repository, from where the page lies."""
    for target in LINK.findall((ROOT / page).read_text()):
        place = (ROOT / page).parent / target
        assert place.exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_the_readme_leads_to_every_page(page: str) -> None:
    """Within one step."""
    assert f"]({page})" in README


def test_the_readme_is_short_and_begins_with_what_a_stranger_needs() -> None:
    """At most 150 lines; in this order: the picture, how to install, a program with its output, an existing stack."""
    assert len(README.splitlines()) <= 150
    places = [README.index(words) for words in ("docs/picture/", "## Install", "## Six lines", "OpenTelemetry? Three")]
    assert places == sorted(places)
    program = next(block.code for block in BLOCKS if FILE.match(block.code))
    assert len([line for line in program.splitlines()[1:] if line]) == 6


def test_the_readme_names_every_command() -> None:
    """In its table, and none that there is not."""
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(group.list_commands(click.Context(group)))


def test_the_two_commands_are_the_makefiles() -> None:
    """`make demo` and `make test` are in the README, and `.ci/run` calls the second."""
    assert "make demo" in README
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
