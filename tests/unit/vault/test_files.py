"""The vault of debug mode."""

import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.errors import ConfigError, KeyNotFound, MalformedBundle
from runbundle.format.identity import RunKey
from runbundle.vault.files import VaultWriter, purge, read_vault, vault_key

KEY = vault_key({"RUNBUNDLE_VAULT_KEY": "a key for tests only"})
OTHER = vault_key({"RUNBUNDLE_VAULT_KEY": "another key for tests"})


def written(root: Path, *entries: dict[str, Any], run_id: str = "r", **options: Any) -> Path:
    """Write entries and return the file that holds them."""
    writer = VaultWriter(root, KEY, **options)
    for entry in entries:
        writer.write(RunKey("", run_id), entry)
    return next((root / run_id).glob("*.enc"))


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    """From several writers of one run, and from no other run."""
    written(tmp_path, {"n": 1}, {"n": 2})
    written(tmp_path, {"n": 3})
    written(tmp_path, {"n": 4}, run_id="other")
    assert sorted(e["n"] for e in read_vault(tmp_path, RunKey("", "r"), KEY)) == [1, 2, 3]


def test_nothing_is_readable_on_disk(tmp_path: Path) -> None:
    """Neither content nor keys, and only the owner can open the files."""
    written(tmp_path, {"prompt": "canary-content"})
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 2
    assert all(b"canary" not in p.read_bytes() for p in files)
    assert all(p.stat().st_mode & 0o077 == 0 for p in [*files, tmp_path, tmp_path / "r"])


def test_altered_moved_and_foreign_entries_are_refused(tmp_path: Path) -> None:
    """A flipped byte, two entries exchanged, a file under another run, another vault's key."""
    path = written(tmp_path, {"n": 1}, {"n": 2})
    good = path.read_bytes()
    half = len(good) // 2
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[half:] + good[:half]):
        path.write_bytes(bad)
        with pytest.raises(MalformedBundle, match="cannot be opened"):
            list(read_vault(tmp_path, RunKey("", "r"), KEY))
    path.write_bytes(good)
    with pytest.raises(MalformedBundle, match="another key"):
        list(read_vault(tmp_path, RunKey("", "r"), OTHER))
    (tmp_path / "r").rename(tmp_path / "s")
    with pytest.raises(MalformedBundle):
        list(read_vault(tmp_path, RunKey("", "s"), KEY))


def test_an_entry_cut_off_at_the_end_loses_only_itself(tmp_path: Path) -> None:
    """As a crash or a full disk leaves it: those before it are read, then the damage is named."""
    path = written(tmp_path, {"n": 1}, {"n": 2})
    path.write_bytes(path.read_bytes()[:-3])
    entries = read_vault(tmp_path, RunKey("", "r"), KEY)
    assert next(entries) == {"n": 1}
    with pytest.raises(MalformedBundle, match="is cut off"):
        next(entries)


def test_one_writers_damage_costs_no_other_writers_entries(tmp_path: Path) -> None:
    """Whatever their order: all that can be read comes before the error."""
    for n in range(4):
        written(tmp_path, {"n": n})
    for path in sorted((tmp_path / "r").glob("*.enc"))[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    found: list[int] = []
    with pytest.raises(MalformedBundle, match="is cut off"):
        found += (entry["n"] for entry in read_vault(tmp_path, RunKey("", "r"), KEY))
    assert len(found) == 2


def test_what_follows_an_entry_without_room_is_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part of one: it is an error, and the next entry begins a file."""
    writer, run = VaultWriter(tmp_path, KEY), RunKey("", "r")
    writer.write(run, {"n": 1})
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        with pytest.raises(OSError, match="No space left"):
            writer.write(run, {"n": 2})
    writer.write(run, {"n": 3})
    found: list[int] = []
    with pytest.raises(MalformedBundle, match="is cut off"):
        found += (entry["n"] for entry in read_vault(tmp_path, run, KEY))
    assert sorted(found) == [1, 3]


def test_content_expires(tmp_path: Path) -> None:
    """What has expired is neither read nor kept; what has not stays, unless all is to go."""
    now = [1000.0]
    written(tmp_path, {"n": 1}, run_id="old", ttl_s=10, clock=lambda: now[0])
    now[0] = 1011.0
    written(tmp_path, {"n": 2}, run_id="new", ttl_s=10, clock=lambda: now[0])
    with pytest.raises(KeyNotFound, match="expired"):
        list(read_vault(tmp_path, RunKey("", "old"), KEY, clock=lambda: now[0]))
    assert purge(tmp_path, clock=lambda: now[0]) == [RunKey("", "old")]
    assert list(read_vault(tmp_path, RunKey("", "new"), KEY, clock=lambda: now[0])) == [{"n": 2}]
    assert purge(tmp_path, everything=True, clock=lambda: now[0]) == [RunKey("", "new")]
    with pytest.raises(KeyNotFound, match="nothing of run"):
        list(read_vault(tmp_path, RunKey("", "new"), KEY))
    assert purge(tmp_path / "absent") == []


def test_a_forked_child_begins_a_key_of_its_own(tmp_path: Path) -> None:
    """The same key and nonce twice would undo the encryption."""
    writer = VaultWriter(tmp_path, KEY)
    writer.write(RunKey("", "r"), {"n": 1})
    child = os.fork()
    if child == 0:
        writer.after_fork()
        writer.write(RunKey("", "r"), {"n": 2})
        os._exit(0)
    os.waitpid(child, 0)
    writer.write(RunKey("", "r"), {"n": 3})
    assert len(list((tmp_path / "r").glob("*.key"))) == 2
    assert sorted(e["n"] for e in read_vault(tmp_path, RunKey("", "r"), KEY)) == [1, 2, 3]


def test_keys_come_from_a_variable_or_a_file_and_are_long(tmp_path: Path) -> None:
    """None, a short one and an unreadable file are errors that say what to do."""
    file = tmp_path / "key"
    file.write_text("a key for tests only\n")
    assert vault_key({"RUNBUNDLE_VAULT_KEY_FILE": str(file)}) == KEY
    for environment in ({}, {"RUNBUNDLE_VAULT_KEY": "short"}, {"RUNBUNDLE_VAULT_KEY_FILE": str(tmp_path / "none")}):
        with pytest.raises(ConfigError):
            vault_key(environment)


def test_a_run_id_is_no_path(tmp_path: Path) -> None:
    """It is checked as everywhere else."""
    with pytest.raises(ConfigError):
        VaultWriter(tmp_path, KEY).write(RunKey("", "../x"), {})
    with pytest.raises(ConfigError):
        list(read_vault(tmp_path, RunKey("", "../x"), KEY))


@pytest.mark.parametrize("everything", [False, True])
def test_purge_touches_nothing_but_the_vaults_files(tmp_path: Path, everything: bool) -> None:
    """A folder that somebody pointed the vault at by mistake keeps what is in it."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    written(tmp_path, {"n": 1}, ttl_s=-1)
    (tmp_path / "r" / "mine.txt").write_bytes(b"y")
    assert purge(tmp_path, everything=everything) == [RunKey("", "r")]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["a.jpg", "mine.txt"]
