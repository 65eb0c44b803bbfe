"""Copying between stores: create-only, resumed, checked on the way, and newer revisions in the right order."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runbundle.bundle.custody.transfer import copy, copy_all, require_apart
from runbundle.bundle.evaluations import write_evaluation
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.errors import ConfigError, StoreUnavailable
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Scorecard, Subject
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.testing import Fault, FaultyStore
from tests.support.golden import KEY, V1
from tests.support.stores import contents, keys


def revised(source: ArtifactStore, target: ArtifactStore) -> None:
    """Put a second revision of the golden bundle into `target`, as a seal of late data would."""
    copy(source, KEY, target)
    old = target.get(f"{KEY}/run.json")
    said = json.loads(old)
    said |= {"revision": 2, "supersedes": sha256_hex(old)}
    target.put(f"{KEY}/revisions/1/run.json", old)
    target.replace(f"{KEY}/run.json", json.dumps(said).encode(), expected=old)


def test_a_copy_is_identical(tmp_path: Path) -> None:
    """All files, with what was added after the seal; a second time nothing is sent; the index knows it."""
    source, target = MemoryStore(), LocalStore(tmp_path / "t")
    copy(V1, KEY, source)
    run_sha256 = sha256_hex(V1.get(f"{KEY}/run.json"))
    card = Scorecard(subject=Subject(run_id=KEY, run_sha256=run_sha256), scores=[])
    write_evaluation(source, KEY, Scorecard, lambda _: card)
    source.put(f"{KEY}/attestation.dsse.json", b"{}")
    source.put(f"{KEY}/stray.json", b"{}")
    result = copy(source, KEY, target)
    assert (result.outcome, result.files) == ("copied", 7)
    assert contents(target) == {name: data for name, data in contents(source).items() if "stray" not in name}
    assert verify(target, KEY).verdict == "unchanged"
    assert copy(source, KEY, target).outcome == "present"
    assert keys(target) == [KEY]


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("after", [False, True])
def test_a_copy_that_was_cut_off_is_resumed(nth: int, after: bool) -> None:
    """Until run.json is there the bundle is unsealed; what was sent is not sent again."""
    target = MemoryStore()
    with pytest.raises(StoreUnavailable):
        copy(V1, KEY, FaultyStore(target, [Fault("put", nth, "EIO", after=after)]))
    assert target.exists(f"{KEY}/run.json") is (nth == 5 and after)
    counted = FaultyStore(target)
    copy(V1, KEY, counted)
    assert counted.calls["put"] == 5 - (nth - 1) - after
    assert contents(target) == {k: v for k, v in contents(V1).items() if k.startswith(KEY)}


def test_a_clash_changes_nothing() -> None:
    """Another file, or another run under the same id: reported, and not a byte is written."""
    for name in ("tool_calls.json", "run.json"):
        target = MemoryStore()
        target.put(f"{KEY}/{name}", V1.get(f"{KEY}/{name}").replace(b"golden", b"silver"))
        before = contents(target)
        result = copy(V1, KEY, target)
        assert result.outcome == "clash"
        assert result.problems[0].startswith(name)
        assert contents(target) == before


def test_a_damaged_bundle_is_not_spread() -> None:
    """A file that is not what run.json says, or missing, leaves the copy unsealed and says which."""
    source = MemoryStore()
    copy(V1, KEY, source)
    source.put(f"{KEY}/events.jsonl", source.get(f"{KEY}/events.jsonl")[:-5], overwrite=True)
    target = MemoryStore()
    result = copy(source, KEY, target)
    assert result.outcome == "damaged"
    assert result.problems == ["events.jsonl: is not what run.json says, or not there"]
    source.delete(f"{KEY}/events.jsonl")
    assert copy(source, KEY, target).outcome == "damaged"
    source.put(f"{KEY}/run.json", b"{", overwrite=True)
    assert copy(source, KEY, target).outcome == "damaged"
    assert not target.exists(f"{KEY}/run.json")


def test_a_bundle_under_another_name_is_not_spread() -> None:
    """A copy of a run in the folder of another, or of another tenant, is damaged; nothing is written."""
    source, target = MemoryStore(), MemoryStore()
    for key, why in (("victim", "another run"), (f"tenant/{KEY}", "another tenant")):
        for name, data in contents(V1).items():
            source.put(f"{key}/{name.removeprefix(f'{KEY}/')}", data)
        result = copy(source, key, target)
        assert (result.outcome, result.files) == ("damaged", 0)
        assert why in result.problems[0]
    assert contents(target) == {}


def test_a_newer_revision_replaces_the_older_and_never_the_other_way() -> None:
    """run.json is replaced if it is the one that was superseded; an older source changes nothing."""
    newer, older = MemoryStore(), MemoryStore()
    revised(V1, newer)
    copy(V1, KEY, older)
    assert copy(V1, KEY, newer).outcome == "older"
    assert copy(newer, KEY, older).outcome == "updated"
    assert contents(older) == contents(newer)
    other = MemoryStore()
    copy(V1, KEY, other)
    said = json.loads(other.get(f"{KEY}/run.json"))
    other.put(f"{KEY}/run.json", json.dumps({**said, "status": "error"}).encode(), overwrite=True)
    before = contents(other)
    assert copy(newer, KEY, other).outcome == "clash"
    assert copy(other, KEY, newer).outcome == "clash"
    assert contents(other) == before


def test_progress_counts_every_byte() -> None:
    """It ends at the number of bytes of the files."""
    told: list[tuple[str, int, int]] = []
    result = copy(V1, KEY, MemoryStore(), progress=lambda key, done, total: told.append((key, done, total)))
    assert told[-1][1] == told[-1][2] == result.bytes - len(V1.get(f"{KEY}/run.json"))


def test_every_sealed_bundle_of_a_store_is_copied(tmp_path: Path) -> None:
    """Every bundle, also of tenants; unsealed ones are left."""
    source, target = MemoryStore(), MemoryStore()
    copy(V1, KEY, source)
    for name in V1.list(f"{KEY}/"):
        data = V1.get(name)
        if name.endswith("/run.json"):
            data = json.dumps({**json.loads(data), "tenant_id": "acme"}).encode()
        source.put(f"acme/{name}", data)
    source.put("open/events.jsonl", b"")
    assert [(r.key, r.outcome) for r in copy_all(source, target)] == [
        ("acme/golden-v1", "copied"), ("golden-v1", "copied"), ("open", "unsealed"),
    ]  # fmt: skip
    assert [r.outcome for r in copy_all(source, target)] == ["present", "present", "unsealed"]


def call(*arguments: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_push_pull_and_sync_copy_and_exit_by_their_results(tmp_path: Path) -> None:
    """push, pull and sync copy, say what became of each, and leave with the code of the worst."""
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    pulled = call("pull", "golden", str(V1.root), "--store", here, "--format", "json")
    assert pulled.exit_code == 0
    assert json.loads(pulled.stdout)["outcome"] == "copied"
    assert "copied  5 files" in call("push", "@last", there, "--store", here).output
    assert "was there already" in call("push", KEY, there, "--store", here).output
    assert "1 run: 1 present" in call("sync", here, there).output
    store = LocalStore(there)
    store.put("open/events.jsonl", b"")
    assert call("push", "open", here, "--store", there).exit_code == 3
    assert call("sync", there, here).exit_code == 0
    store.put(f"{KEY}/eval/gate.json", b"1")
    LocalStore(here).put(f"{KEY}/eval/gate.json", b"2")
    clash = call("sync", here, there, "--format", "json")
    assert clash.exit_code == 1
    assert json.loads(clash.stdout)["runs"][0]["problems"] == ["eval/gate.json: other bytes are there"]
    store.put(f"{KEY}/run.json", b"{", overwrite=True)
    assert call("push", KEY, str(tmp_path / "third"), "--store", there).exit_code == 4
    assert call("push", "nope", there, "--store", here).exit_code == 2
    assert call("push", KEY, "s3://bucket?secret=x", "--store", here).exit_code == 2
    (tmp_path / "file").write_text("")
    assert call("sync", here, str(tmp_path / "file" / "s")).exit_code == 5


@pytest.mark.parametrize(("one", "other", "apart"), [("a", "a", False), ("a", "a/b", False), ("a/b", "a", False),
                                                     ("a", "ab", True), ("a/b", "a/c", True)])  # fmt: skip
def test_stores_that_lie_within_each_other_are_refused(tmp_path: Path, one: str, other: str, apart: bool) -> None:
    """A copy would be copied again; two stores in memory are always two."""
    stores = LocalStore(tmp_path / one), LocalStore(tmp_path / other)
    if apart:
        require_apart(*stores)
    else:
        with pytest.raises(ConfigError):
            require_apart(*stores)
    require_apart(MemoryStore(), MemoryStore())
