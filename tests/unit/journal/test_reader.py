"""The reader of journals: every whole line is read, every other one is counted."""

from pathlib import Path

import pytest

from runbundle.journal import reader as journal_reader
from runbundle.journal.lines import resource_line, start_line
from runbundle.journal.reader import JournalReader, journal_files, lines_of

LINE = start_line("a" * 32, "b" * 16, "", 1, "", "tool:t")


def test_a_gap_of_zeros_does_not_hide_what_follows(tmp_path: Path) -> None:
    """A machine that dies may lose a page in the middle of a journal: what lies behind it is read, or counted."""
    lines = [start_line("a" * 32, f"{n:016x}", "", n, "", "tool:t") for n in range(4)]
    path = tmp_path / "w.jsonl"
    path.write_bytes(lines[0] + bytes(len(lines[1]) - 5) + lines[1][-5:] + lines[2] + lines[3] + bytes(9000))
    reader = JournalReader([path])
    assert [entry["start_ns"] for entry in reader] == [0, 2, 3]
    assert reader.torn == 1


def test_a_line_is_yielded_without_the_zeros_behind_it(tmp_path: Path) -> None:
    """Zeros before a line stay, so that its checksum fails: a page before it is missing."""
    path = tmp_path / "w.jsonl"
    path.write_bytes(b"one\n\0\0two\nthree" + bytes(99))
    assert list(lines_of(path)) == [b"one\n", b"\0\0two\n", b"three"]


def test_a_line_that_is_too_long_is_torn_and_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines beside it are read."""
    monkeypatch.setattr(journal_reader, "MAX_LINE_BYTES", len(LINE))
    path = tmp_path / "w.jsonl"
    path.write_bytes(LINE + b"x" * (3 * len(LINE) + 5) + b"\n" + LINE)
    reader = JournalReader([path])
    assert (len(list(reader)), reader.torn) == (2, 1)
    assert max(map(len, lines_of(path))) == len(LINE)


def test_an_incomplete_line_of_a_live_journal_is_not_torn(tmp_path: Path) -> None:
    """Its writer has not finished it; in any other journal nobody will."""
    path = tmp_path / "w.jsonl"
    path.write_bytes(LINE + LINE[:20])
    for live, torn in (([path], 0), ([], 1)):
        reader = JournalReader([path], live=live)
        assert (len(list(reader)), reader.torn) == (1, torn)


def test_journals_are_the_regular_files_of_their_ending(tmp_path: Path) -> None:
    """Sorted; none in a folder that is missing or a link."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("b.jsonl", "a.jsonl", "other.json"):
        (folder / name).write_bytes(b"")
    (folder / "link.jsonl").symlink_to("a.jsonl")
    (tmp_path / "linked").symlink_to(folder)
    assert journal_files(folder) == [folder / "a.jsonl", folder / "b.jsonl"]
    assert journal_files(tmp_path / "linked") == journal_files(tmp_path / "none") == []


def test_versions_of_the_sdk_are_those_that_resources_name(tmp_path: Path) -> None:
    """Text that may not be kept is none; a missing journal is skipped."""
    path = tmp_path / "w.jsonl"
    versions = ("1.45.2", "1.45.2?token=abc, and more")
    path.write_bytes(
        b"".join(
            resource_line(n, {"attributes": {"telemetry.sdk.version": version}, "schema_url": ""})
            for n, version in enumerate(versions)
        )
        + LINE
    )
    reader = JournalReader([tmp_path / "none.jsonl", path])
    assert len(list(reader)) == 1
    assert reader.sdk_versions == {"1.45.2"}
