"""Contracts that tools declare where they stand, for redactors that are there already and for those still to come."""

import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from runbundle.errors import ContractError
from runbundle.format.contract import STRICTNESS, FieldRule, ToolContract
from runbundle.process import forks
from runbundle.redaction.redactor import Redactor


class _Declaration(NamedTuple):
    owner: str
    contract: ToolContract
    withheld: tuple[FieldRule, ...]


class Declared:
    """The contracts declared in a process, by tool name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._declared: dict[str, _Declaration] = {}
        self._given: weakref.WeakKeyDictionary[Redactor, Mapping[str, ToolContract]] = weakref.WeakKeyDictionary()

    def declare(self, owner: str, contract: ToolContract, withheld: Iterable[FieldRule], *, explicit: bool) -> None:
        """Add the contract of a tool, defined at `owner`, and have all redactors that follow go by it from now on.

        `withheld`: the rules that the tool's annotations give. They hold beside a contract that was configured for the
        same tool, which else stands alone. The same owner may declare anew. Of another one's tool of that name the
        `explicit` contract is refused with `ContractError` if it differs; what annotations withhold is added.
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
                redactor.go_by(self._with_declared(given))

    def follow(self, redactor: Redactor) -> None:
        """Have a redactor, which goes by the contracts that were configured, go by those declared too, from now on."""
        with self._lock:
            given = self._given[redactor] = redactor.policy.contracts
            if self._declared:
                redactor.go_by(self._with_declared(given))

    def twin(self, redactor: Redactor) -> Redactor:
        """Return another redactor that goes by the same, and remembers by itself what it has withheld."""
        with self._lock:
            given = self._given.get(redactor, redactor.policy.contracts)
        made = Redactor(replace(redactor.policy, contracts=given))
        self.follow(made)
        return made

    def clear(self) -> None:
        """Forget all, for tests."""
        with self._lock:
            self._declared.clear()

    def after_fork(self) -> None:
        """Take a new lock in a forked child: whoever may have held the old one is not there."""
        self._lock = threading.Lock()

    def _with_declared(self, given: Mapping[str, ToolContract]) -> dict[str, ToolContract]:
        contracts = {name: one.contract for name, one in self._declared.items()}
        for name, contract in given.items():
            one = self._declared.get(name)
            contracts[name] = _tightened(contract, one.withheld) if one is not None else contract
        return contracts


DECLARED = Declared()
"""What the tools of this process declare."""

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
    fields: dict[str, Any] = {name: getattr(contract, name) for name in ToolContract.model_fields}
    return ToolContract.model_construct(None, **{**fields, "data": data})
