"""The policy of a gate: its checks, scorers, prices and waivers. A misspelt key is refused."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runbundle.compare.scoring.builtin import LOWER, PLAIN, Builtin, Cost, ExpectedCall, Price
from runbundle.compare.scoring.trajectory import Arguments, Mode

Direction = Literal["higher", "lower"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Check(_Settings):
    """What all checks have."""

    id: str = Field(min_length=1, max_length=100)
    """Name of the check."""
    blocking: bool = True
    """Whether it decides the gate's verdict; otherwise it is only reported."""


class Metric(Check):
    """A check of a score."""

    metric: str
    """Name of the score: one that runs record, a built-in scorer, or one of a scorecard."""
    evaluator: str | None = None
    """Id of the evaluator, if several give a score of this name."""

    @property
    def lower_is_better(self) -> bool:
        """Whether less is better, where the policy does not say."""
        return self.metric in LOWER


class Threshold(Metric):
    """The mean over the candidate's cases reaches `min`, or stays at `max`."""

    type: Literal["threshold"]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> "Threshold":
        if (self.min is None) == (self.max is None):
            raise ValueError("needs either min or max")
        return self


class NonInferiority(Metric):
    """The candidate is not worse than the baseline by more than `margin`, in the unit of the score."""

    type: Literal["non_inferiority"]
    margin: float = Field(ge=0)
    direction: Direction | None = None


class Ratio(Metric):
    """The candidate's mean over the baseline's stays at `max`, or reaches `min`."""

    type: Literal["ratio"]
    max: float | None = Field(default=None, gt=0)
    min: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_limit(self) -> "Ratio":
        if (self.min is None) == (self.max is None):
            raise ValueError("needs either min or max")
        return self


class Invariant(Check):
    """It holds in each single run of the candidate."""

    type: Literal["invariant"]
    forbidden_tools: tuple[str, ...] = ()
    """Tools that no run may call, or try to."""
    most_policy_blocks: int | None = Field(default=None, ge=0)
    """Number of calls that the policy may refuse in a run."""
    most_errors: int | None = Field(default=None, ge=0)
    """Number of spans of a run that may end in an error."""
    ended_ok: bool = False
    """Whether each run must have the status `ok`."""
    metric: str | None = None
    """A score that must be at least `min` and at most `max` in each run."""
    evaluator: str | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _something(self) -> "Invariant":
        if (self.metric is None) != (self.min is None and self.max is None):
            raise ValueError("metric needs min or max, and these need a metric")
        asks = self.forbidden_tools or self.ended_ok or self.metric is not None
        if not asks and self.most_policy_blocks is None and self.most_errors is None:
            raise ValueError("asks for nothing")
        return self


class TrajectoryCheck(Check):
    """The tool calls of the candidate's runs are those that are expected, or those of a run of the same case."""

    type: Literal["trajectory"]
    expected: Literal["baseline"] | tuple[ExpectedCall | str, ...] = "baseline"
    mode: Mode = "strict"
    arguments: Arguments = "ignore"
    min_rate: float = Field(default=1.0, gt=0, le=1)
    """Share of runs that must be as expected, as a mean over cases. With 1 each single run must be."""


AnyCheck = Annotated[
    Threshold | NonInferiority | Ratio | Invariant | TrajectoryCheck, Field(discriminator="type")
]  # fmt: skip
CHECKS: dict[str, type[Check]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in (Threshold, NonInferiority, Ratio, Invariant, TrajectoryCheck)
}
"""The types of checks, by their names in a policy."""


class WaiverSettings(_Settings):
    """A failure that somebody accepts for a time."""

    check: str
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    expires: date
    """Last day on which it is in force."""


class Policy(_Settings):
    """The policy of a gate."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Error rate of each claim: how often a gate may fail although nothing is worse."""
    seed: int = 0
    """Seed of the resampling."""
    resamples: int = Field(default=0, ge=0, le=100_000)
    """Number of resamples; 0 takes 9,999, and fewer for more than 100 cases."""
    incomplete: Literal["refuse", "allow"] = "refuse"
    """Whether runs from which something is known to be missing make the gate inconclusive."""
    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    """Prices of models, per million tokens; they make the score `cost`."""
    scorers: tuple[Builtin, ...] = ()
    """Built-in scorers with settings; those without settings are there."""
    checks: tuple[AnyCheck, ...] = Field(min_length=1)
    waivers: tuple[WaiverSettings, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> "Policy":
        for what, named in (
            ("checks", [check.id for check in self.checks]),
            ("scorers", [scorer.name or scorer.use for scorer in self.scorers]),
        ):
            twice = next((name for name in named if named.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"two of the {what} are called {twice}")
        return self

    def each_scorer(self) -> Iterator[Builtin]:
        """Yield the scorers that the gate runs: those of the policy, and those without settings."""
        given = {scorer.name or scorer.use for scorer in self.scorers}
        yield from self.scorers
        yield from (scorer for scorer in PLAIN if scorer.use not in given)
        if self.prices and "cost" not in given:
            yield Cost(use="cost", prices=self.prices)
