"""Two sets of runs: grouped into cases, paired by case id, and asked for the values of a score."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runbundle.bundle.reader import Bundle
from runbundle.compare.scoring.facts import Facts
from runbundle.format.canonical import sha256_hex, to_json_bytes
from runbundle.format.evaluation import Evaluator, Score, Scorecard, Subject, Verdict

_SHOWN = 3
_MOST = 1e90
"""The largest score that is judged. Cubes of differences are added up, and beyond this the sum may be no number."""


class Undecidable(Exception):
    """A check cannot be made. Its verdict is `inconclusive` or `error`."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict: Verdict = verdict
        self.reason = reason


class Member(NamedTuple):
    """A run of a set, with its scores."""

    facts: Facts
    card: Scorecard
    complete: bool = True
    """Whether nothing is known to be missing from the run."""
    bundle: Bundle | None = None
    """The run itself, by which it is said why a case flipped; None where that is not asked."""

    @property
    def name(self) -> str:
        """The run's id, as people know it."""
        return self.facts.subject.run_id

    @property
    def key(self) -> str:
        """What tells the run from all others, of other stores too: the digest of its run.json."""
        return self.facts.subject.run_sha256

    @property
    def subject(self) -> Subject:
        """The run as the subject of a gate."""
        return self.facts.subject


Cases = Mapping[str, Sequence[Member]]


def by_case(members: Sequence[Member], side: str) -> Cases:
    """Group runs into cases. Raises `Undecidable` for a run without a case id, or a repetition that is there twice.

    The mean over its repetitions stands for a case: repetitions tell less than cases, and count as none.
    """
    cases: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        case, repeat = member.subject.case_id, member.subject.repeat
        if case is None:
            raise Undecidable(
                "error", f"the run {member.name} ({side}) has no case id; start_run(case_id=...) gives it one"
            )
        twin = next((m for m in cases[case] if repeat is not None and m.subject.repeat == repeat), None)
        if twin is not None:
            raise Undecidable(
                "error", f"repetition {repeat} of case {case} ({side}) is there twice: {twin.name} and {member.name}"
            )
        cases[case].append(member)
    return dict(sorted(cases.items()))


def paired(baseline: Cases, candidate: Cases) -> list[str]:
    """Return the case ids, which must be the same on both sides. Raises `Undecidable`."""
    alone = [(case, "baseline") for case in baseline if case not in candidate]
    alone += [(case, "candidate") for case in candidate if case not in baseline]
    if alone:
        shown = ", ".join(f"{case} only in the {side}" for case, side in alone[:_SHOWN])
        more = f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else ""
        raise Undecidable("error", f"cases without a counterpart: {shown}{more}")
    return list(baseline)


def values(members: Sequence[Member], metric: str, evaluator: str | None) -> dict[str, float]:
    """Return the value of a score for each run, by its key. Several scores of one run count as their mean.

    Raises `Undecidable`: as an error if a run has no such score, one beyond 1e90, or a scorer failed, and as
    inconclusive if a score was skipped, or if the scores come from evaluators of different configurations.
    """
    found: dict[str, float] = {}
    origins: dict[str, Evaluator] = {}
    used: set[str] = set()
    for member in members:
        scores = [s for s in member.card.scores if s.name == metric and evaluator in (None, s.evaluator)]
        if not scores:
            raise Undecidable("error", f"the run {member.name} has no score {metric}")
        names = {score.evaluator for score in scores}
        if len(names) > 1:
            listed = ", ".join(sorted(str(name) for name in names))
            raise Undecidable("error", f"several evaluators give {metric} ({listed}); name one in the check")
        used |= {str(name) for name in names}
        for origin in member.card.evaluators:
            known = origins.setdefault(origin.id, origin) if origin.id in names else origin
            if known is not origin and known != origin:
                raise Undecidable(
                    "inconclusive", f"{metric} comes from two configurations of {origin.id}, which cannot be compared"
                )
        numbers = [_value(score, member.name) for score in scores]
        huge = next((number for number in numbers if abs(number) > _MOST), None)
        if huge is not None:
            raise Undecidable(
                "error", f"{metric} of the run {member.name} is {huge:g}, which is too large to calculate with"
            )
        found[member.key] = _mean(numbers)
    if len(used) > 1:
        raise Undecidable("inconclusive", f"{metric} comes from different evaluators: {', '.join(sorted(used))}")
    return found


def means(cases: Cases, of_runs: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each case over its runs."""
    return {case: _mean([of_runs[member.key] for member in members]) for case, members in cases.items()}


def identity_of(members: Sequence[Member]) -> str:
    """Return a digest of what a set of runs was made with: names, configurations, commits, models, contracts.

    Runs of one candidate have one identity, however often it is run. A prompt that is part of none of these does not
    change it.
    """
    made = {
        to_json_bytes({
            "name": index.name,
            "config": index.config.sha256,
            "git": index.versions.git.model_dump(mode="json") if index.versions.git else None,
            "models": index.versions.models,
            "contracts": sorted(ref.sha256 for ref in index.redaction.contracts.values()),
        })
        for index in (member.facts.index for member in members)
    }  # fmt: skip
    return sha256_hex(b"".join(sorted(made)))


def _value(score: Score, run: str) -> float:
    if score.status == "skipped":
        raise Undecidable("inconclusive", f"{score.name} was skipped for the run {run}: {score.reason or 'no reason'}")
    if score.status == "error":
        raise Undecidable(
            "error", f"{score.name} has no value for the run {run}: {score.reason or 'the scorer failed'}"
        )
    if score.value is None:
        raise Undecidable("error", f"{score.name} of the run {run} has a label ({score.label}) and no value")
    return score.value


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
