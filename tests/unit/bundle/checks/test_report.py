"""Findings become a report."""

from runbundle.bundle.checks.report import ReportBuilder, finished_report


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
