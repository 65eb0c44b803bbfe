"""Cases that came out differently, each with the first tool call that differs between the two sides."""

from collections.abc import Collection, Iterator, Mapping
from itertools import zip_longest

from runbundle.compare.gating.sets import Cases, Member
from runbundle.format.evaluation import Flip, RunEvent

_MOST = 100


def flips_of(
    moved: Collection[str],
    before: Cases,
    after: Cases,
    means_before: Mapping[str, float],
    means_after: Mapping[str, float],
) -> Iterator[Flip]:
    """Yield the cases that moved, at most 100, in the order of their ids."""
    for case in sorted(moved)[:_MOST]:
        yield Flip(
            case_id=case,
            baseline=means_before[case],
            candidate=means_after[case],
            at=first_difference(before[case][0], after[case][0]),
        )


def first_difference(baseline: Member, candidate: Member) -> RunEvent | None:
    """Return the first tool call that differs between two runs: in its tool, its arguments or its status."""
    same_key = baseline.facts.index.redaction.key_id == candidate.facts.index.redaction.key_id
    for old, new in zip_longest(baseline.facts.calls, candidate.facts.calls):
        if new is None:
            return RunEvent(run_id=baseline.name, seq=old.at.seq, span_id=old.at.span_id,
                            what=f"{old.tool} was called in the baseline only")  # fmt: skip
        what = ""
        if old is None:
            what = f"{new.tool} was called in the candidate only"
        elif old.tool != new.tool:
            what = f"{new.tool} was called, in the baseline {old.tool}"
        elif same_key and old.comparable and new.comparable and old.digest != new.digest:
            what = f"{new.tool} was called with other arguments"
        elif old.status != new.status:
            what = f"{new.tool} ended as {new.status}, in the baseline as {old.status}"
        if what:
            return RunEvent(run_id=candidate.name, seq=new.at.seq, span_id=new.at.span_id, what=what)
    return None
