"""Where the data that accompanies a store lies: the spool of journals, the vault of debug mode, the run state."""

from pathlib import Path

from runbundle import settings
from runbundle.format.layout import SPOOL, STATE, VAULT
from runbundle.store.base import ArtifactStore

DEFAULT_STORE = ".runbundle"
"""The store that is used if none is named: a folder of the working directory."""


def spool_of(store: ArtifactStore) -> Path:
    """Return the spool of a store: `RUNBUNDLE_SPOOL`, else a folder of the local store or the working directory."""
    return _folder(store, "RUNBUNDLE_SPOOL", SPOOL)


def vault_of(store: ArtifactStore) -> Path:
    """Return the vault of a store: `RUNBUNDLE_VAULT`, else a folder of the local store, else of the working directory.

    The name of the folder begins with a dot, so no key of the store leads there.
    """
    return _folder(store, "RUNBUNDLE_VAULT", VAULT)


def run_state_of(store: ArtifactStore) -> Path:
    """Return the SQLite file of a store's run state.

    It lies in the folder `RUNBUNDLE_STATE`, else in a folder of the local store, else of the working directory. The
    name of that folder begins with a dot, so no key of the store leads there.
    """
    return _folder(store, "RUNBUNDLE_STATE", STATE) / "runbundle.sqlite"


def _folder(store: ArtifactStore, variable: str, name: str) -> Path:
    named = settings.variable(variable)
    root = getattr(store, "root", None)
    return Path(named) if named else Path(root or DEFAULT_STORE) / name
