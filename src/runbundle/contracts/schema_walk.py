"""A walk through a JSON Schema: each place that it describes, with the path of the values there."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

from runbundle.errors import ContractError

MAX_STEPS = 16
"""The deepest path that a schema may describe, in steps."""
_MAX_LEVELS = 64
_MAX_PLACES = 10_000
_SAYS = frozenset({"writeOnly", "format", "x-sensitive"})


class Place(NamedTuple):
    """A node of a JSON Schema, and the path of the values that it describes; `*` stands for any step."""

    path: tuple[str, ...]
    node: Mapping[str, Any]
    ends: bool
    """Whether the walk did not follow its `$ref`: it leads back, out of the document, or nowhere."""


def schema_places(schema: Any, where: str = "schema") -> list[Place]:
    """Return each place of a JSON Schema, through references, properties, items and alternatives. A cycle is walked
    once.

    Raises `ContractError` if the schema is invalid, has a path of more than 16 steps, or has more than 10,000 places.
    """
    found: list[Place] = []

    def visit(node: Any, path: tuple[str, ...], seen: frozenset[str], level: int) -> None:
        at = where + selector_of(path)
        if isinstance(node, bool):
            return
        node = as_object(node, at)
        if len(path) > MAX_STEPS or level > _MAX_LEVELS or len(found) >= _MAX_PLACES:
            raise ContractError(
                f"the schema is too large: more than {MAX_STEPS} steps deep, or more than {_MAX_PLACES} places", path=at
            )
        reference = node.get("$ref")
        if reference is not None and not isinstance(reference, str):
            raise ContractError("$ref must be text", path=at)
        referenced = None if reference is None or reference in seen else _referenced(schema, reference)
        found.append(Place(path, node, reference is not None and referenced is None))
        if referenced is not None:
            visit(referenced, path, seen | {cast("str", reference)}, level + 1)
        for step, item, literal in _below(node, at):
            start = len(found)
            visit(item, path if step is None else (*path, step), seen, level + 1)
            if literal and step in ("*", "**"):
                # No selector names this property: as a wildcard it would let its neighbours through.
                if any(_SAYS & place.node.keys() for place in found[start:]):
                    raise ContractError(
                        f"no selector can name a property called {step!r}", path=at, hint="rename the property"
                    )
                del found[start:]

    visit(schema, (), frozenset(), 0)
    return found


def selector_of(path: tuple[str, ...]) -> str:
    """Return a path as a selector."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _below(node: Mapping[str, Any], at: str) -> Iterator[tuple[str | None, Any, bool]]:
    """Yield the schemas below a node: the step to each, or None for the same value, and whether it is a name."""
    for key, item in as_object(node.get("properties", {}), f"{at}.properties").items():
        yield key, item, True
    for item in as_object(node.get("patternProperties", {}), f"{at}.patternProperties").values():
        yield "*", item, False
    if "additionalProperties" in node:
        yield "*", node["additionalProperties"], False
    items = node.get("items", True)
    if not isinstance(items, list):
        yield "*", items, False
        items = node.get("prefixItems", [])
    for index, item in enumerate(as_list(items, f"{at}.prefixItems")):
        yield str(index), item, False
    for key in ("anyOf", "oneOf", "allOf"):
        for item in as_list(node.get(key, []), f"{at}.{key}"):
            yield None, item, False
    for key in ("if", "then", "else"):
        yield None, node.get(key, True), False


def _referenced(root: Any, reference: str) -> Any:
    """Return what a `$ref` within the document names, or None."""
    node = root if reference.startswith("#") else None
    for part in unquote(reference[1:]).split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        node = cast("Mapping[str, Any]", node).get(part) if isinstance(node, Mapping) else None
    return node


def as_object(value: Any, at: str) -> Mapping[str, Any]:
    """Return `value`, or raise `ContractError` at path `at` if it is no JSON object."""
    if not isinstance(value, Mapping):
        raise ContractError("must be a JSON object", path=at)
    return cast("Mapping[str, Any]", value)


def as_list(value: Any, at: str) -> list[Any]:
    """Return `value`, or raise `ContractError` at path `at` if it is no JSON list."""
    if not isinstance(value, list):
        raise ContractError("must be a JSON list", path=at)
    return cast("list[Any]", value)


def has_parts(node: Mapping[str, Any]) -> bool:
    """Tell whether a schema node describes properties or items of its own."""
    parts = ("properties", "items", "prefixItems", "patternProperties")
    return any(node.get(key) for key in parts) or isinstance(node.get("additionalProperties"), Mapping)
