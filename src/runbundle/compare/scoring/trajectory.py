"""Comparison of a run's tool calls with calls that are expected, in the words of agentevals."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

from runbundle.compare.scoring.facts import Call
from runbundle.redaction.markers import is_digest, is_marker

Mode = Literal["strict", "unordered", "subset", "superset"]
"""`strict`: the same calls in the same order. `unordered`: the same calls. `subset`: no call that is not expected.
`superset`: all calls that are expected."""
Arguments = Literal["exact", "ignore", "subset"]
"""`exact`: equal arguments. `ignore`: any. `subset`: those that are expected are there, among others."""


class Expected(NamedTuple):
    """One expected call. Arguments are given as values, or as the call of another run."""

    tool: str
    arguments: Any = None
    """The expected arguments; None for any."""
    of_run: Call | None = None
    """The call of another run, whose arguments are expected."""


class Match(NamedTuple):
    """The result of a comparison."""

    ok: bool | None
    """None if it cannot be told, since arguments were withheld."""
    at: Call | None = None
    """The first call that is not as expected; None if one is missing."""
    why: str = ""


def matches(
    calls: Sequence[Call], expected: Sequence[Expected], mode: Mode, arguments: Arguments, *, same_key: bool = True
) -> Match:
    """Compare calls with expected ones. `same_key`: digests of both were made with one key.

    Calls are paired greedily, those with most arguments first.
    """
    by_tool = _paired(calls, expected, mode, "ignore", same_key)
    if by_tool.ok is False or arguments == "ignore":
        return by_tool
    return _paired(calls, expected, mode, arguments, same_key)


def withheld(value: Any) -> bool:
    """Tell whether any part of a view was withheld, so that only its digest can be compared."""
    if isinstance(value, str):
        return is_marker(value) or is_digest(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return any(map(withheld, fields)) or any(map(withheld, fields.values()))
    return isinstance(value, list) and any(map(withheld, cast("list[Any]", value)))


def _paired(
    calls: Sequence[Call], expected: Sequence[Expected], mode: Mode, arguments: Arguments, same_key: bool
) -> Match:
    doubtful = False
    if mode == "strict":
        for call, wanted in zip(calls, expected, strict=False):
            same = _same(call, wanted, arguments, same_key)
            if same is None:
                doubtful = True
            elif not same:
                return Match(False, call, f"{call.tool} was called where {_named(wanted, call)} was expected")
        if len(calls) > len(expected):
            call = calls[len(expected)]
            return Match(False, call, f"{call.tool} was called after all that was expected")
        if len(calls) < len(expected):
            return Match(False, None, f"{expected[len(calls)].tool} was not called")
        return _told(doubtful)
    left = list(calls)
    missing: Expected | None = None
    for wanted in sorted(expected, key=lambda one: -_size(one.arguments)):
        judged = [(call, _same(call, wanted, arguments, same_key)) for call in left]
        found = next((call for call, same in judged if same), None)
        if found is not None:
            left.remove(found)
        elif any(same is None for _, same in judged):
            doubtful = True
            left.remove(next(call for call, same in judged if same is None))
        elif missing is None:
            missing = wanted
    if mode in ("unordered", "subset") and left:
        return Match(False, left[0], f"{left[0].tool} was called, which was not expected")
    if mode in ("unordered", "superset") and missing is not None:
        return Match(False, None, f"{missing.tool} was not called as expected")
    return _told(doubtful)


def _told(doubtful: bool) -> Match:
    return Match(None, None, "arguments were withheld, so they cannot be compared") if doubtful else Match(True)


def _same(call: Call, wanted: Expected, arguments: Arguments, same_key: bool) -> bool | None:
    if call.tool != wanted.tool:
        return False
    other = wanted.of_run
    if arguments == "ignore" or (other is None and wanted.arguments is None):
        return True
    if other is None:
        if arguments == "exact":
            return _equal(call.view, wanted.arguments)
        return _within(wanted.arguments, call.view)
    if arguments == "subset":
        return _within(other.view, call.view)
    if same_key and call.comparable and other.comparable and call.digest and other.digest:
        return call.digest == other.digest
    return _equal(call.view, other.view)


def _equal(view: Any, wanted: Any) -> bool | None:
    if view == wanted and not withheld(view):
        return True
    return None if withheld(view) or withheld(wanted) or view is None else False


def _within(wanted: Any, view: Any) -> bool | None:
    """Tell whether all fields of `wanted` are in a view with the same values."""
    if not isinstance(wanted, dict) or not isinstance(view, dict):
        return _equal(view, wanted)
    fields = cast("dict[str, Any]", view)
    found = [
        _within(value, fields[name]) if name in fields else (None if any(map(withheld, fields)) else False)
        for name, value in cast("dict[str, Any]", wanted).items()
    ]
    return False if False in found else None if None in found else True


def _size(arguments: Any) -> int:
    return len(cast("dict[str, Any]", arguments)) if isinstance(arguments, dict) else 0


def _named(wanted: Expected, call: Call) -> str:
    return "the same with other arguments" if wanted.tool == call.tool else wanted.tool
