"""The difference of two redacted values, as operations of JSON Patch (RFC 6902)."""

from typing import Any, cast

MOST = 200
"""Operations that are listed for two values. Where there are more, the value is replaced as a whole."""


def patch(before: Any, after: Any) -> list[dict[str, Any]]:
    """Return operations that make one JSON value of another: empty if they are equal.

    An operation is `add`, `remove` or `replace`, with its `path` (RFC 6901), and but for `remove` its `value`. Applied
    one after the other they give `after`. Lists are compared from both ends, and place by place between. True and 1
    differ.
    """
    found: list[dict[str, Any]] = []
    # No recursion: values come from bundles of others.
    pending: list[tuple[str, Any, Any]] = [("", before, after)]
    while pending:
        path, one, other = pending.pop()
        if equal(one, other):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            pending += _in_mapping(path, cast("dict[str, Any]", one), cast("dict[str, Any]", other), found)
        elif isinstance(one, list) and isinstance(other, list):
            pending += _in_list(path, cast("list[Any]", one), cast("list[Any]", other), found)
        else:
            found.append({"op": "replace", "path": path, "value": other})
        if len(found) > MOST:
            return [{"op": "replace", "path": "", "value": after}]
    return found


def equal(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same, as text: 1 is neither 1.0 nor true."""
    pending = [(one, other)]
    while pending:
        left, right = pending.pop()
        if left.__class__ is not right.__class__:
            return False
        if isinstance(left, dict):
            mine, its = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
            if mine.keys() != its.keys():
                return False
            pending += [(mine[key], its[key]) for key in mine]
        elif isinstance(left, list):
            items, others = cast("list[Any]", left), cast("list[Any]", right)
            if len(items) != len(others):
                return False
            pending += zip(items, others, strict=True)
        elif left != right:
            return False
    return True


def _in_mapping(
    path: str, one: dict[str, Any], other: dict[str, Any], found: list[dict[str, Any]]
) -> list[tuple[str, Any, Any]]:
    found += [{"op": "remove", "path": _step(path, key)} for key in sorted(one.keys() - other.keys())]
    found += [{"op": "add", "path": _step(path, key), "value": other[key]} for key in sorted(other.keys() - one.keys())]
    return [(_step(path, key), one[key], other[key]) for key in sorted(one.keys() & other.keys(), reverse=True)]


def _in_list(path: str, one: list[Any], other: list[Any], found: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    start, end, end_other = 0, len(one), len(other)
    while start < min(end, end_other) and equal(one[start], other[start]):
        start += 1
    while start < min(end, end_other) and equal(one[end - 1], other[end_other - 1]):
        end, end_other = end - 1, end_other - 1
    both = min(end, end_other)
    # Behind the places that both have: these operations move none of those.
    found += [{"op": "remove", "path": f"{path}/{place}"} for place in range(end - 1, both - 1, -1)]
    found += [{"op": "add", "path": f"{path}/{place}", "value": other[place]} for place in range(both, end_other)]
    return [(f"{path}/{place}", one[place], other[place]) for place in range(both - 1, start - 1, -1)]


def _step(path: str, key: str) -> str:
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
