"""The checks of verify, each by itself."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.checks.events import EventChecks, holds_credential
from runbundle.bundle.checks.integrity import (
    check_own_digest,
    check_revisions,
    check_strays,
    check_unlisted,
    is_unchanged,
)
from runbundle.bundle.checks.reassemble import Reassembly, differences
from runbundle.bundle.checks.report import ReportBuilder, finished_report
from runbundle.bundle.checks.times import TimeChecks
from runbundle.bundle.reader import Bundle, parse_index
from runbundle.cli.demo_agent import record
from runbundle.format.canonical import to_json_bytes, with_self_digest
from runbundle.format.run import RULES, FileEntry
from runbundle.store import LocalStore, MemoryStore
from tests.unit.bundle import handmade

_TOKEN = "ghp_" + "a1B2" * 9


def codes(report: ReportBuilder) -> list[str]:
    """Return the codes of the findings, sorted."""
    return sorted(report.made.elements())


@pytest.mark.parametrize(
    ("said", "made", "paths"),
    [({"a": 1}, {"a": 1}, []), ({"a": 1}, {"a": 1.0}, ["a"]), ({"a": [1, 2]}, {"a": [1, 3]}, ["a.1"]),
     ({"a": [1]}, {"a": [1, 2]}, ["a"]), ({"a": 1}, {"b": 1}, ["a", "b"]), (1, [], [""])],
)  # fmt: skip
def test_differences_are_told_by_path(said: Any, made: Any, paths: list[str]) -> None:
    """Types count too: what JSON says, not what Python takes for equal."""
    assert differences(said, made) == paths


def test_a_credential_is_found_in_any_text_or_key() -> None:
    """However deep, and not where two texts only together look like one."""
    assert holds_credential({"a": [{"b": _TOKEN}]})
    assert holds_credential({_TOKEN: 1})
    assert not holds_credential([_TOKEN[:10], _TOKEN[10:], 5, None])


def test_a_span_is_known_once_its_start_was_seen() -> None:
    """Ids that are none are nobody's; a line that does not parse is a finding and may leak all the same."""
    report = ReportBuilder()
    checks = EventChecks(report.add, "events.jsonl")
    assert not checks.has_span(handmade.TRACE, handmade.ROOT)
    event = handmade.event(0, "span.started", handmade.ROOT, seq=0)
    assert checks.event(1, event, handmade.dump(event))
    assert checks.has_span(handmade.TRACE, handmade.ROOT)
    assert not checks.has_span("zz", "")
    checks.malformed(2, "is not JSON", _TOKEN.encode())
    assert codes(report) == ["RB102", "RB403"]


def test_a_time_is_possible_only_after_the_parents() -> None:
    """Within one process to the millisecond."""
    report = ReportBuilder()
    times = TimeChecks(report.add, "events.jsonl")
    child = handmade.event(0, "span.started", handmade.TOOL, lane="main")
    times.started(1, child, b"c" * 24, 0, b"p" * 24)
    times.started(2, handmade.event(0, "span.started", handmade.ROOT), b"p" * 24, 1_000_000, None)
    assert codes(report) == []
    times.started(3, child, b"d" * 24, 0, b"q" * 24)
    times.started(4, handmade.event(0, "span.started", handmade.ROOT), b"q" * 24, 1_000_001, None)
    assert codes(report) == ["RB310"]


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


def test_a_bundle_assembled_again_is_the_same(tmp_path: Path) -> None:
    """Every file of it; an event that is left out shows."""
    store = LocalStore(tmp_path / "store")
    bundle = Bundle.open(store, record(store).sealed[0])
    paths = {entry.path for entry in bundle.index.files}
    for left_out, same in ((-1, True), (5, False)):
        report = ReportBuilder()
        with contextlib.closing(Reassembly(bundle)) as again:
            for number, event in enumerate(bundle.events()):
                if number != left_out:
                    again.event(number + 1, event, to_json_bytes(event))
            assert (again.compare(paths, report.add) == paths) == same
        assert ("RB212" in codes(report)) == (not same)


def test_a_report_lists_fifty_findings_of_a_code_and_counts_the_rest() -> None:
    """So that many of one kind cannot hide another."""
    report = ReportBuilder()
    for _ in range(53):
        report.add("RB302", "open")
    made = finished_report(report, "r")
    assert [finding.message for finding in made.findings[-2:]] == ["open", "and 3 more like these"]
    assert (len(made.findings), made.verdict, made.dimensions["completeness"]) == (51, "incomplete", "warn")
    assert finished_report(ReportBuilder(), "r").verdict == "verified"
    quick = finished_report(ReportBuilder(), "r", quick=True)
    assert (quick.verdict, quick.dimensions["redaction"]) == ("unchanged", "skipped")
