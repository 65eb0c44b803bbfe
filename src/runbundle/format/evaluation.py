"""eval/scorecard.json and eval/gate.json: written after the run, about sealed bundles, never into their core."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import Record


class Subject(Record):
    """The bundle that is spoken of."""

    run_id: str
    """The run."""
    run_sha256: str
    """Digest of its run.json: a score of another revision is not a score of this one."""


class Score(Record):
    """One score."""

    name: str
    """What is measured."""
    value: float
    """The number."""
    label: str | None = None
    """A word for it."""


class Scorecard(Record):
    """Scores of one run."""

    schema_: Literal["runbundle/scorecard/v1"] = Field(default="runbundle/scorecard/v1", alias="schema")
    """Format and version."""
    subject: Subject
    """The run scored."""
    scores: list[Score]
    """The scores."""


class Criterion(Record):
    """One condition of a gate."""

    name: str
    """What is asked."""
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    """The answer."""
    detail: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Figures behind it."""


class Gate(Record):
    """Whether a candidate may pass."""

    schema_: Literal["runbundle/gate/v1"] = Field(default="runbundle/gate/v1", alias="schema")
    """Format and version."""
    subjects: list[Subject]
    """The runs judged."""
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    """The worst of the criteria."""
    criteria: list[Criterion]
    """What was asked."""
