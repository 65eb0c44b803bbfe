"""Every file that the table of the layout names is copied, verified, searched, held, removed and listed as it says."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import runbundle
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.custody.holds import hold, hold_of, release
from runbundle.bundle.custody.retention import plan, remove
from runbundle.bundle.custody.transfer import copy, copy_all
from runbundle.bundle.verify import verify
from runbundle.cli.demo_agent import record
from runbundle.format.identity import RunKey, valid_run_id
from runbundle.format.layout import (
    BESIDE,
    BUNDLE,
    FOLDERS,
    HOLD,
    RUN,
    SEALED,
    File,
    earlier_run_path,
    file_at,
    is_folder,
    media_type_of,
    name_of,
    revision_of,
)
from runbundle.format.run import RunIndex
from runbundle.recording.publish import publish
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support.stores import keys

SECRET = b'{"note": "ghp_' + b"a1B2" * 9 + b'"}'


def example(file: File) -> str:
    """Return a path that a row of the table stands for."""
    holes = {"<n>": "2", "<digest>": "0" * 16, "<sha256>": "0" * 64, "<file>": "events.jsonl"}
    return re.sub("<[a-z0-9]+>", lambda hole: holes[hole[0]], file.path)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Return a store with one sealed bundle, `r`, that has every file of a first revision."""
    made = LocalStore(tmp_path / "store")
    key = record(made).sealed[0]
    (made.root / key).rename(made.root / "was")
    with runbundle.configure(store=made, key=b"a key for tests only") as handle:
        with runbundle.start_run("r", run_id="r"), runbundle.start_retriever("shelf", "?") as found:
            found.add_evidence([{"id": "doc"}])
        handle.flush()
    for name in sorted((made.root / "was").iterdir()):
        name.unlink()
    (made.root / "was").rmdir()
    return made


def codes(store: ArtifactStore, key: str = "r") -> set[str]:
    """Return the codes that verify finds."""
    return {finding.code for finding in verify(store, key).findings}


@pytest.mark.parametrize("file", BUNDLE, ids=lambda file: file.path)
def test_each_file_is_subject_to_what_its_row_says(store: LocalStore, tmp_path: Path, file: File) -> None:
    """Verified as sealed, chained or outside; copied or not; removed with the bundle; never taken for a run."""
    path = example(file)
    key = f"r/{path}"
    assert file_at(path) is file
    assert codes(store) == set()
    if not store.exists(key):
        store.put(key, b"{}")
    expected = {"outside": set[str](), "chained": {"RB214"}, "listed": {"RB215"}}
    if path.startswith("eval/"):  # outside the seal, and checked all the same
        expected["outside"] = {"RB107" if file.replaced else "RB218"}
    assert codes(store) == (set() if path in SEALED or path == RUN else expected[file.seal])
    if file.seal == "outside":
        store.put(key, SECRET, overwrite=True)
        assert codes(store) - expected["outside"] == ({"RB403"} if file.searched else set())
    target = LocalStore(tmp_path / "target")
    assert [result.outcome for result in copy_all(store, target)] == ["copied"]
    copied = target.exists(key)
    assert copied is (
        file.copied and (file.seal == "outside" or path in SEALED or path == RUN or file.seal == "chained")
    )
    for one in (store, target):
        assert list(list_keys(one)) == keys(one) == ["r"]
        assert [verdict.key for verdict in plan(one, older_than=timedelta(0), keep_last=0)] == ["r"]
    assert remove(store, "r") is (path != HOLD)
    assert store.exists(key) is (path == HOLD)
    assert bool(list((store.root / "r").rglob("*"))) is (path == HOLD)


def test_what_is_no_file_of_a_bundle_is_found_and_stays_behind(store: LocalStore, tmp_path: Path) -> None:
    """Unknown files and folders, dot files, links, revisions that are none: each is a finding, and none is copied."""
    folder = store.root / "r"
    for path in ("notes.txt", ".hidden", "eval/other.txt", "eval/.x", "revisions/x/run.json", "revisions/01/run.json",
                 "extra/f", "parts/x.jsonl"):  # fmt: skip
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_text("x")
        assert codes(store) == {"RB203"}, path
        (folder / path).unlink()
        for above in (folder / path).relative_to(folder).parents[:-1]:
            (folder / above).rmdir()
    (folder / "empty").mkdir()
    assert codes(store) == {"RB203"}
    (folder / "empty").rmdir()
    (folder / "eval").mkdir()
    (folder / "eval" / "gate.json").symlink_to(folder / RUN)
    assert codes(store) == {"RB230"}
    (folder / "eval" / "gate.json").unlink()
    (folder / "eval" / "more.txt").write_text("x")
    target = MemoryStore()
    assert copy(store, "r", target).outcome == "copied"
    assert not [key for key in target.list() if "more" in key]


def test_a_later_revision_beside_run_json_is_found(tmp_path: Path) -> None:
    """run.json put back to the one before; a later one beside it; files of one that was begun."""
    store, spool = LocalStore(tmp_path / "s"), tmp_path / "s" / ".spool"
    with runbundle.configure(store=store, key=b"a key for tests only", grace_s=0.0) as handle:
        with runbundle.start_run("r", run_id="r") as run:
            late = handle.tracer.start_span("late")
        del run
        handle.flush()
        late.end()
        handle.flush()
    publish(store, spool, RunKey("", "r"))
    index = RunIndex.model_validate_json(store.get("r/run.json"))
    assert index.revision == 2
    assert "RB2" not in " ".join(codes(store))
    newer = store.get("r/run.json")
    older = store.get("r/revisions/1/run.json")
    store.put("r/run.json", older, overwrite=True)
    assert "RB215" in codes(store)
    store.put("r/revisions/2/run.json", newer)
    assert "RB214" in codes(store)
    store.put("r/run.json", newer, overwrite=True)
    store.put("r/revisions/9/events.jsonl", b"")
    assert "RB214" in codes(store)


def test_a_bundle_lies_where_it_says(tmp_path: Path) -> None:
    """Under another tenant, under none, or under another id it is a finding; its path tells its tenant."""
    from runbundle.bundle.catalog.locate import resolve

    store = LocalStore(tmp_path / "s")
    with runbundle.configure(store=store, key=b"a key for tests only") as handle:
        with runbundle.start_run("r", run_id="r", tenant_id="acme"):
            pass
        handle.flush()
    assert verify(store, "acme/r").verdict == "verified"
    assert verify(*resolve(store, str(store.root / "acme" / "r"))).verdict == "verified"
    (store.root / "other").mkdir()
    (store.root / "acme" / "r").rename(store.root / "other" / "r")
    assert codes(store, "other/r") == {"RB505"}
    (store.root / "other" / "r").rename(store.root / "r")
    assert codes(store, "r") == {"RB505"}
    (store.root / "r").rename(store.root / "other" / "x")
    assert codes(store, "other/x") == {"RB505"}


def test_a_hold_travels_and_is_obeyed_where_it_arrives(store: LocalStore) -> None:
    """With the bundle, to one that is there already, to a newer one, and beside a clash; one that is there stays."""
    hold(store, "r", "case 1")
    target = MemoryStore()
    copy(store, "r", target)
    assert hold_of(target, "r") == hold_of(store, "r")
    assert not remove(target, "r")
    assert [v.action for v in plan(target, older_than=timedelta(0), keep_last=0)] == ["held"]
    release(target, "r")
    assert copy(store, "r", target).outcome == "copied"
    assert not remove(target, "r")
    release(target, "r")
    hold(target, "r", "theirs")
    assert copy(store, "r", target).outcome == "present"
    found = hold_of(target, "r")
    assert found is not None
    assert found.reason == "theirs"
    release(target, "r")
    target.put("r/eval/gate.json", b"1")
    store.put("r/eval/gate.json", b"2")
    assert copy(store, "r", target).outcome == "clash"
    assert hold_of(target, "r") is not None
    target.delete("r/hold.json")
    target.delete("r/eval/gate.json")
    target.put("r/removing.json", b"{}")
    assert copy(store, "r", target).problems == ["hold.json: the bundle is being removed there"]


def tree(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield what is in a folder, hidden or not: names, times and content."""
    for path in sorted([folder, *folder.rglob("*")]):
        yield str(path), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(
    "command",
    [
        "ls", "ls --refresh", "ls --text x", "show @last", "show r --all", "tools r", "verify @last",
        "verify r --quick", "doctor", "index", "index --rebuild", "hold r", "gc --older-than 1h --dry-run",
    ],
)  # fmt: skip
def test_commands_that_read_a_store_write_nothing_into_it(store: LocalStore, command: str) -> None:
    """No file and no folder, not even for a moment: the tree is the same afterwards, to its times."""
    from click.testing import CliRunner

    from runbundle.cli.main import group

    for name in (".spool", ".tmp"):
        if (store.root / name).is_dir():
            (store.root / name).rmdir()
    before = list(tree(store.root))
    words = command.split()
    result = CliRunner().invoke(group, [*words, "--store", str(store.root)], catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    after = list(tree(store.root))
    if command == "doctor":  # it tries the ground that a spool would stand on, in a folder that is gone afterwards
        before, after = [(p, b) for p, _, b in before], [(p, b) for p, _, b in after]  # type: ignore[misc]
    assert after == before


def test_the_table_is_whole(tmp_path: Path) -> None:
    """What a seal, a hold and a removal write is in it; its folders can be no run's; its media types are stated."""
    store = LocalStore(tmp_path / "s")
    key = record(store).sealed[0]
    hold(store, key, "why")
    assert all(file_at(path[len(key) + 1 :]) for path in store.list(f"{key}/"))
    beside = {place.name for place in BESIDE}
    assert {path.name for path in store.root.iterdir()} - {key} <= beside
    assert not any(valid_run_id(folder) for folder in FOLDERS)
    assert is_folder("revisions/2/0123456789abcdef")
    assert not is_folder("revisions/x")
    index = RunIndex.model_validate_json(store.get(f"{key}/run.json"))
    assert all(media_type_of(entry.path) == entry.media_type for entry in index.files)
    with pytest.raises(KeyError):
        media_type_of("x")


@pytest.mark.parametrize(
    ("path", "revision"),
    [("events.jsonl", None), ("eval/gate.json", None), ("revisions/2/events.jsonl", 2), ("revisions/10/x", 10),
     ("revisions/0/x", 0), ("revisions/02/x", 0), ("revisions/x", 0)],
)  # fmt: skip
def test_a_path_says_of_which_revision_it_is(path: str, revision: int | None) -> None:
    """None outside `revisions/`, 0 in a folder there that is no number."""
    assert revision_of(path) == revision


def test_an_earlier_run_json_lies_in_the_folder_of_its_revision() -> None:
    """Where the table has one."""
    path = earlier_run_path(3)
    assert revision_of(path) == 3
    file = file_at(path)
    assert file is not None
    assert file.seal == "chained"


@pytest.mark.parametrize("name", [*SEALED, RUN])
def test_a_file_has_one_name_in_every_revision(name: str) -> None:
    """At its place, in the folder of a revision, and in that of a digest; so it has one media type."""
    paths = [name, f"revisions/2/{name}", f"revisions/10/{'0' * 16}/{name}"]
    assert {name_of(path) for path in paths} == {name}
    assert len({media_type_of(path) for path in paths}) == 1
