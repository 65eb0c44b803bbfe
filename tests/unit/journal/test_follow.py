"""Following journals: every entry once, as soon as its line is whole, also after the journal is gone."""

from pathlib import Path
from typing import Any

from runbundle.journal.follow import Follower, time_of
from runbundle.journal.lines import start_line
from runbundle.journal.writer import JournalWriter
from tests.support.record_lines import bare_line

TRACE = "a" * 32


def start(number: int) -> bytes:
    """Return the line of a span that began."""
    return start_line(TRACE, f"{number:016x}", "", 10**18 + number, "", f"tool:t{number}")


def seen(follower: Follower) -> list[str]:
    """Return the ids of the spans of new entries."""
    return [entry["span_id"].lstrip("0") for entry in follower.new()]


def test_each_entry_is_given_once_in_the_order_of_time(tmp_path: Path) -> None:
    """From all journals of the run, also one that comes later."""
    follower = Follower(tmp_path / "run")
    assert follower.new() == []
    first = JournalWriter.open_in(tmp_path / "run", "w")
    first.append(start(2))
    first.append(start(1))
    assert seen(follower) == ["1", "2"]
    assert seen(follower) == []
    second = JournalWriter.open_in(tmp_path / "run", "x")
    second.append(start(4))
    first.append(start(3))
    assert seen(follower) == ["3", "4"]
    for journal in (first, second):
        journal.close()
    assert seen(follower) == []
    follower.close()


def test_a_line_is_given_when_it_is_whole(tmp_path: Path) -> None:
    """A half one waits; one that fails its checksum is counted; zeros behind the last are none."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "w.jsonl"
    line = start(1)
    path.write_bytes(line[:20] + bytes(4096))
    follower = Follower(tmp_path / "run")
    assert seen(follower) == []
    path.write_bytes(line + b"00000000 {}\n" + bytes(4096))
    assert seen(follower) == ["1"]
    assert follower.torn == 1
    follower.close()


def test_what_was_written_before_a_journal_went_is_given(tmp_path: Path) -> None:
    """The descriptor stays open until then; a link in the place of a journal is none."""
    journal = JournalWriter.open_in(tmp_path / "run", "w")
    follower = Follower(tmp_path / "run")
    journal.append(start(1))
    assert seen(follower) == ["1"]
    journal.append(start(2))
    journal.path.unlink()
    (tmp_path / "run" / "x.jsonl").symlink_to("/dev/zero")
    assert seen(follower) == ["2"]
    journal.close()
    follower.close()


def test_an_entry_is_redacted_once_more(tmp_path: Path) -> None:
    """Whoever can write to a journal may have put a credential there; an entry of another form is none."""
    span: dict[str, Any] = {
        "name": "x", "trace_id": TRACE, "span_id": "b" * 16, "parent_span_id": "", "start_ns": 10**18,
        "end_ns": 10**18 + 7, "attributes": {"error.type": "E"}, "resource": {"attributes": {}, "schema_url": ""},
        "status_message": "token ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X", "status_code": 2, "remote_parent": False, "scope": {},
        "events": [], "links": [], "dropped": {},
    }  # fmt: skip
    journal = JournalWriter.open_in(tmp_path / "run", "w")
    journal.write(bare_line("span", span))
    journal.write(bare_line("span", {**span, "events": "none"}))
    follower = Follower(tmp_path / "run")
    (entry,) = follower.new()
    assert "ghp_" not in str(entry)
    assert time_of(entry) == 10**18 + 7
    journal.close()
    follower.close()
