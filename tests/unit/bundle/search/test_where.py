"""The language of `--where`: what it means, where it points, and that no text that was typed becomes SQL."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle.catalog.index import matching
from runbundle.bundle.catalog.rows import Row, with_facts
from runbundle.bundle.facts import Act, Facts
from runbundle.bundle.search.fields import FIELDS, NAMED, SORTS
from runbundle.bundle.search.filters import RunFilter, order_of
from runbundle.bundle.search.where import condition
from runbundle.errors import ConfigError


def row(key: str, *acts: Act, errors: str = "", scores: Any = (), **fields: Any) -> Row:
    """Return a row of a sealed run."""
    said: dict[str, Any] = {"started_at": "2026-11-25T00:00:00.000000000Z", "status": "ok", "completeness": "complete"}
    return with_facts(Row(key, key, **{**said, **fields}), Facts(list(acts), ["triage"], errors, list(scores)))


def tool(name: str, status: str = "ok", calls: int = 1, longest_ns: int = 5, error: str = "") -> Act:
    """Return calls of a tool."""
    return Act("tool", name, status, error, calls, longest_ns, longest_ns, 0, 0)


ROWS = [
    row("a", tool("refund", "error", error="TimeoutError"), errors="TimeoutError: Payments are down", status="error",
        duration_ns=3_000_000_000, tenant="acme", name="Support", scores=[("helpful", 0.2, "")]),
    row("b", tool("refund", calls=3), tool("odd name", longest_ns=2_000_000_000), duration_ns=1, name="billing",
        input_tokens=7),
    row("c", Act("model", "gpt-4.1", "ok", "", 2, 9, 8, 100, 20), duration_ns=2_000_000_001, tenant="globex",
        traces="\nabc1\nabc2\n", scores=[("helpful", 0.9, "")]),
]  # fmt: skip


def found(*texts: str) -> str:
    """Return the keys of the rows that fulfil all conditions."""
    return "".join(sorted(row.key for row in matching(ROWS, RunFilter(where=texts))))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("duration > 2s", "ac"), ("duration <= 1us", "b"), ("status = error", "a"), ("status != 'error'", "bc"),
        ("tool.refund.status = \"error\"", "a"), ("tool.refund.calls >= 3", "b"), ("tool.refund.errors > 0", "a"),
        ("tool.\"odd name\".duration >= 2s", "b"), ("tool.refund.error ~ timeout", "a"),
        ("tool.nobody.calls = 0", "abc"),
        ("model.gpt-4.1.tokens = 120", "c"), ("error ~ PAYMENTS", "a"), ("trace = abc2", "c"), ("trace ~ abc", "c"),
        ("agent = triage", "abc"), ("score.helpful < 0.5", "a"), ("tokens.input > 0", "b"), ("name ~ SUPP", "a"),
        ("duration > 2s and tool.refund.status = error", "a"), ("duration > 2s or tool.refund.calls > 2", "abc"),
        ("not duration > 2s", "b"), ("not (tool.refund.status = error or tenant = globex)", "b"),
        ("started >= 2026-11-25T00:00:00Z", "abc"), ("started < 2026-11-25T00:00:00Z", ""), ("tenant = ''", "b"),
        ("NOT tenant = acme AND NOT tenant = globex", "b"), ("not score.helpful > 0.5", "ab"),
    ],
)  # fmt: skip
def test_a_condition_finds_the_runs_of_which_it_is_true(text: str, keys: str) -> None:
    """Fields of runs, tools, models and scores; and, or, not, brackets; with or without quotes."""
    assert found(text) == keys


def test_several_conditions_must_all_be_true() -> None:
    """As if they stood in brackets with `and` between them."""
    assert found("duration > 2s", "tenant = acme or tenant = globex", "not status = error") == "c"


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("durtion > 2s", 1, "duration"), ("status = ok and tooll.x.calls > 1", 17, "tool.x.calls"),
        ("tool.refund.statu = x", 1, "tool.refund.status"), ("duration > fast", 12, ""), ("duration 2s", 10, ""),
        ("(status = ok", 13, ""), ("status = ok)", 12, ""), ("status = 'ok", 10, ""), ("status =", 9, ""),
        ("spans > many", 9, ""), ("error = x", 7, ""), ("spans ~ 3", 7, ""), ("", 1, ""), ("status ! ok", 8, ""),
        ("agent < x", 7, ""), ("and status = ok", 1, ""), ("tool.x = 3", 1, "tool.x.status"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_pointed_at(text: str, column: int, hint: str) -> None:
    """By its column, with the text and an arrow below it, and the nearest field."""
    with pytest.raises(ConfigError, match=rf"^column {column} of the condition: ") as raised:
        condition(text)
    assert hint in raised.value.hint
    assert raised.value.lines[1].index("^") == column - 1


@pytest.mark.parametrize("value", ["'; DROP TABLE runs; --", "a' OR '1'='1", "?", "{}", "%", "\\"])
def test_what_is_typed_is_bound_and_never_becomes_sql(value: str) -> None:
    """As a value, as a name of a tool, and in every field of a filter."""
    for text in (f'status = "{value}"', f'tool."{value}".status = ok', f'error ~ "{value}"'):
        made = condition(text)
        assert value not in made.text or value in ("?", "{}", "%")
        assert any(value.lower() in str(bound).lower() for bound in made.values)
        assert found(text) == ""
    names = "status state tenant name trace parent tool tool_error model agent error text"
    for name in names.split():
        assert matching(ROWS, RunFilter(**{name: value})) == []


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    """Nothing but `ConfigError` is raised, and what is accepted can be asked."""
    try:
        made = condition(text)
    except ConfigError:
        return
    assert made.text.count("?") == len(made.values)
    found(text)


def test_every_field_can_be_asked_and_sorted_by() -> None:
    """With a value of its kind; each named field too."""
    values = {"duration": "1s", "time": "today", "number": "1"}
    for name, field in FIELDS.items():
        found(f"{name} {'~' if field.kind == 'search' else '='} {values.get(field.kind, 'x')}")
    for family, fields in NAMED.items():
        for name, field in fields.items():
            found(f"{family}.x{'.' if name else ''}{name} = {values.get(field.kind, 'x')}")
    for name in SORTS:
        assert order_of(name).endswith("runs.key DESC")
