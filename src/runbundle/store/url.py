"""Stores by URL."""

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
