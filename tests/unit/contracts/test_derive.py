"""Contracts from signatures, models, schemas and definitions of tools."""

import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr

import runbundle
from runbundle.contracts.derive import (
    Sensitive,
    contract_from_function,
    contract_from_model,
    contract_from_schema,
    contracts_from_tools,
)
from runbundle.errors import ConfigError, ContractError
from runbundle.format.contract import DataHandling, FieldRule, ToolContract
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.receipt import Receipt
from tests.conftest import sealed


class Address(BaseModel):
    street: Annotated[str, Sensitive("personal", reason="delivery")]
    city: str
    door_code: SecretStr


@dataclasses.dataclass
class Person:
    name: Annotated[str, Sensitive("personal")]
    addresses: list[Address]
    by_label: dict[str, Address] = dataclasses.field(default_factory=dict)


class Branch(BaseModel):
    label: Annotated[str, Sensitive("public")]
    key: SecretStr
    branches: list["Branch"] = []


class Aliased(BaseModel):
    secret: SecretStr = Field(alias="apiSecret")
    note: Annotated[str, Sensitive("public")] = ""


_Public = Annotated[str, Sensitive("public")]


class Client:
    """A type without a schema."""


def rules(contract: ToolContract, target: str = "input") -> dict[str, str]:
    """Return the data class by selector."""
    return {rule.selector: rule.data_class for rule in contract.data.rules if rule.target == target}


def kept(contract: ToolContract, payload: Any, target: Any = "input") -> Any:
    """Return what a contract lets through."""
    return redact_payload(payload, compile_payload_rules(contract, target), Digester(b"k"), Receipt(), "arguments")


def send(
    token: SecretStr,
    pin: SecretBytes | None,
    person: Person,
    mails: list[Annotated[str, Sensitive("personal")]],
    notes: dict[str, Annotated[str, Sensitive("content")]],
    amount: int = 3,
) -> Annotated[Address, Sensitive("internal")]:
    """Send something.

    With details.
    """
    raise NotImplementedError


def test_a_signature_declares_by_annotation() -> None:
    """Secrets, classes, models, dataclasses, items and values of mappings; what is not declared has no rule."""
    contract = contract_from_function(send, side_effects="write")
    assert (contract.name, contract.description) == ("send", "Send something.")
    assert rules(contract) == {
        "/token": "credential", "/pin": "credential", "/person/name": "personal",
        "/person/addresses/*/street": "personal", "/person/addresses/*/door_code": "credential",
        "/person/by_label/*/street": "personal", "/person/by_label/*/door_code": "credential",
        "/mails/*": "personal", "/notes/*": "content",
    }  # fmt: skip
    assert rules(contract, "output") == {"": "internal", "/street": "personal", "/door_code": "credential"}
    assert contract.input_schema["required"] == ["token", "pin", "person", "mails", "notes"]
    assert contract.input_schema["properties"]["amount"]["type"] == "integer"
    assert {rule.reason for rule in contract.data.rules} == {"", "delivery"}


def test_nothing_undeclared_is_kept() -> None:
    """The rules of a derived contract reveal only what was declared public or internal."""
    contract = contract_from_function(send)
    assert kept(contract, {"token": "t", "amount": 7, "new": "n", "person": {"addresses": [{"city": "c"}]}}) == {
        "amount": "[REDACTED:undeclared]",
        "[REDACTED:key:1]": "[REDACTED:undeclared]",
        "person": {"addresses": [{"city": "[REDACTED:undeclared]"}]},
    }
    assert kept(contract, {"city": "Bern", "door_code": "1"}, "output") == {"city": "Bern"}


def test_variadic_arguments_methods_and_types_without_a_schema() -> None:
    """`*args` are a list, `**kwargs` any further argument, `self` is left out, a foreign type is open."""

    class Tool:
        def call(
            self, client: Client, own: Annotated[Client, Sensitive("special")], *args: SecretStr, **more: SecretStr
        ) -> list[Client]:
            raise NotImplementedError

    contract = contract_from_function(Tool.call, name="tool.call")
    assert rules(contract) == {"/own": "special", "/args/*": "credential", "/*": "credential"}
    assert list(contract.input_schema["properties"]) == ["client", "own", "args"]
    assert kept(contract, {"own": "y", "args": ["z"]}) == {"args": ["[REDACTED:credential]"]}
    assert "e" not in repr(kept(contract, {"k": "e"})).replace("[REDACTED:key:1]", "").replace(
        "[REDACTED:undeclared]", ""
    )


def test_anything_that_can_be_called_is_read() -> None:
    """Partial functions, objects and classes, too."""

    class Callee:
        def __init__(self, token: SecretStr) -> None: ...

        def __call__(self, pin: SecretStr) -> int:
            return 1

    for callee, selector in ((Callee, "/token"), (Callee(SecretStr("x")), "/pin")):
        assert rules(contract_from_function(callee, name="c")) == {selector: "credential"}
    assert "/token" in rules(contract_from_function(functools.partial(send, amount=1), name="send"))


def test_a_type_without_a_schema_is_not_kept() -> None:
    """What it holds is unknown, so a class that keeps says nothing of it."""

    @dataclasses.dataclass
    class Settings:
        client: Client
        key: Annotated[str, Sensitive("credential")]

    def call(settings: Annotated[Settings, Sensitive("public")]) -> None:
        raise NotImplementedError

    assert rules(contract_from_function(call)) == {}


def test_a_class_of_further_arguments_is_not_one_of_their_neighbours() -> None:
    """`*` names every argument; those that have no class of their own stay masked."""

    def call(secret: str, pair: tuple[str, Annotated[str, Sensitive("public")]], **more: _Public) -> None:
        raise NotImplementedError

    contract = contract_from_function(call)
    assert kept(contract, {"secret": "s", "pair": ["a", "b"]}) == {
        "secret": "[REDACTED:content]", "pair": ["[REDACTED:content]", "b"],
    }  # fmt: skip


def test_a_generator_is_recorded_as_a_list() -> None:
    """The item's class is the class of each."""

    def items() -> Iterator[SecretStr]:
        yield SecretStr("x")

    async def more() -> AsyncIterator[SecretStr]:
        yield SecretStr("x")

    assert rules(contract_from_function(items), "output") == {"/*": "credential"}
    assert rules(contract_from_function(more), "output") == {"/*": "credential"}


def test_below_a_recursive_model_nothing_is_kept_by_inheritance() -> None:
    """A cycle ends, and with it what was kept above: the credentials below it are not known by name."""

    def grow(root: Annotated[Branch, Sensitive("public")]) -> None:
        raise NotImplementedError

    below = {"label": "b", "key": "s", "branches": []}
    payload = {"root": {"label": "a", "key": "s", "branches": [below]}}
    assert kept(contract_from_function(grow), payload) == {"root": {"label": "a", "branches": ["[REDACTED:content]"]}}


def test_fields_are_known_by_name_and_by_alias() -> None:
    """Payloads carry one or the other; both are credentials."""

    def call(model: Annotated[Aliased, Sensitive("public")]) -> None:
        raise NotImplementedError

    for key in ("secret", "apiSecret"):
        assert kept(contract_from_function(call), {"model": {key: "s", "note": "n"}}) == {"model": {"note": "n"}}
        assert kept(contract_from_model("m", Aliased), {key: "s", "note": "n"}) == {"note": "n"}


def test_a_model_gives_both_schemas() -> None:
    """Input and output each have their rules, and further fields are passed on."""
    contract = contract_from_model("find", Address, Aliased, side_effects="read")
    assert contract.side_effects == "read"
    assert rules(contract) == {"/street": "personal", "/door_code": "credential"}
    assert rules(contract, "output")["/secret"] == "credential"


def test_rules_that_are_given_may_tighten_and_add() -> None:
    """A given rule replaces a derived one only if it is not laxer."""
    given = DataHandling(
        rules=(
            FieldRule(selector="/street", data_class="personal", action="drop"),
            FieldRule(selector="/door_code", action="keep"),
            FieldRule(selector="/city", action="keep"),
        ),
        undeclared="drop",
    )
    contract = contract_from_model("m", Address, data=given)
    assert contract.data.undeclared == "drop"
    assert kept(contract, {"street": "s", "door_code": "d", "city": "c"}) == {"city": "c"}


def test_bad_fields_are_refused_with_a_path() -> None:
    """A further field is checked like one of a contract that is written by hand."""
    with pytest.raises(ContractError) as caught:
        contract_from_model("m", Address, data={"rules": [{"selector": "street"}]})
    assert caught.value.path == "m.data.rules.0.selector"


def test_annotations_that_do_not_resolve_are_an_error() -> None:
    """Silently missing a declaration is not an option."""

    def broken(value: "Nowhere") -> None:  # noqa: F821 # type: ignore[name-defined]
        raise NotImplementedError

    with pytest.raises(ContractError, match="import at run time"):
        contract_from_function(broken)


def test_a_data_class_is_checked_where_it_is_written() -> None:
    """A typing error raises at once."""
    with pytest.raises(ConfigError, match="credential"):
        Sensitive("secret")  # type: ignore[arg-type]


def test_a_schema_declares_by_keyword() -> None:
    """writeOnly, password, x-sensitive; through references, items, further properties and alternatives."""
    schema = {
        "$defs": {"deep/er": {"properties": {"code": {"writeOnly": True}, "again": {"$ref": "#/$defs/deep~1er"}}}},
        "properties": {
            "password": {"format": "password"}, "flag": {"x-sensitive": True}, "iban": {"x-sensitive": "financial"},
            "deep": {"$ref": "#/$defs/deep~1er"}, "list": {"items": {"x-sensitive": "personal"}},
            "map": {"additionalProperties": {"x-sensitive": "special"}}, "a/b": {"x-sensitive": "content"},
            "either": {"anyOf": [{"x-sensitive": "public"}, {"oneOf": [{"allOf": [{"writeOnly": True}]}]}]},
            "pair": {"prefixItems": [{"x-sensitive": "public"}, {"writeOnly": True}]}, "no": {"x-sensitive": False},
        },
    }  # fmt: skip
    assert rules(contract_from_schema("s", schema, {"format": "password"})) == {
        "/password": "credential", "/flag": "credential", "/iban": "financial", "/deep/code": "credential",
        "/list/*": "personal", "/map/*": "special", "/a~1b": "content", "/either": "credential",
        "/pair/0": "public", "/pair/1": "credential",
    }  # fmt: skip
    assert rules(contract_from_schema("s", {}, {"format": "password"}), "output") == {"": "credential"}


def nested(levels: int) -> dict[str, Any]:
    """Return a schema with so many steps."""
    schema: dict[str, Any] = {"writeOnly": True}
    for _ in range(levels):
        schema = {"properties": {"x": schema}}
    return schema


def wide() -> dict[str, Any]:
    """Return a schema of 30 definitions that has a thousand million places."""
    pairs = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(30)}
    return {"$defs": pairs, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (nested(17), "s.input_schema/x/x"),
        (wide(), "s.input_schema"),
        ({"properties": []}, "s.input_schema.properties"),
        ({"properties": {"a": 5}}, "s.input_schema/a"),
        ({"properties": {"a": {"x-sensitive": "secret"}}}, "s.input_schema/a"),
        ({"properties": {"a": {"$ref": 5}}}, "s.input_schema/a"),
        ({"anyOf": {}}, "s.input_schema.anyOf"),
        ({"properties": {"*": {"writeOnly": True}}}, "s.input_schema"),
    ],
)
def test_what_is_no_schema_is_refused_with_a_path(schema: dict[str, Any], path: str) -> None:
    """Too deep, too wide, of the wrong type, or not selectable."""
    with pytest.raises(ContractError) as caught:
        contract_from_schema("s", schema)
    assert caught.value.path.startswith(path)


def test_a_reference_out_of_the_document_keeps_nothing() -> None:
    """What cannot be read is not kept because something above it is."""
    schema = {"properties": {"a": {"x-sensitive": "public", "properties": {"b": {"$ref": "https://x.example/s"}}}}}
    assert len(rules(contract_from_schema("s", nested(16)))) == 1
    assert kept(contract_from_schema("s", schema), {"a": {"b": "v", "c": "w"}}) == {
        "a": {"b": "[REDACTED:content]", "c": "w"}
    }


PARAMETERS = {"type": "object", "properties": {"key": {"writeOnly": True}, "q": {"type": "string"}}}


def test_tools_of_every_provider_are_read() -> None:
    """OpenAI nested and flat, Anthropic, MCP, one alone or all in one list."""
    tools: list[Any] = [
        {"type": "function", "function": {"name": "one", "description": "d", "parameters": PARAMETERS}},
        {"type": "function", "name": "two", "parameters": PARAMETERS, "strict": True},
        {"name": "three", "input_schema": PARAMETERS},
        {"tools": [{"name": "four", "inputSchema": PARAMETERS, "outputSchema": {"properties": {}}}]},
        {"type": "function", "function": {"name": "bare"}},
    ]
    contracts = contracts_from_tools(tools)
    assert [contract.name for contract in contracts] == ["one", "two", "three", "four", "bare"]
    assert all(rules(contract) == {"/key": "credential"} for contract in contracts[:4])
    assert contracts_from_tools(tools[0]) == contracts[:1]
    assert contracts_from_tools(tools[3])[0].output_schema == {"properties": {}}


@pytest.mark.parametrize(
    ("hints", "side_effects", "policy"),
    [
        ({"destructiveHint": True}, "destructive", "require_approval"),
        ({"destructiveHint": True, "readOnlyHint": True}, "destructive", "require_approval"),
        ({"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}, "write", "allow"),
        ({"destructiveHint": False}, "write", "allow"),
    ],
)
def test_hints_only_tighten(hints: dict[str, Any], side_effects: str, policy: str) -> None:
    """A server's word is taken for harm and not for harmlessness."""
    (contract,) = contracts_from_tools({"tools": [{"name": "t", "inputSchema": {}, "annotations": hints}]})
    assert (contract.side_effects, contract.effective_policy, contract.idempotent) == (side_effects, policy, False)


def test_a_server_cannot_have_anything_kept() -> None:
    """Its classes reveal no more than no class at all: no value, and no equality of values."""
    classes = ["public", "internal", "personal", "financial", "content", "special", "credential"]
    properties = {name: {"x-sensitive": name} for name in classes}
    (contract,) = contracts_from_tools(
        {"name": "t", "inputSchema": {"x-sensitive": "public", "properties": properties}}
    )
    shown = kept(contract, dict.fromkeys(classes, "value"))
    assert shown == {
        name: f"[REDACTED:{rules(contract).get('/' + name, 'undeclared')}]" for name in classes[:4]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("text", "tools"),
        ([[]], "tools[0]"),
        ({"tools": {}}, "tools"),
        ([{"type": "function", "function": 5}], "tools[0].function"),
        ([{"type": "web_search"}], "tools[0].name"),
        ({"tools": [{"name": "t", "inputSchema": []}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "t", "annotations": {"destructiveHint": "yes"}}]}, "tools[0].annotations.destructiveHint"),
        ([{"name": "bad name"}], "tools[0].name"),
        ([{"tools": [{"name": "t"}, 5]}], "tools[0].tools[1]"),
        ([{"tools": [{"tools": []}]}], "tools[0].tools[0].name"),
        ([{"name": "t", "description": 5}], "tools[0].description"),
    ],
)
def test_bad_definitions_are_refused_with_a_path(data: Any, path: str) -> None:
    """The path says which tool, and where in it."""
    with pytest.raises(ContractError) as caught:
        contracts_from_tools(data)
    assert caught.value.path == path


def test_a_recorded_call_is_redacted_as_declared(configured: Callable[..., runbundle.Handle]) -> None:
    """From the annotation to the sealed bundle."""

    @runbundle.tool
    def lookup(
        word: Annotated[str, Sensitive("public")], token: SecretStr, who: Person
    ) -> Annotated[dict[str, str], Sensitive("internal")]:
        return {"meaning": f"of {word}"}

    person = Person(
        name="Ada-canary", addresses=[Address(street="s-canary", city="c-canary", door_code=SecretStr("1"))]
    )
    with configured(contracts=[contract_from_function(lookup)]) as handle:
        with runbundle.start_run("r"):
            lookup("bundle", SecretStr("t-canary"), person)
        (call,) = sealed(handle).tool_calls().calls
    assert call.arguments is not None
    assert call.result is not None
    assert call.arguments.view["word"] == "bundle"
    assert call.arguments.view["who"]["name"].startswith("h2:")
    assert "canary" not in call.model_dump_json()
    assert call.result.view == {"meaning": "of bundle"}
