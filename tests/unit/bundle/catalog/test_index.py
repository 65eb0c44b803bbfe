"""The index: complete without reading bundles, rebuildable, safe for several processes, and searched by filters."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from runbundle.bundle.catalog import index as catalog_index
from runbundle.bundle.catalog import local as index_local
from runbundle.bundle.catalog.cache_file import index_file
from runbundle.bundle.catalog.database import connect
from runbundle.bundle.catalog.index import add_to_index, index_of
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.catalog.locate import list_runs, resolve
from runbundle.bundle.search.filters import RunFilter
from runbundle.cli.main import group
from runbundle.errors import KeyNotFound, StoreUnavailable
from runbundle.store import LocalStore, MemoryStore
from tests.support.golden import CALLS, EVENTS, add, run_json
from tests.support.stores import keys


def place(store: LocalStore) -> Path:
    """Return where the index of a store lies."""
    path = index_file(store)
    assert path is not None
    return path


def settle(store: LocalStore) -> None:
    """Make the times of all folders so old that they are trusted."""
    for folder in [store.root, *(p for p in store.root.rglob("*") if p.is_dir())]:
        os.utime(folder, (1_700_000_000, 1_700_000_000 + len(list(folder.iterdir()))))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Return a local store with three runs, one of a tenant, of which the index knows nothing yet."""
    made = LocalStore(tmp_path / "s")
    add(made, "a", 1)
    add(made, "b", 2, status="error", session_id="s2", user_id="u2")
    add(made, "acme/c", 3)
    return made


def test_an_index_is_completed_by_reading_each_bundle_once(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no seal has noted is found by listing; the second reading lists and reads no bundle."""
    assert keys(store) == ["acme/c", "b", "a"]
    settle(store)
    assert keys(store) == ["acme/c", "b", "a"]
    assert resolve(store, "@last")[1] == "acme/c"  # which asks that one run.json whether it is so
    monkeypatch.setattr(LocalStore, "open", None)
    monkeypatch.setattr(index_local, "_relist", None)
    assert keys(store) == ["acme/c", "b", "a"]
    assert resolve(store, "b")[1] == "b"
    assert resolve(store, "c")[1] == "acme/c"


def test_bundles_that_are_added_or_removed_are_noticed(store: LocalStore) -> None:
    """New runs, also of a known tenant, and runs that were removed, by the times of the folders alone."""
    keys(store)
    settle(store)
    keys(store)
    add(store, "d", 4)
    add(store, "acme/e", 5)
    for name in ("run.json", "tool_calls.json", "events.jsonl"):
        store.delete(f"a/{name}")
    assert keys(store) == ["acme/e", "d", "acme/c", "b"]


def test_folders_that_have_just_changed_are_not_trusted(store: LocalStore) -> None:
    """A run that comes within the grain of the clock, so that the folder's time stays, is found all the same."""
    keys(store)
    status = store.root.stat()
    add(store, "d", 4)
    os.utime(store.root, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert keys(store)[0] == "d"


def test_an_unsealed_run_is_listed_and_its_seal_is_noticed(store: LocalStore) -> None:
    """Its folder was known; run.json comes without a change of the folder above."""
    store.put("z/tool_calls.json", CALLS)
    assert keys(store)[0] == "z"
    assert keys(store, status="unsealed") == ["z"]
    settle(store)
    assert keys(store)[0] == "z"
    store.put("z/run.json", run_json("z", 0))
    assert keys(store) == ["acme/c", "b", "a", "z"]
    assert keys(store, status="unsealed") == []


def test_an_empty_folder_may_become_a_tenant(store: LocalStore) -> None:
    """It is listed as unsealed, until there are runs in it."""
    (store.root / "new").mkdir()
    assert keys(store)[0] == "new"
    settle(store)
    add(store, "new/x", 9)
    assert keys(store) == ["new/x", "acme/c", "b", "a"]


def test_a_new_revision_is_noticed_when_shown_and_by_refresh(store: LocalStore) -> None:
    """Also if nobody has noted it: a row about to be shown is compared with its file; the others by refresh."""
    keys(store)
    settle(store)
    keys(store)
    old = store.get("b/run.json")
    store.replace("b/run.json", run_json("b", 2, revision=2, status="ok"), expected=old)
    index = index_of(store)
    assert {row.key: (row.status, row.revision) for row in index.runs(RunFilter())}["b"] == ("ok", 2)
    index.close()
    settle(store)
    old = store.get("a/run.json")
    store.replace("a/run.json", run_json("a", 1, revision=2, status="error"), expected=old)
    assert keys(store, status="error") == []
    index = index_of(store, refresh=True)
    assert [row.key for row in index.runs(RunFilter(status="error"))] == ["a"]
    index.close()


def test_a_seal_adds_its_run_to_the_index(store: LocalStore) -> None:
    """The row is there before anybody lists, with the names of tools and agents; a later revision takes its place."""
    data = add(store, "d", 4)
    add_to_index(store, "d", data, {"tool_calls.json": CALLS, "events.jsonl": EVENTS})
    with sqlite3.connect(place(store)) as db:
        row = db.execute("SELECT key, agents, revision FROM runs").fetchall()
        tools = db.execute("SELECT name, status, calls FROM acts WHERE kind = 'tool' ORDER BY name").fetchall()
    db.close()
    assert row == [("d", "\nsupport\n", 1)]
    assert tools == [("find_order", "ok", 1), ("refund", "blocked", 1), ("weather", "ok", 1)]
    newer = run_json("d", 4, revision=2, status="error")
    store.replace("d/run.json", newer, expected=data)
    add_to_index(store, "d", newer)
    add_to_index(store, "d", data)  # a slower process, with what it read before
    assert keys(store, status="error") == ["d", "b"]


def test_an_index_that_fails_never_fails_a_seal(store: LocalStore) -> None:
    """Neither nonsense nor a folder in its place is raised, and reading goes on without it."""
    add_to_index(store, "d", b"nonsense")
    place(store).unlink(missing_ok=True)
    place(store).mkdir()
    add_to_index(store, "a", store.get("a/run.json"))
    assert keys(store) == ["acme/c", "b", "a"]


def test_deleting_or_damaging_an_index_loses_nothing(store: LocalStore) -> None:
    """It is made again, by itself; it is private and no part of the store."""
    keys(store)
    assert place(store).stat().st_mode & 0o777 == 0o600
    for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"not a database at all" * 400),
                   lambda p: p.write_bytes(p.read_bytes()[:5000])):  # fmt: skip
        damage(place(store))
        assert keys(store) == ["acme/c", "b", "a"]
    assert not [path for path in store.root.rglob("*") if "index" in path.name]


def test_filters_and_stable_paging(store: LocalStore) -> None:
    """Each filter by itself; pages go on after a key, also when newer runs have come."""
    assert keys(store, status="error") == ["b"]
    assert keys(store, users=("u2",)) == keys(store, sessions=("s2",)) == ["b"]
    assert keys(store, since="2026-11-25T00:00:02") == ["acme/c", "b"]
    assert len(keys(store, tool="find_order")) == len(keys(store, agent="support")) == 3
    assert keys(store, tool="find") == keys(store, agent="nobody") == []
    assert keys(store, text="U2") == ["b"]
    assert len(keys(store, text="WEATHER")) == len(keys(store, text="demo-model")) == 3
    first = keys(store, 2)
    add(store, "newest", 500)
    store.put("unsealed/x", b"")
    assert keys(store, 2) == ["unsealed", "newest"]
    assert keys(store, 2, after="unsealed") == ["newest", "acme/c"]
    assert keys(store, 2, after=first[-1]) == ["a"]
    with pytest.raises(KeyNotFound):
        keys(store, after="nope")


def test_an_index_agrees_with_reading_every_bundle(store: LocalStore) -> None:
    """Index and full reading list the same runs; in memory, where there is none, too."""
    memory = MemoryStore()
    for key in store.list():
        memory.put(key, store.get(key))
    for one in (store, memory):
        assert (
            sorted(keys(one)) == sorted(list_keys(one)) == sorted(e.key for e in list_runs(one)) == ["a", "acme/c", "b"]
        )
        assert resolve(one, "@last")[1] == "acme/c"


def test_a_store_that_cannot_be_written_is_read(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the permission to write an index it is made in memory."""

    def refused(path: Any, *arguments: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("runbundle.bundle.catalog.database.create", refused)
    assert keys(store) == ["acme/c", "b", "a"]
    assert not place(store).exists()


def test_two_processes_may_write_one_index_at_once(store: LocalStore, tmp_path: Path) -> None:
    """Several that list and several that note at the same time neither fail nor lose a run."""
    for number in range(40):
        add(store, f"run{number}", number)
    code = (
        "import sys\nsys.path.insert(0, sys.argv[2])\n"
        "from runbundle.bundle.catalog.index import add_to_index\nfrom runbundle.store import LocalStore\n"
        "from tests.support.stores import keys\n"
        "s = LocalStore(sys.argv[1])\n"
        "for n in range(40):\n    add_to_index(s, f'run{n}', s.get(f'run{n}/run.json'))\n"
        "    if n % 8 == 0:\n        assert len(keys(s)) == 43\n"
    )
    root = str(Path(__file__).parents[4])
    started = [subprocess.Popen([sys.executable, "-c", code, str(store.root), root]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    with sqlite3.connect(place(store)) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 43
    db.close()


def call(*arguments: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_ls_and_index_print_what_the_index_has(store: LocalStore) -> None:
    """`ls` takes the filters and pages; `index` completes and rebuilds."""
    url = str(store.root)

    def listed(*options: str) -> list[str]:
        return [row["key"] for row in json.loads(call("ls", "--store", url, "--format", "json", *options).stdout)]

    assert listed() == ["acme/c", "b", "a"]
    assert listed("--status", "error") == ["b"]
    assert listed("--limit", "1", "--after", "b") == ["a"]
    assert listed("--since", "2026-11-25T01:00:02+01:00") == ["acme/c", "b"]
    assert listed("--since", "2026-11-26") == listed("--since", "10s") == []
    assert len(listed("--tool", "weather", "--agent", "support", "--text", "demo")) == 3
    assert call("ls", "--store", url, "--since", "once").exit_code == 2
    assert call("ls", "--store", url, "--after", "nope").exit_code == 2
    page = call("ls", "--store", url, "--limit", "2")
    assert "1 older run not shown; see --limit, or --after b" in page.output
    assert "holds no such runs" in call("ls", "--store", url, "--user", "nobody").output
    assert json.loads(call("index", "--rebuild", "--store", url, "--format", "json").stdout) == {
        "runs": 3,
        "unsealed": 0,
        "unreadable": 0,
    }
    assert "3 runs" in call("index", "--store", url).output
    assert listed("--refresh") == ["acme/c", "b", "a"]


@pytest.mark.alone
def test_a_thousand_runs_are_listed_quickly_the_second_time(tmp_path: Path) -> None:
    """A warm listing does not depend on how many runs there are: it takes a tenth of the first one's time, at most."""
    store = LocalStore(tmp_path / "many")
    for number in range(1000):
        folder = store.root / f"run{number:04}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_bytes(run_json(folder.name, number))
    settle(store)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        assert keys(store, 2) == ["run0999", "run0998"]
        times.append(time.perf_counter() - began)
    assert min(times[1:]) < times[0] / 10


def test_a_store_that_is_away_leaves_no_connection_to_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves many stores would else collect files that stay open."""
    opened: list[sqlite3.Connection] = []
    monkeypatch.setattr(catalog_index, "connect", lambda path: opened.append(connect(path)) or opened[-1])
    store = LocalStore(tmp_path / "away")
    monkeypatch.setattr(index_local, "complete", Mock(side_effect=StoreUnavailable("away")))
    with pytest.raises(StoreUnavailable):
        index_of(store)
    assert opened
    for db in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")
