"""What the page asks of a sealed run: its index, its columns, a few bytes of a file, and whether it is as sealed."""

import threading
from collections import OrderedDict
from typing import Any

import orjson

from runbundle.bundle.custody.baselines import gates_about
from runbundle.bundle.custody.holds import hold_of
from runbundle.bundle.evaluations import evaluations_of, stamped
from runbundle.bundle.reader import Bundle, index_bytes, parse_index
from runbundle.bundle.verify import verify
from runbundle.errors import KeyNotFound, NotSealed, OddEntry, StoreError
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import ATTESTATION, RUN
from runbundle.format.rules import rule_spec
from runbundle.format.run import RunIndex
from runbundle.inspect.columns import columns_of
from runbundle.store import ArtifactStore

_KEPT = 16
_MOST_GATES = 10
_parsed: OrderedDict[str, RunIndex] = OrderedDict()
_verifying = threading.Lock()


def opened(store: ArtifactStore, key: str) -> tuple[Bundle, str]:
    """Return a bundle and the SHA-256 of its run.json, which is read each time; parsed once for each content.

    Raises `NotSealed`, or another `BundleError`.
    """
    try:
        data = index_bytes(store, key)
    except OddEntry:
        raise
    except KeyNotFound:
        raise NotSealed("there is no such run in this store") from None
    digest = sha256_hex(data)
    index = _parsed.get(digest)
    if index is None:
        index = _parsed[digest] = parse_index(data)
        while len(_parsed) > _KEPT:
            _parsed.popitem(last=False)
    return Bundle(store, key, index, data), digest


def about(store: ArtifactStore, key: str) -> tuple[dict[str, Any], str]:
    """Return what the page shows of a run before it reads more, and the SHA-256 of its run.json."""
    bundle, digest = opened(store, key)
    return described(bundle, digest), digest


def described(bundle: Bundle, digest: str) -> dict[str, Any]:
    """Return run.json and what lies outside the seal: a hold, whether there is a signature; and words for its rules."""
    specs = {total.rule: rule_spec(total.rule) for total in bundle.index.redaction.totals}
    return {
        "key": bundle.key,
        "run": orjson.loads(bundle.index_bytes),
        "run_sha256": digest,
        "run_bytes": len(bundle.index_bytes),
        "rules": {rule: spec.title for rule, spec in specs.items() if spec is not None},
        "hold": _held(bundle),
        "signed": bundle.store.exists(f"{bundle.key}/{ATTESTATION}"),
    }


def columns(bundle: Bundle) -> bytes:
    """Return the file of the span columns of a run."""
    return columns_of(bundle).to_bytes()


def some_bytes(bundle: Bundle, path: str, at: int, count: int) -> bytes:
    """Return bytes of run.json or of a file that run.json lists. Raises `KeyNotFound` for any other path."""
    if path != RUN and all(entry.path != path for entry in bundle.index.files):
        raise KeyNotFound("the run has no such file")
    return bundle.store.get_range(f"{bundle.key}/{path}", at, count)


def verified(store: ArtifactStore, key: str, *, whole: bool) -> dict[str, Any]:
    """Return the report of `verify`, quick unless `whole`. Only one is made at a time."""
    with _verifying:
        report = verify(store, key, quick=not whole)
    return report.model_dump(mode="json", by_alias=True, exclude_none=True)


def scores(bundle: Bundle) -> dict[str, Any]:
    """Return the scorecard of a run, and the gates that judged it: its own first, then those of named baselines."""
    found = evaluations_of(bundle)
    gates, remarks = gates_about(bundle.store, sha256_hex(bundle.index_bytes))
    made = [*filter(None, [found.gate]), *(gate for gate in gates if gate != found.gate)]
    return {
        "scorecard": stamped(found.scorecard) if found.scorecard is not None else None,
        "gates": [stamped(gate) for gate in made[:_MOST_GATES]],
        "remarks": [*found.remarks, *remarks],
    }


def _held(bundle: Bundle) -> str | None:
    try:
        found = hold_of(bundle.store, bundle.key)
    except StoreError:
        return "cannot be read"
    return found.reason if found is not None else None
