"""Checks on files as bytes."""

from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.checks.integrity import (
    check_own_digest,
    check_revisions,
    check_strays,
    check_unlisted,
    is_unchanged,
)
from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.reader import parse_index
from runbundle.format.canonical import to_json_bytes, with_self_digest
from runbundle.format.run import FileEntry
from runbundle.format.words import RULES
from runbundle.store import LocalStore, MemoryStore
from tests.support import handmade


def codes(report: ReportBuilder) -> list[str]:
    """Return the codes of the findings, sorted."""
    return sorted(report.made.elements())


@pytest.mark.parametrize(
    ("body", "entry", "code"),
    [(b"abc\n", (4, b"abc\n"), ""), (b"abd\n", (4, b"abc\n"), "RB201"), (None, (4, b"abc\n"), "RB202"),
     (b"ab\n", (4, b"abc\n"), "RB204"), (b"ab", (4, b"abc\n"), "RB205"), (b"abc\nd", (4, b"abc\n"), "RB206")],
)  # fmt: skip
def test_each_change_of_a_file_has_a_code_of_its_own(body: bytes | None, entry: tuple[int, bytes], code: str) -> None:
    """Unchanged, modified, missing, truncated, torn, grown."""
    from runbundle.format.canonical import sha256_hex

    store = MemoryStore()
    if body is not None:
        store.put("r/events.jsonl", body)
    listed = FileEntry(path="events.jsonl", bytes=entry[0], sha256=sha256_hex(entry[1]), media_type="x")
    report = ReportBuilder()
    assert is_unchanged(store, "r", listed, {"events.jsonl"} if body is not None else set(), report) == (not code)
    assert codes(report) == ([code] if code else [])


@pytest.mark.parametrize(
    ("change", "known", "found"),
    [({}, True, []), ({"rules": None}, False, ["RB212"]), ({"rules": RULES + 1}, False, ["RB213"])],
)
def test_run_json_names_rules_that_are_known(change: dict[str, Any], known: bool, found: list[str]) -> None:
    """Only then can the bundle be assembled again."""
    fields = handmade.index(handmade.files()) | {"rules": RULES} | change
    data = with_self_digest({key: value for key, value in fields.items() if value is not None})
    report = ReportBuilder()
    assert check_own_digest(data, parse_index(data), report) == known
    assert codes(report) == found
    edited = ReportBuilder()
    check_own_digest(data.replace(b'"ok"', b'"error"'), parse_index(data), edited)
    assert "RB210" in codes(edited)


def test_a_revision_leads_back_to_the_first() -> None:
    """A link that is missing ends the chain with a finding."""
    index = parse_index(to_json_bytes(handmade.index(handmade.files())))
    first, second = ReportBuilder(), ReportBuilder()
    assert check_revisions(MemoryStore(), "r", index, first) == []
    assert codes(first) == []
    check_revisions(MemoryStore(), "r", index.model_copy(update={"revision": 2}), second)
    assert codes(second) == ["RB207"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("other.txt", "RB203"), ("evidence.json", "RB203"), ("hold.json", ""), ("revisions/2/events.jsonl", "RB215"),
     ("revisions/3/events.jsonl", "RB214"), ("revisions/1/events.jsonl", "RB208")],
)  # fmt: skip
def test_a_file_that_nothing_lists_is_judged_by_where_it_lies(path: str, code: str) -> None:
    """By the table of the layout."""
    files = handmade.files()
    del files["evidence.json"]
    data = to_json_bytes(handmade.index(files))
    report = ReportBuilder()
    check_unlisted(MemoryStore(), "r", parse_index(data), data, {path}, report)
    assert codes(report) == ([code] if code else [])


def test_what_no_listing_shows_is_found(tmp_path: Path) -> None:
    """Links, dot files and folders of no format."""
    folder = tmp_path / "r"
    (folder / "odd").mkdir(parents=True)
    (folder / "revisions" / "1").mkdir(parents=True)
    (folder / ".hidden").write_text("")
    (folder / "link").symlink_to("/dev/null")
    report = ReportBuilder()
    check_strays(LocalStore(tmp_path), "r", report)
    assert {(finding.code, finding.file) for finding in report.findings} == {
        ("RB230", "link"), ("RB203", ".hidden"), ("RB203", "odd"),
    }  # fmt: skip
