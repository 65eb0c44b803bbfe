"""`lint` lists doubtful places of a contract. It shows no values."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from runbundle.contracts.schema_walk import Place, has_parts, schema_places, selector_of
from runbundle.format.contract import FieldRule, ToolContract
from runbundle.format.words import Target
from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.payloads.selectors import (
    CompiledRule,
    advance,
    advance_anywhere,
    best_rule,
    compile_rules,
    deciding_rule,
)

INFORMATION = frozenset({"RC106"})
"""Codes of facts about a contract, as against faults."""

_LISTED = 5


class LintWarning(NamedTuple):
    """One doubtful place: `path` says where in the contract, `hint` what to do."""

    code: str
    path: str
    message: str
    hint: str


def lint(contract: ToolContract) -> list[LintWarning]:
    """Return the doubtful places of a contract: in its rules, its policy, its schemas.

    RC101 a rule repeats a selector; RC102 a property named like a credential is kept; RC103 a rule keeps the whole
    payload; RC104 there are output rules and no output schema; RC105 a destructive tool always runs; RC106
    (information) no rule names these properties; RC107 a rule names no place of its schema. Raises `ContractError` if a
    schema is invalid.
    """
    return [*_rules(contract), *_policy(contract), *_schemas(contract)]


def _rules(contract: ToolContract) -> Iterator[LintWarning]:
    first: dict[tuple[Target, tuple[str, ...]], int] = {}
    for index, rule in enumerate(contract.data.rules):
        at = f"data.rules[{index}]"
        steps = rule.steps()
        while steps and steps[-1] == "**":  # as selectors are compiled
            steps = steps[:-1]
        earlier = first.setdefault((rule.target, steps), index)
        if earlier != index:
            yield LintWarning(
                "RC101", at, f"repeats the selector {rule.selector!r} of data.rules[{earlier}] for {rule.target}",
                "keep one of them; as it is, the stricter one decides",
            )  # fmt: skip
        if not steps and rule.effective_action == "keep":
            yield LintWarning(
                "RC103", at, f"keeps the whole {rule.target}, whatever will be in it",
                "name what is to be kept, and leave the rest masked",
            )  # fmt: skip


def _policy(contract: ToolContract) -> Iterator[LintWarning]:
    outputs = sum(rule.target == "output" for rule in contract.data.rules)
    if outputs and contract.output_schema is None:
        yield LintWarning(
            "RC104", "output_schema", f"is missing, so the selectors of {outputs} output rules are not checked",
            "give the schema of the result; a misspelt selector is then refused",
        )  # fmt: skip
    if contract.side_effects == "destructive" and contract.policy == "allow":
        yield LintWarning(
            "RC105", "policy", "allows every call of a destructive tool",
            "leave the policy out: calls then require approval",
        )  # fmt: skip


def _schemas(contract: ToolContract) -> Iterator[LintWarning]:
    for target, where, schema in (
        ("input", "input_schema", contract.input_schema),
        ("output", "output_schema", contract.output_schema or {}),
    ):
        root = compile_rules(rule for rule in contract.data.rules if rule.target == target)
        if schema:
            yield from _unmatched(contract, target, where, list(schema_places(schema, where)))
        unnamed: list[str] = []
        for path, nodes in _by_path(schema_places(schema, where)).items():
            rule = deciding_rule(root, path)
            scalar = any(_is_scalar(node) for node in nodes) and contract.data.undeclared_scalars == "keep"
            kept = scalar if rule is None else rule.keeps
            if kept and path and credential_key(path[-1]) == "strong":
                yield LintWarning(
                    "RC102", where + selector_of(path), f"is named like a credential, but {_reason(rule)}",
                    "give it a rule of its own with data_class credential",
                )  # fmt: skip
            if rule is None and path and not scalar and not any(has_parts(node) for node in nodes):
                unnamed.append(selector_of(path))
        if unnamed:
            listed = ", ".join(unnamed[:_LISTED]) + (", …" if len(unnamed) > _LISTED else "")
            yield LintWarning(
                "RC106", where, f"no rule names {len(unnamed)} of the properties: {listed}",
                f"they will be withheld ({contract.data.undeclared}); to keep one, give it a rule",
            )  # fmt: skip


def _unmatched(contract: ToolContract, target: str, where: str, places: list[Place]) -> Iterator[LintWarning]:
    for index, rule in enumerate(contract.data.rules):
        if rule.target == target and not any(_may_match(rule, place) for place in places):
            yield LintWarning(
                "RC107", f"data.rules[{index}]", f"the selector {rule.selector!r} names no place in {where}",
                "correct the selector, or remove the rule: as it is, it decides nothing",
            )  # fmt: skip


def _may_match(rule: FieldRule, place: Place) -> bool:
    """Tell whether a rule names a place of the schema, or one that the schema leaves open below it."""
    state = compile_rules([rule])
    for step in place.path:
        state = advance_anywhere(state) if step == "*" else advance(state, step)
    return bool(state) and (best_rule(state) is not None or (place.ends or _is_open(place.node)))


def _is_open(node: Mapping[str, Any]) -> bool:
    closed = (
        "properties",
        "items",
        "prefixItems",
        "patternProperties",
        "additionalProperties",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
    )
    scalar = node.get("type") in ("string", "integer", "number", "boolean", "null") or "enum" in node or "const" in node
    # Text that is said to hold JSON is opened: a rule may lead into it.
    return not any(key in node for key in closed) and (not scalar or "contentMediaType" in node)


def _by_path(places: Iterable[Place]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for place in places:
        found.setdefault(place.path, []).append(place.node)
    return found


def _reason(rule: CompiledRule | None) -> str:
    return "undeclared_scalars keeps it" if rule is None else f"the rule {rule.selector!r} keeps it"


def _is_scalar(node: Mapping[str, Any]) -> bool:
    return node.get("type") in ("integer", "number", "boolean", "null")
