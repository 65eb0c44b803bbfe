"""The report of `verify`: a value, rendered alike by command line, API and tests."""

from typing import Literal

from pydantic import Field

from runbundle.format.base import Record

Dimension = Literal["structure", "integrity", "completeness", "redaction", "references"]
Verdict = Literal["verified", "unchanged", "incomplete", "failed"]


class Finding(Record):
    """One thing that is not as it should be."""

    code: str
    """Stable: `runbundle explain CODE` says more."""
    severity: Literal["error", "warning"]
    """Errors fail the bundle; warnings make it incomplete."""
    dimension: Dimension
    """What it is about."""
    message: str
    """What was found, in one sentence."""
    file: str | None = None
    """In which file."""
    line: int | None = None
    """At which line, from 1."""


class VerifyReport(Record):
    """What was checked and what was found."""

    schema_: Literal["runbundle/verify_report/v1"] = Field(default="runbundle/verify_report/v1", alias="schema")
    """Format and version."""
    run_id: str
    """The run, or the key asked for."""
    verdict: Verdict
    """`verified`: sealed, whole, unchanged and consistent. `unchanged`: the same, but for what the files say, which was
    not looked into. `incomplete`: unchanged, but something is known to be missing."""
    dimensions: dict[Dimension, Literal["pass", "warn", "fail", "skipped"]]
    """Outcome by dimension; `skipped` if it was not asked about."""
    findings: list[Finding]
    """Everything found."""
    files_checked: int
    """Files read, run.json included."""
    bytes_checked: int
    """Bytes read."""
    notes: list[str] = Field(default_factory=list[str])
    """What is no fault of the bundle and ought to be known, such as that it is older than a check."""
    limits: str = ""
    """What no check of a single bundle can tell."""
