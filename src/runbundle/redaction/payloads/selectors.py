"""Selectors, compiled to one trie that is walked beside the value.

A rule holds for the node it names and for everything below, until another rule names a node further down. Of rules that
name the same node, the one with more literal steps wins, then the one with more `*`, then the stricter.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from runbundle.format.words import STRICTNESS, Action

if TYPE_CHECKING:
    from runbundle.format.contract import FieldRule


class CompiledRule(NamedTuple):
    """A compiled rule of a contract."""

    action: Action
    data_class: str
    selector: str
    steps: tuple[str, ...]
    note: str
    """Its name in receipts: `contract:<tool>:<selector>`."""
    max_chars: int | None
    keep_last: int
    keeps: bool
    """Whether the rule keeps the value or the beginning of it."""


class Node:
    """One step of the trie. It is built once for a contract and never changed afterwards."""

    __slots__ = ("children", "deep", "loops", "rank", "rule", "star")

    def __init__(self, *, loops: bool = False) -> None:
        self.children: dict[str, Node] = {}
        """By literal key; the wildcards stand apart, as data may have keys of any name."""
        self.star: Node | None = None
        self.deep: Node | None = None
        self.loops = loops
        """Whether any further step stays at this node: it is a `**`."""
        self.rule: CompiledRule | None = None
        self.rank: tuple[int, int, int] = (0, 0, 0)


State = tuple[Node, ...]
"""A position of the walk: the trie nodes that the path so far has reached."""


def compile_rules(rules: Iterable[FieldRule], tool: str = "") -> State:
    """Compile the rules that a tool's contract has for one target; return the state at the root of a payload."""
    root = Node()
    for rule in rules:
        steps = rule.steps()
        while steps and steps[-1] == "**":  # "all below X" is what a rule on X means anyway
            steps = steps[:-1]
        node = root
        for step in steps:
            if step == "*":
                node.star = node = node.star or Node()
            elif step == "**":
                node.deep = node = node.deep or Node(loops=True)
            else:
                # Who writes a contract does not see in which form of Unicode a key will come.
                composed = normalize("NFC", step)
                below = node.children.get(composed) or Node()
                for form in (step, composed, normalize("NFD", step)):
                    node.children[form] = below
                node = below
        literals = sum(step not in ("*", "**") for step in steps)
        rank = (literals, steps.count("*"), STRICTNESS[rule.effective_action])
        if node.rule is None or rank > node.rank:
            node.rule, node.rank = _compiled(rule, tool), rank
    return _reach([root])


def _compiled(rule: FieldRule, tool: str) -> CompiledRule:
    action = rule.effective_action
    return CompiledRule(
        action,
        rule.data_class,
        rule.selector,
        rule.steps(),
        rule_name(tool, rule.selector),
        rule.max_chars,
        rule.keep_last,
        action in ("keep", "truncate"),
    )


@lru_cache(maxsize=4096)
def rule_name(tool: str, selector: str | None) -> str:
    """Return the name of a tool's rule in receipts; without a selector, the name for values that no rule names."""
    if selector is None:
        return f"contract:{tool}:undeclared"
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "_.*/-" else "_" for c in selector)
    return f"contract:{tool}:{safe or '/'}"[:160]


def advance(state: State, step: str) -> State:
    """Return the state one step further down, at the key or index `step`."""
    reached: list[Node] = []
    for node in state:
        if node.loops:
            reached.append(node)
        child = node.children.get(step)
        if child is not None:
            reached.append(child)
        if node.star is not None:
            reached.append(node.star)
    return _reach(reached) if reached else ()


def advance_anywhere(state: State) -> State:
    """Return the state one step further down, at any key or index."""
    reached: list[Node] = []
    for node in state:
        if node.loops:
            reached.append(node)
        reached += node.children.values()
        reached += [node.star] if node.star is not None else []
    return _reach(reached)


def best_rule(state: State) -> CompiledRule | None:
    """Return the rule that decides at this node, or None if no rule names it."""
    best: Node | None = None
    for node in state:
        if node.rule is not None and (best is None or node.rank > best.rank):
            best = node
    return best.rule if best else None


def may_decide_below(state: State, *, withheld: bool) -> bool:
    """Tell whether a rule may name a node below this one, so that the walk has to go on.

    Below a withheld value only a rule whose path goes through this node counts; a `**` that started further up does
    not.
    """
    # For each value of a payload, as the next: any() of a generator costs three times as much.
    for node in state:  # noqa: SIM110
        if (node.children or node.star or node.deep) and not (withheld and node.loops):
            return True
    return False


def limits_below(state: State) -> bool:
    """Tell whether a rule for a node below this one keeps less than all of it."""
    if not may_decide_below(state, withheld=False):
        return False
    pending = list(state)
    for node in pending:
        for below in (*node.children.values(), node.star, node.deep):
            if below is not None and below not in pending:
                if below.rule is not None and below.rule.action != "keep":
                    return True
                pending.append(below)
    return False


def names_key(state: State, step: str) -> bool:
    """Tell whether a rule names the key `step` literally."""
    for node in state:  # noqa: SIM110
        if step in node.children:
            return True
    return False


def _reach(nodes: list[Node]) -> State:
    """Add what `**` matches with no step at all: its node stands beside the one before it."""
    if len(nodes) == 1 and nodes[0].deep is None:
        return (nodes[0],)
    found: list[Node] = []
    while nodes:
        node = nodes.pop()
        if node not in found:
            found.append(node)
            if node.deep is not None:
                nodes.append(node.deep)
    return tuple(found)


def deciding_rule(state: State, path: tuple[str, ...]) -> CompiledRule | None:
    """Return the rule that decides at `path` below the root `state`; `*` in it stands for any one step."""
    rule: CompiledRule | None = None
    for step in path:
        rule = best_rule(state) or rule
        if not may_decide_below(state, withheld=withholds(rule)):
            return rule
        state = advance(state, step)
    return best_rule(state) or rule


def withholds(rule: CompiledRule | None) -> bool:
    """Tell whether a rule keeps nothing of the value it names. False for no rule."""
    return rule is not None and not rule.keeps
