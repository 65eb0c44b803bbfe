"""A tool's payload (arguments, result, error text), redacted under the tool's contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from runbundle.format.words import Action, Target
from runbundle.redaction.markers import Digester, canonical, is_digest, is_marker, key_marker, marker
from runbundle.redaction.payloads.opened_text import PLAIN, SHUT, opened
from runbundle.redaction.payloads.selectors import (
    CompiledRule,
    State,
    advance,
    best_rule,
    compile_rules,
    limits_below,
    may_decide_below,
    names_key,
    rule_name,
)
from runbundle.redaction.payloads.taint import TaintTable, remember
from runbundle.redaction.permitted.kept_text import (
    SHORTEST_KNOWN,
    credential_in_key,
    is_known_number,
    look_together,
    redact_text,
    stays,
)
from runbundle.redaction.permitted.labelled import escape, labels_of_list, labels_of_map, mask_labelled
from runbundle.redaction.receipt import Receipt, withhold
from runbundle.signals.reading import value_of

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract

MAX_DEPTH = 64
"""Deeper levels are masked whole. Schemas of real tools nest less; the limit bounds recursion."""

_MOST_TOGETHER = 512
_GONE = object()
_LISTS = (list, tuple)
_NUMBERS = (bool, int, float)
_UNDECLARED = marker("undeclared")


class PayloadRules(NamedTuple):
    """The compiled rules of one contract for one target."""

    tool: str
    target: Target
    root: State
    undeclared: Action
    scalars: Action
    known_keys: frozenset[str]
    decides: bool
    """Whether the contract has a rule for the target at all."""
    undeclared_note: str
    """The rule that receipts name for a value that no rule names."""
    masks_undeclared: bool
    """Whether every value that no rule names is masked, numbers too."""
    keeps: bool = False
    """Whether a rule keeps something."""
    shortest: int | None = None
    """The fewest characters that a rule leaves of a value that it truncates."""
    shown_keys: frozenset[str] = frozenset()
    """Keys that an explanation may name. Redaction ignores them."""


def compile_payload_rules(contract: ToolContract, target: Target) -> PayloadRules:
    """Compile the rules of `contract` for `target`."""
    schema = {"input": contract.input_schema, "output": contract.output_schema or {}}.get(target, {})
    return PayloadRules(
        contract.name,
        target,
        compile_rules((rule for rule in contract.data.rules if rule.target == target), contract.name),
        contract.data.undeclared,
        contract.data.undeclared_scalars,
        frozenset(_property_names(schema)),
        any(rule.target == target for rule in contract.data.rules),
        rule_name(contract.name, None),
        contract.data.undeclared == contract.data.undeclared_scalars == "mask",
        any(rule.target == target and rule.effective_action in ("keep", "truncate") for rule in contract.data.rules),
        min((rule.max_chars for rule in contract.data.rules if rule.target == target and rule.max_chars), default=None),
    )


def no_payload_rules(tool: str, target: Target) -> PayloadRules:
    """Return the rules of a contract that has none: nothing is kept."""
    return PayloadRules(
        tool, target, compile_rules(()), "mask", "mask", frozenset(), False, rule_name(tool, None), True
    )


def redact_payload(
    value: Any, rules: PayloadRules, digest: Digester, receipt: Receipt, path: str, taint: TaintTable | None = None
) -> Any:
    """Return the part of `value` that the contract lets through, as JSON values. Total and idempotent.

    A value that no rule names becomes one marker, whole; so does a key that neither a rule nor the schema names.
    Credentials in kept text are masked before the text is cut. `receipt` notes each redaction, with paths below `path`;
    `taint` remembers the withheld values.
    """
    if rules.keeps:
        look_together(_texts(value))
    result = _walk(value, _Walk(rules, digest, receipt, taint), rules.root, None, path, 0)
    return None if result is _GONE else result


def _texts(value: Any) -> Iterator[str]:
    """Yield texts of a value, some hundreds at most: others are looked at one by one."""
    pending = [value]
    for _ in range(_MOST_TOGETHER):
        if not pending:
            return
        item = pending.pop()
        if item.__class__ is str:
            yield item
        elif item.__class__ is dict:
            pending += item.values()
        elif item.__class__ is list:
            pending += item


class _Walk(NamedTuple):
    rules: PayloadRules
    digest: Digester
    receipt: Receipt
    taint: TaintTable | None


def _walk(value: Any, walk: _Walk, state: State, inherited: CompiledRule | None, path: str, depth: int) -> Any:
    rule = best_rule(state) or inherited
    if depth > MAX_DEPTH:
        return _apply(value, walk, None, "mask", path)
    withheld = rule is not None and not rule.keeps
    if may_decide_below(state, withheld=withheld):
        if value.__class__ is dict or isinstance(value, Mapping):
            return _walk_map(cast("Mapping[Any, Any]", value), walk, state, rule, path, depth)
        if isinstance(value, _LISTS):
            items: list[Any] = []
            labels = labels_of_list(cast("list[Any]", value))
            for index, item in enumerate(cast("list[Any]", value)):
                if index in labels:
                    item = mask_if_kept(
                        item, labels[index], advance(state, str(index)), rule, walk.receipt, f"{path}/{index}"
                    )
                kept = _walk(item, walk, advance(state, str(index)), rule, f"{path}/{index}", depth + 1)
                items.append(marker(rule.data_class if rule else "undeclared") if kept is _GONE else kept)
            return items
        if isinstance(value, str) and value[:1] in ("{", "[") and not is_marker(value):
            try:
                inner = value_of(value.encode("utf-8", "replace"))  # as it will be written
            except orjson.JSONDecodeError:
                pass
            else:
                kept = _walk(inner, walk, state, inherited, path, depth + 1)
                return kept if kept is _GONE or isinstance(kept, str) else orjson.dumps(kept).decode()
    if rule is None:
        scalar = value is None or isinstance(value, _NUMBERS)
        return _apply(value, walk, None, walk.rules.scalars if scalar else walk.rules.undeclared, path)
    inner = opened(value) if rule.keeps and value.__class__ is str and limits_below(state) else PLAIN
    if inner is SHUT:
        return _apply(value, walk, None, "mask", path)
    if inner is not PLAIN:
        kept = _walk(inner, walk, state, inherited, path, depth + 1)
        return kept if kept is _GONE or isinstance(kept, str) else orjson.dumps(kept).decode()
    kept = _apply(value, walk, rule, rule.action, path)
    if kept != value and isinstance(kept, str) and kept[:1] in ("{", "[") and not is_marker(kept) and not withheld:
        # With what stood in the way masked it may be JSON now, and would be opened the next time.
        opens = may_decide_below(state, withheld=False)
        return _walk(kept, walk, state, inherited, path, depth + 1) if opens else _apply(kept, walk, rule, "keep", path)
    return kept


def _walk_map(
    value: Mapping[Any, Any], walk: _Walk, state: State, rule: CompiledRule | None, path: str, depth: int
) -> Any:
    result: dict[str, Any] = {}
    hidden = 0
    kept_below = rule is not None and rule.keeps
    labels = labels_of_map(value)
    for key, item in value.items():
        name = key if isinstance(key, str) else str(key) if isinstance(key, _NUMBERS) else "?"
        known = names_key(state, name) or name in walk.rules.known_keys or is_marker(name)
        if not known and (not kept_below or credential_in_key(name)):
            walk.receipt.add(f"{path}/*", walk.rules.undeclared_note, "mask")
            name, hidden = key_marker(hidden + 1, value)
            if rule is None and walk.rules.masks_undeclared and not advance(state, name):
                # What a payload is mostly made of: its key and its value go, with one note for both.
                result[name] = _UNDECLARED
                if walk.taint is not None:
                    remember(walk.taint, item, "undeclared", str(key))
                continue
        where = f"{path}/{escape(name)}"
        below = advance(state, name)
        if key in labels:
            item = mask_if_kept(item, labels[key], below, rule, walk.receipt, where)
        kept = _walk(item, walk, below, rule, where, depth + 1)
        if kept is not _GONE:
            result[name] = kept
    return result


def mask_if_kept(
    value: Any, label: str, state: State, inherited: CompiledRule | None, receipt: Receipt, path: str
) -> Any:
    """Return a value with a credential's name beside it: if a rule would keep it, its credentials become markers."""
    rule = best_rule(state) or inherited
    return mask_labelled(value, receipt, path, label) if rule is not None and rule.keeps else value


def _apply(value: Any, walk: _Walk, rule: CompiledRule | None, action: Action, path: str) -> Any:
    """Apply one action to a whole value."""
    if is_marker(value) or is_digest(value):
        return value
    note = rule.note if rule else walk.rules.undeclared_note
    data_class = rule.data_class if rule else "undeclared"
    if action in ("keep", "truncate"):
        limit = rule.max_chars if rule and action == "truncate" else None
        return _keep(mask_labelled(value, walk.receipt, path), walk, note, limit, path, 0)
    walk.receipt.add(path, note, action)
    if walk.taint is not None:
        remember(walk.taint, value, data_class, path.rpartition("/")[2])
    if action == "drop":
        return _GONE
    if action == "hash":
        domain = f"tool|{walk.rules.tool}|{rule.selector if rule else '*'}|{data_class}"
        data = canonical(value)
        return marker(data_class) if data is None else walk.digest(domain, data)
    text = value if isinstance(value, str) else None
    if rule and rule.keep_last and text and len(text) >= 4 * rule.keep_last:
        tail = "".join(c if c.isalnum() else "*" for c in text[-rule.keep_last :])
        return f"[REDACTED:{data_class}:last={tail}]"
    return marker(data_class)


def _keep(value: Any, walk: _Walk, note: str, limit: int | None, path: str, depth: int) -> Any:
    """Keep a value as JSON, subject to the floor and the limit of characters; whatever JSON cannot hold is masked."""
    if isinstance(value, str):
        return _keep_text(value, walk, note, limit, path)
    if depth <= MAX_DEPTH and (value.__class__ is dict or isinstance(value, Mapping)):
        kept: dict[str, Any] = {}
        number = 0
        for key, item in cast("Mapping[Any, Any]", value).items():
            name = key if key.__class__ is str else str(key)
            if name not in walk.rules.known_keys and credential_in_key(name):
                walk.receipt.add(path, "floor", "floor")  # a word of the format: see `redact_text`
                name, number = key_marker(max(number, len(kept)) + 1, cast("Mapping[Any, Any]", value))
            kept[name] = (
                item if _stays(item, limit) else _keep(item, walk, note, limit, f"{path}/{escape(name)}", depth + 1)
            )
        return kept
    if depth <= MAX_DEPTH and isinstance(value, _LISTS):
        return [
            item if _stays(item, limit) else _keep(item, walk, note, limit, f"{path}/{index}", depth + 1)
            for index, item in enumerate(cast("list[Any]", value))
        ]
    if isinstance(value, _NUMBERS) and is_known_number(value):
        return withhold(walk.receipt, path, "detector:known-secret", "credential")
    if cuts_number(value, limit):
        return _keep_text(str(value), walk, note, limit, path)
    if value is None or isinstance(value, int):
        return value if value is None or -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # NaN and infinities are not JSON
    return withhold(walk.receipt, path, "unserialisable", "unserialisable")


def cuts_number(value: Any, limit: int | None) -> bool:
    """Tell whether a value is a number that a limit of characters cuts: one of eight digits or more, as those of
    telephones, cards and accounts are. A shorter one stays whole.
    """
    return (
        limit is not None
        and isinstance(value, int | float)
        and (value >= SHORTEST_KNOWN or value <= -SHORTEST_KNOWN)
        and len(str(value)) > limit
    )


def _stays(value: Any, limit: int | None) -> bool:
    """Tell whether `_keep` would return a value as it is and note nothing. Most are so, and need no path (0.7 µs)."""
    kind = value.__class__
    if kind is str:
        return (limit is None or len(value) <= limit) and stays(value)
    if kind is int or kind is float:
        return -SHORTEST_KNOWN < value < SHORTEST_KNOWN
    return value is None or kind is bool


def _keep_text(value: str, walk: _Walk, note: str, limit: int | None, path: str) -> str:
    if is_marker(value):
        return value
    value = redact_text(value, walk.receipt, path)
    if limit is not None and len(value) > limit:
        if value[limit:].startswith("…[+") and value.endswith("]") and value[limit + 3 : -1].isdigit():
            return value
        walk.receipt.add(path, note, "truncate")
        return f"{value[:limit]}…[+{len(value) - limit}]"
    return value


def _property_names(schema: Any, depth: int = 0) -> set[str]:
    """All property names a schema declares, anywhere: they were written by a developer, so they are not data."""
    found: set[str] = set()
    if depth < 16 and isinstance(schema, Mapping):
        for key, item in cast("Mapping[str, Any]", schema).items():
            if key == "properties" and isinstance(item, Mapping):
                found.update(cast("Mapping[str, Any]", item))
            found |= _property_names(item, depth + 1)
    elif depth < 16 and isinstance(schema, list):
        for item in cast("list[Any]", schema):
            found |= _property_names(item, depth + 1)
    return found
