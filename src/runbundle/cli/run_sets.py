"""Sets of runs as commands are given them: by name, by pattern, or as a whole store."""

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbundle.cli.printing import say
from runbundle.errors import KeyNotFound, NotSealed

if TYPE_CHECKING:
    from runbundle.compare.gating.made import Checked
    from runbundle.store import ArtifactStore

RUNS_HELP = (
    "A run is a path, a run id, the beginning of a run id, or @last; a pattern such as 'nightly-*' stands for all runs"
    " whose ids it fits, and a folder or URL of a store for all of its runs."
)


def find_runs(store: "ArtifactStore", names: Iterable[str]) -> "list[tuple[ArtifactStore, str]]":
    """Return store and key of each run that `names` stand for, each once, in the order given. Raises `KeyNotFound`."""
    from runbundle.bundle.catalog.keys import list_keys
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.checks.describe import is_folder_of_a_bundle
    from runbundle.cli.options import read_store

    found: dict[tuple[str, str], ArtifactStore] = {}
    for name in names:
        if "://" in name or (os.path.isdir(name) and not is_folder_of_a_bundle(Path(name))):  # noqa: PTH112 - any text
            other = read_store(name)
            keys = [(other, key) for key in list_keys(other)]
        elif any(sign in name for sign in "*?["):
            keys = [
                (store, key)
                for key in list_keys(store)
                if fnmatchcase(key, name) or fnmatchcase(key.rpartition("/")[2], name)
            ]
        else:
            keys = [resolve(store, name)]
        if not keys:
            raise KeyNotFound(f"no run fits {name[:120]}", hint="runbundle ls lists the runs of a store")
        for place, key in keys:
            found.setdefault((place.url, key), place)
    return [(place, key) for (_, key), place in found.items()]


def checked_runs(runs: "Iterable[tuple[ArtifactStore, str]]") -> "list[Checked]":
    """Open and verify bundles. Raises `Unsound` for those that do not verify, and `Exit` with 3 for an unsealed one."""
    from runbundle.compare.gating.made import open_checked

    try:
        return open_checked(runs)
    except NotSealed as error:
        say(f"error: {error.message}", err=True)
        raise click.exceptions.Exit(3) from None
