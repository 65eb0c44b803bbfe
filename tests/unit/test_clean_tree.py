"""The test suite notices what it leaves in the working tree."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clean_tree import main


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with one tracked file, one that is changed, and one that is ignored."""
    for name in ("a", "b", ".gitignore"):
        (tmp_path / name).write_text("ignored\n")
    for command in ("init -q", "add .", "-c user.name=n -c user.email=e@example.org commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    (tmp_path / "b").write_text("changed before\n")
    return tmp_path


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("pass", ""), ("open('ignored', 'w').write('x')", ""), ("open('a', 'w').write('x')", "a"),
        ("open('b', 'w').write('x')", "b"), ("import os; os.makedirs('d/e'); open('d/e/new', 'w')", "d/e/new"),
        ("import os; os.remove('a')", "a"),
    ],
)  # fmt: skip
def test_what_was_left_is_named(tree: Path, capfd: pytest.CaptureFixture[str], code: str, left: str) -> None:
    """What was changed before is not held against the tests, unless they change it again."""
    assert main([sys.executable, "-c", code], tree) == (1 if left else 0)
    assert capfd.readouterr().err.split("\n  ")[1:] == ([f"{left}\n"] if left else [])


def test_a_failure_stays_one(tree: Path) -> None:
    """With its own exit code."""
    assert main([sys.executable, "-c", "raise SystemExit(3)"], tree) == 3


def test_without_git_nothing_is_compared(tmp_path: Path) -> None:
    """As in a copy of the sources."""
    assert main([sys.executable, "-c", "open('new', 'w')"], tmp_path) == 0
