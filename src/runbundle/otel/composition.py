"""The composition root: what every entrance redacts by, built in one place from arguments, environment and files.

An entrance that built its own would know fewer secrets than the others, and leak what they mask.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from runbundle import settings
from runbundle.contracts.declared import DECLARED
from runbundle.contracts.files import by_name
from runbundle.format.contract import FieldRule, ToolContract
from runbundle.keyring.given_key import GivenKey
from runbundle.otel.digest_key import digest_key
from runbundle.process import forks
from runbundle.redaction.detectors.detector import default_detector
from runbundle.redaction.detectors.environment import register_environment
from runbundle.redaction.permitted.globs import checked_keys, checked_names
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.store import ArtifactStore, from_url
from runbundle.store.places import DEFAULT_STORE

Contracts = Iterable[ToolContract | Mapping[str, Any] | str | Path] | str | None
"""Contracts, mappings, or paths of files; one text is a list of paths, as the environment has it."""


Redacted = Literal["agents", "all"]
"""What is redacted for other sinks than bundles: the telemetry of agents, or all."""


def redacts_all(redact: Redacted) -> bool:
    """Tell whether all telemetry is redacted for other sinks. Raises `ConfigError` for a word that there is not."""
    settings.check({"redact": redact})
    return redact == "all"


class Composition(NamedTuple):
    """What an entrance is made of."""

    store_url: str
    redactor: Redactor

    @property
    def policy(self) -> Policy:
        """What the redactor goes by."""
        return self.redactor.policy


def composed(
    store: str | Path | ArtifactStore | None = None,
    contracts: Contracts = None,
    *,
    key: GivenKey | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: Iterable[FieldRule] = (),
) -> Composition:
    """Build what an entrance redacts by. Each argument left out is what the environment says.

    `store`: whose digests are to join; default `RUNBUNDLE_STORE`, else `.runbundle` in the working directory. Nothing
    is opened there. `contracts`: default the files of `RUNBUNDLE_CONTRACTS`. The contracts that tools declare where
    they stand are added, also those declared later. Known secrets are registered: the values of variables whose names
    say so, and the digest key. Raises `ConfigError` for a key that must not be used, `ContractError` for a contract
    that is wrong.
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
    _warm_up()
    return Composition(url, redactor)


def opened(store: str | Path | ArtifactStore | None = None) -> ArtifactStore:
    """Return the store that was given, or the one of the URL that was given, or that of the environment."""
    return store if isinstance(store, ArtifactStore) else from_url(str(store or _store_of_environment()))


def redactor_of_nobody() -> Redactor:
    """Return what redacts values at their source while no configuration is active.

    It is the one of the last configuration, or of the exporter that writes bundles, else one that the environment
    gives, built when it is first needed. Where none can be built nothing is known of contracts, and nothing is kept.
    """
    global _of_nobody
    if _of_nobody is None:
        with _lock:
            if _of_nobody is None:
                try:
                    _of_nobody = composed().redactor
                except Exception:  # noqa: BLE001 - a wrong key or contract of the environment must not reach the agent
                    _of_nobody = Redactor(Policy())
    return _of_nobody


def stand_in(redactor: Redactor | None) -> None:
    """Let a redactor serve while no configuration is active; None for the one of the environment."""
    global _of_nobody
    _of_nobody = redactor


_of_nobody: Redactor | None = None
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


def _warm_up() -> None:
    # In the background: on a machine that has not done it yet, compiling all rules takes some seconds.
    threading.Thread(target=default_detector, name="runbundle-rules", daemon=True).start()
