"""What `ls`, `show` and `doctor` say of runs that are in the spool and not sealed, and of the spool itself."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import runbundle
from runbundle.cli.main import group
from runbundle.format.identity import RunKey
from runbundle.journal.lines import Begun, start_line
from runbundle.journal.spool import folder_of
from runbundle.journal.writer import JournalWriter
from runbundle.recording import probe as ground
from runbundle.recording.losses import Losses
from runbundle.recording.probe import Ground, probe
from runbundle.recording.waiting import unsealed_runs
from tests.support.record_lines import bare_line

_TRACE, _SPAN = "a" * 32, "b" * 16
_RESOURCE: Any = {"attributes": {}, "schema_url": ""}


def call(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(group, list(arguments))


def _begin(spool: Path, key: RunKey, *, is_run: bool = True, writer: str = "w") -> JournalWriter:
    journal = JournalWriter.open_in(folder_of(spool, key), writer)
    begun = Begun(b'"work"', b'{"runbundle.op":"run"}') if is_run else None
    label = "run:work" if is_run else "tool:t"
    journal.append(start_line(_TRACE, _SPAN, "", 10**18, "", label, is_run=is_run, begun=begun))
    return journal


def _end(journal: JournalWriter, op: str = "run") -> None:
    journal.write(bare_line("span", _span(op)))
    journal.close()


def _span(op: str) -> Any:
    return {
        "name": "work", "trace_id": _TRACE, "span_id": _SPAN, "parent_span_id": "", "start_ns": 10**18,
        "end_ns": 10**18 + 1, "attributes": {"runbundle.op": op}, "resource": _RESOURCE,
    }  # fmt: skip


@pytest.fixture
def full_spool(tmp_path: Path) -> Any:
    """A spool with one run in each state."""
    spool = tmp_path / ".runbundle" / ".spool"
    live = _begin(spool, RunKey("", "live-1"))
    _end(_begin(spool, RunKey("", "waiting-1")))
    _end(_begin(spool, RunKey("acme", "part-1"), is_run=False), op="tool")
    _begin(spool, RunKey("", "crashed-1")).abandon_after_fork()
    _end(_begin(spool, RunKey("", "failed-1")))
    ledger = Losses(spool)
    ledger.gave_up(RunKey("", "failed-1"), "disk on fire")
    ledger.count("journal_lost", 3, RunKey("", "lost-1"))
    ledger.write(now=True)
    aside = spool / ".quarantine"
    _end(_begin(aside, RunKey("", "bad-1.2")))
    (aside / "bad-1.2" / "reason.json").write_text(json.dumps({"code": "RB407", "run_id": "bad-1", "hits": []}))
    yield spool
    live.close()


def test_each_run_in_the_spool_has_a_state(full_spool: Path) -> None:
    """By who holds its journals, by its first and last lines, by where it lies, and by the ledger."""
    found = {run.key.path: (run.state, run.part, run.name) for run in unsealed_runs(full_spool)}
    assert found == {
        "live-1": ("live", False, "work"),
        "waiting-1": ("waiting", False, "work"),
        "acme/part-1": ("waiting", True, ""),
        "crashed-1": ("crashed", False, "work"),
        "failed-1": ("failed", False, "work"),
        "bad-1": ("quarantined", False, ""),
    }


def test_ls_lists_them_before_the_sealed_ones(full_spool: Path, tmp_path: Path) -> None:
    """With how long they have been in it; `--state` chooses; the losses have a line."""
    handle = runbundle.configure(store=tmp_path / ".runbundle", recover=False)
    with runbundle.start_run("r", run_id="sealed-1"):
        pass
    handle.shutdown()
    listed = json.loads(call("ls", "--format", "json").stdout)
    assert [row["state"] for row in listed][-1] == "sealed"
    assert {row["key"]: row["state"] for row in listed} == {
        "live-1": "live", "waiting-1": "waiting", "acme/part-1": "waiting", "crashed-1": "crashed",
        "failed-1": "failed", "bad-1": "quarantined", "sealed-1": "sealed",
    }  # fmt: skip
    assert all(row["since"].endswith("Z") for row in listed if row["state"] != "sealed")
    for state in ("live", "waiting", "crashed", "failed", "quarantined", "sealed"):
        rows = json.loads(call("ls", "--state", state, "--format", "json").stdout)
        assert {row["state"] for row in rows} == {state}
    assert json.loads(call("ls", "--state", "unsealed", "--format", "json").stdout) == []
    text = call("ls").output
    assert "crashed for" in text
    assert "a part, waiting for" in text
    assert "lost: 3 records in 1 process; runbundle doctor says why" in text
    assert [row["key"] for row in json.loads(call("ls", "--status", "ok", "--format", "json").stdout)] == ["sealed-1"]
    assert len(json.loads(call("ls", "--limit", "4", "--format", "json").stdout)) == 3  # the spool takes half at most


@pytest.mark.parametrize(
    ("run", "state", "advice"),
    [
        ("live-1", "live", "wait"), ("crash", "crashed", "runbundle recover crashed-1"),
        ("acme/part-1", "waiting", "it joins its run"), ("failed-1", "failed", "tries again"),
        ("bad-1", "quarantined", "RB407"),
    ],
)  # fmt: skip
def test_show_tells_what_is_known_of_a_run_that_is_not_sealed(
    full_spool: Path, run: str, state: str, advice: str
) -> None:
    """Its state, since when, what is open, and what to do; the exit code says that it is not whole."""
    done = call("show", run)
    assert done.exit_code == 3, done.output
    assert state in done.output
    assert advice in done.output
    said = json.loads(call("show", run, "--format", "json").stdout)
    assert (said["state"], said["open"]) == (state, 1 if state in ("live", "crashed") else 0)
    assert call("show", "nothing").exit_code == 2


def test_a_run_that_could_not_be_sealed_says_why(full_spool: Path) -> None:
    """As whoever gave up noted it."""
    assert "disk on fire" in call("show", "failed-1").output


def test_doctor_counts_what_waits_and_names_what_was_lost(full_spool: Path) -> None:
    """Live and waiting ones are notes; the others, and losses, are findings."""
    done = call("doctor", "--format", "json")
    found = json.loads(done.stdout)["findings"]
    assert done.exit_code == 1
    assert sorted((f["code"], f["severity"]) for f in found) == [
        ("RB303", "warning"), *[("RB910", "note")] * 3, *[("RB910", "warning")] * 3,
    ]  # fmt: skip
    text = call("doctor").output
    assert "3 journal_lost, of lost-1" in text
    assert "parts that wait for a beginning elsewhere" in text


def test_notes_leave_the_exit_code_alone(tmp_path: Path) -> None:
    """A run that waits for its seal is nothing wrong."""
    _end(_begin(tmp_path / ".runbundle" / ".spool", RunKey("", "r")))
    done = call("doctor", "--format", "json")
    assert [f["severity"] for f in json.loads(done.stdout)["findings"]] == ["note"]
    assert done.exit_code == 0


def test_reading_commands_write_nothing(full_spool: Path) -> None:
    """Neither to the spool nor beside it."""

    def everything() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in full_spool.rglob("*")}

    before = everything()
    call("ls")
    call("show", "crashed-1")
    assert everything() == before


def test_whoever_looks_takes_no_lock_from_a_writer(full_spool: Path) -> None:
    """The journal can be opened again at once, by its own name."""
    list(unsealed_runs(full_spool))
    writer = JournalWriter.open_in(full_spool / "waiting-1", "w")
    assert writer.path.name == "w.jsonl"
    writer.close()


def test_hostile_journals_have_a_state_too(tmp_path: Path) -> None:
    """Whole lines that no recorder writes, links, pipes and folders in place of journals."""
    spool = tmp_path / "spool"
    for number, value in enumerate(("x", None, 10**40, -5, {"a": 1})):
        journal = JournalWriter.open_in(spool / f"r{number}", "w")
        journal.append(start_line(_TRACE, _SPAN, "", value, "", is_run=True))  # type: ignore[arg-type]
        journal.close()
    for name, make in (("pipe", os.mkfifo), ("folder", os.mkdir), ("link", lambda path: path.symlink_to("/dev/zero"))):
        (spool / name).mkdir()
        make(spool / name / "w.jsonl")
    assert all(run.state in ("waiting", "crashed") for run in unsealed_runs(spool))
    store = tmp_path / "store"
    store.mkdir()
    (store / ".spool").symlink_to(spool)
    assert len(json.loads(call("ls", "--store", str(store), "--format", "json").stdout)) == 5
    for run, code in (("r0", 3), ("r2", 3), ("r3", 3), ("pipe", 2), ("folder", 2), ("link", 2)):
        done = call("show", run, "--store", str(store))
        assert done.exit_code == code, (run, done.output)


def test_a_local_disk_lacks_nothing_that_the_spool_needs(tmp_path: Path) -> None:
    """A local file system gives everything, and nothing is left behind."""
    spool = tmp_path / "spool"
    found = probe(spool)
    assert (found.lacks, found.error) == (frozenset(), "")
    assert found.free_bytes > 0
    assert list(spool.iterdir()) == []


def test_what_the_disk_of_the_spool_lacks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each guarantee by itself; `doctor` has a finding for each."""
    monkeypatch.setattr(ground, "_known", {})

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("mmap.mmap", refuse)
    monkeypatch.setattr(ground, "sync_folder", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    found = probe(tmp_path / "spool")
    assert found.lacks == {"locks", "links", "maps", "sync"}
    assert len(found.messages()) == 4


def test_little_space_is_a_finding() -> None:
    """Below 1 GiB, or 1 %; of a file system that does not say, nothing is."""
    gib = 1 << 30
    little = [Ground(frozenset(), "", free, total).little_space for free, total in (
        (gib - 1, 10 * gib), (2 * gib, 10 * gib), (2 * gib, 300 * gib), (-1, 0), (0, 0)
    )]  # fmt: skip
    assert little == [True, False, True, False, False]


def test_the_times_of_a_waiting_run_are_printed(tmp_path: Path) -> None:
    """How long a run has waited is since something was last written to it."""
    _end(_begin(tmp_path / ".spool", RunKey("", "r")))
    at = time.time() - 7200
    os.utime(tmp_path / ".spool" / "r" / "w.jsonl", (at, at))
    assert "waiting for 2 h" in call("ls", "--store", str(tmp_path)).output


def test_a_segment_that_cannot_be_taken_apart_holds_up_no_other_run(tmp_path: Path) -> None:
    """`recover` seals those, and says at its end what is wrong."""
    spool = tmp_path / ".spool"
    _begin(spool, RunKey("", "r")).close()
    (spool / ".segments").mkdir()
    with (spool / ".segments" / "w-s1.lines").open("wb") as file:
        file.truncate(17 << 20)
    result = call("recover", "--all", "--store", str(tmp_path))
    assert "recovered" in result.output
    assert "longer than a recorder writes segments" in result.output
    assert result.exit_code == 5
    assert (tmp_path / "r" / "run.json").exists()
