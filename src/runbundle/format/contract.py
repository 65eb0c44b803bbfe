"""Tool contracts: what a tool does, what its data is, and which of its data may be kept.

A contract is frozen and refuses unknown fields, since a misspelt rule would otherwise keep data that it was meant to
drop. Errors are raised where a contract is made, in `ToolContract(...)` or `load_contracts()`, never while a span is
recorded.
"""

import hashlib
from functools import cached_property
from typing import Any, Literal, Self, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from runbundle.errors import ContractError
from runbundle.format.words import DEFAULT_ACTION, Action, DataClass, Target

_FROZEN = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class FieldRule(BaseModel):
    """A rule: the action for all values that one selector matches."""

    model_config = _FROZEN

    selector: str
    """JSON Pointer (RFC 6901) to the values, as in `/messages/*/text`: `*` is any one step, `**` any number of steps,
    and `""` the whole payload."""
    target: Target = "input"
    """The payload that the rule is for: the arguments (`input`), the result (`output`) or the error message
    (`error`)."""
    data_class: DataClass = "internal"
    """The kind of data; it gives the default action. `content` is free text, `special` is special categories of
    personal data, such as health."""
    action: Action | None = None
    """`keep`, `truncate`, `hash` (replace by a keyed digest), `mask` (replace by a marker) or `drop` (remove the key
    too). Without an action the data class decides."""
    max_chars: int | None = Field(default=None, ge=1)
    """Number of characters that `truncate` keeps; required by `truncate`."""
    keep_last: int = Field(default=0, ge=0, le=4)
    """Number of last characters that `mask` leaves readable. Not allowed for credentials."""
    reason: str = ""
    """Reason for the rule; required to keep or truncate personal, special or financial data."""

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
        """The rule's action, or the default action of its data class."""
        return self.action or DEFAULT_ACTION[self.data_class]

    def steps(self) -> tuple[str, ...]:
        """Return the selector as unescaped steps; `*` and `**` stay as they are."""
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in self.selector.split("/")[1:])


class DataHandling(BaseModel):
    """The rules for a tool's arguments, results and error messages."""

    model_config = _FROZEN

    rules: tuple[FieldRule, ...] = ()
    """The rules. The most specific selector decides; of two equally specific ones the stricter action does."""
    undeclared: Literal["hash", "mask", "drop"] = "mask"
    """The action for a value that no rule matches; `keep` is not possible here."""
    undeclared_scalars: Literal["keep", "hash", "mask", "drop"] = "mask"
    """The action for booleans and numbers that no rule matches; these may be kept."""


class ToolContract(BaseModel):
    """The contract of one tool: what it does, and what a bundle may keep of its calls."""

    model_config = _FROZEN

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$")
    """Name of the tool, exactly as spans carry it in `gen_ai.tool.name`."""
    version: str = "1"
    """Version of the contract, for people; bundles identify the contract by its digest."""
    description: str = ""
    """Description for people; it is not recorded and not part of the digest."""
    input_schema: dict[str, Any] = Field(default_factory=dict[str, Any])
    """JSON Schema of the arguments. If it lists properties, each `input` selector must name one of them."""
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the result, if there is one."""
    side_effects: Literal["none", "read", "write", "destructive"] = "write"
    """The strongest effect that the tool can have on the world. If it is not known, say `write`, as MCP does."""
    idempotent: bool = False
    """Whether a second identical call has no further effect."""
    data: DataHandling = DataHandling()
    """The rules for the tool's data."""
    policy: Literal["allow", "deny", "require_approval"] | None = None
    """Whether a call may run. Without a policy a destructive tool requires approval and any other tool is allowed."""

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
        """The contract's policy, or the default policy for its side effects."""
        return self.policy or ("require_approval" if self.side_effects == "destructive" else "allow")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the contract as sorted JSON without its description, in hex. Bundles name a contract by it."""
        data = self.model_dump(mode="json", exclude={"description"})
        return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse_contract(data: Any, *, where: str = "contract") -> ToolContract:
    """Build a contract from plain data.

    Raises `ContractError` that names the path of the first mistake below `where`, never the value there.
    """
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
