"""Read a bundle: the index alone, one span, or a stream of events. Nothing more is read than is asked for."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError

from runbundle.errors import KeyNotFound, MalformedBundle, NotSealed, OddEntry, TooDeep, TooLarge, UnsupportedVersion
from runbundle.format.evidence import Evidence
from runbundle.format.layout import EVENTS, EVIDENCE, RUN, TOOL_CALLS
from runbundle.format.run import RUN_SCHEMA, ConfigSnapshot, RunIndex
from runbundle.format.tool_calls import ToolCalls
from runbundle.store import ArtifactStore

M = TypeVar("M", bound=BaseModel)
_TIME = re.compile(r"[0-9]{1,20}")  # not str.isdigit(), which takes superscripts too
MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line of events.jsonl is refused, so that a hostile bundle cannot exhaust memory; so is a longer entry of
a listing, and any other file that is read whole."""
MAX_INDEX_BYTES = 16 * 1024 * 1024
"""A larger run.json is refused."""
MAX_DEPTH = 96
"""JSON nested more deeply is refused. What we write stays below: payloads are opened to 64 levels, configurations to
32, and neither lies deeper than six."""
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Bundle:
    """A sealed bundle, opened by its index. Files are found by run.json's pointers, not by their names."""

    def __init__(self, store: ArtifactStore, key: str, index: RunIndex, index_bytes: bytes) -> None:
        self.store = store
        self.key = key
        self.index = index
        self.index_bytes = index_bytes

    @classmethod
    def open(cls, store: ArtifactStore, key: str) -> "Bundle":
        """Read run.json. Raises `NotSealed`, `MalformedBundle` or `UnsupportedVersion`."""
        try:
            data = index_bytes(store, key)
        except OddEntry:
            raise
        except KeyNotFound:
            raise NotSealed(
                f"{key} has no run.json", hint="the run is still being written, or its writer was cut off"
            ) from None
        return cls(store, key, parse_index(data), data)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file. Raises `KeyNotFound`, and `MalformedBundle` if it is too large for that."""
        return whole_file(self.store, self.key, path)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events in order, one line in memory at a time. Raises `MalformedBundle` with file and line."""
        path = self.path(EVENTS)
        with self.store.open(f"{self.key}/{path}") as file:
            for number, line in event_lines(file):
                yield parse_event_line(line, path, number)

    def span(self, span_id: str) -> list[dict[str, Any]]:
        """Return all events of the span whose id begins with `span_id`; none if there is no such span.

        Raises `KeyNotFound` if spans with different ids begin so.
        """
        found: list[dict[str, Any]] = []
        for event in self.events():
            if event["span_id"].startswith(span_id):
                if found and found[0]["span_id"] != event["span_id"]:
                    raise KeyNotFound(f"more than one span id begins with {span_id}", hint="give more digits")
                found.append(event)
        return found

    def tool_calls(self) -> ToolCalls:
        """Return the tool calls, all of them; `listings.Listing` reads a file of any length."""
        return self._parsed(TOOL_CALLS, ToolCalls)

    def evidence(self) -> Evidence | None:
        """Return the evidence, or None if nothing was retrieved."""
        if listed_path(self.index, EVIDENCE) is None:
            return None
        return self._parsed(EVIDENCE, Evidence)

    def config(self) -> ConfigSnapshot:
        """Return the configuration."""
        return self._parsed(self.index.config.path, ConfigSnapshot)

    def _parsed(self, name: str, model: type[M]) -> M:
        path = self.path(name)
        return parse_model(self.read(path), model, path)

    def path(self, name: str) -> str:
        """Return where in the bundle a file of this revision lies. Raises `MalformedBundle` if none is listed."""
        path = listed_path(self.index, name)
        if path is None:
            raise MalformedBundle("is not listed in run.json", file=name)
        return path


def listed_path(index: RunIndex, name: str) -> str | None:
    """Return the path of the file called `name` in this revision, or None if run.json does not list one."""
    for entry in index.files:
        if entry.path == name or entry.path.endswith("/" + name):
            return entry.path
    return None


def index_bytes(store: ArtifactStore, key: str, path: str = "run.json") -> bytes:
    """Return a run.json, at most one byte more of it than it may have; `parse_index` refuses that.

    Raises `KeyNotFound`, or `OddEntry` if it, or the bundle's folder, is no such thing.
    """
    return store.get_range(f"{key}/{path}", 0, MAX_INDEX_BYTES + 1)


def whole_file(store: ArtifactStore, key: str, path: str) -> bytes:
    """Return the bytes of a file that is read whole. Raises `KeyNotFound`, and `MalformedBundle` above 64 MiB."""
    data = store.get_range(f"{key}/{path}", 0, MAX_LINE_BYTES + 1)
    if len(data) > MAX_LINE_BYTES:
        raise TooLarge("is larger than 64 MiB", file=path)
    return data


def too_deep(data: bytes) -> bool:
    """Tell whether JSON is nested more deeply than a bundle may be. Takes no stack, however deep it is."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    rest = _STRINGS.sub(b"", data).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each takes away the innermost level
        rest = rest.replace(b"()", b"")
    return b"()" in rest or rest.count(b"(") > MAX_DEPTH  # what is cut off is deep only by what it opens


def parse_json(data: bytes, file: str, line: int = 0) -> Any:
    """Return the value of JSON that came from outside. Raises `MalformedBundle`, or its kind `TooDeep`."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if too_deep(data):
            raise TooDeep(f"is nested more than {MAX_DEPTH} deep", file=file, line=line) from None
        raise MalformedBundle(f"is not JSON ({error.msg})", file=file, line=line or error.lineno) from None
    if too_deep(data):
        raise TooDeep(f"is nested more than {MAX_DEPTH} deep", file=file, line=line)
    return value


def event_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of events.jsonl with their numbers, from 1.

    Of a line longer than `MAX_LINE_BYTES` one byte more than that is yielded, which `parse_event_line` refuses, and
    the rest is passed over: what is held in memory does not depend on the file.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        yield number, line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def parse_index(data: bytes) -> RunIndex:
    """Read run.json. Raises `MalformedBundle`, or `UnsupportedVersion` for a format of a later version."""
    if len(data) > MAX_INDEX_BYTES:
        raise TooLarge("is larger than 16 MiB", file="run.json")
    value = parse_json(data, "run.json")
    said = cast("dict[str, Any]", value).get("schema") if isinstance(value, dict) else None
    if isinstance(said, str) and said.startswith("runbundle/run/v") and said != RUN_SCHEMA:
        raise UnsupportedVersion(f"run.json is in format {said}", hint="install a newer runbundle")
    return parse_model(data, RunIndex, RUN)


def parse_model(data: bytes, model: type[M], file: str) -> M:
    """Read one JSON file as a model. Raises `MalformedBundle` that names the field, never its value."""
    if too_deep(data):
        raise TooDeep(f"is nested more than {MAX_DEPTH} deep, or no JSON", file=file)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise MalformedBundle(first_problem(error), file=file) from None


def first_problem(error: ValidationError) -> str:
    """Return which field does not fit its model and how; never its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def parse_event_line(line: bytes, file: str, number: int) -> dict[str, Any]:
    """Read one line of events.jsonl as a dict. Raises `MalformedBundle` with the line's number."""
    fields = parse_object_line(line, file, number)
    for field in ("time_ns", "type", "trace_id", "span_id", "name"):
        if not isinstance(fields.get(field), str):
            raise MalformedBundle(f"has no {field}", file=file, line=number)
    if not isinstance(fields.get("attributes"), dict) or not _TIME.fullmatch(fields["time_ns"]):
        raise MalformedBundle("is not an event", file=file, line=number)
    for field in ("parent_span_id", "op", "status", "duration_ns", "lane"):
        if not isinstance(fields.get(field), str | None):
            raise MalformedBundle(f"has a {field} that is not text", file=file, line=number)
    if not _TIME.fullmatch(fields.get("duration_ns") or "0"):
        raise MalformedBundle("has a duration_ns that is none", file=file, line=number)
    return fields


def parse_object_line(line: bytes, file: str, number: int) -> dict[str, Any]:
    """Read one line as a JSON object, for who holds it against its model anyway. Raises `MalformedBundle`."""
    if len(line) > MAX_LINE_BYTES:
        raise TooLarge("is longer than 64 MiB", file=file, line=number)
    if not line.endswith(b"\n"):
        raise MalformedBundle("is cut off: no line end", file=file, line=number)
    event = parse_json(line, file, number)
    if not isinstance(event, dict):
        raise MalformedBundle("is not a JSON object", file=file, line=number)
    return cast("dict[str, Any]", event)
