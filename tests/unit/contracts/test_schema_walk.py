"""A JSON Schema, walked: each place once, with the path of its values; and what is proposed from it."""

from typing import Any

import pytest

from runbundle.contracts.derive import Sensitive
from runbundle.contracts.explain import Explained, explain
from runbundle.contracts.lint import LintWarning, lint
from runbundle.contracts.propose import credential_rules
from runbundle.contracts.schema_walk import (
    MAX_STEPS,
    Place,
    as_list,
    as_object,
    has_parts,
    schema_places,
    selector_of,
)
from runbundle.errors import ContractError
from runbundle.format.contract import parse_contract

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"child": {"$ref": "#"}, "tags": {"items": {"type": "string"}}, "a/b": {}},
    "additionalProperties": {"anyOf": [{"type": "null"}, {"type": "string"}]},
}


def test_each_place_has_the_path_of_its_values() -> None:
    """Items and further properties are `*`; an alternative is at the same place; a cycle ends where it leads back."""
    places = schema_places(TREE)
    assert {place.path for place in places} >= {(), ("child",), ("tags",), ("tags", "*"), ("a/b",), ("*",)}
    assert sum(place.path == ("*",) for place in places) == 3
    assert {place.path[-1] for place in places if place.ends} == {"child"}
    assert Place((), TREE, ends=False) in places


def test_a_path_is_written_as_a_selector() -> None:
    """A slash and a tilde in a key are escaped."""
    assert selector_of(("a/b", "~", "*")) == "/a~1b/~0/*"
    assert selector_of(()) == ""


def test_a_schema_that_nests_too_deeply_or_is_none_is_refused_with_a_path() -> None:
    """So that nothing is derived from half of it."""
    deep: dict[str, Any] = {}
    for _ in range(MAX_STEPS + 1):
        deep = {"properties": {"a": deep}}
    with pytest.raises(ContractError, match="too large"):
        schema_places(deep)
    with pytest.raises(ContractError) as raised:
        schema_places({"properties": {"a": 7}})
    assert raised.value.path == "schema/a"
    for check in (as_object, as_list):
        with pytest.raises(ContractError, match="here: must be a JSON"):
            check("text", "here")
    assert (as_object({"a": 1}, ""), as_list([1], "")) == ({"a": 1}, [1])


def test_a_node_has_parts_if_it_describes_any() -> None:
    """Further properties count if they are described."""
    assert has_parts({"properties": {"a": {}}})
    assert has_parts({"additionalProperties": {"type": "string"}})
    assert not has_parts({"type": "object", "properties": {}, "additionalProperties": True})


def test_each_property_that_is_named_like_a_credential_gets_a_rule() -> None:
    """At the highest such place; a form with fields of its own gets one for each."""
    schema = {
        "properties": {
            "password": {"type": "string"},
            "auth": {"properties": {"user": {}, "token": {"type": "string"}}},
            "credentials": {"properties": {"secret": {}}},
            "city": {"type": "string"},
        }
    }
    rules = credential_rules(schema, "output")
    assert {rule["selector"] for rule in rules} == {"/password", "/auth/token", "/credentials"}
    assert {(rule["target"], rule["data_class"]) for rule in rules} == {("output", "credential")}


def test_a_declaration_becomes_keywords_of_json_schema() -> None:
    """The reason only where there is one."""
    assert Sensitive("personal").keywords() == {"x-sensitive": "personal"}
    assert Sensitive("personal", "a name").keywords() == {"x-sensitive": "personal", "x-sensitive-reason": "a name"}


def test_rows_and_warnings_say_where_and_why() -> None:
    """Nothing of a value is in them."""
    contract = parse_contract({"name": "t", "data": {"rules": [{"selector": "", "action": "keep"}]}})
    assert explain(contract, {"a": "SECRETWORD"}) == [
        Explained("/a", "", contract.data.rules[0].data_class, "keep", "a rule names it")
    ]
    assert [warning.code for warning in lint(contract) if isinstance(warning, LintWarning)] == ["RC103"]
