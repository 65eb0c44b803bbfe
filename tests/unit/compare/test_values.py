"""The difference of two values as JSON Patch."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runbundle.compare.values import equal, patch

_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(0, 2), st.sampled_from(["", "a", "b/c", "~"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b/c", "~", ""]), inner),
    max_leaves=12,
)


def _applied(value: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply JSON Patch as RFC 6902 says."""
    whole = {"": copy.deepcopy(value)}
    for one in operations:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in one["path"].split("/")]
        at: Any = whole
        for step in steps[:-1]:
            at = at[int(step) if isinstance(at, list) else step]
        last: Any = int(steps[-1]) if isinstance(at, list) else steps[-1]
        if one["op"] == "remove":
            del at[last]
        elif one["op"] == "add" and isinstance(at, list):
            at.insert(last, one["value"])
        else:
            at[last] = one["value"]
    return whole[""]


@given(_VALUES, _VALUES)
def test_a_patch_makes_one_value_of_the_other(before: Any, after: Any) -> None:
    """Applied one operation after the other; keys with `/` and `~` in them included."""
    assert equal(_applied(before, patch(before, after)), after)


@given(_VALUES)
def test_equal_values_have_no_patch(value: Any) -> None:
    """And values that only Python takes for equal have one."""
    assert patch(value, copy.deepcopy(value)) == []
    assert patch([True, value], [1, value]) == [{"op": "replace", "path": "/0", "value": 1}]


def test_values_with_too_many_differences_are_replaced_as_a_whole() -> None:
    """Nobody reads a thousand operations."""
    after = list(range(1000))
    assert patch([], after) == [{"op": "replace", "path": "", "value": after}]


def test_depth_is_no_limit() -> None:
    """Bundles come from others; a parser lets 200 levels through, and a caller may have more."""
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    found = patch(deep, [])
    assert [one["op"] for one in found] == ["remove"]
