"""Tool calls are compared with expected ones by mode and by arguments; what was withheld is not guessed."""

from typing import Any

import pytest

from runbundle.compare.scoring.trajectory import Arguments, Expected, Mode, matches
from tests.support.members import call

FIND, PAY, LOG = (call(tool, seq, view={"id": tool}) for seq, tool in enumerate(("find", "pay", "log"), 1))
WITHHELD = {"id": "[REDACTED:personal]", "n": 1}


@pytest.mark.parametrize(
    ("calls", "mode", "ok", "at"),
    [
        ([FIND, PAY], "strict", True, None),
        ([PAY, FIND], "strict", False, PAY),
        ([FIND], "strict", False, None),
        ([FIND, PAY, LOG], "strict", False, LOG),
        ([PAY, FIND], "unordered", True, None),
        ([PAY, FIND, FIND], "unordered", False, FIND),
        ([FIND], "unordered", False, None),
        ([FIND], "subset", True, None),
        ([FIND, LOG], "subset", False, LOG),
        ([FIND, LOG, PAY], "superset", True, None),
        ([FIND, LOG], "superset", False, None),
        ([], "subset", True, None),
    ],
)
def test_each_mode_takes_what_it_says(calls: list[Any], mode: Mode, ok: bool, at: Any) -> None:
    """Find and pay are expected; the call that is wrong is named, unless one is missing."""
    found = matches(calls, [Expected("find"), Expected("pay")], mode, "ignore")
    assert (found.ok, found.at) == (ok, at)
    assert bool(found.why) is not ok


@pytest.mark.parametrize(
    ("view", "wanted", "arguments", "ok"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, "exact", True),
        ({"a": 1, "b": 2}, {"a": 1}, "exact", False),
        ({"a": 1, "b": 2}, {"a": 1}, "subset", True),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, "subset", True),
        ({"a": 1}, {"a": 2}, "subset", False),
        ({"a": 1}, {"b": 2}, "subset", False),
        ({"a": 1}, {"a": 2}, "ignore", True),
        (WITHHELD, {"id": "x", "n": 1}, "exact", None),
        (WITHHELD, {"n": 1}, "subset", True),
        (WITHHELD, {"id": "x"}, "subset", None),
        (WITHHELD, {"n": 2, "id": "x"}, "subset", False),
        ({"[REDACTED:key:1]": 1}, {"id": "x"}, "subset", None),
        (None, {"id": "x"}, "exact", None),
        ({"l": ["[REDACTED:personal]"]}, {"l": ["x"]}, "exact", None),
    ],
)  # fmt: skip
def test_arguments_are_compared_as_far_as_they_are_kept(view: Any, wanted: Any, arguments: Arguments, ok: Any) -> None:
    """None says that it cannot be told."""
    for mode in ("strict", "unordered"):
        assert matches([call("t", view=view)], [Expected("t", wanted)], mode, arguments).ok is ok


def test_arguments_of_two_runs_are_compared_by_digest_under_one_key() -> None:
    """Else by what is kept of them."""
    one, same, other = (call("t", view=WITHHELD, digest=d) for d in ("h2:a", "h2:a", "h2:b"))
    assert matches([one], [Expected("t", of_run=same)], "strict", "exact").ok is True
    assert matches([one], [Expected("t", of_run=other)], "strict", "exact").ok is False
    assert matches([one], [Expected("t", of_run=same)], "strict", "exact", same_key=False).ok is None
    cut = call("t", view={"n": 1}, comparable=False)
    assert matches([cut], [Expected("t", of_run=call("t", view={"n": 1}))], "strict", "exact").ok is True
    assert matches([cut], [Expected("t", of_run=call("t", view={"n": 1, "m": 2}))], "strict", "subset").ok is False


def test_who_expects_most_of_a_call_gets_it_first() -> None:
    """So that a call that any will do does not take it away."""
    calls = [call("t", 1, view={"a": 1, "b": 2}), call("t", 2, view={"a": 1})]
    wanted = [Expected("t", {"a": 1}), Expected("t", {"a": 1, "b": 2})]
    assert matches(calls, wanted, "unordered", "subset").ok is True
