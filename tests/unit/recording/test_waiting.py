"""What lies in the spool is found by name, and read as far as it goes."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.format.identity import RunKey
from runbundle.format.layout import QUARANTINE
from runbundle.journal.lines import start_line
from runbundle.journal.spool import folder_of
from runbundle.journal.writer import JournalWriter
from runbundle.recording.losses import Losses
from runbundle.recording.waiting import Contents, contents, quarantined_runs, touched_ns, unsealed_named, unsealed_runs
from tests.support.record_lines import bare_line

TRACE = "a" * 32
RESOURCE: Any = {"attributes": {}, "schema_url": ""}


def begun(spool: Path, key: RunKey, *labels: str) -> JournalWriter:
    """Return an open journal in which spans have started, the first of them the run's."""
    journal = JournalWriter.open_in(folder_of(spool, key), "w")
    for number, label in enumerate(labels or ("run:work",)):
        journal.append(start_line(TRACE, f"{number:016x}", "", 10**18, "", label, is_run=number == 0))
    return journal


def record(number: int = 0) -> Any:
    """Return what is needed of a record of a span or a log."""
    return {"name": "work", "trace_id": TRACE, "span_id": f"{number:016x}", "start_ns": 10**18, "end_ns": 10**18 + 1,
            "attributes": {"runbundle.op": "step"}, "resource": RESOURCE}  # fmt: skip


def set_aside(spool: Path, folder: str, at_ns: int, reason: bytes | None = None) -> Path:
    """Put a run into the quarantine, with what was noted, if anything was, at a time."""
    begun(spool / QUARANTINE, RunKey("", folder)).close()
    place = spool / QUARANTINE / folder
    if reason is not None:
        (place / "reason.json").write_bytes(reason)
        os.utime(place / "reason.json", ns=(at_ns, at_ns))
    os.utime(place, ns=(at_ns, at_ns))
    return place


def test_a_name_means_a_key_before_an_id_and_an_id_before_the_beginning_of_one(tmp_path: Path) -> None:
    """The nearest meaning that any run has, and all runs of that meaning."""
    keys = [RunKey("", "a"), RunKey("acme", "a"), RunKey("", "ab"), RunKey("acme", "b"), RunKey("other", "b")]
    for key in keys:
        begun(tmp_path, key).close()

    def named(name: str) -> list[str]:
        return sorted(run.key.path for run in unsealed_named(tmp_path, name))

    assert named("a") == ["a"]
    assert named("acme/a") == ["acme/a"]
    assert named("b") == ["acme/b", "other/b"]
    assert named("ab") == ["ab"]
    (folder_of(tmp_path, RunKey("", "a")) / "w.jsonl").unlink()
    assert named("a") == ["acme/a"]
    assert named("acme") == named("c") == []
    assert unsealed_named(tmp_path / "none", "a") == []


def test_a_named_run_says_what_the_list_says(tmp_path: Path) -> None:
    """State, times and note: of one that is written, one that was given up, and one set aside."""
    live = begun(tmp_path, RunKey("", "live"))
    begun(tmp_path, RunKey("", "failed")).close()
    ledger = Losses(tmp_path)
    ledger.gave_up(RunKey("", "failed"), "disk on fire")
    ledger.write(now=True)
    set_aside(tmp_path, "bad", 5, b'{"run_id": "bad"}')
    every = {run.key.run_id: run for run in unsealed_runs(tmp_path)}
    assert {name: run.state for name, run in every.items()} == {
        "live": "live", "failed": "failed", "bad": "quarantined",
    }  # fmt: skip
    assert every["failed"].note == "disk on fire"
    for name, run in every.items():
        assert unsealed_named(tmp_path, name) == [run]
    live.close()


def test_runs_in_quarantine_are_listed_the_latest_first_by_their_true_names(tmp_path: Path) -> None:
    """Of one that was set aside twice the second folder has a number behind: what was noted tells whose it is."""
    set_aside(tmp_path, "r", 5, b'{"run_id": "r", "tenant_id": ""}')
    second = set_aside(tmp_path, "r.2", 9, b'{"run_id": "r"}')
    third = set_aside(tmp_path, "s.2", 7, orjson.dumps({"tenant_id": "acme", "run_id": "s"}))
    found = list(quarantined_runs(tmp_path))
    assert [(run.key.path, run.since_ns) for run in found] == [("r", 9), ("acme/s", 7), ("r", 5)]
    assert [run.folder for run in found[:2]] == [second, third]
    assert {run.state for run in found} == {"quarantined"}
    assert all(run.note for run in found)


@pytest.mark.parametrize("reason", [None, b"", b"[]", b"{", b'{"run_id": "../x"}', b'{"tenant_id": "acme"}'])
def test_a_run_in_quarantine_without_a_sound_note_has_the_name_of_its_folder(
    tmp_path: Path, reason: bytes | None
) -> None:
    """A note that is absent, damaged, or names what no run may be called is not believed."""
    set_aside(tmp_path, "r.2", 5, reason)
    [found] = quarantined_runs(tmp_path)
    assert (found.key, found.since_ns) == (RunKey("", "r.2"), 5)


def test_a_spool_without_a_quarantine_has_no_runs_there(tmp_path: Path) -> None:
    """Nor has one that is not there; nothing is made."""
    assert list(quarantined_runs(tmp_path)) == list(quarantined_runs(tmp_path / "none")) == []
    assert list(tmp_path.iterdir()) == []


def test_files_were_touched_when_the_last_of_them_was(tmp_path: Path) -> None:
    """Those that are gone do not count; of a link its own time does."""
    early, late, link = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for path, at in ((early, 5), (late, 9)):
        path.write_bytes(b"")
        os.utime(path, ns=(at, at))
    assert touched_ns([early, late]) == touched_ns([late, tmp_path / "gone", early]) == 9
    assert touched_ns([]) == touched_ns([tmp_path / "gone"]) == 0
    link.symlink_to(late)
    os.utime(link, ns=(7, 7), follow_symlinks=False)
    assert touched_ns([link]) == 7


def test_the_contents_of_a_run_are_its_ends_its_logs_and_what_is_open(tmp_path: Path) -> None:
    """Over all of its journals; a span that ended is not open, and a damaged line is counted and costs no other."""
    key = RunKey("", "r")
    journal = begun(tmp_path, key, "run:work", "tool:find", "")
    journal.write(bare_line("span", record(1)))
    journal.write(bare_line("log", record(0)))
    journal.append(b"damaged\n")
    journal.write(bare_line("span", record(9)))
    journal.close()
    other = JournalWriter.open_in(folder_of(tmp_path, key), "x")
    other.write(bare_line("log", record(0)))
    other.write(bare_line("span", record(9)))
    other.close()
    [run] = unsealed_named(tmp_path, "r")
    assert contents(run) == Contents(spans=2, logs=2, open=["run:work", f"{2:016x}"], torn=1)


def test_the_last_line_of_a_run_that_is_written_is_not_torn(tmp_path: Path) -> None:
    """Its writer may be about to end it."""
    journal = begun(tmp_path, RunKey("", "r"))
    journal.append(b"half a li")
    [run] = unsealed_named(tmp_path, "r")
    assert contents(run) == Contents(0, 0, ["run:work"], 0)
    journal.close()
    assert contents(run).torn == 1
