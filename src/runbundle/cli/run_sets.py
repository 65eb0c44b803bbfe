"""Sets of runs as commands are given them: by name, by pattern, as a whole store, or as a baseline."""

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from runbundle.cli.printing import say
from runbundle.errors import BundleError, KeyNotFound, NotSealed, UnsupportedVersion

if TYPE_CHECKING:
    from runbundle.bundle.custody.baselines import Kept
    from runbundle.bundle.reader import Bundle
    from runbundle.format.verify_report import VerifyReport
    from runbundle.store import ArtifactStore

RUNS_HELP = (
    "A run is a path, a run id, the beginning of a run id, or @last; a pattern such as 'nightly-*' stands for all runs"
    " whose ids it fits, and a folder or URL of a store for all of its runs."
)


class Checked(NamedTuple):
    """A bundle, and what verify says of it."""

    bundle: "Bundle"
    report: "VerifyReport"


class Unsound(Exception):
    """Bundles that do not verify: the run and what is wrong with it, one line each."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


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


def open_checked(runs: "Iterable[tuple[ArtifactStore, str]]") -> list[Checked]:
    """Open and verify bundles. Raises `Unsound` for those that do not verify, and `Exit` with 3 for an unsealed one."""
    from runbundle.bundle.reader import Bundle
    from runbundle.bundle.verify import verify

    opened: list[Checked] = []
    problems: list[tuple[str, str]] = []
    for store, key in runs:
        try:
            bundle = Bundle.open(store, key)
        except NotSealed as error:
            say(f"error: {error.message}", err=True)
            raise click.exceptions.Exit(3) from None
        except UnsupportedVersion:
            raise
        except BundleError as error:
            problems.append((key, error.message))
            continue
        report = verify(store, key)
        if report.verdict == "failed":
            first = next(finding for finding in report.findings if finding.severity == "error")
            problems.append((key, f"{first.code} {first.file or ''}: {first.message}"))
        opened.append(Checked(bundle, report))
    if problems:
        raise Unsound(problems)
    return opened


def baseline_runs(store: "ArtifactStore", kept: "Kept") -> "list[tuple[ArtifactStore, str]]":
    """Return the runs of a baseline. Raises `Unsound` if one is not there, or is not the one that was taken in."""
    from runbundle.bundle.custody.baselines import key_of
    from runbundle.bundle.reader import index_bytes
    from runbundle.format.canonical import sha256_hex

    problems: list[tuple[str, str]] = []
    for subject in kept.entry.subjects:
        key = key_of(subject)
        where = f"entry {kept.entry.number} of the baseline {kept.entry.name}"
        try:
            if sha256_hex(index_bytes(store, key)) != subject.run_sha256:
                problems.append((key, f"run.json is another one than {where} names"))
        except KeyNotFound:
            problems.append((key, f"is not in the store, and {where} names it"))
    if problems:
        raise Unsound(problems)
    return [(store, key_of(subject)) for subject in kept.entry.subjects]
