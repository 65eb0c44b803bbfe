"""What a flush tells, it tells once if it is taken; collisions are told for as long as the process lives."""

from runbundle.format.identity import RunKey
from runbundle.recording.results import Results


def filled() -> Results:
    """Return results with one entry of each."""
    results = Results()
    results.sealed.append("a")
    results.failed[RunKey("acme", "b")] = "why"
    results.masked["c"] = 2
    results.collided[RunKey("", "d")] = {"span_id": 1}
    results.collided[RunKey("", "e")] = {"span_id": 2, "run_begun_twice": 1}
    return results


def test_what_is_not_taken_is_told_again() -> None:
    """A caller that does not pass on what it is told leaves it to the next."""
    results = filled()
    first = results.told(3, take=False)
    assert first == results.told(3, take=True)
    assert (first.sealed, first.failed, first.pending, first.masked) == (["a"], {"acme/b": "why"}, 3, {"c": 2})
    assert not first


def test_collisions_are_summed_over_runs_and_stay() -> None:
    """Taken or not, they are facts about the process."""
    results = filled()
    results.told(0, take=True)
    assert results.told(0, take=True).collided == {"span_id": 3, "run_begun_twice": 1}
