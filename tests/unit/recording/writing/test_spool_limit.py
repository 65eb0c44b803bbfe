"""A caller waits for room once; then it goes on at full speed, until there is room again."""

import pytest

from runbundle.recording.writing import spool_limit
from runbundle.recording.writing.spool_limit import SpoolFull, SpoolLimit


def test_room_that_comes_in_time_ends_the_wait() -> None:
    """The look that finds room is the last, and counts anew what lies there."""
    sizes, naps = [100, 100, 40], []
    limit = SpoolLimit(100, lambda: sizes.pop(0))
    limit.make_room(naps.append)
    assert (limit.written_bytes, len(naps), sizes) == (40, 2, [])


def test_no_room_holds_up_the_first_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits and is refused; those after it are refused at once."""
    monkeypatch.setattr(spool_limit, "HOLD_UP_S", 0.01)
    naps: list[float] = []
    limit = SpoolLimit(100, lambda: 100)
    with pytest.raises(SpoolFull):
        limit.make_room(lambda s: (naps.append(s), spool_limit.time.sleep(s)))
    assert naps
    naps.clear()
    for _ in range(3):
        with pytest.raises(SpoolFull):
            limit.make_room(naps.append)
    assert naps == []


def test_a_forked_child_counts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has written nothing, and has not been held up."""
    monkeypatch.setattr(spool_limit, "HOLD_UP_S", 0.0)
    sizes = [100, 0]
    limit = SpoolLimit(100, lambda: sizes.pop(0))
    limit.written_bytes = 100
    with pytest.raises(SpoolFull):
        limit.make_room(lambda _: None)
    limit.reset()
    assert limit.written_bytes == 0
    limit.make_room(lambda _: None)
