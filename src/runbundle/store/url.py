"""Stores by URL."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runbundle.errors import ConfigError
from runbundle.store.base import ArtifactStore
from runbundle.store.local import LocalStore
from runbundle.store.memory import MemoryStore


def from_url(url: str) -> ArtifactStore:
    """Return the store that `url` names: a path, `file:///path`, `memory://`, or `s3://`, `gs://`, `az://`.

    Nothing is created, and no server is asked, yet. Object stores need the extra `objects`; their options are those of
    `runbundle.store.object_urls.Settings`, as in `s3://bucket/prefix?endpoint=https://s3.example.com&timeout_s=10`.
    """
    if "://" not in url:
        return LocalStore(url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ConfigError("a file URL has three slashes and no host", hint="as in file:///var/lib/runbundle")
        return LocalStore(unquote(parts.path))
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme in ("s3", "gs", "az"):
        from runbundle.store.objects import ObjectStore

        return ObjectStore.from_url(url)
    raise ConfigError(
        f"no store for URLs that begin with {parts.scheme}://",
        hint="give a path, or a URL that begins with file://, memory://, s3://, gs:// or az://",
    )


def local_root(url: str) -> Path | None:
    """Return the folder that the URL or path of a local store names, as the file system has it; None for others."""
    if "://" in url and not url.startswith("file://"):
        return None
    return Path(os.path.realpath(unquote(urlsplit(url).path) if "://" in url else url))


def canonical_url(url: str) -> str:
    """Return the one URL of all that name the same store: without links, options of the connection, or `..`.

    A URL that is not understood comes back as it is. Raises `ConfigError` for an object store's that is wrong.
    """
    root = local_root(url)
    if root is not None:
        return root.as_uri()
    if urlsplit(url).scheme in ("s3", "gs", "az"):
        from runbundle.store.object_urls import settings_of

        return settings_of(url).place
    return url
