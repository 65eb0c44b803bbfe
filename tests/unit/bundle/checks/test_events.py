"""Checks on events.jsonl, line by line."""

from runbundle.bundle.checks.events import EventChecks, holds_credential, suspicious
from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.checks.times import TimeChecks
from tests.support import handmade

_TOKEN = "ghp_" + "a1B2" * 9


def codes(report: ReportBuilder) -> list[str]:
    """Return the codes of the findings, sorted."""
    return sorted(report.made.elements())


def test_a_credential_is_found_in_any_text_or_key() -> None:
    """However deep, and not where two texts only together look like one."""
    assert holds_credential({"a": [{"b": _TOKEN}]})
    assert holds_credential({_TOKEN: 1})
    assert not holds_credential([_TOKEN[:10], _TOKEN[10:], 5, None])


def test_lines_are_suspicious_together_if_one_by_itself_is() -> None:
    """Wherever it stands among them; a line that begins with a token too, though another without its end is before."""
    clean = [b'{"a": "b"}\n'] * 3
    for token in (_TOKEN, "sk-" + "a1B2" * 6):
        assert suspicious([*clean, token.encode(), *clean])
        assert suspicious([b"cut", token.encode()])
    assert not suspicious([*clean, _TOKEN[:10].encode(), _TOKEN[10:].encode()])


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
