"""Models of eval/scorecard.json, eval/gate.json and baselines: files about sealed bundles that lie outside the seal.

Each carries its own digest (`self_sha256`), and names the bundles that it is about by the SHA-256 of their run.json.
"""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import Count, Finite, Moment, Record, Sha256

Verdict = Literal["pass", "fail", "inconclusive", "error"]


class Subject(Record):
    """A bundle that a scorecard, a gate or a baseline is about."""

    run_id: str
    """Id of the run."""
    run_sha256: Sha256
    """SHA-256 of the run's run.json. It names one revision; a score does not carry over to another."""
    tenant_id: str | None = None
    """The tenant that owns the run, if one does."""
    case_id: str | None = None
    """Id of the test case that the run executed, as run.json says."""
    repeat: Count | None = None
    """Number of the repetition of the case, as run.json says."""
    side: Literal["baseline", "candidate"] | None = None
    """In a gate: which of the two sets the run belongs to."""


class EventRef(Record):
    """An event of a run, as evidence of a score."""

    seq: Count
    """Number of the event in events.jsonl."""
    span_id: str
    """Id of the event's span; `runbundle show RUN --span ID` shows it."""


class Score(Record):
    """One measured value, or the reason why there is none."""

    name: str
    """Name of the measure."""
    value: Finite | None = None
    """The measured value; absent if only a label was given, or if there is no value."""
    label: str | None = None
    """A word for the value, such as `good`."""
    status: Literal["ok", "error", "skipped"] = "ok"
    """`ok`: it was measured. `error`: the scorer failed. `skipped`: the bundle does not have the needed data."""
    reason: str | None = None
    """Reason for `error` or `skipped`; for `ok`, a remark of the scorer."""
    evidence: list[EventRef] = Field(default_factory=list[EventRef])
    """The events from which the value follows; at most 100."""
    evaluator: str | None = None
    """Id of the evaluator that gave the score."""


class Evaluator(Record):
    """The origin of scores: the run itself, a scorer of this package, or one of the user."""

    id: str
    """Id of the evaluator: `signals` for scores that the run recorded, the name of a built-in scorer, or
    `module:name`."""
    kind: Literal["signal", "builtin", "code", "llm_judge", "human"]
    """Kind of evaluator. A scorer of the user is `code` unless it says otherwise."""
    version: str | None = None
    """Version of the evaluator, if it says one."""
    config_sha256: Sha256 | None = None
    """SHA-256 of the evaluator's configuration. Scores of different configurations are not compared."""
    judge_model: str | None = None
    """Name of the model that judged, if a model did."""


class Scorecard(Record):
    """eval/scorecard.json: the scores of one run."""

    schema_: Literal["runbundle/scorecard/v1"] = Field(default="runbundle/scorecard/v1", alias="schema")
    """Name and version of the format."""
    subject: Subject
    """The bundle that was scored."""
    evaluators: list[Evaluator] = Field(default_factory=list[Evaluator])
    """The origins of the scores, sorted by id."""
    scores: list[Score]
    """All scores, sorted by evaluator and name."""
    supersedes: Sha256 | None = None
    """SHA-256 of the scorecard that this one replaced. That file is kept under eval/earlier/."""
    self_sha256: Sha256 | None = None
    """SHA-256 of the canonical bytes of the file without this field."""


class RunEvent(Record):
    """An event of one of several runs, as evidence of a gate's verdict."""

    run_id: str
    """Id of the run."""
    seq: Count | None = None
    """Number of the event in that run's events.jsonl."""
    span_id: str | None = None
    """Id of the event's span."""
    what: str
    """Description of the event, in a few words."""
    code: str | None = None
    """Code of the cause of a difference, `RB601` to `RB609`; only where a case flipped."""


class Flip(Record):
    """A case that came out differently on the two sides of a gate."""

    case_id: str
    """Id of the case."""
    baseline: Finite
    """Mean over the case's runs in the baseline."""
    candidate: Finite
    """Mean over the case's runs in the candidate."""
    baseline_run: str | None = None
    """Id of the baseline's run that was compared: one that shows the difference best."""
    candidate_run: str | None = None
    """Id of the candidate's run that was compared with it."""
    causes: list[RunEvent] = Field(default_factory=list[RunEvent])
    """Why the two runs differ, as `diff` says it, most upstream first, each with its code and the span where it shows;
    at most 3."""
    note: str | None = None
    """Reason why there are no causes."""


class Criterion(Record):
    """One condition that a gate checked."""

    name: str
    """Id of the check in the policy."""
    verdict: Verdict
    """Outcome of the check."""
    type: str | None = None
    """Type of the check: `threshold`, `non_inferiority`, `ratio`, `invariant` or `trajectory`."""
    metric: str | None = None
    """Name of the score that was compared."""
    blocking: bool = True
    """Whether the check decides the gate's verdict."""
    reason: str | None = None
    """Explanation of the outcome, in one sentence."""
    method: str | None = None
    """The statistical method, such as `BCa by case`."""
    estimate: Finite | None = None
    """The estimate: a mean, a difference of means oriented so that more is better, or a ratio."""
    low: Finite | None = None
    """One-sided lower confidence bound of the estimate."""
    high: Finite | None = None
    """One-sided upper confidence bound of the estimate."""
    limit: Finite | None = None
    """The limit of the policy, in the units of the estimate."""
    n_cases: Count | None = None
    """Number of cases that were compared."""
    n_runs: Count | None = None
    """Number of runs that were looked at, of both sides together."""
    p_fail: Finite | None = None
    """Adjusted p-value of the claim that the check fails."""
    decides_at: Count | None = None
    """Number of cases with which four of five such gates would decide; only if the outcome is inconclusive."""
    evidence: list[RunEvent] = Field(default_factory=list[RunEvent])
    """Events that made the check fail; at most 100."""
    flips: list[Flip] = Field(default_factory=list[Flip])
    """Cases that became worse or better; at most 100."""
    waived: bool = False
    """Whether a waiver is in force, so that a failure does not decide the gate's verdict."""
    detail: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Further figures behind the outcome."""


class Waiver(Record):
    """A decision of a person to accept the failure of one check for a time."""

    check: str
    """Id of the check."""
    by: str
    """Name of the person who decided."""
    reason: str
    """Reason for the decision."""
    expires: str
    """Last day on which the waiver is in force: `2026-12-31`."""
    in_force: bool
    """Whether it was in force when the gate was made."""


class FlakyCase(Record):
    """A case whose outcome varies between repetitions of the baseline."""

    case_id: str
    """Id of the case."""
    metric: str
    """Name of the score."""
    rate: Finite
    """Share of the baseline's runs of the case that passed."""
    runs: Count
    """Number of the baseline's runs of the case."""


class PolicyRef(Record):
    """The policy of a gate."""

    name: str
    """Name of the policy file, without its folders."""
    sha256: Sha256
    """SHA-256 of its bytes."""


class BaselineRef(Record):
    """The named baseline that a gate used."""

    name: str
    """Name of the baseline."""
    number: Count
    """Number of the entry, from 1."""
    sha256: Sha256
    """SHA-256 of the entry's bytes."""


class Gate(Record):
    """eval/gate.json: the decision whether a candidate may pass.

    A gate over one candidate run lies in that run's bundle. One over several lies beside the baseline.
    """

    schema_: Literal["runbundle/gate/v1"] = Field(default="runbundle/gate/v1", alias="schema")
    """Name and version of the format."""
    subjects: list[Subject]
    """The bundles that were judged, those of the baseline first."""
    verdict: Verdict
    """The worst verdict among the blocking criteria: error, then fail, inconclusive, pass."""
    criteria: list[Criterion]
    """All conditions that were checked, in the order of the policy."""
    policy: PolicyRef | None = None
    """The policy that was applied."""
    baseline: BaselineRef | None = None
    """The named baseline, if the runs came from one."""
    candidate: Sha256 | None = None
    """A digest of configurations, commits and models of the candidate. Runs of the same candidate have the same."""
    looks: Count | None = None
    """Number of gates that were made for this candidate and baseline, this one included, each with other runs or
    another policy. Absent if they were not counted."""
    flaky: list[FlakyCase] = Field(default_factory=list[FlakyCase])
    """Cases of the baseline that are not reliable; they are counted as all others are."""
    waivers: list[Waiver] = Field(default_factory=list[Waiver])
    """The waivers of the policy."""
    notes: list[str] = Field(default_factory=list[str])
    """Remarks, such as that looks were not counted."""
    decided_at: Moment | None = None
    """Time of the decision."""
    supersedes: Sha256 | None = None
    """SHA-256 of the gate that this one replaced. That file is kept under eval/earlier/."""
    self_sha256: Sha256 | None = None
    """SHA-256 of the canonical bytes of the file without this field."""


class Baseline(Record):
    """One entry of a baseline: a set of runs that candidates are compared with, by their digests."""

    schema_: Literal["runbundle/baseline/v1"] = Field(default="runbundle/baseline/v1", alias="schema")
    """Name and version of the format."""
    name: str
    """Name of the baseline."""
    number: Count = Field(ge=1)
    """Number of the entry, from 1. Entries are never changed."""
    subjects: list[Subject] = Field(min_length=1)
    """The runs, sorted by tenant and run id."""
    by: str
    """Name of the person or program that made the entry."""
    reason: str
    """Reason for the entry."""
    made_at: Moment
    """Time at which it was made."""
    gate_sha256: Sha256 | None = None
    """SHA-256 of the gate by which the runs were promoted, if they were."""
    previous: Sha256 | None = None
    """SHA-256 of the entry before; absent for the first."""
    self_sha256: Sha256 | None = None
    """SHA-256 of the canonical bytes of the file without this field."""
