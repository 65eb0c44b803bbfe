"""Stores by URL."""

from urllib.parse import unquote, urlsplit

from runbundle.errors import ConfigError
from runbundle.store.base import ArtifactStore
from runbundle.store.local import LocalStore
from runbundle.store.memory import MemoryStore


def from_url(url: str) -> ArtifactStore:
    """Return the store that `url` names: a path, `file:///path`, or `memory://`. Nothing is created yet."""
    if "://" not in url:
        return LocalStore(url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ConfigError("a file URL has three slashes and no host", hint="as in file:///var/lib/runbundle")
        return LocalStore(unquote(parts.path))
    if parts.scheme == "memory":
        return MemoryStore()
    raise ConfigError(
        f"no store for URLs that begin with {parts.scheme}://", hint="give a path, a file:// URL, or memory://"
    )
