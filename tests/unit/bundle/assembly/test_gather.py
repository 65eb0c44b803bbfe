"""Each span of a run once, with its parent, its agent and the origin of its error."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.assembly import gather
from runbundle.bundle.assembly.gather import GatheredRun, SpanTable
from runbundle.format.identity import RunKey
from tests.unit.bundle.assembly.spans import TRACE, entry, span_id


def gathered(tmp_path: Path, *entries: dict[str, Any], sealed: tuple[dict[str, Any], ...] = ()) -> GatheredRun:
    """Gather entries, those of a sealed bundle first."""
    run = GatheredRun(RunKey("", "r"), tmp_path)
    if sealed:
        run.add(sealed, sealed=True)
    run.add(entries)
    run.finish()
    return run


def test_a_table_finds_every_span_its_parent_and_the_nearest_agent() -> None:
    """Also where spans have no parent, an unknown one, or each other."""
    table = SpanTable()
    for number in range(1, 101):
        parent = span_id(number // 2) if number > 1 else " " * 16
        table.append((TRACE + span_id(number)).encode(), parent.encode(), "boss" if number == 3 else "")
    assert len(table) == 100
    assert [table.index(TRACE, span_id(number)) for number in range(1, 101)] == list(range(100))
    assert (table.index(TRACE, span_id(101)), table.index(TRACE, "")) == (-1, -1)
    assert (table.span_id(41), table.parent(41), table.parent(0)) == (span_id(42), 20, -1)
    assert (table.agent_above(2), table.agent_above(12), table.agent_above(3)) == ("boss", "boss", None)


def test_spans_that_are_their_own_ancestors_have_no_agent() -> None:
    """Two spans that name each other as parents end the search all the same."""
    table = SpanTable()
    table.append((TRACE + span_id(1)).encode(), span_id(2).encode(), "")
    table.append((TRACE + span_id(2)).encode(), span_id(1).encode(), "")
    assert (table.agent_above(0), table.agent_above(1)) == (None, None)


def test_a_span_recorded_twice_counts_once_and_other_content_collides(tmp_path: Path) -> None:
    """The end that began first is kept; its start adds nothing."""
    start = {"k": "start", "trace_id": TRACE, "span_id": span_id(1), "parent_span_id": "", "start_ns": 10}
    with contextlib.closing(gathered(tmp_path, entry(2), start, entry(1), entry(1), entry(1, name="other"))) as run:
        found = list(run.spans())
        assert [(row, span.record["span_id"]) for row, span in found] == [(0, span_id(1)), (1, span_id(2))]
        assert all(span.ended for _, span in found)
        assert (run.collided, run.malformed, run.anything) == (1, 0, True)


@pytest.mark.parametrize("other", [
    {"events": [{"name": "e", "time_ns": 10, "attributes": {}}]}, {"parent_span_id": span_id(9)},
    {"links": [{"trace_id": TRACE, "span_id": span_id(7), "attributes": {}}]},
])  # fmt: skip
def test_an_end_with_other_events_links_or_another_parent_collides(tmp_path: Path, other: dict[str, Any]) -> None:
    """One of the two is in the bundle, and that there was another is said."""
    with contextlib.closing(gathered(tmp_path, entry(1), {**entry(1), **other})) as run:
        assert (len(list(run.spans())), run.collided) == (1, 1)


def test_what_the_sealed_bundle_has_is_kept_and_the_rest_is_late(tmp_path: Path) -> None:
    """An interrupted span is replaced by its end."""
    start: dict[str, Any] = {"k": "start", "trace_id": TRACE, "span_id": span_id(1), "parent_span_id": "",
                             "start_ns": 10, "attributes": {}}  # fmt: skip
    with contextlib.closing(gathered(tmp_path, entry(1), entry(3), sealed=(start, entry(2)))) as run:
        assert [span.ended for _, span in run.spans()] == [True, True, True]
        assert run.late == 2


def test_log_records_that_are_equal_to_the_nanosecond_are_one(tmp_path: Path) -> None:
    """They have no id by which one that came twice could be told from two; another time or text makes another."""
    log: dict[str, Any] = {"k": "log", "trace_id": TRACE, "span_id": span_id(1), "time_ns": 10, "event_name": "",
                           "attributes": {}, "body": "again", "severity": 9}  # fmt: skip
    others = ({**log, "time_ns": 11}, {**log, "body": "else"})
    with contextlib.closing(gathered(tmp_path, log, dict(log), *others)) as run:
        assert (len(list(run.timeline())), run.collided) == (3, 0)


def test_a_malformed_entry_costs_itself_alone(tmp_path: Path) -> None:
    """And is counted."""
    with contextlib.closing(gathered(tmp_path, {"k": "span"}, entry(1))) as run:
        assert (run.malformed, len(list(run.spans()))) == (1, 1)


def test_the_origin_of_an_error_is_the_inner_span(tmp_path: Path) -> None:
    """Empty where it began in the span itself."""
    failed = {"status_code": 2, "attributes": {"error.type": "E"}, "end_ns": 99}
    with contextlib.closing(gathered(tmp_path, entry(1, **failed), entry(2, 1, **failed))) as run:
        assert (run.began(0), run.began(1)) == (span_id(2), "")


@pytest.mark.parametrize(("attributes", "tenant"), [({}, ""), ({"runbundle.tenant.id": "acme"}, "acme")])
def test_the_run_takes_its_tenant_from_its_own_span(tmp_path: Path, attributes: dict[str, Any], tenant: str) -> None:
    """If nobody has said it before."""
    run_span = entry(1, attributes={"runbundle.op": "run", **attributes})
    with contextlib.closing(gathered(tmp_path, run_span)) as run:
        assert (run.key, run.begins) == (RunKey(tenant, "r"), True)


@pytest.mark.parametrize(("parsed_bytes", "open_bytes"), [(0, 0), (400, 10_000), (10_000, 400)])
def test_what_fits_in_memory_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed_bytes: int, open_bytes: int
) -> None:
    """Starts before their ends, after them, twice, and without any; ends twice."""
    start = {"k": "start", "trace_id": TRACE, "parent_span_id": "", "start_ns": 10, "lane": "/a", "label": "tool:t"}
    starts = [{**start, "span_id": span_id(number)} for number in (1, 2, 3, 4)]
    late = {**start, "span_id": span_id(2), "lane": "/b"}
    failed = entry(5, 3, status_code=2, attributes={"error.type": "E"})
    entries = [*starts[:3], entry(1), late, entry(2), entry(2, name="other"), *starts[2:], failed, late]

    def found() -> tuple[list[Any], int, int]:
        with contextlib.closing(gathered(tmp_path, *entries)) as run:
            spans = [(row, span.record, span.ended, run.table.parent(row)) for row, span in run.spans()]
            return spans, run.collided, run.malformed

    expected = found()
    assert [ended for _, _, ended, _ in expected[0]] == [True, True, False, False, True]
    monkeypatch.setattr(gather, "_PARSED_BYTES", parsed_bytes)
    monkeypatch.setattr(gather, "_OPEN_BYTES", open_bytes)
    assert found() == expected
