"""A plan: the policy compiled to data. It says what happens to each key, payload and name before the first record
comes.

The redactor runs a plan and decides nothing else. Another core may run the same plan; `tests/vectors` holds the answers
that every core must give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from runbundle.format.words import Target
from runbundle.redaction.captured import Said
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.bare_arguments import sole_argument
from runbundle.redaction.payloads.payload import PayloadRules, compile_payload_rules, no_payload_rules
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.redaction.permitted.globs import key_matcher, name_matcher
from runbundle.redaction.permitted.values import is_name
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.signals import own, semconv
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS, Kind
from runbundle.signals.records import Attributes, ResourceRecord, ScopeRecord

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract

Handling = Kind | Literal["error", "outcome"]
"""The way an attribute is handled: by the kind of its key, as an error's text, or as a run's result under rules."""


class Plan(NamedTuple):
    """A compiled policy. It never changes: a contract that is declared later makes a new plan."""

    keys: Mapping[str, Handling]
    """By key. A key that is in no table and not called safe is undeclared."""
    resource_keys: Mapping[str, Kind]
    safe_key: Callable[[str], bool] | None
    """Tells whether a key matches a pattern of safe keys; None if no pattern has a `*`."""
    safe_names: frozenset[str]
    safe_name: Callable[[str], bool] | None
    """Tells whether a name matches a pattern of safe names; None if no pattern has a `*`."""
    payloads: Mapping[tuple[str, Target], PayloadRules]
    """By tool and target."""
    result: PayloadRules
    """The rules for the result of a run."""
    stamps: Mapping[str, Attributes]
    """By tool: the attributes by which a span names its contract."""
    user_id: Literal["keep", "hash", "drop"]
    sole_arguments: Mapping[str, str]
    """By tool: the name of its only argument, as the contract has it, or ""."""


def compile_policy(policy: Policy) -> Plan:
    """Compile a policy to a plan."""
    safe: dict[str, Kind] = dict.fromkeys(policy.safe_keys, "name")
    apart: dict[str, Handling] = {semconv.EXCEPTION_MESSAGE: "error"}
    if policy.result:
        apart[own.RESULT] = "outcome"
    return Plan(
        keys={**safe, **SPAN_KEYS, **apart},
        resource_keys={**safe, **RESOURCE_KEYS},
        safe_key=key_matcher(policy.safe_keys),
        safe_names=policy.safe_names,
        safe_name=name_matcher(policy.safe_names),
        payloads={
            (name, target): compile_payload_rules(contract, target)
            for name, contract in policy.contracts.items()
            for target in ("input", "output", "error")
        },
        result=_result_rules(policy),
        stamps={name: _stamp(contract) for name, contract in policy.contracts.items()},
        user_id=policy.user_id,
        sole_arguments={name: sole_argument(contract) for name, contract in policy.contracts.items()},
    )


def _result_rules(policy: Policy) -> PayloadRules:
    if not policy.result:
        return no_payload_rules("result", "input")
    from runbundle.format.contract import DataHandling, ToolContract  # here: who records needs no models

    return compile_payload_rules(ToolContract(name="result", data=DataHandling(rules=policy.result)), "input")


def _stamp(contract: ToolContract) -> Attributes:
    return {
        own.CONTRACT_VERSION: contract.version if is_name(contract.version) else "?",
        own.CONTRACT_SHA256: contract.sha256,
        own.SIDE_EFFECTS: contract.side_effects,
    }


class Tenant:
    """The digester of one tenant, and caches of values that were worked out with its key."""

    __slots__ = ("digest", "hidden_keys", "resources", "scopes")

    def __init__(self, digest: Digester) -> None:
        self.digest = digest
        self.hidden_keys: dict[str, str] = {}
        # By identity, with the object itself so that its id cannot be reused: a process has a handful of each, and the
        # edges hand the same object for every span.
        self.scopes: dict[int, tuple[ScopeRecord, ScopeRecord]] = {}
        self.resources: dict[int, tuple[ResourceRecord, ResourceRecord]] = {}


class Work(NamedTuple):
    """The data at hand while one record is redacted."""

    plan: Plan
    receipt: Receipt
    tool: str
    """The record's tool, or ""."""
    taint: TaintTable
    """The values that were withheld in the record's run so far."""
    tenant: Tenant
    views: list[tuple[Attributes, str, str, Any]]
    """Views that wait to be written: the attributes to write to, the key, the path and the view."""
    said: Mapping[str, Said] | None = None
    """How the values of the attributes at hand were captured, by key; only those that were not captured whole."""
