"""What verify asks of the files as bytes: that each is there and is what was sealed, in every revision."""

import hashlib

from runbundle.bundle.reader import index_bytes, parse_index, pointer
from runbundle.bundle.report import Report
from runbundle.errors import BundleError, KeyNotFound
from runbundle.models.bundle import FileEntry, RunIndex
from runbundle.models.canonical import sha256_hex
from runbundle.store import ArtifactStore

_CHUNK = 1_048_576


def cut_off(extra: str, index: RunIndex) -> bool:
    """Tell whether a seal that was cut off may have left this file: then run.json lists another of its name."""
    listed = pointer(index, extra)
    return listed is not None and listed.startswith("revisions/")


def superseded(store: ArtifactStore, key: str, index: RunIndex, report: Report) -> list[FileEntry]:
    """Follow the chain of revisions back to the first; return the files that the earlier ones list."""
    files: list[FileEntry] = []
    while index.revision > 1:
        path = f"revisions/{index.revision - 1}/run.json"
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


def is_unchanged(store: ArtifactStore, key: str, entry: FileEntry, present: set[str], report: Report) -> bool:
    """Compare one file with its entry: missing, modified, truncated, torn and grown are told apart."""
    if entry.path not in present:
        report.add("RB202", "is listed in run.json and not there", file=entry.path)
        return False
    digest, size, last = hashlib.sha256(), 0, b""
    try:
        with store.open(f"{key}/{entry.path}") as file:
            while size <= entry.bytes and (chunk := file.read(_CHUNK)):
                digest.update(chunk)
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
