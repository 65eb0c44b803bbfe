"""The sweep finds runs of dead writers, and tries in vain what it has tried only when something has changed."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runbundle.format.identity import RunKey
from runbundle.journal.lines import run_line, start_line
from runbundle.journal.spool import folder_of
from runbundle.journal.writer import JournalWriter
from runbundle.recording import sweep as sweeping
from runbundle.recording.sweep import PARTS_KEPT_S, SWEEP_EVERY_S, Found, Sweep
from runbundle.store import MemoryStore
from tests.support.record_lines import bare_line

QUIET_S = 5.0
ONE, TWO = RunKey("", "one"), RunKey("acme", "two")
RECORD: Any = {"name": "n", "resource": {"attributes": {}, "schema_url": ""}, "attributes": {}}


def journal(spool: Path, key: RunKey, age_s: float = 60.0, *, writer: str = "w") -> Path:
    """Leave a journal of a dead writer, last written to so long ago."""
    made = JournalWriter.open_in(folder_of(spool, key), writer)
    made.write(bare_line("span", RECORD))
    made.close()
    at = time.time_ns() - int(age_s * 1e9)
    os.utime(made.path, ns=(at, at))
    return made.path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of the sweep, in seconds, as the one item of a list."""
    now = [1000.0]
    monkeypatch.setattr(sweeping, "time", SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns))
    return now


def test_runs_of_dead_writers_are_found_the_oldest_first(tmp_path: Path) -> None:
    """Those of this process are left out, and an empty or absent spool has none."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    assert sweep.look(()) == []
    journal(tmp_path, ONE, 60)
    journal(tmp_path, TWO, 90)
    assert sweep.look(()) == [Found(TWO, alone=False), Found(ONE, alone=False)]
    assert sweep.look({TWO}) == [Found(ONE, alone=False)]


def test_a_run_that_is_written_or_was_just_now_is_left_alone(tmp_path: Path) -> None:
    """Its process may be about to seal it; one that seems to be written in the future is not waited for."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    journal(tmp_path, ONE, QUIET_S - 4)
    path = journal(tmp_path, TWO)
    writer = JournalWriter(path)
    os.utime(path, ns=(1, 1))
    assert sweep.look(()) == []
    writer.close()
    journal(tmp_path, ONE, -3600)
    assert [found.key for found in sweep.look(())] == [TWO, ONE]


def test_at_its_beginning_a_process_takes_everything(tmp_path: Path) -> None:
    """However young it is; the next look is later."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    journal(tmp_path, ONE, 0)
    journal(tmp_path, TWO)
    began = time.monotonic()
    assert sweep.everything() == [Found(ONE, alone=False), Found(TWO, alone=False)]
    assert sweep.next_at >= began + SWEEP_EVERY_S


def test_what_dead_processes_have_left_in_segments_is_found_at_the_first_look(tmp_path: Path) -> None:
    """Which is due at once, however young they are: to take them apart would hold up a process that begins."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    path = tmp_path / ".segments" / "w-s1.lines"
    path.parent.mkdir()
    path.write_bytes(run_line("run", ONE) + start_line("a" * 32, "1" * 16, "", 10**18, "", is_run=True))
    journal(tmp_path, TWO)
    assert sweep.everything() == [Found(TWO, alone=False)]
    assert path.exists()
    assert sweep.next_at <= time.monotonic()
    assert sweep.look({TWO}) == [Found(ONE, alone=False)]
    assert not path.exists()


def test_looks_are_apart_from_each_other(tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the least time after a look and after one that is put off; after one that took long, by twenty times as long.

    One that fails counts too.
    """
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    assert sweep.next_at == 0.0
    sweep.look(())
    assert sweep.next_at == clock[0] + SWEEP_EVERY_S
    clock[0] += 100
    sweep.put_off()
    assert sweep.next_at == clock[0] + SWEEP_EVERY_S

    def slow(spool: Path) -> list[RunKey]:
        clock[0] += 10
        raise OSError(5, "input/output error")

    monkeypatch.setattr(sweeping, "spooled_runs", slow)
    with pytest.raises(OSError, match="input/output"):
        sweep.look(())
    assert sweep.next_at == clock[0] + 200


def test_what_was_tried_in_vain_is_tried_again_when_it_has_changed(tmp_path: Path, clock: list[float]) -> None:
    """Never by time alone; a journal more, or one written to, makes it new."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    journal(tmp_path, ONE)
    sweep.tried(ONE)
    clock[0] += 1e6
    assert sweep.look(()) == []
    journal(tmp_path, ONE, 90, writer="x")
    assert sweep.look(()) == [Found(ONE, alone=False)]


def test_what_may_pass_by_itself_is_tried_again_after_a_while(tmp_path: Path, clock: list[float]) -> None:
    """Not at once: a store that is away is not asked at every look."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    journal(tmp_path, ONE)
    sweep.tried(ONE, again=True)
    assert sweep.look(()) == []
    clock[0] += 61
    assert sweep.look(()) == [Found(ONE, alone=False)]


def test_a_part_waits_until_its_run_is_sealed(tmp_path: Path, clock: list[float]) -> None:
    """The store is asked now and then; when the bundle is there, the part can go into it."""
    store = MemoryStore()
    sweep = Sweep(store, tmp_path, QUIET_S)
    journal(tmp_path, TWO)
    sweep.tried(TWO, part=True)
    clock[0] += 61
    assert sweep.look(()) == []
    store.put("acme/two/run.json", b"{}")
    assert sweep.look(()) == []
    clock[0] += 61
    assert sweep.look(()) == [Found(TWO, alone=False)]


def test_a_part_that_has_waited_for_a_day_is_sealed_by_itself(tmp_path: Path) -> None:
    """One that is younger goes on waiting, and what could not be sealed as a whole is no part."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    journal(tmp_path, ONE, PARTS_KEPT_S + 60)
    journal(tmp_path, TWO, PARTS_KEPT_S - 60)
    for key in (ONE, TWO):
        sweep.tried(key, part=True)
    journal(tmp_path, RunKey("", "whole"), PARTS_KEPT_S + 60)
    sweep.tried(RunKey("", "whole"))
    assert sweep.look(()) == [Found(ONE, alone=True)]


def test_of_too_many_parts_the_oldest_are_sealed_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are too many."""
    monkeypatch.setattr(sweeping, "PARTS_KEPT", 2)
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    keys = [RunKey("", f"r{number}") for number in range(4)]
    for number, key in enumerate(keys):
        journal(tmp_path, key, 100 - number)
        sweep.tried(key, part=True)
    assert sweep.look(()) == [Found(keys[0], alone=True), Found(keys[1], alone=True)]


def test_what_was_tried_of_a_run_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """A run of the same name with the same files is tried anew."""
    sweep = Sweep(MemoryStore(), tmp_path, QUIET_S)
    path = journal(tmp_path, ONE)
    state = path.stat()
    sweep.tried(ONE)
    aside = tmp_path / "aside"
    path.rename(aside)
    assert sweep.look(()) == []
    aside.rename(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert sweep.look(()) == [Found(ONE, alone=False)]
