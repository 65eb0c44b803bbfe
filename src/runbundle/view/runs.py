"""What the page asks of a run: its index, its columns, a few bytes of a file, and what its tabs say."""

import threading
from collections import OrderedDict
from functools import cached_property
from typing import Any

import orjson

from runbundle.bundle.reader import Bundle, index_bytes, parse_index
from runbundle.errors import KeyNotFound, NotSealed, OddEntry
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import RUN
from runbundle.format.run import RunIndex
from runbundle.inspect.columns import columns_of
from runbundle.inspect.snapshot import snapshot
from runbundle.inspect.span_columns import SpanColumns
from runbundle.recording.waiting import Unsealed, unsealed_named
from runbundle.store import ArtifactStore
from runbundle.store.locations import spool_of
from runbundle.view.blocks import Block
from runbundle.view.tabs import TABS, integrity, not_sealed, unverified

_KEPT, _SNAPSHOTS = 16, 2
_verifying = threading.Lock()


class Opened:
    """A run that the page looks at: a sealed bundle, or what the journals said when they were read."""

    def __init__(self, bundle: Bundle, digest: str, run: Unsealed | None = None) -> None:
        self.bundle = bundle
        self.digest = digest
        """SHA-256 of run.json: it changes when the run is sealed anew, or its journals grow."""
        self.run = run
        """The run in the spool, if it is not sealed."""

    @cached_property
    def columns(self) -> SpanColumns:
        """The span columns. Those of a run that is not sealed are not kept in the user's cache; what a snapshot calls
        interrupted is open while the process lives.
        """
        found = columns_of(self.bundle, keep=self.run is None)
        if self.run is None or self.run.state != "live":
            return found
        words = ["open" if word == "interrupted" else word for word in found.header["statuses"]]
        return SpanColumns({**found.header, "statuses": words}, found.data)


_parsed: OrderedDict[str, RunIndex] = OrderedDict()
_snapshots: OrderedDict[tuple[str, str, str], Opened] = OrderedDict()


def opened(store: ArtifactStore, key: str, known: str = "") -> Opened:
    """Return a run. Of a sealed one run.json is read each time, and parsed once for each content.

    Of one in the spool the journals are read anew, unless `known` is the digest of a reading that is still held. Raises
    `NotSealed`, or another `BundleError`.
    """
    try:
        data = index_bytes(store, key)
    except OddEntry:
        raise
    except KeyNotFound:
        return _unsealed(store, key, known)
    digest = sha256_hex(data)
    index = _parsed.get(digest)
    if index is None:
        index = _parsed[digest] = parse_index(data)
        _forget(_parsed, _KEPT)
    return Opened(Bundle(store, key, index, data), digest)


def unsealed(store: ArtifactStore, key: str) -> Unsealed | None:
    """Return the run in the spool with that key, or None."""
    return next((run for run in unsealed_named(spool_of(store), key) if run.key.path == key), None)


def _unsealed(store: ArtifactStore, key: str, known: str) -> Opened:
    if held := _snapshots.get((store.url, key, known)):
        return held
    run = unsealed(store, key)
    if run is None:
        raise NotSealed("there is no such run in this store")
    bundle = snapshot(run)
    digest = sha256_hex(bundle.index_bytes)
    found = _snapshots[store.url, key, digest] = Opened(bundle, digest, run)
    _forget(_snapshots, _SNAPSHOTS)
    return found


def _forget(held: OrderedDict[Any, Any], most: int) -> None:
    while len(held) > most:
        held.popitem(last=False)


def about(store: ArtifactStore, key: str) -> tuple[dict[str, Any], str]:
    """Return what the page shows of a run before it reads more, and its digest; of one in the spool only its state."""
    try:
        index_bytes(store, key)
    except OddEntry:
        raise
    except KeyNotFound:
        run = unsealed(store, key)
        if run is None:
            raise NotSealed("there is no such run in this store") from None
        return {"key": key, "state": run.state, "name": run.name, "note": run.note}, ""
    run = opened(store, key)
    return described(run.bundle), run.digest


def described(bundle: Bundle) -> dict[str, Any]:
    """Return the key of a bundle and its run.json."""
    return {"key": bundle.key, "run": orjson.loads(bundle.index_bytes)}


def some_bytes(bundle: Bundle, path: str, at: int, count: int) -> bytes:
    """Return bytes of run.json or of a file that run.json lists. Raises `KeyNotFound` for any other path."""
    if path != RUN and all(entry.path != path for entry in bundle.index.files):
        raise KeyNotFound("the run has no such file")
    return bundle.store.get_range(f"{bundle.key}/{path}", at, count)


def tab(store: ArtifactStore, key: str, name: str, *, whole: bool = False) -> list[Block]:
    """Return what a tab says. `whole`: verify all of the bundle. Only one bundle is verified at a time."""
    if name not in TABS:
        raise KeyNotFound("the page has no such tab")
    if name == "integrity":
        run = None if store.exists(f"{key}/{RUN}") else unsealed(store, key)
        if run is not None:
            return not_sealed(run)
        with _verifying:
            return integrity(opened(store, key).bundle, whole=whole)
    run = opened(store, key)
    blocks = TABS[name](run.bundle, run.columns)
    return blocks if run.run is None else unverified(blocks)
