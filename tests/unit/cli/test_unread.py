"""`doctor` says which libraries' spans could not be read, as far as the newest bundles of a store say so."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runbundle.cli.main import group
from runbundle.store import LocalStore
from tests.support.golden import RUN, add


def found(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of `doctor`, and what it found of spans that could not be read."""
    done = CliRunner().invoke(group, ["doctor", "--format", "json", *arguments])
    return done.exit_code, [one for one in json.loads(done.stdout)["findings"] if one["code"] == "RB913"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """A store where the commands look for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "cache"))
    return LocalStore(tmp_path / ".runbundle")


def run(store: LocalStore, number: int, **unread: int) -> None:
    """Add a bundle that began so many seconds into a day, and has so many spans of scopes that could not be read."""
    completeness = {**RUN["completeness"], **({"unread": unread} if unread else {})}
    add(store, f"run-{number}", number, completeness=completeness)


def test_it_counts_them_by_library(store: LocalStore) -> None:
    """The most first; it is a note, since nothing is wrong with the set-up."""
    run(store, 1, mylib=2, other=1)
    run(store, 2, mylib=10)
    run(store, 3)
    code, findings = found()
    assert (code, [one["severity"] for one in findings]) == (0, ["note"])
    said = "12 spans of mylib, 1 span of other could not be read (in 2 of 3 bundles, the newest)"
    assert findings[0]["message"] == said


def test_it_looks_at_the_newest_bundles_only(store: LocalStore) -> None:
    """Twenty, however many there are: what was read long ago says nothing of the set-up of today."""
    for number in range(25):
        run(store, number, **({"old": 1} if number < 5 else {}))
    assert found() == (0, [])
    run(store, 26, new=1)
    assert "1 span of new could" in found()[1][0]["message"]


def test_it_names_ten_libraries_and_counts_the_others(store: LocalStore) -> None:
    """Scopes that a bundle itself only counts are among the others."""
    run(store, 1, **{f"lib-{n:02}": 20 - n for n in range(12)}, **{"…": 3})
    message = found()[1][0]["message"]
    assert message.startswith("20 spans of lib-00, 19 spans of lib-01, ")
    assert ", 11 spans of lib-09, and 22 of others could not be read (in 1 of 1 bundle, the newest)" in message


def test_bundles_that_cannot_be_read_are_passed_over(store: LocalStore) -> None:
    """`ls` names them; and a store that does not exist has none."""
    assert found() == (0, [])
    run(store, 1, mylib=1)
    store.put("run-2/run.json", b"{")
    add(store, "run-3", 3, completeness={"unread": "all"})
    assert "1 span of mylib" in found()[1][0]["message"]


def test_names_of_libraries_are_shown_and_never_obeyed(store: LocalStore) -> None:
    """A name may hold what a terminal would do."""
    run(store, 1, **{"lib\x1b[2J": 1})
    text = CliRunner().invoke(group, ["doctor"]).stdout
    assert "\x1b" not in text
    assert "1 span of lib" in text
