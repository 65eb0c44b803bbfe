"""What `tail` follows: the journals of live runs, line by line, until each run has its verdict."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runbundle.bundle.assembly.timeline import span_from_entry
from runbundle.bundle.catalog.facts import error_text
from runbundle.bundle.catalog.rows import Row, read_row
from runbundle.cli.printing import json_text
from runbundle.cli.render import duration
from runbundle.errors import RunbundleError
from runbundle.format.identity import RunKey
from runbundle.inspect.outcome import what_was_lost
from runbundle.inspect.spooled import chosen_by
from runbundle.journal.follow import Follower, time_of
from runbundle.journal.reader import journal_files
from runbundle.process.printable import printable
from runbundle.recording.waiting import Unsealed, touched_ns, unsealed_named, unsealed_runs
from runbundle.signals.names import name_from
from runbundle.signals.operations import attributes_of, operation

if TYPE_CHECKING:
    from runbundle.bundle.search.filters import RunFilter
    from runbundle.store import ArtifactStore

SEAL_WAIT_S = 10.0
"""How long an ended run may wait for its seal before that is its verdict."""
_SHORT = 8
_BAD = ("error", "blocked", "cancelled", "abandoned")


class Verdict(NamedTuple):
    """How a run came out, as far as following it tells."""

    state: str
    """`sealed`, or a state of the spool."""
    text: str


class Tail:
    """Follows the runs of one spool. `lines` is to be called again and again."""

    def __init__(
        self, store: "ArtifactStore", spool: Path, wanted: "RunFilter", *, failed_only: bool = False,
        as_json: bool = False,
    ) -> None:  # fmt: skip
        """`wanted` chooses the runs; `failed_only` leaves out all but spans that failed or were blocked."""
        self._store = store
        self._spool = spool
        self._wanted = wanted
        self._failed_only = failed_only
        self._as_json = as_json
        self._followed: dict[RunKey, Follower] = {}
        self._looked_at: dict[RunKey, int] = {}
        self._ended_at: dict[RunKey, float] = {}
        self.verdicts: dict[RunKey, Verdict] = {}
        """The verdicts of runs that are followed no more."""

    @property
    def following(self) -> int:
        """Number of runs without a verdict."""
        return len(self._followed)

    def follow(self, run: Unsealed) -> None:
        """Follow a run, whatever the filter says."""
        if run.key not in self._followed:
            self.verdicts.pop(run.key, None)
            self._followed[run.key] = Follower(run.folder, run.lines)

    def look(self) -> None:
        """Follow the runs in the spool that match by now and are being written, or have just been."""
        for run in unsealed_runs(self._spool):
            written = touched_ns(journal_files(run.folder))
            if run.key in self._followed or run.state != "live" or self._looked_at.get(run.key) == written:
                continue
            self._looked_at[run.key] = written
            if chosen_by(run, self._wanted, now_ns=time.time_ns()):
                self.follow(run)

    def lines(self) -> list[str]:
        """Return what is new of all runs that are followed, and the verdicts of those that ended, a line each."""
        found: list[tuple[int, str]] = []
        for key, follower in list(self._followed.items()):
            verdict = self._verdict(key)  # asked first: what was written before the end is read after it
            for entry in follower.new():
                line = self._line(key, entry)
                if line:
                    found.append((time_of(entry), line))
            if verdict is not None:
                follower.close()
                del self._followed[key]
                self.verdicts[key] = verdict
                found.append((2**63, self._said(key, verdict)))
        return [line for _, line in sorted(found, key=lambda each: each[0])]

    def close(self) -> None:
        """Close all journals."""
        for follower in self._followed.values():
            follower.close()

    def _verdict(self, key: RunKey) -> Verdict | None:
        """Return how a run came out; None as long as it is written, or its seal may still come."""
        runs = [run for run in unsealed_named(self._spool, key.path) if run.key == key]
        if not runs:
            try:
                row = read_row(self._store, key.path)
            except RunbundleError as error:
                return Verdict("gone", f"gone from the spool; the store does not answer: {error.message}")
            return sealed_as(row)
        run = runs[0]
        if run.state == "live":
            self._ended_at.pop(key, None)
            return None
        if run.state == "waiting":
            since = self._ended_at.setdefault(key, time.monotonic())
            if time.monotonic() - since < SEAL_WAIT_S:
                return None
        return Verdict(run.state, ended_as(run))

    def _said(self, key: RunKey, verdict: Verdict) -> str:
        if self._as_json:
            return verdict_as_json(key.path, verdict)
        return printable(f"{_clock(time.time_ns())}  {_short(key)}  == {verdict.text}")

    def _line(self, key: RunKey, entry: dict[str, Any]) -> str:
        said = describe(entry)
        if self._failed_only and said["status"] not in _BAD:
            return ""
        if self._as_json:
            return json_text({"key": key.path, **said}).rstrip("\n")
        what = f"{said['op']} {said['name']}".strip() if said["op"] != "other" else said["name"]
        mark = {"begins": ">", "ends": "<", "log": "-"}[said["event"]]
        parts = [_clock(int(said["time_ns"])), _short(key), f"{mark} {what}"]
        if said["event"] == "ends":
            parts += ["ok" if said["status"] == "unset" else said["status"], duration(said["duration_ns"])]
        return printable("  ".join(part for part in [*parts, said["error"]] if part))


def describe(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a line says of an entry of a journal: what began, ended or was logged, and how it went."""
    said: dict[str, Any] = {
        "event": {"span": "ends", "start": "begins"}.get(entry["k"], "log"), "time_ns": str(time_of(entry)),
        "trace_id": entry["trace_id"], "span_id": entry["span_id"], "op": "other", "name": "", "status": "",
        "duration_ns": "0", "error": "",
    }  # fmt: skip
    if entry["k"] == "log":
        return said | {"name": str(entry.get("event_name") or "log")}
    if entry["k"] == "start":
        known: dict[str, Any] = {**attributes_of(entry.get("label", "")), **(entry.get("attributes") or {})}
        op = "run" if entry.get("is_run") else operation(known)
        name = str(entry.get("name") or entry.get("label", "").partition(":")[2] or name_from(known))
        return said | {"op": op, "name": _bare(op, name)}
    span = span_from_entry(entry, ended=True)
    took = max(0, entry["end_ns"] - entry["start_ns"])
    return said | {
        "op": span.op, "name": _bare(span.op, entry["name"]), "status": span.status, "duration_ns": str(took),
        "error": error_text(span.error() or {}),
    }  # fmt: skip


def verdict_as_json(key: str, verdict: Verdict) -> str:
    """Return the line of `--format json` that says how a run came out."""
    return json_text({"key": key, "verdict": verdict.state, "note": verdict.text}).rstrip("\n")


def sealed_as(row: Row) -> Verdict:
    """Return the verdict of a run that is in the spool no more."""
    if row.problem:
        return Verdict("gone", f"gone from the spool, and {row.problem}")
    whole = what_was_lost(row) or row.completeness
    return Verdict("sealed", f"sealed: {row.status}, {whole}")


def ended_as(run: Unsealed) -> str:
    """Return the verdict of a run that is not sealed and that nobody writes."""
    return {
        "crashed": "crashed: its process died; runbundle recover seals what was recorded",
        "waiting": "a part of a run that began elsewhere" if run.part else "ended, and nobody has sealed it",
        "quarantined": "in quarantine: a credential was found in it; runbundle explain RB407",
        "failed": f"could not be sealed: {run.note}",
    }.get(run.state, run.state)


def _bare(op: str, name: str) -> str:
    """Return a span's name without the word that its kind says already."""
    words = {"run": "run ", "agent": "invoke_agent ", "tool": "execute_tool ", "model": "chat ", "step": "step ",
             "retrieval": "retrieval "}  # fmt: skip
    return name.removeprefix(words.get(op, ""))


def _short(key: RunKey) -> str:
    run_id = key.run_id if len(key.run_id) <= _SHORT + 4 else key.run_id[:_SHORT]
    return f"{key.tenant_id}/{run_id}" if key.tenant_id else run_id


def _clock(ns: int) -> str:
    return datetime.fromtimestamp(min(ns // 1_000_000_000, 253_402_300_799)).strftime("%H:%M:%S") + (
        f".{ns // 1_000_000 % 1000:03d}"
    )
