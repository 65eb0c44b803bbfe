"""The journal writer: one file and lock each, resources written once, syncs only where there is something to sync."""

import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.journal.lines import numbered, parse_line
from runbundle.journal.reader import JournalReader, lines_of
from runbundle.journal.writer import JournalWriter
from runbundle.store.regular import NotRegular
from tests.support.record_lines import bare_line


def record(number: int, resource: Any) -> Any:
    """A record of a resource."""
    return {"name": f"s{number}", "resource": resource, "attributes": {}}


def test_a_resource_is_written_once_and_named_by_each_record(tmp_path: Path) -> None:
    """Two that are equal and not the same object are two."""
    one, two = ({"attributes": {}, "schema_url": ""} for _ in range(2))
    writer = JournalWriter(tmp_path / "run" / "w.jsonl")
    for number, resource in enumerate((one, two, one, two)):
        writer.write(bare_line("span", record(number, resource)))
    assert writer.records == 4
    writer.close()
    entries = [parse_line(line) for line in lines_of(writer.path)]
    a, b = numbered(one).number, numbered(two).number
    assert a != b
    assert [(e["k"], e["resource"]) for e in entries if e] == [
        ("resource", a), ("span", a), ("resource", b), ("span", b), ("span", a), ("span", b)
    ]  # fmt: skip
    assert writer.path.stat().st_size == writer.size_bytes


def test_a_writer_whose_journal_is_held_gets_another_one(tmp_path: Path) -> None:
    """An assembler that reads the first is not waited for; once it is free it is continued."""
    first = JournalWriter.open_in(tmp_path / "run", "w")
    second = JournalWriter.open_in(tmp_path / "run", "w")
    assert (first.path.name, second.path.name) == ("w.jsonl", "w-1.jsonl")
    first.close()
    again = JournalWriter.open_in(tmp_path / "run", "w")
    assert again.path == first.path
    again.close()
    second.close()


def test_what_a_killed_writer_left_spoils_no_line_of_ours(tmp_path: Path) -> None:
    """Its incomplete last line is one torn line."""
    path = tmp_path / "run" / "w.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"00000000 {half")
    writer = JournalWriter(path)
    writer.write(bare_line("span", record(1, {"attributes": {}, "schema_url": ""})))
    writer.close()
    reader = JournalReader([path])
    assert [entry["name"] for entry in reader] == ["s1"]
    assert reader.torn == 1


def test_a_descriptor_to_sync_is_given_only_after_something_was_appended(tmp_path: Path) -> None:
    """It is a duplicate, which outlives the writer; -1 if there is nothing new, or the writer is closed."""
    writer = JournalWriter(tmp_path / "run" / "w.jsonl")
    assert writer.duplicate_if_unsynced() == -1
    writer.append(b"line\n")
    fd = writer.duplicate_if_unsynced()
    assert fd >= 0
    assert writer.duplicate_if_unsynced() == -1
    writer.append(b"line\n")
    other = writer.duplicate_if_unsynced()
    writer.close()
    assert writer.duplicate_if_unsynced() == -1
    for each in (fd, other):
        os.fsync(each)
        os.close(each)


def test_no_journal_is_written_through_a_link(tmp_path: Path) -> None:
    """Neither as the folder of a run nor as that of a tenant."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "@acme").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "run" / "w.jsonl", tmp_path / "@acme" / "run" / "w.jsonl"):
        with pytest.raises(NotRegular):
            JournalWriter(path)
    assert [p for p in (tmp_path / "elsewhere").rglob("*") if p.is_file()] == []
