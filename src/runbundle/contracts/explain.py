"""`explain` names, for each value of a payload, the rule that decides about it. It shows no values."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import orjson

from runbundle.contracts.schema_walk import selector_of
from runbundle.format.contract import ToolContract
from runbundle.format.words import Action, Target
from runbundle.redaction.markers import is_digest, is_marker, key_marker, marker
from runbundle.redaction.payloads.opened_text import PLAIN, SHUT, opened
from runbundle.redaction.payloads.payload import (
    MAX_DEPTH,
    PayloadRules,
    compile_payload_rules,
    cuts_number,
    mask_if_kept,
)
from runbundle.redaction.payloads.selectors import (
    CompiledRule,
    State,
    advance,
    best_rule,
    limits_below,
    may_decide_below,
    names_key,
    withholds,
)
from runbundle.redaction.permitted.kept_text import credential_in_key, is_known_number, redact_text
from runbundle.redaction.permitted.labelled import labels_of_list, labels_of_map, mask_labelled
from runbundle.redaction.receipt import Receipt
from runbundle.signals.reading import value_of


class Explained(NamedTuple):
    """The fate of one value of a payload, and the reason."""

    path: str
    """JSON Pointer, with a marker in the place of each key that is not kept."""
    rule: str
    """The selector of the deciding rule; empty if no rule decides, or if the rule covers the whole payload."""
    data_class: str
    """The class that the rule gives, or `undeclared`."""
    action: Action
    """`keep` if and only if the whole value shows in the redacted payload."""
    why: str


class _Cause(NamedTuple):
    """Why a value has an action. `known` are the keys that may be named; `limit` is what `truncate` leaves."""

    rule: CompiledRule | None
    action: Action
    why: str
    known: frozenset[str]

    @property
    def limit(self) -> int | None:
        return self.rule.max_chars if self.rule and self.action == "truncate" else None


def explain(contract: ToolContract, payload: Any, target: Target = "input", *, named: bool = False) -> list[Explained]:
    """Explain what `redact_payload` does to each value of a payload, in the payload's order.

    A value is a scalar or an empty container, also inside text that is opened as JSON. A row never contains a value,
    nor a key that the contract would not keep. With `named`, a row names every key but those that are credentials
    themselves.
    """
    rules = compile_payload_rules(contract, target)
    if named:
        keys = frozenset(key for key in _keys_in(payload) if not credential_in_key(key))
        return list(_walk(payload, rules._replace(shown_keys=keys), rules.root, None, "", 0))
    return list(_walk(payload, rules, rules.root, None, "", 0))


def _keys_in(payload: Any) -> Iterator[str]:
    pending: list[Any] = [payload]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            yield from map(str, cast("Mapping[Any, Any]", item))
            pending += cast("Mapping[Any, Any]", item).values()
        elif isinstance(item, list | tuple):
            pending += cast("list[Any]", item)
        elif isinstance(item, str):
            pending.append(opened(item))


def _walk(
    value: Any, rules: PayloadRules, state: State, inherited: CompiledRule | None, path: str, depth: int
) -> Iterator[Explained]:
    """Step for step what `payload.redact_payload` does; a test holds the two together."""
    own = best_rule(state)
    rule = own or inherited
    if depth > MAX_DEPTH:
        yield from _whole(value, _Cause(None, "mask", f"nested deeper than {MAX_DEPTH}", _nameable(rules)), path)
        return
    if may_decide_below(state, withheld=withholds(rule)):
        if isinstance(value, Mapping):
            yield from _walk_map(cast("Mapping[Any, Any]", value), rules, state, rule, path, depth)
            return
        if isinstance(value, list | tuple):
            items = cast("list[Any]", value)
            if not items:
                yield _empty(path)
            labels = labels_of_list(items)
            for index, item in enumerate(items):
                if index in labels:
                    item = mask_if_kept(item, labels[index], advance(state, str(index)), rule, Receipt(), path)
                yield from _walk(item, rules, advance(state, str(index)), rule, f"{path}/{index}", depth + 1)
            return
        if isinstance(value, str) and value[:1] in ("{", "[") and not is_marker(value):
            try:
                inner = value_of(value.encode("utf-8", "replace"))
            except orjson.JSONDecodeError:
                pass
            else:
                yield from _walk(inner, rules, state, inherited, path, depth + 1)
                return
    scalar = value is None or isinstance(value, bool | int | float)
    if rule is not None:
        action, why = rule.action, "a rule names it" if own else "a rule on what holds it"
        inner = opened(value) if rule.keeps and isinstance(value, str) and limits_below(state) else PLAIN
        if inner is SHUT:
            yield from _whole(value, _Cause(None, "mask", "no JSON, and parts are withheld", _nameable(rules)), path)
            return
        if inner is not PLAIN:
            yield from _walk(inner, rules, state, inherited, path, depth + 1)
            return
    elif scalar:
        action, why = rules.scalars, "no rule names it (undeclared_scalars)"
    else:
        action, why = rules.undeclared, "no rule names it"
    yield from _whole(value, _Cause(rule, action, why, _nameable(rules)), path)


def _walk_map(
    value: Mapping[Any, Any], rules: PayloadRules, state: State, rule: CompiledRule | None, path: str, depth: int
) -> Iterator[Explained]:
    hidden = 0
    if not value:
        yield _empty(path)
    kept_below = rule is not None and not withholds(rule)
    labels = labels_of_map(value)
    for index, (key, item) in enumerate(value.items(), 1):
        name = key if isinstance(key, str) else str(key) if isinstance(key, bool | int | float) else "?"
        known = names_key(state, name) or name in rules.known_keys or is_marker(name)
        if not known and (not kept_below or credential_in_key(name)):
            name, hidden = key_marker(hidden + 1, value)
            if rule is None and rules.masks_undeclared and not advance(state, name):
                cause = _Cause(None, "mask", "neither a rule nor the schema names its key", _nameable(rules))
                at = key if key in rules.shown_keys else name
                yield from _withheld(item, cause, path + selector_of((at,)), depth)
                continue
        below = advance(state, name)
        decides = best_rule(below) or rule
        # A key that nobody named goes with its value.
        gone = not known and decides is not None and decides.action == "drop"
        shown = marker("key", index=index) if gone else name
        shown = key if key in rules.shown_keys else shown
        if key in labels:
            item = mask_if_kept(item, labels[key], below, rule, Receipt(), path)
        yield from _walk(item, rules, below, rule, path + selector_of((shown,)), depth + 1)


def _nameable(rules: PayloadRules) -> frozenset[str]:
    return rules.known_keys | rules.shown_keys if rules.shown_keys else rules.known_keys


def _whole(value: Any, cause: _Cause, path: str) -> Iterator[Explained]:
    """Explain all of a value that one cause decides."""
    if is_marker(value) or is_digest(value):
        yield Explained(path, "", "undeclared", "keep", "redacted already")
    elif cause.action in ("keep", "truncate"):
        yield from _kept(value, mask_labelled(value, Receipt(), path), cause, path, 0)
    else:
        yield from _withheld(value, cause, path, 0)


def _kept(value: Any, clean: Any, cause: _Cause, path: str, depth: int) -> Iterator[Explained]:
    """Explain a value that a rule keeps; `clean` is the value without what has a credential's name beside it."""
    if isinstance(value, int | float) and is_known_number(value):
        yield _row(path, cause, "mask", "it is a known secret")
    elif is_marker(clean) and not is_marker(value):
        yield _row(path, cause, "mask", "a name beside it says that it is a credential")
    elif value is None or isinstance(value, bool | int | float):
        yield _row(path, cause, "truncate" if cuts_number(value, cause.limit) else "keep")
    elif isinstance(value, str):
        if not is_marker(value) and redact_text(clean, Receipt(), path) != value:
            yield _row(path, cause, "mask", "holds a credential, or text that is not UTF-8")
        elif cause.limit is not None and len(value) > cause.limit and not is_marker(value):
            yield _row(path, cause, "truncate")
        else:
            yield _row(path, cause, "keep")
    elif depth <= MAX_DEPTH and isinstance(value, Mapping) and value:
        for index, (key, item) in enumerate(cast("Mapping[Any, Any]", value).items()):
            hides = credential_in_key(str(key)) and str(key) not in cause.known
            name = marker("key", index=index + 1) if hides else str(key)
            yield from _kept(item, clean[key], cause, f"{path}{selector_of((name,))}", depth + 1)
    elif depth <= MAX_DEPTH and isinstance(value, list | tuple) and value:
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _kept(item, clean[index], cause, f"{path}/{index}", depth + 1)
    elif depth <= MAX_DEPTH and isinstance(value, Mapping | list | tuple):
        yield _row(path, cause, "keep")
    else:
        yield _row(path, cause, "mask", "JSON cannot hold it, or it nests too deeply")


def _withheld(value: Any, cause: _Cause, path: str, depth: int) -> Iterator[Explained]:
    if depth <= MAX_DEPTH and isinstance(value, Mapping) and value:
        for index, (key, item) in enumerate(cast("Mapping[Any, Any]", value).items()):
            name = key if key in cause.known else marker("key", index=index + 1)
            yield from _withheld(item, cause, f"{path}{selector_of((name,))}", depth + 1)
    elif depth <= MAX_DEPTH and isinstance(value, list | tuple) and value:
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _withheld(item, cause, f"{path}/{index}", depth + 1)
    else:
        yield _row(path, cause, cause.action)


def _row(path: str, cause: _Cause, action: Action, why: str = "") -> Explained:
    rule = cause.rule
    return Explained(path, rule.selector if rule else "", rule.data_class if rule else "undeclared", action,
                     why or cause.why)  # fmt: skip


def _empty(path: str) -> Explained:
    return Explained(path, "", "undeclared", "keep", "empty")
