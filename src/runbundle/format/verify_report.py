"""Model of the report of `verify`: plain data that the command line, the API and tests render."""

from typing import Literal

from pydantic import Field

from runbundle.format.base import Record

Dimension = Literal["structure", "integrity", "completeness", "redaction", "references"]
Verdict = Literal["verified", "unchanged", "incomplete", "failed"]


class Finding(Record):
    """One fault that verify found."""

    code: str
    """Code of the finding, such as `RB201`. Codes never change; `runbundle explain CODE` describes each."""
    severity: Literal["error", "warning"]
    """`error`: the bundle fails. `warning`: the bundle is incomplete."""
    dimension: Dimension
    """The dimension that the finding belongs to."""
    message: str
    """Description of the fault, in one sentence."""
    file: str | None = None
    """Path of the file within the bundle."""
    line: int | None = None
    """Number of the line, from 1."""


class VerifyReport(Record):
    """The report: a verdict, the outcome by dimension, and all findings."""

    schema_: Literal["runbundle/verify_report/v1"] = Field(default="runbundle/verify_report/v1", alias="schema")
    """Name and version of the format."""
    run_id: str
    """Id of the run, or the key that was asked for if run.json could not be read."""
    verdict: Verdict
    """`verified`: the bundle is sealed, unchanged, consistent, and nothing is known to be missing. `unchanged`: the
    files are those that were sealed; `notes` say what of their content was not checked (`--quick`, or the bundle is
    older than a check). `incomplete`: no errors, but something is known to be missing. `failed`: there is at least one
    error."""
    dimensions: dict[Dimension, Literal["pass", "warn", "fail", "skipped"]]
    """Outcome of each dimension; `skipped` if it was not checked."""
    findings: list[Finding]
    """All findings, at most 50 of each code."""
    files_checked: int
    """Number of files that were read, run.json included."""
    bytes_checked: int
    """Number of bytes that were read."""
    notes: list[str] = Field(default_factory=list[str])
    """Remarks that are no faults, such as that the bundle is older than a check."""
    limits: str = ""
    """Statement of what checking a single bundle cannot prove."""
