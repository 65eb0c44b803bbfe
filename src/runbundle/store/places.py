"""What lies beside a store and is no part of it: the spool of journals, the vault of debug mode, the run state."""

from pathlib import Path

from runbundle import settings
from runbundle.format.layout import SPOOL, STATE, VAULT
from runbundle.store.base import ArtifactStore

DEFAULT_STORE = ".runbundle"
"""Where bundles go if nothing says otherwise: a folder of the working directory."""


def spool_of(store: ArtifactStore) -> Path:
    """Return where a store's journals lie: `RUNBUNDLE_SPOOL`, else inside a local store, else the working directory."""
    return _beside(store, "RUNBUNDLE_SPOOL", SPOOL)


def vault_of(store: ArtifactStore) -> Path:
    """Return where a store's vault lies: `RUNBUNDLE_VAULT`, else inside a local store, else the working directory.

    The name begins with a dot, so that no key of the store leads there.
    """
    return _beside(store, "RUNBUNDLE_VAULT", VAULT)


def run_state_of(store: ArtifactStore) -> Path:
    """Return the file of a store's run state, in the folder `RUNBUNDLE_STATE`, else inside a local store, else here.

    The name of its folder begins with a dot, so that no key of the store leads there.
    """
    return _beside(store, "RUNBUNDLE_STATE", STATE) / "runbundle.sqlite"


def _beside(store: ArtifactStore, variable: str, name: str) -> Path:
    named = settings.variable(variable)
    root = getattr(store, "root", None)
    return Path(named) if named else Path(root or DEFAULT_STORE) / name
