"""The composition root: builds the redactor of every entrance from arguments, environment and files.

It is one place, because an entrance that built its own would know fewer secrets than the others and leak them.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from runbundle import settings
from runbundle.contracts.declared import DECLARED
from runbundle.contracts.files import by_name
from runbundle.keyring.given_key import GivenKey
from runbundle.otel.digest_key import digest_key
from runbundle.process import forks
from runbundle.redaction.detectors.detector import default_detector
from runbundle.redaction.detectors.environment import register_environment
from runbundle.redaction.permitted.globs import checked_keys, checked_names
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.store import ArtifactStore, from_url
from runbundle.store.locations import DEFAULT_STORE

if TYPE_CHECKING:
    from runbundle.format.contract import FieldRule, ToolContract

Contracts = Iterable["ToolContract | Mapping[str, Any] | str | Path"] | str | None
"""Contracts, mappings or paths of files; a single text is a list of paths, as in the environment."""


Redacted = Literal["agents", "all"]
"""Whose telemetry is redacted for exporters: that of agents, or all. Bundles redact all in any case."""


def redacts_all(redact: Redacted) -> bool:
    """Tell whether all telemetry is redacted for exporters; raises `ConfigError` for an unknown word."""
    settings.check({"redact": redact})
    return redact == "all"


class Composition(NamedTuple):
    """The parts of an entrance: the URL of its store and its redactor."""

    store_url: str
    redactor: Redactor

    @property
    def policy(self) -> Policy:
        """The redactor's policy."""
        return self.redactor.policy


def compose(
    store: str | Path | ArtifactStore | None = None,
    contracts: Contracts = None,
    *,
    key: GivenKey | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: "Iterable[FieldRule]" = (),
    warm: bool = True,
) -> Composition:
    """Build the redactor of an entrance. An argument that is left out is taken from the environment.

    `store` decides which digests join; by default `RUNBUNDLE_STORE`, else `.runbundle` in the working directory. It is
    not opened. `contracts` are by default the files of `RUNBUNDLE_CONTRACTS`; contracts that tools declare are added,
    also those declared later. The values of variables that are credentials by their names, and the digest key, are
    registered as known secrets. With `warm`, rules are loaded in the background as `warm_up` does. Raises `ConfigError`
    for a key that must not be used, and `ContractError` for a contract that is wrong.
    """
    register_environment(os.environ)
    url = store.url if isinstance(store, ArtifactStore) else str(store or _store_of_environment())
    digester, origin, path = digest_key(url, key)
    policy = Policy(
        contracts=by_name(_each(contracts)),
        digester=digester,
        key_origin=origin,
        key_path=path,
        safe_keys=checked_keys(safe_keys),
        safe_names=checked_names(safe_names),
        user_id=user_id,
        result=tuple(result),
    )
    redactor = Redactor(policy)
    DECLARED.follow(redactor)
    if warm:
        warm_up()
    return Composition(url, redactor)


def open_store(store: str | Path | ArtifactStore | None = None) -> ArtifactStore:
    """Return the store that was given, or open that of the URL that was given, or that of the environment."""
    return store if isinstance(store, ArtifactStore) else from_url(str(store or _store_of_environment()))


def fallback_redactor() -> Redactor:
    """Return the redactor for values that are set while no configuration is active.

    It is that of the last configuration or bundle exporter; without one, it is built from the environment at the first
    call. If the environment's key or contracts are wrong, a redactor without contracts is used, which keeps nothing.
    """
    global _fallback
    if _fallback is None:
        with _lock:
            if _fallback is None:
                try:
                    _fallback = compose().redactor
                except Exception:  # noqa: BLE001 - a wrong key or contract of the environment must not reach the agent
                    _fallback = Redactor(Policy())
    return _fallback


def set_fallback_redactor(redactor: Redactor | None) -> None:
    """Set the redactor that serves while no configuration is active; None builds it from the environment."""
    global _fallback
    _fallback = redactor


_fallback: Redactor | None = None
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()


forks.in_child(forks.Stage.POLICIES, _after_fork_in_child)


def _store_of_environment() -> str:
    return settings.variable("RUNBUNDLE_STORE") or DEFAULT_STORE


def _each(contracts: Contracts) -> list[Any]:
    if contracts is None or isinstance(contracts, str):
        return [p for p in contracts.split(os.pathsep) if p] if contracts else settings.variables("RUNBUNDLE_CONTRACTS")
    return list(contracts)


def warm_up() -> None:
    """Load the rules of the detectors in the background: where they are not cached yet, that takes some seconds."""
    threading.Thread(target=default_detector, name="runbundle-rules", daemon=True).start()
