"""Finding the keys of all bundles of a store by listing it."""

from collections.abc import Iterator
from itertools import groupby

from runbundle.format.identity import well_formed
from runbundle.format.layout import FOLDERS
from runbundle.store import ArtifactStore
from runbundle.store.base import is_key

_MANY = 50


def list_keys(store: ArtifactStore, *, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the keys of all bundles, sorted: `<run_id>` and `<tenant>/<run_id>`.

    A folder that contains only folders is that of a tenant. `known`: keys from an index; they are yielded without
    looking into their folders, if those still exist.
    """
    # A link in the place of a run is no run, and is named as what it is: it is not for us to pass over in silence.
    firsts = sorted(first for first in {*store.list_dirs(), *_links(store, "")} if well_formed(first))
    tenants = {key.partition("/")[0] for key in known if "/" in key}
    unknown = [first for first in firsts if first not in known and first not in tenants]
    inside = _inside(store, "") if len(unknown) > _MANY and store.folder is None else {}
    for first in firsts:
        if first in known:
            yield first
        elif first in tenants:
            inner = sorted({*store.list_dirs(first), *_links(store, first)} - FOLDERS)
            yield from (f"{first}/{name}" for name in inner)
        elif store.folder is not None:
            inner = sorted({*store.list_dirs(first), *_links(store, first)} - FOLDERS)
            files = bool(inner) and any("/" not in key[len(first) + 1 :] for key in store.list(f"{first}/"))
            yield from (f"{first}/{name}" for name in inner) if inner and not files else (first,)
        else:
            inner, files = (inside or _inside(store, f"{first}/")).get(first, ([], False))
            if inner or files:  # some servers list a folder when its last object has gone
                yield from (f"{first}/{name}" for name in inner) if not files else (first,)


def _links(store: ArtifactStore, prefix: str) -> list[str]:
    return [name for name, kind in store.odd(prefix, deep=False) if kind == "a link" and is_key(name)]


def _inside(store: ArtifactStore, prefix: str) -> dict[str, tuple[list[str], bool]]:
    """Return what lies in each first folder: folders that may be runs, and whether there are files too.

    By one listing: where each call is a round trip, that is far cheaper than looking into one folder after the other.
    """
    found: dict[str, tuple[list[str], bool]] = {}
    for first, keys in groupby(store.list(prefix), lambda key: key.partition("/")[0]):
        rest = [key[len(first) + 1 :] for key in keys if "/" in key]
        inner = sorted({path.partition("/")[0] for path in rest if "/" in path} - FOLDERS)
        found[first] = (inner, any("/" not in path for path in rest))
    return found
