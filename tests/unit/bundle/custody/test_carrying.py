"""Baselines go to another store with their gates, after their runs; nothing there is overwritten."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbundle.bundle.custody import baselines
from runbundle.bundle.custody.carrying import carry, carry_all
from runbundle.bundle.custody.holds import hold_of, release
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.reader import Bundle
from runbundle.cli.main import group
from runbundle.format.evaluation import Gate
from runbundle.store import LocalStore, MemoryStore
from tests.support.golden import KEY, V1


@pytest.fixture
def source(tmp_path: Path) -> LocalStore:
    """A store with the golden bundle, a baseline of two entries, and a gate."""
    made = LocalStore(tmp_path / "source")
    copy(V1, KEY, made)
    for reason in ("release 1", "release 2"):
        add(made, reason)
    baselines.keep_gate(made, "main", Gate(subjects=[], verdict="pass", criteria=[]))
    return made


@pytest.fixture
def target(tmp_path: Path) -> LocalStore:
    """A store with the golden bundle only."""
    made = LocalStore(tmp_path / "target")
    copy(V1, KEY, made)
    return made


def add(store: LocalStore, reason: str, name: str = "main") -> None:
    """Add an entry with the golden run."""
    baselines.add(store, name, [Bundle.open(store, KEY)], by="ada", reason=reason)


def call(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def files(store: LocalStore) -> dict[str, bytes]:
    """Return the files of the baselines."""
    place = baselines.place_of(store)
    return {key: place.get(key) for key in place.list("main/")}


def test_entries_and_gates_arrive_as_they_are_and_again_is_nothing(source: LocalStore, target: LocalStore) -> None:
    """Byte for byte, whole by `baseline verify`, and the runs are held there; what is new follows."""
    first = carry(source, "main", target)
    assert (first.outcome, first.entries, first.gates, first.problems) == ("copied", 2, 1, [])
    assert files(target) == files(source)
    assert baselines.problems_of(target, "main") == []
    held = hold_of(target, KEY)
    assert held is not None
    assert held.reason == "baseline main"
    again = carry(source, "main", target)
    assert (again.outcome, again.entries, again.gates) == ("present", 0, 0)
    add(source, "release 3")
    assert carry(source, "main", target).entries == 1
    assert carry(target, "main", source).outcome == "present"
    release(source, KEY)


def test_a_baseline_waits_for_its_runs(source: LocalStore, tmp_path: Path) -> None:
    """One whose run is not there, or is another, is left; so is one where there can be none."""
    empty = LocalStore(tmp_path / "empty")
    assert [(one.outcome, one.problems) for one in carry_all(source, empty)] == [
        ("left", ["not there: 1 of its 1 runs"])
    ]
    assert baselines.names(empty) == []
    (empty.root / KEY).mkdir(parents=True)
    (empty.root / KEY / "run.json").write_bytes(b"{}")
    assert carry(source, "main", empty).outcome == "left"
    assert carry(source, "main", MemoryStore()).outcome == "left"
    assert list(carry_all(MemoryStore(), empty)) == []
    assert list(carry_all(source, empty, run_key="other")) == []


def test_nothing_is_overwritten_and_no_damage_is_copied(source: LocalStore, target: LocalStore) -> None:
    """Another entry of that number is a clash; an edited entry or gate at the source stays there."""
    add(target, "their own")
    before = files(target)
    clash = carry(source, "main", target)
    assert (clash.outcome, clash.problems) == ("clash", ["entry 1: another one is there"])
    assert files(target) == before
    place = source.root / ".baselines"
    [gate] = (place / "main" / "gates").iterdir()
    gate.write_bytes(gate.read_bytes().replace(b"pass", b"fail"))
    add(source, "release 1", name="other")
    (place / "other" / "gates").mkdir()
    gate.rename(place / "other" / "gates" / gate.name)
    damaged = carry(source, "other", target)
    assert (damaged.outcome, damaged.entries, damaged.gates) == ("damaged", 1, 0)
    assert "was edited; it was not copied" in damaged.problems[0]
    entry = place / "main" / "2.json"
    entry.write_bytes(entry.read_bytes().replace(b"ada", b"bob"))
    assert carry(source, "main", target).outcome == "damaged"
    assert files(target) == before
    assert len(baselines.problems_of(source, "other")) == 1
    assert "was edited" in baselines.problems_of(source, "main")[0]


def test_push_and_sync_say_what_they_carried(source: LocalStore, tmp_path: Path) -> None:
    """By name, with counts, in JSON too; `baseline verify` finds it whole, and an edit there."""
    url, there = str(source.root), str(tmp_path / "there")
    pushed = call("push", KEY, there, "--store", url)
    assert pushed.exit_code == 0, pushed.output
    assert "baseline main  copied  2 entries, 1 gate" in pushed.output
    synced = call("sync", url, there, "--format", "json")
    assert json.loads(synced.stdout)["baselines"] == [
        {"name": "main", "outcome": "present", "entries": 0, "gates": 0, "problems": []}
    ]
    whole = call("baseline", "verify", "--store", there)
    assert (whole.exit_code, whole.stdout) == (0, "main  whole\n")
    assert call("baseline", "verify", "none", "--store", there).exit_code == 2
    entry = tmp_path / "there" / ".baselines" / "main" / "2.json"
    entry.write_bytes(entry.read_bytes().replace(b"ada", b"bob"))
    assert call("baseline", "verify", "main", "--store", there).exit_code == 4
    clash = call("sync", url, there)
    assert clash.exit_code == 1
    assert "entry 2: another one is there" in clash.output
