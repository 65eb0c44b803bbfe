"""Run stores by URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from runbundle.errors import ConfigError
from runbundle.runstate.base import RunStore
from runbundle.runstate.sql.postgres import PostgresRunStore
from runbundle.runstate.sql.sqlite import SqliteRunStore


def from_url(url: str, *, tenant: str = "default") -> RunStore:
    """Return the run store that `url` names: a path, `sqlite:///path` or `postgresql://...`.

    The path in a URL is absolute, as in `sqlite:///var/lib/state.sqlite`. Nothing is created or connected yet. Raises
    `ConfigError` for any other URL, and if the driver of PostgreSQL is not installed.
    """
    if "://" not in url:
        return SqliteRunStore(url, tenant=tenant)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(
            "invalid URL of a run store", hint="give a path, sqlite:///path or postgresql://host/database"
        ) from None
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ConfigError(
                "invalid SQLite URL: it has three slashes and no host", hint="as in sqlite:///var/lib/state.sqlite"
            )
        return SqliteRunStore(Path(unquote(parts.path)), tenant=tenant)
    if parts.scheme in ("postgresql", "postgres"):
        return PostgresRunStore(url, tenant=tenant)
    raise ConfigError(
        f"no run store for URLs that begin with {parts.scheme}://", hint="give a path, sqlite:/// or postgresql://"
    )
