"""The checks of verify on files as bytes: each must exist and be the one that was sealed, in every revision."""

import hashlib
import os
from collections.abc import Callable

import orjson

from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.reader import index_bytes, parse_index
from runbundle.errors import BundleError, KeyNotFound
from runbundle.format.canonical import SELF, self_digest, sha256_hex, to_json_bytes
from runbundle.format.layout import RUN, SEALED, earlier_run_path, file_at, is_folder, name_of, revision_of
from runbundle.format.run import FileEntry, RunIndex
from runbundle.format.words import RULES
from runbundle.store import ArtifactStore

_CHUNK = 1_048_576


def check_own_digest(data: bytes, index: RunIndex, report: ReportBuilder) -> bool:
    """Check the digest that run.json contains of itself, and that its bytes are canonical.

    Return whether run.json names rules of assembly that this version knows.
    """
    fields = orjson.loads(data)
    if index.self_sha256 is None and index.rules is None:
        # Who takes both fields away could write anything into the others: nothing says more than that it is unchanged.
        report.notes.append("older than this check: run.json carries no digest of itself, and was not derived again")
        report.is_derived = False
        return False
    try:
        canonical, digest = to_json_bytes(fields, indent=True), self_digest(fields)
    except TypeError:  # nested deeper than anything that is written
        canonical, digest = b"", ""
    if canonical != data:
        report.add("RB211", "the same content has other bytes than the canonical ones", file=RUN)
    if fields.get(SELF) != digest:
        report.add("RB210", "is not what the digest that it carries says", file=RUN)
    if index.rules is None or index.rules < 1:
        report.add("RB212", "names no rules by which it was assembled", file=RUN)
    elif index.rules > RULES:
        report.add("RB213", f"was assembled by rules {index.rules}; this version knows those up to {RULES}", file=RUN)
    else:
        return True
    return False


def check_revisions(store: ArtifactStore, key: str, index: RunIndex, report: ReportBuilder) -> list[FileEntry]:
    """Check the chain of revisions back to the first; return the files that the earlier ones list."""
    files: list[FileEntry] = []
    if index.revision < 1 or (index.revision == 1 and index.supersedes is not None):
        report.add("RB207", f"revision {index.revision} supersedes none", file=RUN)
    while index.revision > 1:
        path = earlier_run_path(index.revision - 1)
        try:
            data = index_bytes(store, key, path)
            before = parse_index(data)
        except (KeyNotFound, BundleError):
            report.add("RB207", f"revision {index.revision - 1} cannot be read", file=path)
            break
        if sha256_hex(data) != index.supersedes or before.revision != index.revision - 1:
            report.add("RB207", f"is not what revision {index.revision} supersedes", file=path)
            break
        files += before.files
        index = before
    return files


def check_unlisted(
    store: ArtifactStore, key: str, index: RunIndex, data: bytes, extra: set[str], report: ReportBuilder
) -> None:
    """Check the files that no run.json lists (`extra`) against the table of the layout. `data`: bytes of run.json.

    An interrupted seal and a run.json that was put back to an earlier revision look the same, so both are a warning.
    """
    for entry in index.files:
        if (revision_of(entry.path) or 0) > index.revision:
            report.add("RB214", f"is later than run.json, which is revision {index.revision}", file=entry.path)
    for path in sorted(extra):
        file, number = file_at(path), revision_of(path)
        if file is None:
            report.add("RB203", "is not listed in run.json, and no file of a bundle", file=path)
        elif file.seal == "outside" or (
            number is not None and path == earlier_run_path(number) and number < index.revision
        ):
            continue
        elif number is None:
            elsewhere = any(name_of(entry.path) == path for entry in index.files)
            report.add("RB208" if elsewhere else "RB203", "is not listed in run.json", file=path)
        elif path == earlier_run_path(number) and (number > index.revision or _differs(store, f"{key}/{path}", data)):
            report.add("RB214", f"is as late as run.json, which is revision {index.revision}, or later", file=path)
        elif number > index.revision + 1:
            report.add("RB214", f"is later than run.json, which is revision {index.revision}", file=path)
        elif number > index.revision or path == earlier_run_path(number):
            report.add("RB215", f"is of revision {index.revision + 1}, which run.json is not", file=path)
        else:
            report.add("RB208", "is not listed in run.json", file=path)


def _differs(store: ArtifactStore, key: str, data: bytes) -> bool:
    try:
        return store.get(key) != data
    except KeyNotFound:
        return True


def check_strays(store: ArtifactStore, key: str, report: ReportBuilder) -> None:
    """Find entries that no listing shows: links and the like, files that begin with a dot, and unknown folders."""
    odd = {path[len(key) + 1 :]: kind for path, kind in store.odd(f"{key}/")}
    for path, kind in odd.items():
        report.add("RB230", f"is {kind}; it was not opened", file=path)
    folder = store.folder
    if folder is None:
        return
    pending = [""]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(folder / key / here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = f"{here}/{entry.name}" if here else entry.name
            if any(name == path or name.startswith(f"{path}/") for name in odd):
                continue  # said already
            if not entry.is_dir(follow_symlinks=False):
                if entry.name.startswith("."):
                    report.add("RB203", "begins with a dot, as no file of a bundle does", file=path)
            elif is_folder(path):
                pending.append(path)
            else:
                report.add("RB203", "is no folder of a bundle", file=path)


def is_unchanged(
    store: ArtifactStore,
    key: str,
    entry: FileEntry,
    present: set[str],
    report: ReportBuilder,
    also: Callable[[bytes], None] | None = None,
) -> bool:
    """Compare one file with its entry in run.json; return whether it is unchanged.

    Missing, modified, truncated, torn and grown files have findings of their own. `present`: paths that exist. `also`
    is handed the bytes that are read, so that none has to be read twice.
    """
    if name_of(entry.path) not in SEALED or file_at(entry.path) is None:
        report.add("RB203", "is listed in run.json, and no file that is sealed", file=entry.path)
    if entry.path not in present:
        report.add("RB202", "is listed in run.json and not there", file=entry.path)
        return False
    digest, size, last = hashlib.sha256(), 0, b""
    try:
        with store.open(f"{key}/{entry.path}") as file:
            while size <= entry.bytes and (chunk := file.read(_CHUNK)):
                digest.update(chunk)
                if also is not None:
                    also(chunk)
                size += len(chunk)
                last = chunk[-1:]
    except KeyNotFound:  # removed since the listing, or a link to nowhere
        report.add("RB202", "is listed in run.json and cannot be opened", file=entry.path)
        return False
    report.files += 1
    report.bytes += size
    if size < entry.bytes:
        code, how = ("RB204", "truncated") if last in (b"\n", b"") else ("RB205", "torn: it ends within a line")
        report.add(code, f"is {how}: {size} of {entry.bytes} bytes", file=entry.path)
    elif size > entry.bytes:  # and was not read to its end, which may be far
        report.add("RB206", f"has grown: sealed with {entry.bytes} bytes", file=entry.path)
    elif digest.hexdigest() != entry.sha256:
        report.add("RB201", "was modified: same size, another SHA-256", file=entry.path)
    else:
        return True
    return False
