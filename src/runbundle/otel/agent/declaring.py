"""Contracts that tools declare in their own code: `@tool(contract=..., keep=...)` and `Sensitive` annotations.

The models of contracts are loaded for the first tool that declares something: most declare nothing.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from runbundle import format as formats  # its models are loaded when they are asked for
from runbundle.contracts.declared import DECLARED
from runbundle.contracts.files import load_contracts
from runbundle.errors import ContractError
from runbundle.format.words import STRICTNESS
from runbundle.otel.agent.capture import signature_of
from runbundle.otel.agent.json_kinds import declared_fields, is_model, is_of, is_secret

if TYPE_CHECKING:
    from runbundle.format.contract import FieldRule, ToolContract

ContractGiven = Union["formats.contract.ToolContract", Mapping[str, Any], str, Path]
_log = logging.getLogger("runbundle")
_MAX_DEPTH = 16


def declare_tool(
    function: Callable[..., Any],
    title: str,
    name: str,
    contract: ContractGiven | None,
    keep: "Iterable[str | FieldRule]",
) -> str:
    """Declare the contract that a tool's decorator and annotations give; return the tool's name.

    `title` is the function's own name; `name` is the name it was given, or "". Raises `ContractError` for a contract
    that is wrong. Annotations that cannot be read are logged and declare nothing.
    """
    explicit = contract is not None or bool(keep)
    try:
        if not explicit and not _declares(function):
            return name or title
        from runbundle.contracts.derive import contract_from_function

        given = None if contract is None else _given(contract, title, name)
        tool = given.name if given is not None else name or title
        derived = contract_from_function(function, name=tool)
        if not explicit and not derived.data.rules:
            return tool
        made = _merged(tool, given, derived, _kept(function, keep))
    except ContractError as error:
        if explicit:
            raise
        _log.warning("what the annotations of a tool declare is not known: %s", error.message)
        return name or title
    withheld = [rule for rule in derived.data.rules if STRICTNESS[rule.effective_action] > STRICTNESS["truncate"]]
    owner = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', title)}"
    DECLARED.declare(owner, made, withheld, explicit=explicit)
    return tool


def _given(contract: ContractGiven, title: str, name: str) -> "ToolContract":
    from runbundle.format.contract import ToolContract, parse_contract

    if isinstance(contract, ToolContract):
        found = contract
    elif isinstance(contract, Mapping):
        found = parse_contract({"name": name or title, **contract})
    else:
        several = load_contracts(contract)
        named = [one for one in several if one.name == (name or title)]
        if len(several) != 1 and not named:
            raise ContractError(
                f"holds no contract of the tool {name or title}", path=str(contract), hint="name one as the tool is"
            )
        found = named[0] if named else several[0]
    if name and found.name != name:
        raise ContractError("the contract is of a tool of another name", path=found.name, hint="leave one of them out")
    return found


def _merged(
    tool: str, given: "ToolContract | None", derived: "ToolContract", kept: "list[FieldRule]"
) -> "ToolContract":
    """Return the contract that was given, or the derived one, with the rules of all; of two for one place the stricter.

    Schemas and all else are those of the contract that was given.
    """
    from runbundle.format.contract import ToolContract, parse_contract

    base = given or derived
    rules: dict[tuple[str, str], FieldRule] = {}
    for rule in (*kept, *derived.data.rules, *(given.data.rules if given is not None else ())):
        known = rules.get((rule.selector, rule.target))
        if known is None or STRICTNESS[rule.effective_action] >= STRICTNESS[known.effective_action]:
            rules[rule.selector, rule.target] = rule
    data = base.data.model_copy(update={"rules": tuple(rules.values())})
    fields = {field: getattr(base, field) for field in ToolContract.model_fields}
    return parse_contract({**fields, "name": tool, "data": data.model_dump()}, where=tool)


def _kept(function: Callable[..., Any], keep: "Iterable[str | FieldRule]") -> "list[FieldRule]":
    """Return the rules that keep fields: of an argument where the first step is one's name, else of the result."""
    from runbundle.format.contract import FieldRule

    if isinstance(keep, str):
        keep = (keep,)
    signature = signature_of(function)
    parameters: Mapping[str, inspect.Parameter] = signature.parameters if signature is not None else {}
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    rules: list[FieldRule] = []
    for item in keep:
        if isinstance(item, FieldRule):
            rules.append(item)
            continue
        target, _, selector = item.rpartition(":") if item.startswith(("input:", "output:")) else ("", "", item)
        if selector and not selector.startswith("/"):
            selector = f"/{selector}"
        first = selector[1:].split("/")[0].replace("~1", "/").replace("~0", "~")
        if not target:
            target = "input" if not selector or first in parameters or first in ("*", "**") or open_ended else "output"
        rules.append(FieldRule.model_validate({"selector": selector, "target": target, "action": "keep"}))
    return rules


def _declares(function: Callable[..., Any]) -> bool:
    """Tell whether the annotations of a function may say what kind of data an argument or its result is."""
    written: Any = getattr(inspect.unwrap(function), "__annotations__", None)
    if not isinstance(written, dict) or not written:
        return False
    try:
        hints: Mapping[str, Any] = get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception:  # noqa: BLE001 - names that are there for a type checker alone
        said = any("Sensitive" in str(one) for one in cast("dict[str, Any]", written).values())
        if said:
            _log.warning("what the annotations of a tool declare is not known: a name in them is not there at run time")
        return False
    return any(_may_declare(hint, 0) for hint in hints.values())


def _is_sensitive(item: Any) -> bool:
    return is_of(type(item), "runbundle.contracts.derive", "Sensitive")  # who wrote one has loaded it


def _may_declare(hint: Any, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return True
    if get_origin(hint) is Annotated and any(_is_sensitive(item) for item in hint.__metadata__):
        return True
    if inspect.isclass(hint):
        if is_model(hint) or is_secret(hint):
            return True
        if declared_fields(hint) is not None or hasattr(cast("object", hint), "__required_keys__"):
            return True
    return any(_may_declare(part, depth + 1) for part in get_args(hint) if not isinstance(part, str))
