"""A run as one HTML file, which opens without a server and asks nobody for anything: for a ticket, a mail, an archive.

The file has the page's code, the span columns, and the lines of events.jsonl in pieces that the page unpacks when a
span is chosen. Its policy lets a browser run this code alone, by its digest. Lines are left out if the file would
become too large: first those of spans without a fault. The page then says how many.
"""

import base64
import gzip
import hashlib
import html
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from runbundle.bundle.reader import MAX_LINE_BYTES, Bundle, misplaced
from runbundle.errors import MalformedBundle, RunbundleError
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import EVENTS
from runbundle.inspect.columns import SpanColumns, columns_of
from runbundle.view.blocks import Block, note
from runbundle.view.code import one_script, static_file
from runbundle.view.runs import described
from runbundle.view.tabs import TABS

_PIECE_BYTES = 262_144
_CHECKED = note("This was checked when this page was written. Nothing has checked the page since.")
_FAULTS = ("error", "blocked", "interrupted", "abandoned", "cancelled", "")


class Written(NamedTuple):
    """What was written."""

    bytes: int
    left_out: int
    """Number of spans whose lines are not in the file."""


class _Piece(NamedTuple):
    """Some lines of events.jsonl, packed, and where they are in the scratch file."""

    at: int
    bytes: int
    place: int
    packed: int


def write_page(bundle: Bundle, out: BinaryIO, *, most_bytes: int) -> Written:
    """Write the file. Raises `MalformedBundle` if the bundle is not what was sealed: nothing is shown as if it were.

    `most_bytes` is kept as far as lines of events.jsonl can be left out.
    """
    if why := misplaced(bundle.key, bundle.index):
        raise MalformedBundle(why, file=bundle.key, hint="runbundle verify says more")
    columns = columns_of(bundle)
    tabs = {name: _tab(name, bundle, columns) for name in TABS}
    if any("warn" in block for block in tabs["integrity"]):
        raise MalformedBundle("is not what was sealed", file=bundle.key, hint="runbundle verify says more")
    tabs["integrity"] = [_CHECKED, *(block for block in tabs["integrity"] if "whole" not in block)]
    held: dict[str, Any] = {"about": described(bundle), "files": {}, "tabs": tabs}
    writing = _Writing(out)
    code = one_script()
    writing.text(head(str(held["about"]["run"].get("name") or bundle.index.run_id), code))
    writing.text(f'<div id="app"></div>\n{_facts(bundle)}\n<script type="application/octet-stream" id="packed">')
    packed = columns.to_bytes()
    held["columns"] = (0, len(packed), *writing.packed(gzip.compress(packed, 6, mtime=0)))
    room = most_bytes - writing.bytes - len(code) - len(orjson.dumps(held)) - 65_536
    events = bundle.path(EVENTS)
    with tempfile.TemporaryFile() as scratch:
        pieces = list(_pieces(bundle, events, cast("BinaryIO", scratch)))
        chosen = _chosen(pieces, columns, room)
        held["files"][events] = []
        for piece in sorted(chosen):
            scratch.seek(piece.place)
            held["files"][events].append((piece.at, piece.bytes, *writing.packed(scratch.read(piece.packed))))
    left_out = _spans_outside(columns, sorted(chosen)) if len(chosen) < len(pieces) else 0
    if left_out:
        held["about"]["omitted"] = (
            f"To keep this file small, the details of {left_out:,} of {len(columns):,} spans were left out. "
            "All spans are in the timeline; the bundle has all of it."
        )
    writing.text('</script>\n<script type="application/json" id="held">')
    writing.text(orjson.dumps(held).decode().replace("<", "\\u003c"))
    writing.text(f"</script>\n<script>{code}</script>\n</body>\n</html>\n")
    return Written(writing.bytes, left_out)


def _tab(name: str, bundle: Bundle, columns: SpanColumns) -> list[Block]:
    try:
        return TABS[name](bundle, columns)
    except RunbundleError as error:
        return [note(error.message)]


class _Writing:
    """Writes text and packed pieces, and counts both."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._characters = 0
        self.bytes = 0

    def text(self, text: str) -> None:
        self.bytes += self._out.write(text.encode("utf-8", "replace"))

    def packed(self, data: bytes) -> tuple[int, int]:
        """Write a piece; return where its characters begin among those of all pieces, and how many they are."""
        at, count = self._characters, self._out.write(base64.b64encode(data))
        self._characters += count
        self.bytes += count
        return at, count


def head(name: str, code: str) -> str:
    """Return the beginning of a page up to its body, whose policy lets a browser run `code` alone, by its digest."""
    style = (static_file("view.css") or b"").decode()
    allowed = f"script-src '{_hash(code)}'; style-src '{_hash(style)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(name[:200])} - runbundle</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )


def _facts(bundle: Bundle) -> str:
    """Return what is shown without JavaScript."""
    index = bundle.index
    facts = {
        "run": index.run_id, "tenant": index.tenant_id, "status": index.status, "began": index.started_at,
        "error": index.error.type if index.error else None, "spans": index.counts.spans,
        "tool calls": index.counts.tool_calls, "complete": index.completeness.state,
        "SHA-256 of run.json": sha256_hex(bundle.index_bytes),
    }  # fmt: skip
    rows = "".join(f"<tr><th>{k}</th><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items() if v is not None)
    return f"<noscript><p>This page needs JavaScript for more than this.</p><table>{rows}</table></noscript>"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _pieces(bundle: Bundle, path: str, scratch: BinaryIO) -> Iterator[_Piece]:
    """Pack events.jsonl, some lines at a time, into a scratch file."""
    at = place = 0
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        while data := file.read(_PIECE_BYTES):
            data += file.readline(MAX_LINE_BYTES)
            packed = gzip.compress(data, 6, mtime=0)
            scratch.write(packed)
            yield _Piece(at, len(data), place, len(packed))
            at += len(data)
            place += len(packed)


def _chosen(pieces: list[_Piece], columns: SpanColumns, room: int) -> list[_Piece]:
    """Return the pieces that fit: those with lines of faults and decisions first, then the others in their order."""
    data = columns.data
    wanted = {0} if pieces else set[int]()
    for row in columns.with_status(*_FAULTS):
        for above in columns.chain(row)[-20:]:
            wanted |= {_piece_at(pieces, data["started_at"][above]), _piece_at(pieces, data["ended_at"][above])}
    wanted |= {_piece_at(pieces, data["at"][place]) for place in columns.others_of_kind("policy.decision")}
    chosen: list[_Piece] = []
    for number in (*sorted(wanted), *(n for n in range(len(pieces)) if n not in wanted)):
        size = (pieces[number].packed + 2) // 3 * 4 + 40
        if size <= room:
            room -= size
            chosen.append(pieces[number])
    return chosen


def _piece_at(pieces: list[_Piece], at: int) -> int:
    """Return the number of the piece in which a position of events.jsonl lies."""
    low, high = 0, len(pieces) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if pieces[middle].at <= at else (low, middle - 1)
    return low


def _spans_outside(columns: SpanColumns, chosen: list[_Piece]) -> int:
    """Return the number of spans of which a line is in none of the pieces."""

    def inside(at: int) -> bool:
        piece = chosen[_piece_at(chosen, at)] if chosen else None
        return piece is not None and piece.at <= at < piece.at + piece.bytes

    data = columns.data
    return sum(
        not (inside(started) and inside(ended))
        for started, ended in zip(data["started_at"], data["ended_at"], strict=True)
    )
