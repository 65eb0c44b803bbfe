"""Stores by URL."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runbundle.errors import ConfigError, StoreUnavailable
from runbundle.settings import nearest
from runbundle.store.base import ArtifactStore
from runbundle.store.local import LocalStore
from runbundle.store.memory import MemoryStore

_EXAMPLES = {
    "file": "file:///var/lib/runbundle", "memory": "memory://", "s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix",
    "az": "az://container/prefix",
}  # fmt: skip
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")


def from_url(url: str) -> ArtifactStore:
    """Return the store that `url` names: a path, `file:///path`, `memory://`, `s3://`, `gs://` or `az://`.

    A path that ends in `.zip` and is a file is a zip that `runbundle export` wrote; it can only be read.

    Nothing is created and no server is called yet. Object stores need the extra `objects`. Their options are the fields
    of `runbundle.store.objects.urls.Settings`, as in `s3://bucket/prefix?endpoint=https://s3.example.com&timeout_s=10`.
    Raises `ConfigError` for any other URL, and for one that contains a credential.
    """
    if not url.strip() or "\0" in url:
        raise ConfigError(
            "invalid URL of a store: it is empty or holds NUL", hint="give a path, or a URL such as s3://bucket/prefix"
        )
    if "://" not in url:
        return _at(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("invalid URL of a store", hint="as in s3://bucket/prefix") from None
    if parts.scheme in ("file", "memory") and (parts.query or parts.fragment):
        raise ConfigError(f"{parts.scheme}:// URLs have no options", hint=f"as in {_EXAMPLES[parts.scheme]}")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ConfigError(
                "invalid file URL: it has three slashes and no host", hint="as in file:///var/lib/runbundle"
            )
        return _at(unquote(parts.path))
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme in ("s3", "gs", "az"):
        from runbundle.store.objects.store import ObjectStore

        return ObjectStore.from_url(url)
    known = nearest(parts.scheme, _EXAMPLES)
    near = f"did you mean {known}://? " if known else ""
    raise ConfigError(
        f"unknown kind of store: {parts.scheme}://",
        hint=f"{near}give a path, or a URL that begins with file://, memory://, s3://, gs:// or az://",
    )


def _at(path: str) -> ArtifactStore:
    if path.lower().endswith(".zip") and os.path.isfile(path):  # noqa: PTH113 - false for what is no path
        from runbundle.store.zipped import ZipStore

        return ZipStore(path)
    return LocalStore(_checked_path(path))


def _checked_path(path: str) -> str:
    """Return a path at which a store may lie. Raises `ConfigError` for a URL that lacks a slash, and for an archive."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/?(?!/)", path)
    near = nearest(scheme[1].lower(), _EXAMPLES) if scheme else ""
    if scheme and near and not os.path.isdir(path):  # noqa: PTH112 - false for what is no path
        rest = path[scheme.end() :].lstrip("/")
        shown = rest if re.fullmatch(r"[\w./-]{0,100}", rest) else ""
        if near != "file":
            shown = f"{near}://{shown}"
        elif not shown or scheme[0].endswith("/"):
            shown = f"file:///{shown}"
        # else a path without a slash before it begins in the folder where one is, which no URL can say
        raise ConfigError("invalid URL of a store: it lacks a slash", hint=f"did you mean {shown}?")
    if path.lower().endswith(_ARCHIVES) and not os.path.isdir(path):  # noqa: PTH112
        raise ConfigError("a store is a folder, and this names an archive", hint="name a folder, or unpack it first")
    return path


def local_root(url: str) -> Path | None:
    """Return the folder of a local store, with links resolved, from its URL or path; None for another URL."""
    if "://" in url and not url.startswith("file://"):
        return None
    return Path(os.path.realpath(unquote(urlsplit(url).path) if "://" in url else url))


def require_there(store: ArtifactStore) -> None:
    """Raise `StoreUnavailable` if a local store that is to be read does not exist.

    A missing store is not an empty one. Other kinds of stores are not examined.
    """
    folder = store.folder
    if folder is not None and not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise StoreUnavailable(
            f"the store {folder} {what}", hint="name it with --store or RUNBUNDLE_STORE; runbundle demo makes one"
        )


def canonical_url(url: str) -> str:
    """Return the one URL that stands for all URLs of the same store: without links, `..`, or options of the connection.

    A URL of an unknown scheme is returned as it is. Raises `ConfigError` for an invalid URL of an object store.
    """
    root = local_root(url)
    if root is not None:
        return root.as_uri()
    if urlsplit(url).scheme in ("s3", "gs", "az"):
        from runbundle.store.objects.urls import settings_of

        return settings_of(url).canonical_url
    return url
