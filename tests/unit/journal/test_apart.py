"""Segments of dead processes are taken apart: each run gets what is surely its own, and what is damaged is counted."""

import os
from pathlib import Path
from typing import Any

import pytest

from runbundle.format.identity import RunKey
from runbundle.journal import apart
from runbundle.journal.apart import is_in_segment, runs_in, segments_in, take_apart
from runbundle.journal.lines import resource_line, run_line, start_line
from runbundle.journal.reader import JournalReader, journal_files
from runbundle.journal.segment import Segment, SegmentWriter
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.store.regular import NotRegular
from tests.unit.journal.test_segment import RESOURCE, RUNS, TRACE, span

ONE, TWO, THREE = RUNS
START = start_line(TRACE, "1" * 16, "", 10**18, "", is_run=True)
DAMAGED = START[:20] + b"!" + START[21:]


def left(spool: Path, *lines: bytes, name: str = "w-s1.lines") -> Path:
    """Leave a segment of a dead process."""
    path = spool / ".segments" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines) + bytes(100))
    return path


def read(spool: Path, run: RunKey) -> tuple[list[str], int]:
    """Return the names of spans and the kinds of other entries in a run's journals, and how many lines are torn."""
    reader = JournalReader(journal_files(folder_of(spool, run)))
    return [entry.get("name", entry["k"]) for entry in reader], reader.torn


def test_each_run_gets_a_journal_of_its_own_and_the_segment_goes(tmp_path: Path) -> None:
    """With the time of the segment, since nothing was written to it later. Once more changes nothing."""
    path = left(tmp_path, run_line("run", ONE), START, span(ONE, 1), run_line("run", THREE), START, span(THREE, 2),
                run_line("run", ONE), span(ONE, 3))  # fmt: skip
    os.utime(path, ns=(10**18, 10**18))
    take_apart(tmp_path)
    take_apart(tmp_path)
    assert spooled_runs(tmp_path) == sorted([ONE, THREE])
    assert (read(tmp_path, ONE), read(tmp_path, THREE)) == ((["start", "s1", "s3"], 0), (["start", "s2"], 0))
    (journal,) = journal_files(folder_of(tmp_path, ONE))
    assert (journal.name, journal.stat().st_mtime_ns, journal.stat().st_mode & 0o777) == ("w-s1.jsonl", 10**18, 0o600)
    assert not (tmp_path / ".segments").exists()


def test_a_segment_that_a_process_holds_is_left_alone(tmp_path: Path) -> None:
    """Its runs are that process's to seal; that it has them can be asked."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one, two = SegmentWriter(segment, ONE), SegmentWriter(segment, TWO)
    one.append(START)
    two.append(START)
    segment.gone(TWO)
    take_apart(tmp_path)
    assert segments_in(tmp_path) == [segment.path]
    assert spooled_runs(tmp_path) == []
    assert [is_in_segment(tmp_path, run) for run in RUNS] == [True, False, False]
    segment.abandon_after_fork()
    take_apart(tmp_path)
    assert spooled_runs(tmp_path) == [ONE]


def test_runs_that_are_elsewhere_do_not_come_back(tmp_path: Path) -> None:
    """A bundle may have been removed since it was sealed."""
    left(tmp_path, run_line("run", ONE), START, span(ONE, 1), run_line("gone", ONE))
    take_apart(tmp_path)
    assert spooled_runs(tmp_path) == []
    assert segments_in(tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "of_one", "of_two"),
    [
        ([START, DAMAGED, span(ONE, 1)], (["start", "s1"], 1), None),
        ([START, DAMAGED, START], (["start"], 2), None),  # whose that start is, the damaged line may have said
        ([START, DAMAGED, span(TWO, 1), START], (["start"], 2), (["s1"], 0)),
        ([START, DAMAGED, run_line("run", TWO), START], (["start"], 1), (["start"], 0)),
        ([START, span(TWO, 1)], (["start"], 1), None),  # no recorder writes that
        ([START, b"half a li"], (["start"], 1), None),
        ([START, run_line("gone", TWO), span(ONE, 1)], (["start", "s1"], 0), None),
        ([START, run_line("run", TWO)[:-5]], (["start"], 1), None),
        ([START, resource_line(7, RESOURCE), span(ONE, 1)], (["start", "s1"], 0), None),
    ],
)  # fmt: skip
def test_nothing_is_given_to_a_run_that_may_be_anothers(
    lines: list[bytes], of_one: Any, of_two: Any, tmp_path: Path
) -> None:
    """What is damaged is counted where it may belong."""
    left(tmp_path, run_line("run", ONE), *lines)
    take_apart(tmp_path)
    assert read(tmp_path, ONE) == of_one
    assert read(tmp_path, TWO) == (of_two or ([], 0))


def test_a_name_that_no_run_may_have_is_no_run(tmp_path: Path) -> None:
    """It would be a place outside the spool."""
    for bad in (RunKey("", "../../x"), RunKey("..", "x"), RunKey("", "")):
        left(tmp_path, run_line("run", bad), START, span(bad, 1), name=f"{abs(hash(bad))}.lines")
    take_apart(tmp_path)
    assert spooled_runs(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_segment_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, folders, other names; and one that is longer than any is left, and said, while the others are done."""
    path = left(tmp_path, run_line("run", ONE), START)
    (tmp_path / ".segments" / "link.lines").symlink_to(path)
    (tmp_path / ".segments" / "folder.lines").mkdir()
    (tmp_path / ".segments" / "w-s1.other").write_bytes(b"")
    assert segments_in(tmp_path) == [path]
    long = left(tmp_path, run_line("run", TWO), START * 100, name="long.lines")
    monkeypatch.setattr(apart, "_MOST_BYTES", 2000)
    with pytest.raises(OSError, match=r"long\.lines is longer"):
        take_apart(tmp_path)
    assert spooled_runs(tmp_path) == [ONE]
    assert segments_in(tmp_path) == [long]
    assert segments_in(tmp_path / "nowhere") == []


def test_a_link_in_the_place_of_a_runs_folder_is_not_followed(tmp_path: Path) -> None:
    """The segment stays."""
    path = left(tmp_path, run_line("run", ONE), START)
    (tmp_path / "elsewhere").mkdir()
    folder_of(tmp_path, ONE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotRegular):
        take_apart(tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert list(runs_in(path)) == [ONE]


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by whoever seals what was in it; ten times, and then it is said."""
    real = apart.refuse_link
    times = 0

    def removed(path: Path) -> None:
        nonlocal times
        times += 1
        real(path)
        if times <= most:
            path.rmdir()

    monkeypatch.setattr(apart, "refuse_link", removed)
    most = 2
    left(tmp_path, run_line("run", ONE), START)
    take_apart(tmp_path)
    assert (read(tmp_path, ONE), times) == ((["start"], 0), 3)
    times, most = 0, 100
    left(tmp_path, run_line("run", TWO), START)
    with pytest.raises(OSError, match="removed again and again"):
        take_apart(tmp_path)
    assert times == 10
