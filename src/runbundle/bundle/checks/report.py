"""Collecting the findings of `verify` and building its report."""

from collections import Counter
from typing import Any, Literal

from runbundle.format.findings import FINDINGS
from runbundle.format.verify_report import Dimension, Finding, Verdict, VerifyReport

DIMENSIONS: tuple[Dimension, ...] = ("structure", "integrity", "completeness", "redaction", "references")
_QUICK: tuple[Dimension, ...] = ("integrity", "completeness")
_LIMIT_PER_CODE = 50  # of each kind, so that many of one kind cannot crowd out another


class ReportBuilder:
    """The findings so far, at most 50 of each code, and counts of files and bytes."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.made: Counter[str] = Counter()
        self.notes: list[str] = []
        self.is_derived = True
        """Whether run.json and its companions were to be derived from the events again."""
        self.files = 0
        self.bytes = 0

    def add(self, code: str, message: str, *, file: str | None = None, line: int | None = None) -> None:
        """Add a finding. The catalogue gives its severity and dimension."""
        self.made[code] += 1
        if self.made[code] <= _LIMIT_PER_CODE:
            self.findings.append(_finding(code, message, file, line))

    def close(self) -> None:
        """Add one finding for each code that was found more than 50 times, with the number of the others."""
        for code, count in sorted(self.made.items()):
            if count > _LIMIT_PER_CODE:
                self.findings.append(_finding(code, f"and {count - _LIMIT_PER_CODE} more like these"))


def _finding(code: str, message: str, file: str | None = None, line: int | None = None) -> Finding:
    spec: Any = FINDINGS[code]
    return Finding(code=code, severity=spec.severity, dimension=spec.dimension, message=message, file=file, line=line)


LIMITS = (
    "not proven: that nobody wrote all of it anew, digests included; that takes a digest kept elsewhere, or a signature"
)
"""Statement of what checking a single bundle cannot prove."""


_LEFT_OUT = (
    "left out: whether each line of events.jsonl is an event, in order and redacted, and whether run.json,"
    " tool_calls.json and evidence.json follow from them; verify without --quick checks that"
)
_NOT_SEARCHED = "left out, too: the search of the files for credentials"


def finished_report(report: ReportBuilder, run_id: str, *, quick: bool = False, searched: bool = True) -> VerifyReport:
    """Return the finished report with its verdict.

    `quick`: what the files say was not checked, and notes say so. `searched`: they were searched for credentials.
    """
    report.close()
    if quick:
        report.notes.append(_LEFT_OUT)
        if not searched:
            report.notes.append(_NOT_SEARCHED)
    outcomes: dict[Dimension, Literal["pass", "warn", "fail", "skipped"]] = {
        dimension: "pass" if dimension in _QUICK or not quick else "skipped" for dimension in DIMENSIONS
    }
    for finding in report.findings:
        if finding.severity == "error":
            outcomes[finding.dimension] = "fail"
        elif outcomes[finding.dimension] != "fail":
            outcomes[finding.dimension] = "warn"
    verdict: Verdict = "verified" if report.is_derived and not quick else "unchanged"
    if report.findings:
        verdict = "failed" if "fail" in outcomes.values() else "incomplete"
    return VerifyReport(
        run_id=run_id,
        verdict=verdict,
        dimensions=outcomes,
        findings=report.findings,
        files_checked=report.files,
        bytes_checked=report.bytes,
        notes=report.notes,
        limits=LIMITS,
    )
