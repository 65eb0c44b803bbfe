"""The findings of `runbundle doctor` about the spool: its disk, waiting runs, and counted losses."""

import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from runbundle.cli.options import open_store

if TYPE_CHECKING:
    from runbundle.otel.inspection.doctor import Diagnosis
    from runbundle.recording.probe import Ground
    from runbundle.recording.waiting import Unsealed

_LOSSES_SHOWN = 20
_MEANS = {
    "live": "being written",
    "waiting": "ended and waiting for a seal",
    "part": "parts that wait for a beginning elsewhere",
    "crashed": "cut off with their process",
    "quarantined": "in quarantine, since a credential was found in them",
    "failed": "given up by whoever tried to seal them",
}
_NOTES = ("live", "waiting", "part")


def spool_findings(store_url: str, *, writable: bool) -> "list[Diagnosis]":
    """Return findings about the spool of a store: its file system, its waiting runs, and its losses.

    `writable`: whether the store can be written. If it cannot, an unwritable spool is not reported again, since the
    spool mostly lies in the store. Makes no file or folder that stays.
    """
    from runbundle.errors import StoreError
    from runbundle.recording.probe import probe
    from runbundle.store.locations import spool_of

    try:
        store = open_store(store_url)
    except StoreError:
        return []  # said already
    spool = spool_of(store)
    # Nothing is made that was not there: a spool to come stands on what is there above it.
    ground = probe(next(place for place in (spool, *spool.absolute().parents) if place.exists()))
    found = _of_ground(ground if writable else ground._replace(error=""), spool)
    root: Path | None = getattr(store, "root", None)
    if root is not None and root.is_dir() and spool.is_dir() and root.stat().st_dev != spool.stat().st_dev:
        found += _of_space(probe(root), root)
    return found + _of_waiting(spool) + _of_losses(spool)


def _of_ground(ground: "Ground", spool: Path) -> "list[Diagnosis]":
    found = [_diagnosis("RB909", f"{message} ({spool})") for message in ground.messages()]
    if ground.error:
        found.append(_diagnosis("RB904", f"the spool {spool} cannot be written: {ground.error}"))
    return found + _of_space(ground, spool)


def _of_space(ground: "Ground", folder: Path) -> "list[Diagnosis]":
    if not ground.little_space:
        return []
    free, share = ground.free_bytes / (1 << 30), 100 * ground.free_bytes / ground.total_bytes
    return [_diagnosis("RB911", f"{free:.2f} GiB are free at {folder}, {share:.1f} %")]


def _of_waiting(spool: Path) -> "list[Diagnosis]":
    """Return one finding for each state in which there are runs."""
    from runbundle.cli.render import age, plural
    from runbundle.recording.waiting import unsealed_runs

    by_state: dict[str, list[Unsealed]] = defaultdict(list)
    for run in unsealed_runs(spool):
        by_state["part" if run.part else run.state].append(run)
    now = time.time_ns()
    found: list[Diagnosis] = []
    for state, means in _MEANS.items():
        runs = by_state.get(state)
        if runs:
            oldest = min(runs, key=lambda run: run.since_ns)
            message = (
                f"{plural(len(runs), 'run')} in the spool {spool}: {means}; the longest for"
                f" {age(now - oldest.since_ns)}, {oldest.key.path}"
            )
            found.append(_diagnosis("RB910", message, note=state in _NOTES))
    return found


def _of_losses(spool: Path) -> "list[Diagnosis]":
    """Return what processes have noted as lost, the latest first."""
    from runbundle.cli.render import plural
    from runbundle.format.layout import LOSSES
    from runbundle.recording.losses import read_losses

    losses = [loss for loss in reversed(read_losses(spool)) if loss.total]
    found: list[Diagnosis] = []
    for loss in losses[:_LOSSES_SHOWN]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(loss.counts.items()) if count)
        runs = list(dict.fromkeys(key for keys in loss.runs.values() for key in keys))
        of = f", of {', '.join(runs[:3])}{' and others' if len(runs) > 3 else ''}" if runs else ""
        said = f"process {loss.pid} lost {plural(loss.total, 'record')} by {loss.until}: {reasons}{of}"
        hint = f"when looked into, remove {spool / LOSSES / loss.file}"
        found.append(_diagnosis("RB303", said)._replace(hint=hint))
    if len(losses) > _LOSSES_SHOWN:
        found.append(_diagnosis("RB303", f"and {len(losses) - _LOSSES_SHOWN} more processes lost records"))
    return found


def _diagnosis(code: str, message: str, *, note: bool = False) -> "Diagnosis":
    from runbundle.format.findings import FINDINGS
    from runbundle.otel.inspection.doctor import Diagnosis

    spec = FINDINGS[code]
    return Diagnosis(code, "note" if note else spec.severity, message, spec.what_to_do)
