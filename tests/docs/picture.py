"""Draws the README's picture from real output: `python -m tests.docs.picture` writes docs/picture/crash.svg.

An agent is run and killed within a tool call; then the commands are run that find and show what it left. What they
print on a terminal of 88 columns is drawn as it is. Ids and times come from tests.docs.steady, so that the picture is
the same each time.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
AGENT = Path(__file__).with_name("trip.py")
PICTURE = ROOT / "docs" / "picture" / "crash.svg"
COLUMNS = 88
COMMANDS = ("ls", "recover --all", "show @last")
_INHERITED = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "XDG_CACHE_HOME", "RUNBUNDLE_CACHE")  # of rules, compiled
_START_NS = 1_795_685_400_000_000_000
_LATER_NS = 9_000_000_000
_WIDTH, _HEIGHT, _SIZE, _MARGIN = 8.4, 19, 14, 16
_COLOURS = {"1": "b", "31": "r", "32": "g", "33": "y", "36": "c"}
_STYLE = f"""
text {{ font: {_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5dbe3;
  white-space: pre }}
.p {{ fill: #8b949e }} .k, .b {{ font-weight: 600; fill: #fff }} .r {{ fill: #ff8b82 }} .g {{ fill: #7ee787 }}
.y {{ fill: #f2cc60 }} .c {{ fill: #79c0ff }}
"""

Piece = tuple[str, str]
"""A class of the style sheet, or "", and text."""


def session(folder: Path) -> list[list[Piece]]:
    """Run the agent, kill it, run the commands; return the rows of the terminal. Raises if anything goes otherwise."""
    steady = [sys.executable, "-m", "tests.docs.steady"]
    environment = {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "PYTHONUTF8": "1",
        "RUNBUNDLE_KEYS": str(folder / "keys"),
        "GIT_DIR": str(folder / "none"),  # a folder for temporary files may lie in a repository
        "COLUMNS": str(COLUMNS),
        "TERM": "xterm-256color",
    }
    rows = [[("p", "$ "), ("k", "python trip.py"), ("p", "      # killed by kill -9 from another terminal")]]
    work = folder / "work"
    work.mkdir()
    agent = subprocess.Popen(
        [*steady, str(_START_NS), str(AGENT)],
        cwd=work, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    rows.append([("", agent.stdout.readline().rstrip("\n"))])
    agent.kill()
    agent.stdout.close()
    if agent.wait() != -signal.SIGKILL:
        raise RuntimeError("the agent was not killed")
    rows.append([("", "Killed")])
    _date(work, _START_NS)
    for command in COMMANDS:
        rows += [[], [("p", "$ "), ("k", f"runbundle {command}")]]
        asked = [*steady, str(_START_NS + _LATER_NS), "runbundle", *command.split()]
        rows += [list(_pieces(line)) for line in _on_a_terminal(asked, work, environment)]
    return rows


def _date(folder: Path, time_ns: int) -> None:
    """Give all files a time, by which `ls` tells how long ago a run crashed."""
    for path in folder.rglob("*"):
        os.utime(path, ns=(time_ns, time_ns))


def _on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """Return the lines that a command prints on a terminal, colours and all."""
    mine, its = pty.openpty()
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        printed = bytearray()
        while chunk := _chunk(mine):
            printed += chunk
        os.close(mine)
    if process.returncode:
        raise RuntimeError(printed.decode())
    return printed.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def _chunk(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so that the other side was closed
        return b""


def _pieces(line: str) -> Iterator[Piece]:
    """Split a line into pieces of one colour."""
    style = ""
    for number, part in enumerate(re.split(r"\x1b\[([0-9;]*)m", line)):
        if number % 2:
            style = _COLOURS.get(part, "")
        elif part:
            yield style, part


def drawn(rows: list[list[Piece]]) -> str:
    """Return the SVG: a terminal with these rows. It refers to nothing outside of itself."""
    width, height = round(COLUMNS * _WIDTH) + 2 * _MARGIN, len(rows) * _HEIGHT + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" xml:space="preserve">',
        "<title>An agent is killed within a tool call; runbundle ls, recover and show find the run.</title>",
        f"<style>{_STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="#161b22" stroke="#4b535d"/>',
    ]
    for number, row in enumerate(rows):
        y, column, spans = _MARGIN + number * _HEIGHT + _SIZE, 0, list[str]()
        for style, text in row:
            for found in re.finditer(r"\S+(?: \S+)*", text):  # each word group stands in its column, whatever the font
                x, length = _MARGIN + (column + found.start()) * _WIDTH, len(found[0]) * _WIDTH
                kind = f' class="{style}"' if style else ""
                spans.append(f'<tspan x="{x:.1f}" textLength="{length:.1f}"{kind}>{escape(found[0])}</tspan>')
            column += len(text)
        if spans:
            lines.append(f'<text y="{y}">{"".join(spans)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def picture() -> str:
    """Return the picture as it would be drawn now."""
    with tempfile.TemporaryDirectory() as folder:
        return drawn(session(Path(folder)))


if __name__ == "__main__":
    PICTURE.write_text(picture())
