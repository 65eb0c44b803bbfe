"""Locks of journals and of folders: who holds one is seen by others, and nobody is disturbed by the question."""

import os
import threading
from pathlib import Path

import pytest

from runbundle.journal.locks import free_files, is_held, is_still_at, sole_sealer
from runbundle.journal.writer import JournalWriter


@pytest.fixture
def journals(tmp_path: Path) -> list[Path]:
    """Two journals in a folder."""
    folder = tmp_path / "run"
    paths = [folder / f"{name}.jsonl" for name in "ab"]
    for path in paths:
        JournalWriter(path).close()
    return paths


def test_only_files_that_no_writer_holds_are_free(journals: list[Path]) -> None:
    """Missing ones and links are left out; a free one is held by us until the end."""
    link = journals[0].with_name("link.jsonl")
    link.symlink_to(journals[0])
    writer = JournalWriter(journals[0])
    assert [is_held(path) for path in journals] == [True, False]
    with free_files([*journals, link, link.with_name("none.jsonl")]) as free:
        assert free == [journals[1]]
        with pytest.raises(BlockingIOError):
            JournalWriter(journals[1])
    writer.close()
    assert not any(map(is_held, journals))
    JournalWriter(journals[1]).close()


def test_to_ask_who_holds_a_lock_disturbs_nobody(journals: list[Path]) -> None:
    """A sealer that takes the lock while others ask always gets it."""
    done = threading.Event()
    askers = [threading.Thread(target=lambda: [is_held(journals[0]) for _ in iter(done.is_set, True)]) for _ in "ab"]
    for asker in askers:
        asker.start()
    try:
        for _ in range(100):
            with free_files(journals) as free:
                assert free == journals
    finally:
        done.set()
        for asker in askers:
            asker.join()


def test_what_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    """A link is not followed to find out."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert not is_held(tmp_path / "none")
    assert not is_held(tmp_path / "link")


def test_one_sealer_at_a_time_has_the_folder_of_a_run(tmp_path: Path) -> None:
    """The next one waits, and is told that the folder is gone if the first has removed it."""
    folder = tmp_path / "run"
    folder.mkdir()
    order: list[object] = []

    def second() -> None:
        with sole_sealer(folder) as there:
            order.append(there)

    waiting = threading.Thread(target=second)
    with sole_sealer(folder) as there:
        assert there
        assert is_held(folder)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
        folder.rmdir()
    waiting.join(30)
    assert order == ["first", False]


def test_a_missing_or_linked_folder_is_sealed_by_nobody(tmp_path: Path) -> None:
    """And a link to a folder is not followed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("none", "link"):
        with sole_sealer(tmp_path / name) as there:
            assert not there


def test_an_open_file_is_at_its_path_until_it_is_moved_or_replaced(tmp_path: Path) -> None:
    """A missing path holds no file, and a link to the file is another."""
    path = tmp_path / "f"
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        assert is_still_at(path, fd)
        (tmp_path / "link").symlink_to(path)
        assert not is_still_at(tmp_path / "link", fd)
        path.rename(tmp_path / "g")
        assert not is_still_at(path, fd)
        path.write_bytes(b"")
        assert not is_still_at(path, fd)
        assert is_still_at(tmp_path / "g", fd)
    finally:
        os.close(fd)


def test_a_forked_child_holds_none_of_the_locks(journals: list[Path]) -> None:
    """The parent frees them although the child lives on."""
    reading, writing = os.pipe()
    with free_files(journals):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        assert not any(map(is_held, journals))
        JournalWriter(journals[0]).close()
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)
