"""A machine that dies may lose a page in the middle of a journal: what lies behind it is read, or counted."""

from pathlib import Path

from runbundle.journal.lines import start_line
from runbundle.journal.reader import JournalReader


def test_a_gap_of_zeros_does_not_hide_what_follows(tmp_path: Path) -> None:
    """A gap of zeros does not hide what follows."""
    lines = [start_line("a" * 32, f"{n:016x}", "", n, "", "tool:t") for n in range(4)]
    path = tmp_path / "w.jsonl"
    path.write_bytes(lines[0] + bytes(len(lines[1]) - 5) + lines[1][-5:] + lines[2] + lines[3] + bytes(9000))
    reader = JournalReader([path])
    assert [entry["start_ns"] for entry in reader] == [0, 2, 3]
    assert reader.torn == 1
