"""Selectors: which rule decides at a node, and where a walk may stop."""

import pytest

from runbundle.format.contract import FieldRule, parse_contract
from runbundle.redaction.payloads.payload import PayloadRules, compile_payload_rules
from runbundle.redaction.payloads.selectors import (
    CompiledRule,
    State,
    advance,
    advance_anywhere,
    best_rule,
    compile_rules,
    deciding_rule,
    may_decide_below,
    names_key,
    rule_name,
    withholds,
)


def state(*rules: tuple[str, str]) -> State:
    """Return the root state of rules, each a selector and an action."""
    return compile_rules([FieldRule(selector=selector, action=action) for selector, action in rules], "t")  # pyright: ignore[reportArgumentType]


def decided(root: State, *path: str) -> str | None:
    """Return the selector of the rule that decides at a path."""
    rule = deciding_rule(root, path)
    return None if rule is None else rule.selector


@pytest.mark.parametrize(
    ("selectors", "path", "wins"),
    [
        (("/a/b", "/*/b"), ("a", "b"), "/a/b"),
        (("/*/b", "/**"), ("a", "b"), "/*/b"),
        (("/a", "/a/b"), ("a", "b"), "/a/b"),
        (("/a",), ("a", "x", "y"), "/a"),
        (("/**/b",), ("x", "y", "b"), "/**/b"),
        (("/**/b",), ("b",), "/**/b"),
        (("/a",), ("b",), None),
    ],
)
def test_the_more_literal_rule_wins_and_holds_for_all_below(
    selectors: tuple[str, ...], path: tuple[str, ...], wins: str | None
) -> None:
    """Literal steps before `*`, `*` before `**`, and a node further down before one above."""
    assert decided(state(*((selector, "keep") for selector in selectors)), *path) == wins


def test_of_equal_rules_the_stricter_wins() -> None:
    """In whichever order they are written."""
    for pair in (("/a", "keep"), ("/a", "mask")), (("/a", "mask"), ("/a", "keep")):
        rule = best_rule(advance(state(*pair), "a"))
        assert isinstance(rule, CompiledRule)
        assert withholds(rule)
        assert not rule.keeps
    assert not withholds(None)


def test_a_walk_goes_on_only_where_a_rule_may_still_decide() -> None:
    """Below a withheld value a `**` from further up counts for nothing; a rule through this very node does."""
    root = state(("/a", "mask"), ("/a/b", "keep"), ("/**/c", "keep"))
    below = advance(root, "a")
    assert may_decide_below(below, withheld=True)
    assert not may_decide_below(advance(root, "x"), withheld=True)
    assert may_decide_below(advance(root, "x"), withheld=False)
    assert decided(root, "a", "b") == "/a/b"


def test_any_step_reaches_what_each_step_would() -> None:
    """`advance_anywhere` is the union over all keys, literal ones and wildcards."""
    root = state(("/a/x", "keep"), ("/b", "keep"), ("/*/y", "keep"))
    reached = advance_anywhere(root)
    assert set(reached) == {*advance(root, "a"), *advance(root, "b"), *advance(root, "other")}
    assert names_key(root, "a")
    assert not names_key(root, "other")


def test_a_rules_name_in_receipts_has_plain_characters_and_a_limit() -> None:
    """A selector is written by a developer, and may still hold any character."""
    assert rule_name("t", None) == "contract:t:undeclared"
    assert rule_name("t", "") == "contract:t:/"
    assert rule_name("t", "/a b/ü") == "contract:t:/a_b/_"
    assert len(rule_name("t", "/" + "x" * 300)) == 160


def test_compiled_rules_know_the_keys_that_a_schema_declares() -> None:
    """Property names of a schema are a developer's, so they are no data; rules of other targets do not count."""
    schema = {"type": "object", "properties": {"city": {"type": "object", "properties": {"zip": {}}}}}
    contract = parse_contract({"name": "t", "input_schema": schema, "data": {"rules": [{"selector": "/city"}]}})
    rules = compile_payload_rules(contract, "input")
    assert isinstance(rules, PayloadRules)
    assert (rules.known_keys, rules.decides) == ({"city", "zip"}, True)
    assert not compile_payload_rules(contract, "output").decides


@pytest.mark.parametrize("written", ["/caf\u00e9/x", "/cafe\u0301/x"])
@pytest.mark.parametrize("key", ["caf\u00e9", "cafe\u0301"])
def test_a_key_is_the_same_in_both_normal_forms(written: str, key: str) -> None:
    """A rule that withholds it under one that keeps all around it misses neither."""
    root = state(("", "keep"), (written, "mask"))
    assert decided(root, key, "x") == written
    assert decided(root, key, "y") == ""
    assert decided(root, "cafe", "x") == ""


def test_rules_for_one_key_in_several_forms_are_rules_for_one_node() -> None:
    """The stricter decides, in whatever form the key comes, also in one that is neither composed nor decomposed."""
    forms = ["\u1e69", "s\u0323\u0307", "\u1e63\u0307", "\u1e61\u0323"]
    root = state(*((f"/{form}", "keep") for form in forms[:2]), (f"/{forms[2]}", "mask"), (f"/{forms[3]}", "hash"))
    assert [decided(root, form) for form in forms] == [f"/{forms[2]}"] * 4
