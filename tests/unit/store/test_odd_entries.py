"""Links, pipes and odd names in a store: nothing is opened that is no file, nothing outside is touched or copied."""

import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbundle.bundle.catalog.locate import list_runs
from runbundle.bundle.custody.holds import hold_of, release
from runbundle.bundle.custody.retention import plan, remove
from runbundle.bundle.custody.transfer import copy, copy_all
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.errors import KeyNotFound, OddEntry
from runbundle.store import LocalStore
from tests.support.handmade import KEY, build

PRECIOUS = b"nobody copies me"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store, with something in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(PRECIOUS)
    (folder / "run.json").write_bytes(b"{}")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store with a bundle in it."""
    found = build(LocalStore(tmp_path / "s"))
    assert isinstance(found, LocalStore)
    return found


def _socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


ODD: dict[str, Callable[[Path, Path], object]] = {
    "link to a file": lambda at, outside: at.symlink_to(outside / "precious"),
    "link to a folder": lambda at, outside: at.symlink_to(outside),
    "link to nowhere": lambda at, _: at.symlink_to("gone"),
    "link to itself": lambda at, _: at.symlink_to(at.name),
    "link to the folder above": lambda at, _: at.symlink_to(".."),
    "pipe": lambda at, _: os.mkfifo(at),
    "socket": lambda at, _: _socket(at),
    "odd name": lambda at, _: (at.parent / "a b.json").write_text("x"),
    "odd folder": lambda at, _: (at.parent / "-x" / "y").mkdir(parents=True),
    "not UTF-8": lambda at, _: os.mkfifo(os.fsencode(at.parent) + b"/\xff"),
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, store: LocalStore, outside: Path) -> str:
    """Something odd in a bundle, at any depth; returns where."""
    folder = store.root / KEY / "eval" / "deep"
    folder.mkdir(parents=True)
    ODD[request.param](folder / "odd", outside)
    return request.param


def test_verify_names_what_is_no_file(store: LocalStore, odd: str) -> None:
    """One finding, and nothing waits."""
    assert [f.code for f in verify(store, KEY).findings] == ["RB230"]


def test_a_copy_leaves_it_out_and_says_so(store: LocalStore, odd: str, tmp_path: Path) -> None:
    """The bundle arrives, what is no file of it does not."""
    target = LocalStore(tmp_path / "t")
    result = copy(store, KEY, target)
    assert (result.outcome, len(result.left_out)) == ("copied", 1)
    assert all(PRECIOUS not in p.read_bytes() for p in target.root.rglob("*") if p.is_file())
    assert [name for name, _ in target.odd()] == []


def test_gc_leaves_such_a_bundle_and_goes_on(store: LocalStore, odd: str, outside: Path) -> None:
    """It is named; the others go, and what a link leads to stays."""
    verdicts = plan(store, older_than=None, keep_last=0, now=datetime(2100, 1, 1, tzinfo=UTC))
    assert [(v.action, bool(v.problem)) for v in verdicts] == [("odd", True)]
    remove(store, KEY)
    assert (outside / "precious").read_bytes() == PRECIOUS


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "hold.json", "eval", "revisions", ""])
@pytest.mark.parametrize("what", ["link to a file", "link to a folder", "pipe", "socket"])
def test_no_name_of_the_format_is_opened_if_it_is_no_file(
    store: LocalStore, outside: Path, tmp_path: Path, name: str, what: str
) -> None:
    """Whichever name it has, or if it is the bundle's own folder: every command answers, and the others are served."""
    shutil.copytree(store.root / KEY, store.root / "other")
    other = store.root / "other" / "run.json"
    other.write_bytes(other.read_bytes().replace(KEY.encode(), b"other"))
    at = store.root / KEY / name if name else store.root / KEY
    if at.is_dir():
        at.rename(tmp_path / "away")
    else:
        at.unlink(missing_ok=True)
    ODD[what](at, outside)
    run = CliRunner()
    for command in ("ls", "index", "verify other", f"verify {KEY}", f"show {KEY}", "gc --older-than 0h --dry-run",
                    f"sync {store.root} {tmp_path / 't'}", "doctor", f"hold {KEY} --reason x"):  # fmt: skip
        arguments = command.split() + ([] if command.startswith("sync") else ["--store", str(store.root)])
        result = run.invoke(group, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
        assert PRECIOUS.decode() not in result.output
    assert (tmp_path / "t" / "other" / "run.json").exists()
    assert all(PRECIOUS not in p.read_bytes() for p in (tmp_path / "t").rglob("*") if p.is_file())
    assert (outside / "precious").read_bytes() == PRECIOUS
    assert sorted(p.name for p in outside.iterdir()) == ["precious", "run.json"]


def test_nothing_is_written_through_a_link(store: LocalStore, outside: Path) -> None:
    """Not by a put, nor below a linked folder; a link in a file's place is replaced itself."""
    (store.root / KEY / "eval").symlink_to(outside)
    with pytest.raises(Exception, match="link"):
        store.put(f"{KEY}/eval/new.json", b"x")
    (store.root / KEY / "a.json").symlink_to(outside / "precious")
    store.put(f"{KEY}/a.json", b"x", overwrite=True)
    assert store.get(f"{KEY}/a.json") == b"x"
    with pytest.raises(OddEntry):
        store.delete(f"{KEY}/eval/precious")
    assert sorted(p.name for p in outside.iterdir()) == ["precious", "run.json"]
    assert (outside / "precious").read_bytes() == PRECIOUS


def test_a_linked_run_is_one_line(store: LocalStore, outside: Path, tmp_path: Path) -> None:
    """It is listed as what it is, and neither read, copied nor removed."""
    (store.root / "linked").symlink_to(outside)
    (store.root / "acme").mkdir()
    (store.root / "acme" / "linked").symlink_to(outside)
    found = {entry.key: entry.problem for entry in list_runs(store)}
    assert {key for key, problem in found.items() if "link" in problem} == {"linked", "acme/linked"}
    outcomes = {c.key: c.outcome for c in copy_all(store, LocalStore(tmp_path / "t"))}
    assert outcomes == {KEY: "copied", "linked": "damaged", "acme/linked": "damaged"}
    shown = CliRunner().invoke(group, ["ls", "--store", str(store.root)])
    assert shown.exit_code == 1
    assert shown.output.count("link") >= 2


@pytest.mark.parametrize("what", ["link to a file", "link to nowhere", "pipe", "folder"])
def test_a_hold_that_cannot_be_read_holds(store: LocalStore, outside: Path, what: str) -> None:
    """Whatever lies under its name: the bundle is not removed, and the hold is not ended silently."""
    at = store.root / KEY / "hold.json"
    at.mkdir() if what == "folder" else ODD[what](at, outside)
    assert hold_of(store, KEY) is not None
    assert not remove(store, KEY)
    if what == "folder":
        with pytest.raises(KeyNotFound, match="folder"):
            release(store, KEY)


def test_the_root_itself_may_be_a_link(store: LocalStore, tmp_path: Path) -> None:
    """Whoever names it means it."""
    (tmp_path / "named").symlink_to(store.root)
    assert verify(LocalStore(tmp_path / "named"), KEY).verdict == "unchanged"
