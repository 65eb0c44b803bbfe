"""Whatever the umask, nobody else can read or write what we make."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbundle
from runbundle.process import disk

_WORK = """
import os, sys, runbundle
os.umask(int(sys.argv[1], 8))
from runbundle.runstate import from_url
from runbundle.redaction.detectors import cache
from runbundle.redaction.detectors.detector import default_detector
default_detector()  # keeps its rules in the cache
handle = runbundle.configure(store="deep/er/store", content_mode="debug")
with runbundle.start_run("r", tenant_id="acme") as run:
    with runbundle.start_tool("t", {"a": 1}):
        pass
assert handle.flush().sealed
cut = runbundle.start_run("cut")
cut.__enter__()
handle.recorder.losses.count("journal", 3)
handle.recorder.losses.write(now=True)
with runbundle.start_run("left"):
    pass
state = from_url("deep/er/state/x.sqlite")
try:
    list(state.list_runs())
except Exception:
    pass
cache.write("x", b"y")
from runbundle.recording.tripwire import Hit, quarantine
from runbundle.format.identity import RunKey
from pathlib import Path
spool = Path("deep/er/store/.spool")
(spool / "q").mkdir()
(spool / "q").chmod(0o700)
quarantine(spool, RunKey("", "q"), [Hit("f", 1, "r")])
os._exit(0)
"""


_FOR_ROOT = ["777", "277"] if os.geteuid() == 0 else []
"""Under these umasks only root may open what it has made."""


@pytest.mark.parametrize("umask", ["000", "077", "022", *_FOR_ROOT])
def test_folders_are_0700_and_files_0600(tmp_path: Path, umask: str) -> None:
    """Stores, spools, journals, indexes, vaults, ledgers, quarantine, caches, keys: every one that is there."""
    environment = {**os.environ, "RUNBUNDLE_DEBUG_CONTENT": "1", "RUNBUNDLE_VAULT_KEY": "0123456789abcdef" * 4,
                   "RUNBUNDLE_CACHE": str(tmp_path / "cache"), "RUNBUNDLE_KEYS": str(tmp_path / "keys")}  # fmt: skip
    (tmp_path / "cache").mkdir(mode=0o700)
    done = subprocess.run([sys.executable, "-c", _WORK, umask], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {
        path.relative_to(tmp_path): path.lstat().st_mode & 0o777
        for path in tmp_path.rglob("*")
        if "kingfisher" not in path.parts
    }  # fmt: skip - which a library of others makes for itself
    names = {path.name for path in found}
    assert {"run.json", ".spool", ".vault", ".losses", ".quarantine", "reason.json", "x"} <= names
    for path, mode in found.items():
        assert mode == (0o700 if (tmp_path / path).is_dir() else 0o600), (path, oct(mode))


def test_a_folder_is_made_with_those_above_it_each_private(tmp_path: Path) -> None:
    """0700 whatever the umask; those that are there keep their mode, and making one again changes nothing."""
    tmp_path.chmod(0o755)
    umask = os.umask(0o777 if os.geteuid() == 0 else 0o077)
    try:
        disk.make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(umask)
    for path in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    (tmp_path / "a").chmod(0o750)
    disk.make_folder(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_no_folder_is_made_where_a_file_lies(tmp_path: Path) -> None:
    """Neither in its place nor below it; the file is as it was."""
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        disk.make_folder(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        disk.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_folder_made_in_an_open_one_is_private_and_its_name_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder above is synced when the new one is in it; one that is there is left alone, by its mode too."""
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((fd, (tmp_path / "a").is_dir())))
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        disk.make_folder_in(folder, "a")
        assert synced == [(folder, True)]
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
        (tmp_path / "a").chmod(0o750)
        disk.make_folder_in(folder, "a")
    finally:
        os.close(folder)
    assert len(synced) == 1
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_a_folder_above_that_may_not_be_synced_takes_a_new_one_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal of permission is passed over; any other failure of the sync is said."""

    def refused(fd: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", refused)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        error: OSError = PermissionError(1, "not permitted")
        disk.make_folder_in(folder, "a")
        error = OSError(5, "input/output error")
        with pytest.raises(OSError, match="input/output"):
            disk.make_folder_in(folder, "b")
    finally:
        os.close(folder)
    assert (tmp_path / "a").is_dir()


def test_what_is_written_synced_is_whole_private_and_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is written, however little the system takes at once; a file that is there is refused, untouched."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    disk.write_synced(tmp_path / "a", [b"0123456", memoryview(b"789")])
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.write_synced(tmp_path / "a", [b"other"])
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_synced_write_syncs_after_its_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file is synced, all of it is written: what the sync has seen is what was to be kept."""
    seen: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append(os.fstat(fd).st_size))
    folder = os.open(tmp_path, os.O_RDONLY)
    disk.write_synced("a", [b"01234", b"56789"], dir_fd=folder)
    os.close(folder)
    assert seen == [10]


def test_a_sync_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor a folder is taken for kept if the system refuses the sync; no descriptor is left open."""

    def refused(fd: int) -> None:
        raise OSError(5, "input/output error")

    before = len(list(Path("/dev/fd").iterdir()))
    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="input/output"):
        disk.write_synced(tmp_path / "a", [b"x"])
    with pytest.raises(OSError, match="input/output"):
        disk.sync_folder(tmp_path)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_replaced_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement that fails leaves the old bytes and nothing beside them."""
    disk.replace(tmp_path / "a", b"old")

    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        patch.setattr(Path, "replace", refused)
        with pytest.raises(OSError, match="No space"):
            disk.replace(tmp_path / "a", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}
    disk.replace(tmp_path / "a", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


@pytest.mark.parametrize("make", ["create_unnamed", "link_unnamed"])
def test_a_folder_that_was_removed_is_not_found(tmp_path: Path, make: str) -> None:
    """Whatever the file system says: whoever asks makes the folder again."""
    (tmp_path / "gone").mkdir()
    folder, beside = os.open(tmp_path / "gone", os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    file = disk.create_unnamed(beside)
    if file is None:
        pytest.skip("this system has no unnamed files")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError):
        disk.create_unnamed(folder) if make == "create_unnamed" else disk.link_unnamed(file, "a", folder)
    for fd in (folder, beside, file):
        os.close(fd)


def test_nobody_else_makes_or_syncs_files_by_hand() -> None:
    """`O_CREAT` stands here alone, and `fsync` with those who keep a descriptor of their own open."""
    source = Path(runbundle.__file__).parent
    found: dict[str, set[str]] = {"O_CREAT": set(), "fsync": set()}
    for path in source.rglob("*.py"):
        for word, places in found.items():
            if re.search(rf"os\.{word}\b", path.read_text()):
                places.add(path.relative_to(source).as_posix())
    assert found["O_CREAT"] == {"process/disk.py"}
    assert found["fsync"] == {
        "process/disk.py",
        "journal/mapped.py",
        "store/placing.py",
        "recording/writing/syncing.py",
    }
