"""The guides are true: their Python is run, and the commands that they name are there."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import runbundle
from tests.docs.commands_page import commands

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
_BLOCK = re.compile(
    r"(<!-- not run: (?P<why>[^>]+) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)
_COMMANDS = dict(commands())


class Block(NamedTuple):
    """A block of code in a guide."""

    name: str
    language: str
    code: str
    not_run: str
    """Why it cannot be run here; "" for one that is."""


BLOCKS = [
    Block(f"{guide.stem}-{number}", found["language"], found["code"], found["why"] or "")
    for guide in GUIDES
    for number, found in enumerate(_BLOCK.finditer(guide.read_text()), 1)
]
RUN = [block for block in BLOCKS if block.language == "python" and not block.not_run]
NOT_RUN = [block for block in BLOCKS if block.language == "python" and block.not_run]
SHELL = [block for block in BLOCKS if block.language == "sh"]


def test_every_guide_has_something_to_run() -> None:
    """Else nothing would hold it to the code."""
    for guide in GUIDES:
        assert any(block.name.startswith(guide.stem) for block in (*RUN, *SHELL)), guide


@pytest.mark.parametrize("block", RUN, ids=[block.name for block in RUN])
def test_a_python_block_runs(block: Block) -> None:
    """In a folder and a process of its own, with warnings as errors; but threads may be there when a guide forks."""
    Path("block.py").write_text(block.code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "block.py"],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", NOT_RUN, ids=[block.name for block in NOT_RUN])
def test_a_python_block_that_is_not_run_names_what_is_there(block: Block) -> None:
    """It is Python, and its names of ours exist."""
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "runbundle":
            assert node.attr in runbundle.__all__, node.attr
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "runbundle":
            module = __import__(node.module or "", fromlist=["_"])
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("block", SHELL, ids=[block.name for block in SHELL])
def test_a_shell_block_names_commands_and_options_that_are_there(block: Block) -> None:
    """Of ours; what others do is theirs."""
    for line in block.code.splitlines():
        words = shlex.split(line, comments=True)
        if "runbundle" not in words:
            continue
        words = words[words.index("runbundle") :]
        name = next(" ".join(words[:count]) for count in (3, 2) if " ".join(words[:count]) in _COMMANDS)
        known = {option for each in _COMMANDS[name].params if isinstance(each, click.Option) for option in each.opts}
        for word in words:
            assert not word.startswith("--") or word.split("=")[0] in known, line


def test_the_guide_to_a_failure_shows_what_show_prints() -> None:
    """Its agent is run, and the beginning of the output compared, but for ids, times and the width of a number."""
    blocks = [block for block in BLOCKS if block.name.startswith("why-a-run-failed")]
    code, shown = (next(block.code for block in blocks if block.language == kind) for kind in ("python", "text"))
    Path("block.py").write_text(code)
    subprocess.run([sys.executable, "block.py"], check=True)
    command = [sys.executable, "-m", "runbundle", "show", "checkout-1", "--store", "runs"]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    wanted, printed = (
        [re.sub(r" +\+[0-9.]+ .?s  [0-9a-f]{6}$|[^ ]*block\.py", "", line) for line in text.splitlines()]
        for text in (shown, done.stdout)
    )
    assert printed[: len(wanted)] == wanted


def test_messages_that_a_guide_quotes_are_in_the_sources() -> None:
    """Where a message has something to fill in, the guide has an ellipsis."""
    guide = (ROOT / "docs" / "guides" / "no-run-appears.md").read_text()
    quoted = re.findall(r"^\| `([^`]+)` \|", guide.split("## 3.")[1].split("## 4.")[0], re.MULTILINE)
    texts = [
        node.value
        for path in (ROOT / "src" / "runbundle").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(quoted) > 5
    for message in quoted:
        for part in message.split("…"):
            assert any(part.strip() in text for text in texts), message
