"""README's blocks are executed: what it prints is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", README, re.DOTALL)


def normal(text: str) -> str:
    """Replace what differs between two runs: ids, times, durations, sizes and paths."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "<run>", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "<span>", text)
    text = re.sub(r"h[12]:[0-9a-f]{8}:[A-Za-z2-7]{26}", "<digest>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "<time>", text)
    text = re.sub(r"code      [0-9a-f]{12}.*\n", "", text)
    text = re.sub(r"(show|verify) [0-9a-f]{8}\b", r"\1 <run>", text)
    text = re.sub(r"--span [0-9a-f]{6}\b", "--span <span>", text)
    text = re.sub(r" +[0-9.]+ (ns|µs|ms|s)\b", " <t>", text)
    text = re.sub(r" +[0-9.]+ (B|kB)\b", " <n>", text)
    return re.sub(r"(: |')/\S+/(\.runbundle)", r"\1/path/to/\2", text)


def test_there_are_blocks_to_run() -> None:
    """A README without examples would pass everything below."""
    assert [language for language, _ in BLOCKS].count("python") >= 2
    assert [language for language, _ in BLOCKS].count("console") >= 1


@pytest.mark.parametrize("code", [code for language, code in BLOCKS if language == "python"])
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    """Each stands for itself."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("session", [code for language, code in BLOCKS if language == "console"])
def test_console_sessions_print_what_they_show(session: str) -> None:
    """Each command of a session, in one directory, prints the lines shown beneath it."""
    Path("examples").symlink_to(ROOT / "examples")
    bin_dir = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)
        shown = re.split(r"^…$", normal(expected).rstrip(), flags=re.MULTILINE)
        printed = normal(done.stdout + done.stderr)
        for piece in shown:
            assert piece.strip("\n") in printed, f"$ {command}\n{printed}"


def test_the_two_commands_are_the_makefiles() -> None:
    """`make demo` and `make test` are in the README, and `.ci/run` calls the second."""
    assert "make demo" in README
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
