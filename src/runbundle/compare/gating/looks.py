"""Counting how often one candidate was looked at: who looks until a gate passes will see it pass."""

from collections.abc import Iterable

from runbundle.format.evaluation import Gate


def counted(gate: Gate, earlier: Iterable[Gate]) -> tuple[Gate, bool]:
    """Return a gate with its number of looks, and whether the same gate is among the earlier ones.

    A look is another set of runs of one candidate, or another policy. The same runs under the same policy give the same
    verdict, and are no further look.
    """
    looks: set[tuple[object, ...]] = set()
    known = False
    for other in earlier:
        if other.candidate == gate.candidate and _of_baseline(other) == _of_baseline(gate):
            looks.add(_look(other))
            known = known or (_look(other) == _look(gate) and other.criteria == gate.criteria)
    return gate.model_copy(update={"looks": len(looks | {_look(gate)})}), known


def _look(gate: Gate) -> tuple[object, ...]:
    runs = frozenset(subject.run_sha256 for subject in gate.subjects if subject.side == "candidate")
    return runs, gate.policy.sha256 if gate.policy else ""


def _of_baseline(gate: Gate) -> str:
    return gate.baseline.sha256 if gate.baseline else ""
