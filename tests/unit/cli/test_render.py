"""Text for people: tables, times, sizes; and what a terminal and a pipe each see of a table."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.cli.main import group
from runbundle.cli.render import (
    age,
    cut,
    duration,
    instant,
    line,
    moment,
    plural,
    size,
    span_duration,
    status_word,
    table,
    width,
)
from tests.conftest import left_open

_ROWS = [["a" * 32, "2026-11-27 03:44:26Z", "b" * 30], ["short", "-", "c"]]
_HEADINGS = ["RUN", "STARTED", "NOTE"]


def on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """Run the command line on a terminal and return the lines that it shows, without colours."""
    main, other = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-m", "runbundle", *arguments], stdout=other, env=environment)
    os.close(other)
    output = b""
    while True:
        try:
            chunk = os.read(main, 65_536)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    os.close(main)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()


@pytest.fixture
def cut_off(configured: Callable[..., runbundle.Handle], tmp_path: Path) -> str:
    """Seal a run with a tool call that never ended; return its store."""
    handle = configured(grace_s=0.05, contracts=[{"name": "t"}])
    with runbundle.start_run("r", run_id="0123456789abcdef0123456789abcdef"):
        left_open(lambda: runbundle.start_tool("t"))
    assert handle.flush().sealed
    return str(tmp_path / "store")


def test_a_pipe_sees_every_cell_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts read tables too: without a width that somebody asked for, nothing is cut or left out."""
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = [[*row, "d" * 200] for row in _ROWS]
    table([*_HEADINGS, "MORE"], wide, spare=(1,))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert all(cell in printed for row in [[*_HEADINGS, "MORE"], *wide] for cell in row)


def test_a_table_leaves_out_spare_columns_and_then_cuts_those_that_need_not_be_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, and no line is wider than asked for."""
    for columns, started, note in ((90, True, True), (70, False, True), (50, False, False)):
        monkeypatch.setenv("COLUMNS", str(columns))
        table(_HEADINGS, _ROWS, whole=(0,), spare=(1,))
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= columns
        assert lines[1].startswith("a" * 32)
        assert ("STARTED" in lines[0], "b" * 30 in lines[1]) == (started, note)


def test_columns_are_aligned_to_the_right_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand below each other."""
    table(["N", "WORD"], [["1", "a"], ["100", "b"]], right=(0,))
    assert capsys.readouterr().out.splitlines() == ["  N  WORD", "  1  a", "100  b"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_ls_shows_ids_and_headings_whole_on_a_terminal(cut_off: str, columns: int) -> None:
    """An id that is shown can be copied into the next command."""
    shown = on_a_terminal(columns, "ls", "--store", cut_off)
    assert not any("…" in word for text in shown for word in (shown[0], text.split()[0] if text else ""))
    assert max(map(len, shown)) <= columns
    run = next(text.split()[0] for text in shown if text.startswith("0123"))
    assert CliRunner().invoke(group, ["show", run, "--store", cut_off]).exit_code == 0


@pytest.mark.parametrize("command", ["show", "tools"])
def test_what_never_ended_has_no_duration(cut_off: str, command: str) -> None:
    """How long it would have taken nobody knows; 0 would be a lie."""
    output = CliRunner().invoke(group, [command, "@last", "--store", cut_off]).output
    assert "0 ns" not in output
    assert re.search(r"^t +interrupted +- ", output, re.MULTILINE)


def test_a_duration_is_known_only_of_what_ended() -> None:
    """`-` for a span that is interrupted, or of which no end was read."""
    assert span_duration("1240000000", "ok") == "1.24 s"
    assert span_duration("0", "interrupted") == span_duration(None, None) == span_duration(None, "ok") == "-"


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 ns"), ("999", "999 ns"), (1_000, "1.00 µs"), (312_000, "312 µs"), (12_340_000, "12.3 ms"),
     (1_240_000_000, "1.24 s"), (59_999_999_999, "60.0 s"), (123_000_000_000, "2 m 03 s")],
)  # fmt: skip
def test_durations_have_three_digits(ns: int | str, text: str) -> None:
    """And the unit that fits."""
    assert duration(ns) == text


def test_ages_have_one_unit() -> None:
    """Rounded down; what lies in the future is 0 s old."""
    seconds = {40: "40 s", 199: "3 m", 18_000: "5 h", 200_000: "2 d", -5: "0 s"}
    assert {age(given * 10**9): text for given, text in seconds.items()} == {text: text for text in seconds.values()}


def test_sizes_have_decimal_units_and_small_payloads_only_a_bound() -> None:
    """Redaction reports every payload below 64 bytes as 63, so that its size does not give it away."""
    assert [size(n) for n in (None, 0, 63, 812, 1_400, 2_500_000, 10**10)] == [
        "-", "0 B", "<64 B", "812 B", "1.4 kB", "2.5 MB", "10.0 GB",
    ]  # fmt: skip


def test_times_are_told_to_the_second_in_utc() -> None:
    """From RFC 3339 and from nanoseconds; one that no calendar has becomes the nearest that it has."""
    assert moment("2026-11-25T04:56:00.000000001Z") == "2026-11-25 04:56:00Z"
    assert instant(1_764_046_560 * 10**9 + 5) == "2025-11-25T04:56:00Z"
    assert (instant(-1), instant(2**80)) == ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z")


def test_one_thing_is_singular() -> None:
    """All other counts are plural."""
    assert [plural(n, "span") for n in (0, 1, 2)] == ["0 spans", "1 span", "2 spans"]


def test_lines_fit_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cut` shortens the end, `line` its left part; no width is below 40."""
    monkeypatch.setenv("COLUMNS", "10")
    assert width() == 40
    assert (cut("x" * 40), cut("x" * 41)) == ("x" * 40, "x" * 39 + "…")
    assert line("x" * 60, "end") == "x" * 34 + "…  end"
    assert line("x", "end") == "x" + " " * 36 + "end"


def test_a_status_has_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The word alone, known or not."""
    assert (status_word("error"), status_word("anything")) == ("error", "anything")
