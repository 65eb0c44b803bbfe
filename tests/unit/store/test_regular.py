"""Below a root no link is followed, nothing but regular files is opened, and nothing waits."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runbundle.store.regular import (
    NotRegular,
    descriptor_at,
    entries_of,
    file_at,
    folder_below,
    kind_at,
    kind_of,
    open_below,
    open_in,
    read_at,
    refuse_link,
    status_below,
)

KINDS = {"file": "", "link": "a link", "folder": "a folder", "pipe": "a pipe"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one of each kind in a folder, and with a link to that folder."""
    folder = tmp_path / "root" / "in"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"data")
    (folder / "link").symlink_to("file")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (tmp_path / "root" / "linked").symlink_to("in")
    return tmp_path / "root"


def test_a_mode_says_what_a_file_is() -> None:
    """A regular file is nothing to mention."""
    assert kind_of(stat.S_IFREG | 0o600) == ""
    modes = (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
    assert [kind_of(mode) for mode in modes] == [
        "a link", "a folder", "a pipe", "a socket", "a device", "a device"
    ]  # fmt: skip


def test_each_name_in_a_folder_is_what_it_is(root: Path) -> None:
    """Asked one by one, or all at once; links are not followed."""
    with folder_below(root, ["in"]) as fd:
        assert dict(entries_of(fd)) == KINDS
        assert {name: kind_at(fd, name) for name in KINDS} == KINDS
        with pytest.raises(FileNotFoundError):
            kind_at(fd, "none")


def _through_a_file(root: Path, name: str) -> int:
    with file_at(root / "in" / name) as file:
        return os.dup(file.fileno())


OPENERS: dict[str, Callable[[Path, str], int]] = {
    "open_below": lambda root, name: open_below(root, f"in/{name}"),
    "descriptor_at": lambda root, name: descriptor_at(root / "in" / name),
    "file_at": _through_a_file,
}


@pytest.mark.parametrize("way", OPENERS)
def test_only_a_regular_file_is_opened(root: Path, way: str) -> None:
    """Every way in refuses everything else, at once; a pipe would make it wait."""
    fd = OPENERS[way](root, "file")
    assert os.read(fd, 9) == b"data"
    os.close(fd)
    for name, kind in KINDS.items():
        if kind:
            with pytest.raises(NotRegular) as caught:
                OPENERS[way](root, name)
            assert caught.value.kind == kind
    with pytest.raises(FileNotFoundError):
        OPENERS[way](root, "none")


def test_no_folder_on_the_way_may_be_a_link(root: Path) -> None:
    """But the root itself may: whoever named it meant it."""
    for use in (
        lambda: open_below(root, "linked/file"), lambda: descriptor_at(root / "linked" / "file"),
        lambda: status_below(root, "linked/file"), lambda: read_at(root / "linked" / "file", 9),
    ):  # fmt: skip
        with pytest.raises(NotRegular):
            use()
    assert read_at(root / "linked" / "file", 9, depth=1) == b"data"
    assert status_below(root / "linked", "file").st_size == 4
    with pytest.raises(NotADirectoryError), folder_below(root, ["in", "file"]):
        pass


def test_missing_folders_are_made_on_request_only(root: Path) -> None:
    """0700, each within the one before, never through a link."""
    with pytest.raises(FileNotFoundError), folder_below(root, ["new", "deep"]):
        pass
    with folder_below(root, ["new", "deep"], make=True) as fd:
        assert list(entries_of(fd)) == []
    assert (root / "new" / "deep").stat().st_mode & 0o777 == 0o700
    with pytest.raises(NotRegular), folder_below(root, ["linked", "deep"], make=True):
        pass
    assert not (root / "in" / "deep").exists()


def test_a_file_that_is_swapped_for_a_link_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the opening, too."""
    real = os.stat

    def swap(*args: object, **named: object) -> os.stat_result:
        found = real(*args, **named)  # type: ignore[arg-type]
        target = root / "in" / "file"
        if args[0] == "file" and not target.is_symlink():
            target.rename(root / "in" / "moved")
            target.symlink_to("moved")
        return found

    with folder_below(root, ["in"]) as fd:
        monkeypatch.setattr(os, "stat", swap)
        with pytest.raises(NotRegular):
            open_in(fd, "file")


def test_more_bytes_than_allowed_are_an_error(root: Path) -> None:
    """Never a part that passes for the whole."""
    assert read_at(root / "in" / "file", 4) == b"data"
    with pytest.raises(OSError, match="too large"):
        read_at(root / "in" / "file", 3)


def test_the_status_is_of_the_path_itself(root: Path) -> None:
    """Of a link, not of where it leads."""
    assert stat.S_ISLNK(status_below(root, "in/link").st_mode)
    assert status_below(root, "in/file").st_size == 4


def test_a_link_is_refused_where_none_may_be(root: Path) -> None:
    """Anything else passes, also nothing at all."""
    with pytest.raises(NotRegular):
        refuse_link(root / "linked")
    refuse_link(root / "in")
    refuse_link(root / "none")
