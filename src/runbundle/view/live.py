"""A run that is not sealed, from its journals as they grow: server-sent events of its spans, and of its state.

Each line is redacted again before anything of it is sent, since another process may have written it. A run in the
quarantine is named, and nothing of it is read. The id of an event says how far each journal was read, so a page that
connects again misses nothing and sees nothing twice.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from runbundle.bundle.assembly.timeline import status_of_entry
from runbundle.errors import KeyNotFound
from runbundle.format.identity import RunKey
from runbundle.format.layout import RUN
from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.journal.reader import journal_files
from runbundle.journal.spool import folder_of
from runbundle.redaction.receipt import parse_receipt
from runbundle.redaction.second_pass import redact_again
from runbundle.signals import own, semconv
from runbundle.signals.operations import attributes_of, operation
from runbundle.store import ArtifactStore
from runbundle.store.locations import spool_of
from runbundle.store.regular import NotRegular, descriptor_at
from runbundle.view.runs import unsealed

_EVERY_S = 0.2
_STATE_EVERY = 5  # looks at the journals for each look at who holds them
_MOST_READ_BYTES = 1_048_576  # of a journal at once
_MOST_LINE_BYTES = 64 * 1024 * 1024
_MOST_ROWS = 4000
_POSITION = re.compile(r"[A-Za-z0-9._-]{1,255}=[0-9]{1,15}")


class Tail:
    """Reads what was added to the journals of a run since it was last asked."""

    def __init__(self, folder: Path, position: str = "") -> None:
        """Begin at `position`, the id of an event that was sent before, or at the beginning."""
        self._folder = folder
        parts = [part for part in position.split(",") if _POSITION.fullmatch(part)]
        self._at = {name: int(number) for name, _, number in (part.rpartition("=") for part in parts)}

    @property
    def position(self) -> str:
        """How far each journal has been read."""
        return ",".join(f"{name}={at}" for name, at in sorted(self._at.items()))

    def rows(self) -> list[dict[str, Any]]:
        """Return what was added, as rows for the page: at most some thousands, the rest with the next call."""
        rows: list[dict[str, Any]] = []
        for path in journal_files(self._folder):
            if len(rows) < _MOST_ROWS:
                rows += self._added(path, _MOST_ROWS - len(rows))
        return rows

    def _added(self, path: Path, most: int) -> list[dict[str, Any]]:
        try:
            fd = descriptor_at(path)
        except (FileNotFoundError, NotADirectoryError, NotRegular):
            return []
        rows: list[dict[str, Any]] = []
        try:
            at = self._at.get(path.name, 0)
            for line in _whole_lines(fd, at):
                entry = parse_line(line)
                if entry is not None and is_entry(entry):
                    row = _row(redact_again(entry))
                    if row is not None:
                        row["place"] = {"writer": path.name, "at": at, "bytes": len(line)}
                        rows.append(row)
                at += len(line)
                if len(rows) >= most:
                    break
            self._at[path.name] = at
        finally:
            os.close(fd)
        return rows


def _whole_lines(fd: int, at: int) -> list[bytes]:
    """Return the lines that end within the next mebibyte, or one longer line; none of the zeros that follow them."""
    size = _MOST_READ_BYTES
    while True:
        data = os.pread(fd, size, at)
        end = data.rfind(b"\n") + 1
        if end or len(data) < size or data.endswith(b"\0") or size > _MOST_LINE_BYTES:
            return data[:end].splitlines(keepends=True) if b"\r" not in data else _split(data[:end])
        size *= 4


def _split(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def _row(entry: dict[str, Any]) -> dict[str, Any] | None:
    """Return the columns of a start or a span; None for anything else."""
    if entry["k"] == "log":
        return None
    started = entry["k"] == "start"
    attributes: dict[str, Any] = entry.get("attributes") or (attributes_of(entry.get("label", "")) if started else {})
    name = entry.get("name") or entry.get("label", "").partition(":")[2] or entry.get("label") or "…"
    row = {"id": entry["span_id"], "parent": entry["parent_span_id"], "start": str(entry["start_ns"]), "name": name,
           "op": operation(attributes), "lane": entry.get("lane", "")}  # fmt: skip
    if not started:
        receipt = parse_receipt(attributes.get(own.RECEIPT))
        row |= {
            "end": str(entry["end_ns"]), "status": status_of_entry(entry),
            "tool": str(attributes.get(semconv.TOOL_NAME, "")), "model": str(attributes.get(semconv.REQUEST_MODEL, "")),
            "withheld": receipt.count() if receipt is not None else 0,
        }  # fmt: skip
    return row


def entry_at(store: ArtifactStore, key: str, writer: str, at: int, count: int) -> dict[str, Any]:
    """Return what one line of a journal says, redacted again, in the form of the lines of a bundle."""
    run = unsealed(store, key)
    path = next((path for path in journal_files(_folder(store, key)) if path.name == writer), None)
    if run is None or run.state == "quarantined" or path is None:
        raise KeyNotFound("the journal is not there any more")
    fd = descriptor_at(path)
    try:
        entry = parse_line(os.pread(fd, count, at))
    finally:
        os.close(fd)
    if entry is None or not is_entry(entry):
        raise KeyNotFound("there is no such line")
    entry = redact_again(entry)
    said: dict[str, Any] | None = {"time_ns": str(entry["start_ns"]), "attributes": {}} if "start_ns" in entry else None
    if entry["k"] != "span":
        return {"started": said}
    failed = [event["attributes"] for event in entry["events"] if semconv.EXCEPTION_TYPE in event["attributes"]]
    error = (
        {"type": failed[-1][semconv.EXCEPTION_TYPE], "message": failed[-1].get(semconv.EXCEPTION_MESSAGE)}
        if failed
        else None
    )
    return {
        "started": said,
        "ended": {"attributes": entry["attributes"], "scope": entry["scope"], "error": error},
        "others": [{"type": "policy.decision" if event["name"] == own.DECISION else "span.event", "name": event["name"],
                    "attributes": event["attributes"]} for event in entry["events"]],
    }  # fmt: skip


def _folder(store: ArtifactStore, key: str) -> Path:
    tenant, _, run_id = key.rpartition("/")
    return folder_of(spool_of(store), RunKey(tenant, run_id))


async def events(
    store: ArtifactStore, key: str, position: str, gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Yield server-sent events of a run until it is sealed, is not there any more, or nobody listens."""
    tail = Tail(_folder(store, key), position)
    last: dict[str, Any] | None = None
    look = 0
    while not await gone():
        said = last
        if look % _STATE_EVERY == 0:
            said = await run_in_threadpool(_state, store, key)
        look += 1
        if said is not None and said["state"] not in ("quarantined", "sealed", "gone"):
            rows = await run_in_threadpool(tail.rows)
            if rows:
                yield b"id: %b\nevent: rows\ndata: %b\n\n" % (tail.position.encode(), orjson.dumps(rows))
                if len(rows) >= _MOST_ROWS:
                    continue  # there is more
        if said != last:
            last = said
            yield b"event: state\ndata: %b\n\n" % orjson.dumps(said)
        elif look % 50 == 0:
            yield b": still here\n\n"
        if said is not None and said["state"] in ("sealed", "gone"):
            return
        await asyncio.sleep(_EVERY_S)


def _state(store: ArtifactStore, key: str) -> dict[str, Any]:
    if store.exists(f"{key}/{RUN}"):
        return {"state": "sealed"}
    run = unsealed(store, key)
    return {"state": run.state, "name": run.name} if run is not None else {"state": "gone"}
