"""A policy: contracts, additional safe keys and names, and the key of the digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson

from runbundle.redaction.markers import Digester

if TYPE_CHECKING:
    from runbundle.format.contract import FieldRule, ToolContract

RULES_VERSION = "5"
"""Changes whenever the built-in tables decide differently, so that the policy digest of a bundle changes too."""

KeyOrigin = Literal["explicit", "keyring", "process"]
"""Where the root of the keys comes from: given by someone, kept for this user, or drawn for this process only."""


@dataclass(frozen=True)
class Policy:
    """Everything besides the record itself that decides about the record."""

    contracts: Mapping[str, ToolContract] = field(default_factory=dict[str, "ToolContract"])
    """By tool name."""
    digester: Digester = field(default_factory=Digester)
    """Keyed digests of records without a tenant; those of other tenants are derived from it. By default its root is
    drawn at random and dies with the process.
    """
    key_origin: KeyOrigin = "process"
    key_path: Path | None = None
    """The file of a root that is kept for this user."""
    safe_keys: frozenset[str] = frozenset()
    """Attribute keys whose values are kept if they are numbers or short names: `app.order_kind`."""
    safe_names: frozenset[str] = frozenset()
    """Span and event names kept as they are, besides those that follow from known attributes."""
    user_id: Literal["keep", "hash", "drop"] = "hash"
    """The treatment of a run's user id."""
    result: tuple[FieldRule, ...] = ()
    """Rules for the fields of a run's result. Without a rule no field is kept."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the policy without its key. Bundles with the same one were redacted by the same rules."""
        body = {
            "rules": RULES_VERSION,
            "contracts": {name: contract.sha256 for name, contract in self.contracts.items()},
            "safe_keys": sorted(self.safe_keys),
            "safe_names": sorted(self.safe_names),
            "user_id": self.user_id,
            "result": [rule.model_dump(mode="json") for rule in self.result],
        }
        return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
