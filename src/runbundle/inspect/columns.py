"""The span columns of a sealed bundle, made once and kept in the user's cache folder, and the lines they point to.

A file of the cache is named by the SHA-256 of a run.json. It is used only if it is ours alone, has the right form and
was made from the events.jsonl that this run.json lists; else the columns are made anew. The files may be deleted at any
time.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from runbundle.bundle.reader import Bundle, event_lines, parse_event_line
from runbundle.errors import MalformedBundle
from runbundle.format.layout import EVENTS
from runbundle.inspect.scan import columns_from
from runbundle.inspect.span_columns import SpanColumns, from_bytes
from runbundle.process.disk import make_folder
from runbundle.redaction.detectors import cache

__all__ = ["SpanColumns", "columns_from", "columns_of", "event_at", "events_of_span", "line_of", "lines_of"]

_FOLDER = "columns"
_MOST_KEPT = 50
"""Number of files that are kept, the last made; others are deleted when a new file is made."""


def columns_of(bundle: Bundle, *, keep: bool = True) -> SpanColumns:
    """Return the columns of a bundle, from the cache if they are there; without `keep` they are made anew.

    They are kept only if events.jsonl is what run.json says. Raises `MalformedBundle` with the number of the line.
    """
    if not keep:
        with bundle.store.open(f"{bundle.key}/{bundle.path(EVENTS)}") as file:
            return columns_from(line for _, line in event_lines(file))
    sealed = hashlib.sha256(bundle.index_bytes).hexdigest()
    listed = next((entry.sha256 for entry in bundle.index.files if entry.path == bundle.path(EVENTS)), "")
    name = f"{_FOLDER}/{sealed}"
    kept = from_bytes(cache.read(name) or b"")
    if kept is not None and (kept.header["run_json_sha256"], kept.header["events_sha256"]) == (sealed, listed):
        return kept
    digest = hashlib.sha256()
    with bundle.store.open(f"{bundle.key}/{bundle.path(EVENTS)}") as file:
        made = columns_from(_digested(file, digest), run_json_sha256=sealed, events_sha256=listed)
    if digest.hexdigest() == listed:
        _keep(name, made)
    return made


def _digested(file: BinaryIO, digest: Any) -> Iterator[bytes]:
    for _, line in event_lines(file):
        digest.update(line)
        yield line


def _keep(name: str, made: SpanColumns) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # no home, or it cannot be written: made anew next time
        place = cache.folder() / _FOLDER
        make_folder(place)
        dated = sorted((path.stat().st_mtime_ns, path) for path in place.iterdir())
        for _, path in dated[: max(0, len(dated) - _MOST_KEPT + 1)]:
            path.unlink(missing_ok=True)
        cache.write(name, made.to_bytes())


def line_of(bundle: Bundle, columns: SpanColumns, row: int, *, end: bool = True) -> dict[str, Any] | None:
    """Return the event that ended a span, or with `end=False` the one that started it; None if there is no such line.

    Only the bytes of that line are read. Raises `MalformedBundle` if they are not the event that the columns were made
    from: then events.jsonl has changed.
    """
    which = "ended" if end else "started"
    data = columns.data
    if not data[f"{which}_bytes"][row]:
        return None
    event = event_at(bundle, data[f"{which}_at"][row], data[f"{which}_bytes"][row])
    if event["span_id"] != columns.span_id(row) or event["type"] != f"span.{which}":
        raise MalformedBundle("is not what the columns were made from", file=bundle.path(EVENTS))
    return event


def event_at(bundle: Bundle, at: int, size: int) -> dict[str, Any]:
    """Return the event whose line is `size` bytes long and begins at the byte `at`. Raises `MalformedBundle`."""
    path = bundle.path(EVENTS)
    return parse_event_line(bundle.store.get_range(f"{bundle.key}/{path}", at, size), path, 0)


def events_of_span(bundle: Bundle, columns: SpanColumns, row: int) -> Iterator[dict[str, Any]]:
    """Yield the events that belong to a span, besides its start and end; -1 gives log records without a span."""
    for place in columns.others(row):
        yield event_at(bundle, columns.data["at"][place], columns.data["bytes"][place])


def lines_of(bundle: Bundle, columns: SpanColumns, row: int) -> list[dict[str, Any]]:
    """Return all events of a span in the order of their lines, by reading only these lines.

    The lines that say how the run began and ended are not among them.
    """
    data = columns.data
    places = [(data[f"{which}_at"][row], data[f"{which}_bytes"][row]) for which in ("started", "ended")]
    places += [(data["at"][place], data["bytes"][place]) for place in columns.others(row)]
    return [event_at(bundle, at, size) for at, size in sorted(places) if size]
