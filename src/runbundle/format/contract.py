"""ToolContract: what a tool does, what its data is, and what of it may be kept.

A contract is frozen and refuses unknown fields: a typing error in a rule would otherwise keep what it meant to
drop. It can only be wrong where a developer makes it, in `ToolContract(...)` or `load_contracts()`, never on the
path of a span.
"""

import hashlib
from functools import cached_property
from typing import Any, Literal, Self, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from runbundle.errors import ContractError

Action = Literal["keep", "truncate", "hash", "mask", "drop"]
DataClass = Literal["public", "internal", "content", "personal", "special", "financial", "credential"]
Target = Literal["input", "output", "error"]

STRICTNESS: dict[Action, int] = {"keep": 0, "truncate": 1, "hash": 2, "mask": 3, "drop": 4}
"""Higher reveals less. `hash` reveals equality, `mask` only that something was there."""

DEFAULT_ACTION: dict[DataClass, Action] = {
    "public": "keep",
    "internal": "keep",
    "content": "drop",
    "personal": "hash",
    "special": "drop",
    "financial": "mask",
    "credential": "drop",
}

_FROZEN = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldRule(BaseModel):
    """What happens to the values that one selector names."""

    model_config = _FROZEN

    selector: str
    """JSON Pointer (RFC 6901) with `*` for one step and `**` for any number: `/messages/*/text`. `""` is the whole."""
    target: Target = "input"
    """Which payload of the call: its arguments, its result, or the message of the error it raised."""
    data_class: DataClass = "internal"
    """What kind of data this is; decides the action where none is given."""
    action: Action | None = None
    """`keep`, `truncate`, `hash` (keyed digest), `mask` (marker) or `drop` (the key goes too)."""
    max_chars: int | None = Field(default=None, ge=1)
    """Required by `truncate`: how many characters stay."""
    keep_last: int = Field(default=0, ge=0, le=4)
    """With `mask`: how many last characters stay readable. Forbidden for credentials."""
    reason: str = ""
    """Why; required to keep or truncate personal, special or financial data."""

    @field_validator("selector")
    @classmethod
    def _pointer(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError(f"a selector is empty or starts with '/', as in '/{value}'")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        action = self.effective_action
        if self.data_class == "credential" and action not in ("mask", "drop"):
            raise ValueError("a credential can only be masked or dropped; a digest of one can be guessed or replayed")
        if self.keep_last and (self.data_class == "credential" or action != "mask"):
            raise ValueError("keep_last goes with action 'mask', and never with a credential")
        if action == "truncate" and self.max_chars is None:
            raise ValueError("action 'truncate' needs max_chars")
        if (
            self.data_class in ("personal", "special", "financial")
            and action in ("keep", "truncate")
            and not self.reason
        ):
            raise ValueError(f"{action} on {self.data_class} data needs a reason")
        return self

    @property
    def effective_action(self) -> Action:
        """The action given, or the default one of the data class."""
        return self.action or DEFAULT_ACTION[self.data_class]

    def steps(self) -> tuple[str, ...]:
        """The selector as unescaped reference tokens; `*` and `**` stand for themselves."""
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in self.selector.split("/")[1:])


class DataHandling(BaseModel):
    """What of a tool's arguments, results and errors may be kept."""

    model_config = _FROZEN

    rules: tuple[FieldRule, ...] = ()
    """The most specific selector wins; of two equally specific ones the stricter."""
    undeclared: Literal["hash", "mask", "drop"] = "mask"
    """What happens to a value that no rule names. Keeping is not on offer."""
    undeclared_scalars: Literal["keep", "hash", "mask", "drop"] = "mask"
    """The same for booleans and numbers, which may be kept."""


class ToolContract(BaseModel):
    """The contract of one tool, found by its name (`gen_ai.tool.name`)."""

    model_config = _FROZEN

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$")
    """The tool's name, exactly as spans carry it."""
    version: str = "1"
    """The contract's version, for people; the digest is what identifies it."""
    description: str = ""
    """For people; never recorded."""
    input_schema: dict[str, Any] = Field(default_factory=dict[str, Any])
    """JSON Schema of the arguments. Where it has properties, every selector on inputs must name one."""
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the result, or none."""
    side_effects: Literal["none", "read", "write", "destructive"] = "write"
    """What the tool can do to the world. Unknown is `write`, as in MCP."""
    idempotent: bool = False
    """Whether a second identical call changes nothing more."""
    data: DataHandling = DataHandling()
    """What may be kept."""
    policy: Literal["allow", "deny", "require_approval"] | None = None
    """Whether a call may run. By default a destructive tool requires approval and any other is allowed."""

    @model_validator(mode="after")
    def _selectors_fit(self) -> Self:
        for index, rule in enumerate(self.data.rules):
            schema = {"input": self.input_schema, "output": self.output_schema}.get(rule.target) or {}
            lacking = _missing_step(schema, rule.steps(), schema)
            if lacking:
                raise ValueError(
                    f"data.rules[{index}].selector {rule.selector!r}: the {rule.target} schema has no {lacking!r}"
                )
        return self

    @property
    def effective_policy(self) -> Literal["allow", "deny", "require_approval"]:
        """The policy given, or the default one for the side effects."""
        return self.policy or ("require_approval" if self.side_effects == "destructive" else "allow")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the contract as sorted JSON, in hex: what a bundle records to name it."""
        data = self.model_dump(mode="json", exclude={"description"})
        return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse_contract(data: Any, *, where: str = "contract") -> ToolContract:
    """Build a contract from plain data; raise `ContractError` with the path of what is wrong, never its value."""
    try:
        return ToolContract.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join([where, *(str(step) for step in first["loc"])])
        raise ContractError(first["msg"], path=path, hint="runbundle schema contract prints the format") from None


def _missing_step(schema: Any, steps: tuple[str, ...], root: Any) -> str:
    """Return the first step that `schema` does not allow, or nothing. An open schema allows everything."""
    node = schema
    for index, step in enumerate(steps):
        node = _resolve(root, node)
        if step == "**" or not node or any(key in node for key in ("anyOf", "oneOf", "allOf")):
            return ""
        if node.get("type") == "array" or "items" in node:
            node = node.get("items")
        elif isinstance(node.get("properties"), dict) and step != "*":
            properties = cast("dict[str, Any]", node["properties"])
            if step not in properties:
                return "" if node.get("additionalProperties") else "/" + "/".join(steps[: index + 1])
            node = properties[step]
        else:
            return ""
    return ""


def _resolve(root: Any, node: Any) -> dict[str, Any]:
    """Follow `$ref` within the document, at most 16 times; anything that is not a schema object is an empty one."""
    for _ in range(16):
        if not isinstance(node, dict):
            return {}
        schema = cast("dict[str, Any]", node)
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        node = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            node = cast("dict[str, Any]", node).get(part) if isinstance(node, dict) else None
    return {}
