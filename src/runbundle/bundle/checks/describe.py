"""Describing a file or folder that somebody mistook for a bundle, by its first bytes, for an error message."""

import contextlib
import gzip
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, cast

import orjson

from runbundle.store.regular import NotRegular, file_at

_HEAD_BYTES = 1_048_576
_LARGE_BYTES = 64 * 1024 * 1024
_BUNDLE_FILES = frozenset({"run.json", "events.jsonl", "tool_calls.json", "evidence.json", "config.snapshot.json"})
_MAGIC = (
    (b"\x28\xb5\x2f\xfd", "compressed by Zstd"), (b"BZh", "compressed by bzip2"), (b"\xfd7zXZ", "compressed by xz"),
    (b"SQLite format 3\0", "an SQLite database"), (b"%PDF-", "a PDF document"), (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"),
)  # fmt: skip
_OTLP = {
    "resourceSpans": "traces", "resource_spans": "traces", "resourceLogs": "logs", "resource_logs": "logs",
    "resourceMetrics": "metrics", "resource_metrics": "metrics",
}  # fmt: skip
_OTLP_KEY = re.compile(rb'"(resource_?(?:[sS]pans|[lL]ogs|[mM]etrics))"\s*:')
_SPAN = re.compile(rb'"(?:spanId|span_id)"\s*:')
_JOURNAL = re.compile(rb'[0-9a-f]{8} \{"k":')


def is_folder_of_a_bundle(path: Path) -> bool:
    """Tell whether a folder contains a file of a bundle, sealed or not."""
    return any((path / name).is_file() for name in _BUNDLE_FILES)


def describe_folder(path: Path) -> str:
    """Return a description of a folder that is no bundle: a store of bundles, or a folder of something else."""
    with contextlib.suppress(OSError):
        for below in sorted(path.iterdir())[:100]:
            if below.is_dir() and (is_folder_of_a_bundle(below) or any(map(is_folder_of_a_bundle, _folders(below)))):
                return "a store of bundles, or a part of one"
    return "a folder of something else"


def _folders(path: Path) -> list[Path]:
    return [below for below in sorted(path.iterdir())[:100] if below.is_dir()]


def describe_file(path: Path) -> str:
    """Return a description of a file, such as `OTLP in JSON (traces, 2 spans)` or `a pipe`.

    Reads at most 1 MiB. Never blocks and never raises `OSError`.
    """
    try:
        with file_at(path.resolve(), depth=1) as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(b"PK\x03\x04"):
                return _zip(path)
            return describe_bytes(head, whole=len(head) < _HEAD_BYTES)
    except NotRegular as error:
        return error.kind
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"


def describe_bytes(head: bytes, *, whole: bool = True) -> str:
    """Return a description of a file that begins with `head`. `whole`: these are all of its bytes."""
    if not head:
        return "an empty file"
    if head.startswith(b"\x1f\x8b"):
        return f"compressed by gzip: {_unzipped(head)}"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if _JOURNAL.match(head):
        return "a journal of a spool, which runbundle recover seals"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return _json(text, whole=whole)
    protobuf = _protobuf(head, whole=whole)
    if protobuf:
        return protobuf
    with contextlib.suppress(UnicodeDecodeError):
        head[:4096].decode()
        return "text"
    return "a binary file of another format"


def _unzipped(head: bytes) -> str:
    try:
        inner = zlib.decompressobj(31).decompress(head, _HEAD_BYTES)
    except (zlib.error, gzip.BadGzipFile):
        return "damaged"
    return describe_bytes(inner, whole=len(inner) < _HEAD_BYTES) if inner else "damaged"


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return "a damaged zip archive"
    bundles = sum(name.rpartition("/")[2] == "run.json" for name in names)
    return f"a zip archive of {bundles or 'no'} bundle{'' if bundles == 1 else 's'}: unpack it first"


def _json(text: bytes, *, whole: bool) -> str:
    found = _OTLP_KEY.search(text[:_HEAD_BYTES])
    lines = [line for line in text.split(b"\n", 2)[:2] if line.strip()]
    if found:
        signal = _OTLP[found[1].decode()]
        many = ", a request a line" if len(lines) == 2 and _is_object(lines[0]) else ""
        spans = len(_SPAN.findall(text))
        count = f", {spans if whole else f'more than {spans}'} spans" if signal == "traces" else ""
        return f"OTLP in JSON ({signal}{count}{many})"
    value = _object(text) or _object(lines[0])
    schema = value.get("schema") if value else None
    if isinstance(schema, str) and re.fullmatch(r"runbundle/[a-z_]{1,40}/v\d{1,3}", schema):
        return f"a file of a bundle ({schema}), not its folder"
    if value and {"seq", "time_ns", "type", "trace_id"} <= value.keys():
        return "the events of a bundle, not its folder"
    if value and isinstance(value.get("data"), list) and b'"traceID"' in text:
        return "traces in the JSON of Jaeger"
    if b'"traceId"' in text[:4096] and b'"localEndpoint"' in text:
        return "traces in the JSON of Zipkin"
    return "JSON of another kind" if value is not None or not whole or _parses(text) else "text that is no JSON"


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_object(text: bytes) -> bool:
    return _object(text) is not None


def _parses(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _protobuf(head: bytes, *, whole: bool) -> str:
    """Return a description of an OTLP export request, or an empty text. The Collector may write its size first."""
    framed = len(head) > 4 and int.from_bytes(head[:4], "big") <= max(len(head) - 4, 0 if whole else _LARGE_BYTES)
    for data in (head, head[4:]) if framed else (head,):
        signals: dict[str, int] = {}
        if _resources(data, signals) and signals:
            signal, count = next(iter(signals.items()))
            spans = f", {count if whole else f'more than {count}'} spans" if signal == "traces" else ""
            return f"OTLP in protobuf ({signal}{spans})"
    return ""


def _resources(data: bytes, signals: dict[str, int]) -> bool:
    for number, resource in _fields(data):
        if number != 1:
            return False
        for inner, scope in _fields(resource):
            if inner == 2:
                for place, record in _fields(scope):
                    if place == 2:
                        signal = _signal(record)
                        if signal:
                            signals[signal] = signals.get(signal, 0) + 1
            elif inner not in (1, 3):
                return False
    return True


def _signal(record: bytes) -> str:
    first = next(_fields(record), None)
    if record[:1] == b"\x0a" and record[1:2] == b"\x10":
        return "traces"  # an id of 16 bytes
    if record[:1] == b"\x09" or record[:1] == b"\x10":
        return "logs"  # a fixed time, or a severity
    return "metrics" if first is not None and first[0] == 1 else ""


def _fields(data: bytes) -> Any:
    """Yield number and bytes of the length-delimited fields of a protobuf message, as far as `data` has them."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            yield 0, b""  # no message
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return value, at
