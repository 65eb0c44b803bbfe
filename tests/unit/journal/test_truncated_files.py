"""A journal that somebody else truncates, removes or replaces costs what was in it, never the process."""

import errno
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.journal import mapped
from runbundle.journal.mapped import FileCut, MappedFile
from runbundle.journal.reader import JournalReader
from runbundle.journal.writer import JournalWriter
from runbundle.signals.records import ResourceRecord
from tests.support.record_lines import bare_line

_RESOURCE: ResourceRecord = {"attributes": {}, "schema_url": ""}


def _span(number: int) -> Any:
    return {"name": f"s{number}", "resource": _RESOURCE, "attributes": {}}


@pytest.fixture(params=["populate", "measure"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to look before a store: that of new kernels and that of others."""
    monkeypatch.setattr(mapped, "_page_check", [getattr(mapped, f"_{request.param}")])


@pytest.mark.usefixtures("_way")
def test_a_store_behind_the_end_of_a_truncated_file_is_an_error_and_not_a_signal(tmp_path: Path) -> None:
    """In a child, so that the signal would be seen for what it is."""
    child = os.fork()
    if child == 0:
        file = MappedFile(tmp_path / "f")
        file.append(b"one\n")
        os.truncate(tmp_path / "f", 0)
        try:
            file.append(b"two\n")
        except FileCut:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.usefixtures("_way")
def test_a_truncated_file_does_not_grow_over_its_hole(tmp_path: Path) -> None:
    """Growing asks first, too: what was cut off would else become zeros before later lines."""
    file = MappedFile(tmp_path / "f")
    file.append(b"one\n")
    os.truncate(tmp_path / "f", 2)
    with pytest.raises(FileCut):
        file.append(b"x" * 100_000 + b"\n")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"on"


def test_an_old_kernel_is_asked_for_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages cannot be populated by advice, the second way is taken, and kept."""
    monkeypatch.setattr(mapped, "_POPULATE_WRITE", 9999)
    monkeypatch.setattr(mapped, "_page_check", [mapped._populate])
    file = MappedFile(tmp_path / "f")
    file.append(b"one\n")
    assert mapped._page_check == [mapped._measure]
    file.close()


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_a_journal_knows_how_many_of_its_records_somebody_cut_off(tmp_path: Path, keep: int) -> None:
    """Cut in the middle of a line: the whole ones before it stay, the others are counted, and nothing is torn."""
    path = tmp_path / "w.jsonl"
    writer = JournalWriter(path)
    ends = [0]
    for number in range(4):
        writer.write(bare_line("span", _span(number)))
        ends.append(writer.size_bytes)
    assert writer.records_lost() is None
    os.truncate(path, ends[keep] + 20)
    assert writer.records_lost() == 4 - keep
    writer.close()
    journal = JournalReader([path])
    assert [entry["name"] for entry in journal] == [f"s{number}" for number in range(keep)]
    assert journal.torn == 0


def test_a_removed_or_replaced_journal_has_lost_all(tmp_path: Path) -> None:
    """Without a name nobody will ever read it."""
    for number, act in enumerate((Path.unlink, lambda path: (tmp_path / "other").replace(path))):
        (tmp_path / "other").write_bytes(b"")
        path = tmp_path / f"{number}.jsonl"
        writer = JournalWriter(path)
        writer.write(bare_line("log", _span(1)))
        act(path)  # type: ignore[operator]
        assert writer.records_lost() == 1
        assert not writer.is_in_place()
        writer.close()


def test_a_file_that_was_emptied_and_grew_again_has_lost_all(tmp_path: Path) -> None:
    """As a copy that truncates leaves it, if the file is extended behind the cut."""
    path = tmp_path / "w.jsonl"
    writer = JournalWriter(path)
    writer.write(bare_line("span", _span(1)))
    os.truncate(path, 0)
    os.truncate(path, 1_000_000)
    assert writer.records_lost() == 1
    writer.close()


def test_where_files_cannot_be_mapped_lines_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network and container file systems: slower, and as safe from the death of the process."""

    def unmappable(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr(mmap, "mmap", unmappable)
        patch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(errno.EOPNOTSUPP, "no")))
        file = MappedFile(tmp_path / "f")
        file.append(b"one\n")
        file.append(b"y" * 100_000 + b"\n")
        assert (tmp_path / "f").read_bytes() == b"one\n" + b"y" * 100_000 + b"\n"
        os.truncate(tmp_path / "f", 3)
        with pytest.raises(FileCut):
            file.append(b"two\n")
        file.close()
