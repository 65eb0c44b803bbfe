"""Contracts that tools declare in code: every redactor of the process uses them, those made later too."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from runbundle.errors import ContractError
from runbundle.format.words import STRICTNESS
from runbundle.process import forks
from runbundle.redaction.redactor import Redactor

if TYPE_CHECKING:
    from runbundle.format.contract import FieldRule, ToolContract


class _Declaration(NamedTuple):
    owner: str
    contract: ToolContract
    withheld: tuple[FieldRule, ...]


class DeclaredContracts:
    """The contracts that the tools of a process declare, by tool name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._declared: dict[str, _Declaration] = {}
        self._given: weakref.WeakKeyDictionary[Redactor, Mapping[str, ToolContract]] = weakref.WeakKeyDictionary()

    def declare(self, owner: str, contract: ToolContract, withheld: Iterable[FieldRule], *, explicit: bool) -> None:
        """Add the contract of a tool that is defined at `owner`; every redactor that follows uses it from now on.

        `withheld` are the rules from the tool's annotations. They tighten a contract that was configured for the same
        tool, which is otherwise used alone. The same owner may declare again. If another owner declares a tool of that
        name, an `explicit` contract that differs raises `ContractError`; the rules in `withheld` are added.
        """
        declaration = _Declaration(owner, contract, tuple(withheld))
        with self._lock:
            known = self._declared.get(contract.name)
            if known is not None and known.owner != owner and known.contract != contract:
                if explicit:
                    raise ContractError(
                        "two tools of this name declare different contracts", path=contract.name,
                        hint="give one of them another name",
                    )  # fmt: skip
                declaration = known._replace(
                    contract=_tightened(known.contract, declaration.withheld),
                    withheld=(*known.withheld, *declaration.withheld),
                )
            self._declared[contract.name] = declaration
            for redactor, given in list(self._given.items()):
                redactor.use_contracts(self._with_declared(given))

    def follow(self, redactor: Redactor) -> None:
        """Make a redactor use the declared contracts beside those it was configured with, from now on."""
        with self._lock:
            given = self._given[redactor] = redactor.policy.contracts
            if self._declared:
                redactor.use_contracts(self._with_declared(given))

    def twin(self, redactor: Redactor) -> Redactor:
        """Return a second redactor with the same policy and a taint table of its own."""
        with self._lock:
            given = self._given.get(redactor, redactor.policy.contracts)
        made = Redactor(replace(redactor.policy, contracts=given))
        self.follow(made)
        return made

    def clear(self) -> None:
        """Remove all declarations. For tests."""
        with self._lock:
            self._declared.clear()

    def after_fork(self) -> None:
        """Replace the lock in a forked child: the thread that may hold it is not there."""
        self._lock = threading.Lock()

    def _with_declared(self, given: Mapping[str, ToolContract]) -> dict[str, ToolContract]:
        contracts = {name: one.contract for name, one in self._declared.items()}
        for name, contract in given.items():
            one = self._declared.get(name)
            contracts[name] = _tightened(contract, one.withheld) if one is not None else contract
        return contracts


DECLARED = DeclaredContracts()
"""The declared contracts of this process."""

forks.in_child(forks.Stage.POLICIES, DECLARED.after_fork)


def _tightened(contract: ToolContract, rules: Iterable[FieldRule]) -> ToolContract:
    """Return the contract with rules that withhold something added: of two for one place the stricter holds."""
    places = {(rule.selector, rule.target): rule for rule in contract.data.rules}
    for rule in rules:
        at = rule.selector, rule.target
        known = places.get(at)
        if known is None or STRICTNESS[rule.effective_action] > STRICTNESS[known.effective_action]:
            places[at] = rule
    data = contract.data.model_copy(update={"rules": tuple(places.values())})
    # Not by model_copy(), which would take the digest along.
    fields: dict[str, Any] = {name: getattr(contract, name) for name in type(contract).model_fields}
    return type(contract).model_construct(None, **{**fields, "data": data})
