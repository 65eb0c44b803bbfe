"""Cases that came out differently on the two sides of a gate, and why: as `diff` names it for two of their runs.

A comparison reads the events of both runs, so a gate makes few: of the first 20 pairs of runs, and as long as their
events are 256 MiB together. Of the other cases it says that they were not compared.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from runbundle.compare.diff_report import DiffCause
from runbundle.compare.gating.sets import Cases, Member
from runbundle.compare.report import diff
from runbundle.errors import BundleError
from runbundle.format.evaluation import Flip, RunEvent
from runbundle.format.layout import EVENTS

_MOST = 100
_MOST_COMPARED = 20
_MOST_BYTES = 268_435_456
_MOST_CAUSES = 3


class Moved(NamedTuple):
    """A case that came out differently, and one run of each side that shows it."""

    case_id: str
    baseline: float
    candidate: float
    before: Member
    after: Member


def moved_cases(
    moved: Collection[str],
    before: Cases,
    after: Cases,
    of_runs: Mapping[str, float],
    means: tuple[Mapping[str, float], Mapping[str, float]],
) -> Iterator[Moved]:
    """Yield the cases that moved, at most 100, in the order of their ids.

    Of each side it is a run that shows it best: of a case that got worse one of the best in the baseline and one of the
    worst of the candidate; of one number of repetition, if there are such.
    """
    for case in sorted(moved)[:_MOST]:
        pick = (max, min) if means[1][case] < means[0][case] else (min, max)
        old, new = (
            _at(members, of_runs, pick[number](of_runs[member.key] for member in members))
            for number, members in enumerate((before[case], after[case]))
        )
        repeats = {member.subject.repeat: member for member in reversed(old)}
        both = next((member for member in new if member.subject.repeat in repeats), new[0])
        yield Moved(case, means[0][case], means[1][case], repeats.get(both.subject.repeat, old[0]), both)


def _at(members: Sequence[Member], of_runs: Mapping[str, float], value: float) -> list[Member]:
    return [member for member in members if of_runs[member.key] == value]


class Comparisons:
    """The comparisons of one gate: each pair of runs is compared once, and few are."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[list[RunEvent], str | None]] = {}
        self._bytes = 0
        self.left_out: set[tuple[str, str]] = set()
        """The pairs of runs that were not compared, since there are too many."""

    def flip(self, moved: Moved) -> Flip:
        """Return a case that moved as the gate says it: with the causes that `diff` names, or why there are none."""
        pair = moved.before.key, moved.after.key
        if pair not in self._known and not self._has_room(moved):
            self.left_out.add(pair)
            causes, note = list[RunEvent](), "not compared: there are too many"
        else:
            if pair not in self._known:
                self._known[pair] = _causes(moved)
            causes, note = self._known[pair]
        return Flip(
            case_id=moved.case_id, baseline=moved.baseline, candidate=moved.candidate,
            baseline_run=moved.before.name, candidate_run=moved.after.name, causes=causes, note=note,
        )  # fmt: skip

    def note(self) -> str | None:
        """Return how many pairs of runs were left out, in words; None if none was."""
        count = len(self.left_out)
        if not count:
            return None
        pairs = "pair" if count == 1 else "pairs"
        return f"cases flipped in {count} more {pairs} of runs, which were not compared; runbundle diff does it"

    def _has_room(self, moved: Moved) -> bool:
        size = sum(_event_bytes(member) for member in (moved.before, moved.after))
        if len(self._known) >= _MOST_COMPARED or self._bytes + size > _MOST_BYTES:
            return False
        self._bytes += size
        return True


def _event_bytes(member: Member) -> int:
    events = member.bundle.path(EVENTS) if member.bundle is not None else ""
    return next((entry.bytes for entry in member.facts.index.files if entry.path == events), 0)


def _causes(moved: Moved) -> tuple[list[RunEvent], str | None]:
    before, after = moved.before, moved.after
    if before.bundle is None or after.bundle is None:
        return [], "not compared: there are no bundles"
    if not (before.complete and after.complete):
        return [], "not compared: steps that are missing would look like a difference"
    try:
        report = diff(before.bundle, after.bundle, most_changes=0)
    except BundleError as error:
        return [], f"not compared: {error.message}"
    if not report.causes:
        return [], "no step of the two runs differs"
    return [_event(cause, before, after) for cause in report.causes[:_MOST_CAUSES]], None


def _event(cause: DiffCause, before: Member, after: Member) -> RunEvent:
    """Return a cause at its step: that of the candidate, or of the baseline if only it has the step."""
    member, span_id = (after, cause.b_span_id) if cause.b_span_id or not cause.a_span_id else (before, cause.a_span_id)
    found = [call.at.seq for call in member.facts.calls if call.at.span_id == span_id]
    seq = found[0] if len(found) == 1 else None  # two traces may have a span of that id
    return RunEvent(run_id=member.name, seq=seq, span_id=span_id, what=cause.sentence, code=cause.code)
