"""Sealed bundles, damaged at random, verified with the native core and without: `python -m tests.fuzz.native_bundles
[MINUTES]`, by default ten.

A case is the journals of a run, and what is done to the bundle that Python makes of them. Mostly its digests are made
to fit the damage, so that all checks behind them are asked. Both reports have to be the same to the byte.
"""

import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson
from hypothesis import strategies as st

from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.reread import EventsBySpan, log_entry
from runbundle.bundle.checks.events import MARKED, is_withheld
from runbundle.format.canonical import with_self_digest
from runbundle.format.layout import EVENTS, EVIDENCE, TOOL_CALLS
from runbundle.format.layout import RUN as RUN_JSON
from runbundle.journal.reader import JournalReader
from runbundle.redaction.permitted.safe_text import has_credential_format
from runbundle.redaction.receipt import read_receipt
from runbundle.signals import own, semconv
from runbundle.store import LocalStore
from tests.fuzz import native_seals
from tests.fuzz.native_seals import RUN, journals_of
from tests.fuzz.searching import search
from tests.support.both_ways import FAULT, reports

PARTS: tuple[bytes, ...] = (
    b"", b"0", b"-", b'"', b"\\", b"{", b"}", b",", b" ", b"null", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0041",
    b"\\/", b"1e999", b"NaN", b"-0", b"1" * 40, b"0.1e1", b":[", b"\n", b"\r", b"\0", b"[" * 100, b"[" * 70 + b"]" * 70,
    b"[" * 2000 + b"]" * 2000, b'"a":1,"a":2,', b'"seq":0,', b'"sk-abcdefghijklmnop"', b'"api_key=abcdefgh"', b"true",
    b'"[REDACTED:content]"', b'"dropped":{"events":1},', b'"lane":"x",', b'"joined":"id",', b'"remote_parent":true,',
    b'"parent_missing":true,', b'"x":1,', b'"severity":1,', b'"source":"log",',
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, "", 0, 1, -1, 2**63, 1.5, 1e300, True, [], {}, [1], {"a": 1}, "a", "0", "1", "5", "9223372036854775807",
    "18446744073709551616", "1790000000123456789", "0" * 16, "f" * 16, "0" * 15 + "2", "0" * 15 + "3", "A" * 16,
    "0" * 32, "b" * 32, "error", "interrupted", "blocked", "tool", "run", "model", "log", "span.event", "run.ended",
    "[REDACTED:content]", "sk-abcdefghijklmnop", {"n": 1}, '{"n":[]}', {"message": "m", "type": "t"}, ["time:replaced"],
)  # fmt: skip
_KEYS = (
    "seq", "time_ns", "type", "trace_id", "span_id", "parent_span_id", "remote_parent", "parent_missing", "name", "op",
    "lane", "effect", "joined", "capture", "source", "status", "duration_ns", "error", "redactions", "severity",
    "scope", "links", "dropped", "attributes", "x",
)  # fmt: skip
_ATTRIBUTES = (
    own.RECEIPT, own.COERCED, own.STATUS, own.LANE, own.SPANS_STARTED, own.OP, own.DIALECT, own.TENANT_ID, own.CAPTURE,
    own.IMPLICIT, own.CHILD_RUN_ID, semconv.TOOL_NAME, semconv.AGENT_NAME, semconv.OPERATION, semconv.INPUT_MESSAGES,
    semconv.ARGUMENTS, semconv.RESULT, semconv.ERROR_TYPE, semconv.EXCEPTION_TYPE, semconv.RESPONSE_ID,
    semconv.USAGE + "input_tokens", "app.x",
)  # fmt: skip


class Damage(NamedTuple):
    """What is done to a file: which, what, and numbers that say where."""

    file: int
    kind: int
    seed: int


class Case(NamedTuple):
    """The journals of a run, and what is done to its bundle, each time from the beginning."""

    journals: native_seals.Case
    is_tame: bool
    """Whether its spans say what a redactor lets them say."""
    damages: list[tuple[list[Damage], int]]
    """Damages, and a number that says what fits afterwards: digests, numbers of lines, all that follows from them."""


_damages = st.builds(Damage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32))
cases = st.builds(
    Case,
    native_seals.cases, st.sampled_from((True, True, True, True, True, False)),
    st.lists(st.tuples(st.lists(_damages, min_size=1, max_size=2), st.integers(0, 9)), min_size=6, max_size=12),
)  # fmt: skip


_TIMES = {951_827_696_000_000_001: 13, 1_790_000_000_123_456_789: 21, 2**63 - 1: 34}


def _tamed(case: native_seals.Case) -> native_seals.Case:
    """Return the journals as a redactor writes them: with receipts, with markers where nothing else may stand, of one
    time and of one tenant.
    """
    lines: list[bytes] = []
    for line in case.lines:
        entry = orjson.loads(line[9:])
        for part in (entry, *entry.get("events", ())):
            part |= {key: _TIMES.get(part[key], part[key]) for key in ("start_ns", "end_ns", "time_ns") if key in part}
        for part in (entry, *entry.get("events", ())):
            if isinstance(part, dict) and "attributes" in part:
                said: dict[str, Any] = {
                    key: value
                    for key, value in part["attributes"].items()
                    if not has_credential_format(orjson.dumps([key, value]).decode())
                    and key != own.COERCED
                    and (key != own.TENANT_ID or value == entry.get("tenant_id"))
                }
                part["attributes"] = said | {
                    key: "[REDACTED:content]" for key in MARKED.intersection(said) if not is_withheld(said[key])
                }
        if entry.get("k") == "span":
            receipt = entry["attributes"].get(own.RECEIPT)
            entry["attributes"][own.RECEIPT] = receipt if read_receipt(receipt) else '{"n":[]}'
            for event in entry["events"]:
                event["time_ns"] = max(entry["start_ns"], min(entry["end_ns"], event["time_ns"]))
        body = orjson.dumps(entry)
        lines.append(b"%08x %b\n" % (crc32(body), body))
    return case._replace(lines=lines, changes=[])


def _flipped(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) or 1)
    return data[:at] + bytes([(data[at] if data else 0) ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def _spliced(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    marks = [place for place, byte in enumerate(data) if byte in b'{,:"}']
    if marks and draw.randrange(4):
        at = draw.choice(marks) + draw.randrange(2)
    return data[:at] + draw.choice(PARTS) + data[at + draw.choice((0, 0, 1, 2, 9)) :]


def _removed(lines: list[bytes], draw: random.Random) -> list[bytes]:
    at = draw.randrange(len(lines))
    return lines[:at] + lines[at + draw.choice((1, 1, 2)) :]


def _doubled(lines: list[bytes], draw: random.Random) -> list[bytes]:
    at = draw.randrange(len(lines))
    return lines[: at + 1] + lines[at:]


def _swapped(lines: list[bytes], draw: random.Random) -> list[bytes]:
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _edited(lines: list[bytes], draw: random.Random) -> list[bytes]:
    """Change a field, or an attribute, of one line, or take it away; the line stays canonical."""
    at = draw.randrange(len(lines))
    try:
        event = orjson.loads(lines[at])
        into = event["attributes"] if draw.randrange(2) else event
        key = draw.choice([*(_KEYS if into is event else _ATTRIBUTES), *into])
        if draw.randrange(4):
            into[key] = draw.choice(_VALUES)
        else:
            into.pop(key, None)
        lines[at] = orjson.dumps(event, option=orjson.OPT_SORT_KEYS) + b"\n"
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return lines


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


_OF_LINES: tuple[Callable[[list[bytes], random.Random], list[bytes]], ...] = (_removed, _doubled, _swapped, _edited)
_OF_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flipped, _spliced, _spliced, _cut)


def damaged(data: bytes, damage: Damage) -> bytes:
    """Return the bytes of a file with a damage."""
    draw = random.Random(damage.seed)
    if damage.kind < 4 and damage.kind < len(_OF_BYTES):
        return _OF_BYTES[damage.kind](data, draw)
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    return b"".join(_OF_LINES[damage.kind % len(_OF_LINES)](lines, draw))


def _numbered(data: bytes) -> bytes:
    """Number the lines anew, where they are events."""
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines):
        try:
            event = orjson.loads(line)
            if isinstance(event, dict) and line == orjson.dumps(event, option=orjson.OPT_SORT_KEYS) + b"\n":
                lines[number] = orjson.dumps({**event, "seq": number}, option=orjson.OPT_SORT_KEYS) + b"\n"
        except (ValueError, TypeError):
            continue
    return b"".join(lines)


def _derived(files: dict[str, bytes], index: dict[str, Any], folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return all other files, and run.json, as they follow from events.jsonl, if anything does."""
    try:
        with closing(EventsBySpan(folder)) as of_spans, closing(GatheredRun(RUN, folder)) as gathered:
            for line in files[EVENTS].splitlines():
                event = orjson.loads(line)
                if event["type"] == "log":
                    gathered.add([log_entry(event)])
                else:
                    of_spans.add(event, line)
            gathered.add(of_spans.entries("gen-ai"))
            made = assemble(gathered, grace_s=2.0)
            with closing(made):
                again = {file.name: b"".join(file.pieces()) for file in made.files}
                return again | {EVENTS: files[EVENTS]}, json.loads(made.index())
    except Exception:  # events of any kind
        return files, index


def bundles(case: Case, folder: Path) -> Iterator[tuple[LocalStore, str]]:
    """Yield the bundle of a case, then each damaged one: the store that holds it, and its key."""
    journals = journals_of(_tamed(case.journals) if case.is_tame else case.journals, folder)
    with closing(GatheredRun(RUN, folder)) as gathered:
        gathered.add(reader := JournalReader(journals, own="w"))
        made = assemble(gathered, torn=reader.torn, sdk_versions=frozenset(reader.sdk_versions), grace_s=2.0)
        with closing(made):
            sealed = {file.name: b"".join(file.pieces()) for file in made.files}
            run_json = made.index()
    names = (*(EVENTS,) * 6, *(TOOL_CALLS,) * 3, EVIDENCE)
    for number, (damages, fits) in enumerate([(list[Damage](), 1), *case.damages]):
        files, index = dict(sealed), json.loads(run_json)
        for damage in damages:
            if names[damage.file] in files:
                files[names[damage.file]] = damaged(files[names[damage.file]], damage)
        if fits > 2:
            files[EVENTS] = _numbered(files[EVENTS])
        if fits > 4:
            files, index = _derived(files, index, folder)
        for entry in index["files"] if fits else ():
            data = files[entry["path"]]
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if fits == 9:
            index["counts"]["spans"] += 1
        del index["self_sha256"]
        at = folder / str(number) / made.key
        at.mkdir(parents=True)
        for name, data in (files | {RUN_JSON: with_self_digest(index)}).items():
            (at / name).write_bytes(data)
        yield LocalStore(folder / str(number)), made.key


def compared(case: Case) -> list[str]:
    """Verify the bundles of a case both ways; return for each why the native core left it to Python, or "".

    The first is the one that nobody damaged. Raises `AssertionError` where two reports differ, and if the native core
    had a fault.
    """
    reasons: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for store, key in bundles(case, Path(folder)):
            natively, wanted, refused = reports(store, key)
            assert natively.model_dump_json() == wanted.model_dump_json()
            assert refused != FAULT
            reasons.append(refused)
    return reasons


def main(minutes: float) -> int:
    """Look for a difference until the time is over; print how many bundles the native core derived, why not others."""
    return search(cases, compared, "bundles", minutes)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
