"""Contracts derived from descriptions that exist: signatures, models, JSON Schemas, tool definitions.

Only a declared field gets a rule. Any other field has no rule and stays masked.
"""

import collections.abc
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from runbundle.contracts.schema_walk import as_list, as_object, schema_places, selector_of
from runbundle.errors import ConfigError, ContractError
from runbundle.format.contract import DataHandling, FieldRule, ToolContract, parse_contract
from runbundle.format.words import DEFAULT_ACTION, STRICTNESS, DataClass, Target
from runbundle.redaction.payloads.selectors import compile_rules, deciding_rule

_Mode = Literal["validation", "serialization"]
_ITERATORS = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")


@dataclass(frozen=True)
class Sensitive:
    """Declares the data class of an argument, a field or a result: `Annotated[str, Sensitive("personal")]`.

    In a JSON Schema it becomes `x-sensitive`. Raises `ConfigError` for an unknown data class.
    """

    data_class: DataClass
    reason: str = ""

    def __post_init__(self) -> None:
        if self.data_class not in DEFAULT_ACTION:
            raise ConfigError("unknown data class", hint=f"give one of {', '.join(DEFAULT_ACTION)}")

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Add the declaration to the JSON Schema of the annotated type."""
        return {**handler(core_schema), **self.keywords()}

    def keywords(self) -> dict[str, Any]:
        """Return the declaration as keywords of JSON Schema."""
        return {"x-sensitive": self.data_class, **({"x-sensitive-reason": self.reason} if self.reason else {})}


def contract_from_function(function: Callable[..., Any], *, name: str = "", **fields: Any) -> ToolContract:
    """Derive the contract of a function from its annotations; `fields` are further fields of the contract.

    A secret type of pydantic is a credential, and `Sensitive` gives any other class, also inside models, dataclasses,
    lists and mappings. A type without a JSON Schema gets an open schema. Raises `ContractError` if annotations cannot
    be resolved.
    """
    name = name or getattr(function, "__name__", "")
    target: Any = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = inspect.unwrap(cast("functools.partial[Any]", target).func)
    if not inspect.isroutine(target):
        target = target.__init__ if isinstance(target, type) else type(target).__call__
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(target, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise ContractError(
            f"the annotations cannot be resolved: {type(error).__name__}", path=name or "function",
            hint="import at run time the types that the annotations name",
        ) from None  # fmt: skip
    if parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]  # as they are not recorded either
    kinds = {p.name: p.kind for p in parameters}
    schemas, definitions = _schemas({key: hints.get(key, Any) for key in kinds}, "validation")
    schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    for key, kind in kinds.items():
        if kind is inspect.Parameter.VAR_KEYWORD:
            schema["additionalProperties"] = schemas[key] or True
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            schema["properties"][key] = {"type": "array", "items": schemas[key]}
        else:
            schema["properties"][key] = schemas[key]
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    schema["required"] = [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]
    output = None
    if "return" in hints:
        results, shared = _schemas({"return": _result_type(hints["return"])}, "serialization")
        output = {**results["return"], **shared} or None
    doc = (inspect.getdoc(target) or "").split("\n\n")[0].replace("\n", " ")
    return _contract(name, {**schema, **definitions}, output, {"description": doc, **fields})


def contract_from_model(
    name: str, input_model: type[BaseModel], output_model: type[BaseModel] | None = None, **fields: Any
) -> ToolContract:
    """Derive a contract from the pydantic models of a tool's arguments and result, as `contract_from_function` does."""
    arguments, shared = _schemas({"input": input_model}, "validation")
    output = None
    if output_model is not None:
        results, definitions = _schemas({"output": output_model}, "serialization")
        output = {**results["output"], **definitions}
    return _contract(name, {**arguments["input"], **shared}, output, fields)


def contract_from_schema(
    name: str, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any] | None = None, **fields: Any
) -> ToolContract:
    """Derive a contract from JSON Schemas.

    `writeOnly`, `format: password` and `x-sensitive: true` make a credential; `x-sensitive: "<class>"` gives that
    class. Raises `ContractError` if a schema is invalid or nests too deeply.
    """
    return _contract(name, dict(input_schema), None if output_schema is None else dict(output_schema), fields)


def contracts_from_tools(data: Any) -> tuple[ToolContract, ...]:
    """Derive contracts from tool definitions: OpenAI's, Anthropic's, MCP's `tools/list`, or a list of these.

    A definition may come from a server that is not trusted, so it can only tighten: a hint that a tool destroys is
    believed, a hint that it is harmless is not, and no data class makes a value readable. Raises `ContractError` with
    the path of the fault.
    """
    return tuple(_each_tool(data, "tools"))


def _declared(node: Mapping[str, Any], at: str) -> list[DataClass]:
    """Return the data classes that one node of a schema declares."""
    found: list[DataClass] = []
    if node.get("writeOnly") is True or node.get("format") == "password" or node.get("x-sensitive") is True:
        found.append("credential")
    said = node.get("x-sensitive", False)
    if isinstance(said, str) and said in DEFAULT_ACTION:
        found.append(said)
    elif not isinstance(said, bool):
        raise ContractError(f"x-sensitive must be true, false or one of {', '.join(DEFAULT_ACTION)}", path=at)
    return found


def _rules(schema: Any, target: Target, where: str, *, trusted: bool) -> list[FieldRule]:
    """Derive the rules of one target; of several for one place the strictest."""
    rules: dict[str, FieldRule] = {}
    places = schema_places(schema, where)
    for place in places:
        selector = selector_of(place.path)
        for data_class in _declared(place.node, where + selector):
            action = DEFAULT_ACTION[data_class]
            if not trusted and STRICTNESS[action] < STRICTNESS["mask"]:
                if action == "keep":
                    continue
                action = "mask"
            reason = place.node.get("x-sensitive-reason", "")
            rule = FieldRule(
                selector=selector, target=target, data_class=data_class,
                action=None if action == DEFAULT_ACTION[data_class] else action,
                reason=reason if isinstance(reason, str) else "",
            )  # fmt: skip
            if selector not in rules or _strictness(rule) > _strictness(rules[selector]):
                rules[selector] = rule
    state = compile_rules(rules.values())
    for place in places:
        rule = deciding_rule(state, place.path)
        # Where a reference ends, credentials may be further down; and `*` for further properties is not for their
        # neighbours. What reveals something there must be stopped.
        strays = rule is not None and rule.steps != place.path[: len(rule.steps)]
        if rule is not None and (place.ends or strays) and STRICTNESS[rule.action] < STRICTNESS["mask"]:
            selector = selector_of(place.path)
            rules[selector] = FieldRule(selector=selector, target=target, data_class="content", action="mask")
    return list(rules.values())


def _strictness(rule: FieldRule) -> tuple[int, bool]:
    return STRICTNESS[rule.effective_action], rule.data_class == "credential"


def _contract(
    name: str, arguments: Any, results: Any, fields: Mapping[str, Any], *, trusted: bool = True, where: str = ""
) -> ToolContract:
    """Build a contract; a rule that is given replaces a derived one unless it is laxer."""
    rules = _rules(arguments, "input", f"{where or name}.input_schema", trusted=trusted)
    if results is not None:
        rules += _rules(results, "output", f"{where or name}.output_schema", trusted=trusted)
    given = parse_contract({"name": name, "data": fields.get("data", DataHandling())}, where=where or name).data
    merged = {(rule.selector, rule.target): rule for rule in rules}
    for rule in given.rules:
        derived = merged.get((rule.selector, rule.target))
        if derived is None or _strictness(rule) >= _strictness(derived):
            merged[rule.selector, rule.target] = rule
    data = given.model_copy(update={"rules": tuple(merged.values())})
    body = {"input_schema": arguments, "output_schema": results, **fields, "name": name, "data": data}
    return parse_contract(body, where=where or name)


class _Lenient(GenerateJsonSchema):
    """Leaves open what has no JSON Schema, instead of failing."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as the base class has it

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:  # noqa: ARG002
        return {}


def _schemas(annotations: Mapping[str, Any], mode: _Mode) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON Schema of each annotation, and the definitions that they share.

    Payloads carry the names of fields or their aliases, depending on who wrote them; both are described.
    """
    schemas: dict[str, Any] = {}
    adapters: list[tuple[str, _Mode, TypeAdapter[Any]]] = []
    for key, annotation in annotations.items():
        if annotation is None:
            schemas[key] = {"type": "null"}
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            adapter.json_schema(mode=mode, schema_generator=_Lenient)
        except (PydanticUserError, PydanticUndefinedAnnotation):
            # What is in there is not known: a declaration may withhold the whole, but not keep it.
            said = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, Sensitive)]
            held = [item.keywords() for item in said if DEFAULT_ACTION[item.data_class] != "keep"]
            schemas[key] = {"allOf": held} if held else {}
        else:
            adapters.append((key, mode, adapter))
    if not adapters:
        return schemas, {}
    generate = functools.partial(TypeAdapter.json_schemas, adapters, schema_generator=_Lenient)
    template = "#/$defs/{model}.aliased"
    named, shared = generate(by_alias=False)
    if generate(by_alias=True) == (named, shared):
        schemas.update({key: named[key, mode] for key, _, _ in adapters})
        return schemas, dict(shared)
    aliased, more = generate(by_alias=True, ref_template=template)
    schemas.update({key: {"anyOf": [named[key, mode], aliased[key, mode]]} for key, _, _ in adapters})
    more_definitions = {f"{key}.aliased": item for key, item in more.get("$defs", {}).items()}
    return schemas, {"$defs": {**shared.get("$defs", {}), **more_definitions}}


def _result_type(annotation: Any) -> Any:
    """Return the type of what is recorded: of a generator the list of its items, or what it returns."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in [getattr(collections.abc, name) for name in _ITERATORS] and arguments:
        items: Any = list[arguments[0]]
        returns = len(arguments) == 3 and "Async" not in origin.__name__ and arguments[2] is not type(None)
        return items | arguments[2] if returns else items
    return annotation


def _each_tool(data: Any, where: str, *, nested: bool = False) -> Iterator[ToolContract]:
    if not isinstance(data, list):
        data = as_object(data, where)
        if "tools" not in data:
            yield _from_tool(data, where)
            return
        where, data = f"{where}.tools" if nested else where, data["tools"]
    for index, item in enumerate(as_list(data, where)):
        at = f"{where}[{index}]"
        if not nested and isinstance(item, Mapping) and "tools" in item:
            yield from _each_tool(item, at, nested=True)
        else:
            yield _from_tool(as_object(item, at), at)


def _from_tool(body: Mapping[str, Any], where: str) -> ToolContract:
    if body.get("type") == "function" and "function" in body:
        where += ".function"
        body = as_object(body["function"], where)
    if not isinstance(body.get("name"), str):
        raise ContractError("a tool definition needs a name, as text", path=f"{where}.name")
    schemas = [body[key] for key in ("parameters", "input_schema", "inputSchema") if body.get(key) is not None]
    output = body.get("outputSchema")
    fields: dict[str, Any] = {"description": body.get("description") or ""}
    hints = as_object(body.get("annotations") or {}, f"{where}.annotations")
    destroys = hints.get("destructiveHint", False)
    if not isinstance(destroys, bool):
        raise ContractError("must be true or false", path=f"{where}.annotations.destructiveHint")
    if destroys:
        fields["side_effects"] = "destructive"
    arguments = as_object(schemas[0] if schemas else {}, f"{where}.input_schema")
    results = None if output is None else as_object(output, f"{where}.output_schema")
    return _contract(body["name"], arguments, results, fields, trusted=False, where=where)
