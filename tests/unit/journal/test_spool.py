"""The layout of the spool: each run has a folder, and no tenant's is taken for another's."""

import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.format.identity import RunKey
from runbundle.format.layout import QUARANTINE
from runbundle.journal.spool import folder_of, records_lost, run_folders, spooled_runs, written_bytes
from runbundle.journal.writer import JournalWriter
from tests.support.record_lines import bare_line

KEYS = [RunKey("", "r"), RunKey("acme", "r"), RunKey("acme", "s")]
RECORD: Any = {"name": "n", "resource": {"attributes": {}, "schema_url": ""}, "attributes": {}}


def journal(spool: Path, key: RunKey, writer_id: str = "w", records: int = 1) -> JournalWriter:
    """An open journal with records."""
    writer = JournalWriter.open_in(folder_of(spool, key), writer_id)
    for _ in range(records):
        writer.write(bare_line("span", RECORD))
    return writer


def test_each_run_has_a_folder_of_its_own_and_is_found_by_it(tmp_path: Path) -> None:
    """With and without a tenant; other names, files and links are no runs."""
    assert list(run_folders(tmp_path / "none")) == spooled_runs(tmp_path / "none") == []
    for key in KEYS:
        journal(tmp_path, key).close()
    (tmp_path / ".quarantine").mkdir()
    (tmp_path / "a file").write_text("")
    (tmp_path / "linked").symlink_to(tmp_path / "r")
    (tmp_path / "@linked").symlink_to(tmp_path / "@acme")
    folder_of(tmp_path, RunKey("", "empty")).mkdir()
    assert spooled_runs(tmp_path) == KEYS
    assert sorted(run_folders(tmp_path)) == sorted([*KEYS, RunKey("", "empty")])
    assert len({folder_of(tmp_path, key) for key in KEYS}) == len(KEYS)


def test_the_bytes_of_a_writer_are_those_of_all_its_journals(tmp_path: Path) -> None:
    """Of all runs, and of no other writer."""
    for key in KEYS:
        journal(tmp_path, key).close()
        journal(tmp_path, key, "other").close()
    sizes = [(folder_of(tmp_path, key) / "w.jsonl").stat().st_size for key in KEYS]
    assert written_bytes(tmp_path, "w") == sum(sizes) > 0
    assert written_bytes(tmp_path, "nobody") == 0


@pytest.mark.parametrize("moved_too", [False, True])
def test_records_that_somebody_took_from_an_open_journal_are_counted(tmp_path: Path, moved_too: bool) -> None:
    """Removed with the file, or cut off; None if all are there."""
    writer = journal(tmp_path, KEYS[0], records=3)
    assert records_lost(tmp_path, KEYS[0], writer, moved_too=moved_too) is None
    os.truncate(writer.path, 0)
    assert records_lost(tmp_path, KEYS[0], writer, moved_too=moved_too) == 3
    writer.close()
    other = journal(tmp_path, KEYS[1], records=2)
    other.path.unlink()
    assert records_lost(tmp_path, KEYS[1], other, moved_too=moved_too) == 2
    other.close()


def test_a_moved_journal_is_lost_unless_it_lies_in_the_quarantine(tmp_path: Path) -> None:
    """There somebody will look for it; and only at the end of a run is it asked."""
    writer = journal(tmp_path, KEYS[1], records=2)
    writer.path.rename(tmp_path / "away.jsonl")
    assert records_lost(tmp_path, KEYS[1], writer, moved_too=False) is None
    assert records_lost(tmp_path, KEYS[1], writer, moved_too=True) == 2
    aside = folder_of(tmp_path / QUARANTINE, KEYS[1])
    aside.mkdir(parents=True)
    (tmp_path / "away.jsonl").rename(aside / writer.path.name)
    assert records_lost(tmp_path, KEYS[1], writer, moved_too=True) is None
    writer.close()


def test_a_journal_that_cannot_be_examined_has_lost_nothing_known(tmp_path: Path) -> None:
    """A closed one, such as by a fork: nothing is raised, and nothing is claimed."""
    writer = journal(tmp_path, KEYS[0])
    writer.close()
    assert records_lost(tmp_path, KEYS[0], writer, moved_too=True) is None
