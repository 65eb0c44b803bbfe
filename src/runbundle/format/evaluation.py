"""Models of eval/scorecard.json and eval/gate.json, which are written about sealed bundles and lie outside the seal."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import Record


class Subject(Record):
    """The bundle that a scorecard or gate is about."""

    run_id: str
    """Id of the run."""
    run_sha256: str
    """SHA-256 of the run's run.json. It names one revision; a score does not carry over to another."""


class Score(Record):
    """One measured value."""

    name: str
    """Name of the measure."""
    value: float
    """The measured value."""
    label: str | None = None
    """A word for the value, such as `good`."""


class Scorecard(Record):
    """eval/scorecard.json: the scores of one run."""

    schema_: Literal["runbundle/scorecard/v1"] = Field(default="runbundle/scorecard/v1", alias="schema")
    """Name and version of the format."""
    subject: Subject
    """The bundle that was scored."""
    scores: list[Score]
    """All scores."""


class Criterion(Record):
    """One condition that a gate checked."""

    name: str
    """Name of the condition."""
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    """Outcome of the condition."""
    detail: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Figures behind the outcome."""


class Gate(Record):
    """eval/gate.json: the decision whether a candidate may pass."""

    schema_: Literal["runbundle/gate/v1"] = Field(default="runbundle/gate/v1", alias="schema")
    """Name and version of the format."""
    subjects: list[Subject]
    """The bundles that were judged."""
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    """The worst verdict among the criteria."""
    criteria: list[Criterion]
    """All conditions that were checked."""
