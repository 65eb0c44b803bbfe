"""Lines are sorted whether or not they fit in memory."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle.assembly.sorting import Sorter

_LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"-")), max_size=60)


@given(_LINES, st.sampled_from([0, 100, 10_000]))
def test_lines_come_back_sorted_as_often_as_asked(lines: list[bytes], memory_bytes: int) -> None:
    """With the smallest memory every line is a piece on disk."""
    with Sorter(Path(tempfile.gettempdir()), memory_bytes) as sorter:
        for line in lines:
            sorter.add(line)
        assert list(sorter) == list(sorter) == sorted(lines)


def test_nothing_with_a_name_is_left_on_disk(tmp_path: Path) -> None:
    """The file has none from the start, so a process that is killed leaves nothing either."""
    with Sorter(tmp_path, 0) as sorter:
        sorter.add(b"x")
        assert list(tmp_path.iterdir()) == []
        assert list(sorter) == [b"x"]


def test_a_folder_that_cannot_be_written_raises(tmp_path: Path) -> None:
    """As soon as memory is not enough."""
    with Sorter(tmp_path / "nowhere", 0) as sorter, pytest.raises(FileNotFoundError):
        sorter.add(b"x")
