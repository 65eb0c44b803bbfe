"""Contracts where tools stand: by `@tool(contract=, keep=)` and by annotations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

import runbundle
from runbundle import FieldRule, Sensitive, ToolContract
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]
KEEPS = {
    "data": {
        "rules": [{"selector": "/city", "action": "keep"}, {"selector": "/**", "target": "output", "action": "keep"}]
    }
}
ALL = {"data": {"rules": [{"selector": "", "action": "keep"}, {"selector": "", "target": "output", "action": "keep"}]}}


class Person(BaseModel):
    city: str
    mail: Annotated[str, Sensitive("personal")] = "ada@example.org"


def called(handle: runbundle.Handle, *calls: Callable[[], Any]) -> list[Any]:
    """Make the calls in a run; return arguments and result of each, as the bundle shows them."""
    with runbundle.start_run("r"):
        for call in calls:
            call()
    return [(one.arguments.view, one.result.view if one.result else None) for one in sealed(handle).tool_calls().calls]


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("form", ["contract", "mapping", "path", "keep"])
def test_a_contract_holds_where_the_tool_stands(form: str, order: str, configured: Configured, tmp_path: Path) -> None:
    """However it is given, and whether the tool is defined before or after `configure()`."""
    given: dict[str, Any] = {
        "contract": {"contract": ToolContract.model_validate({"name": "find", **KEEPS})},
        "mapping": {"contract": KEEPS},
        "path": {"contract": tmp_path / "c.json"},
        "keep": {"keep": ["/city", "output:"]},
    }[form]
    (tmp_path / "c.json").write_text(json.dumps([{"name": "other"}, {"name": "find", **KEEPS}]))

    def define() -> Any:
        @runbundle.tool(**given)
        def find(city: str, who: str) -> dict[str, str]:
            return {"there": city}

        return find

    find = define() if order == "before" else None
    handle = configured()
    find = find or define()
    ((arguments, result),) = called(handle, lambda: find("Oslo", "Ada Lovelace"))
    assert arguments["city"] == "Oslo"
    assert "Ada" not in str(arguments)
    assert result == {"there": "Oslo"}


def test_keep_names_arguments_and_fields_of_the_result(configured: Configured) -> None:
    """By the first step; what is named nowhere is withheld."""

    @runbundle.tool(keep=("city", "/status", "output:/city", FieldRule(selector="/n", target="output", action="keep")))
    def find(city: str, who: str) -> Any:
        return {"status": "open", "city": "Bergen", "n": 3, "who": who}

    ((arguments, result),) = called(configured(), lambda: find("Oslo", "Ada"))
    assert arguments["city"] == "Oslo"
    assert {key: result[key] for key in ("status", "city", "n")} == {"status": "open", "city": "Bergen", "n": 3}
    assert "Ada" not in f"{arguments} {result}"


def test_what_annotations_declare_is_withheld_whatever_else_says(configured: Configured) -> None:
    """By the tool's own contract, by `keep`, or by the contract that was configured for it."""

    @runbundle.tool(contract=ALL)
    def one(city: str, mail: Annotated[str, Sensitive("personal")]) -> Annotated[str, Sensitive("special")]:
        return "an illness"

    @runbundle.tool(keep=["/person", "/mail"])
    def two(person: Person, mail: Annotated[str, Sensitive("personal")]) -> None: ...

    @runbundle.tool
    def three(city: str, mail: Annotated[str, Sensitive("personal")]) -> None: ...

    @runbundle.tool
    def four(city: str, mail: Annotated[str, Sensitive("personal")]) -> None: ...

    handle = configured(contracts=[{"name": "three", **ALL}])
    views = called(
        handle,
        lambda: one("Oslo", "ada@example.org"),
        lambda: two(Person(city="Oslo"), "ada@example.org"),
        lambda: three("Oslo", "ada@example.org"),
        lambda: four("Oslo", "ada@example.org"),
    )
    assert "ada@" not in str(views)
    assert "illness" not in str(views)
    assert [views[0][0]["city"], views[1][0]["person"]["city"], views[2][0]["city"]] == ["Oslo"] * 3
    assert views[3][0]["city"] == "[REDACTED:undeclared]"
    assert views[3][0]["mail"].startswith("h2:")


def test_a_configured_contract_takes_the_place_of_the_tools_own(configured: Configured) -> None:
    """It is what the people say who run the tool."""

    @runbundle.tool(contract=ALL)
    def find(city: str) -> str:
        return "there"

    ((arguments, result),) = called(configured(contracts=[{"name": "find"}]), lambda: find("Oslo"))
    assert "Oslo" not in str(arguments)
    assert result is None


def test_the_policy_of_a_declared_contract_is_enforced(configured: Configured) -> None:
    """As that of a configured one is."""

    @runbundle.tool(contract={"policy": "deny"})
    def wipe() -> None:
        pytest.fail("it ran")

    configured()
    with runbundle.start_run("r"), pytest.raises(runbundle.PolicyBlocked):
        wipe()


def test_a_declared_contract_holds_where_nobody_configured() -> None:
    """For the wrappers, and at the source."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(runbundle.RedactingSpanExporter(exporter)))

    @runbundle.tool(keep=["/city"])
    def find(city: str, who: str) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
        find("Oslo", "Ada")
    text = exporter.get_finished_spans()[0].to_json()
    assert "Oslo" in text
    assert "Ada" not in text


def test_what_is_wrong_is_said_where_it_is_written() -> None:
    """A name that is another's, a field that there is not, two tools of one name."""

    def find(city: str) -> None: ...

    with pytest.raises(runbundle.ContractError, match="another name"):
        runbundle.tool(name="find", contract={"name": "lookup"})(find)
    with pytest.raises(runbundle.ContractError, match="has no '/town'"):
        runbundle.tool(keep=["input:/town"])(find)
    with pytest.raises(runbundle.ContractError, match=r"rules\.0|Input should be"):
        runbundle.tool(contract={"data": {"rules": [{"selector": "/city", "action": "kept"}]}})(find)
    runbundle.tool(name="f", keep=["/city"])(find)

    def other(city: str) -> None: ...

    with pytest.raises(runbundle.ContractError, match="two tools of this name"):
        runbundle.tool(name="f", contract=ALL)(other)


def test_a_tool_without_declarations_has_no_contract(configured: Configured) -> None:
    """Nor does one whose annotations are for a type checker alone raise."""

    @runbundle.tool
    def plain(a: "NotThere", b: int = 0) -> "list[str]":  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
        return []

    handle = configured()
    assert called(handle, lambda: plain(1)) == [(None, None)]
    assert handle.boundary.redactor.policy.contracts == {}
