"""Reading a bundle: its index, one span, or a stream of events. Each function reads only the files that it needs.

The models of the files are loaded by who reads one: a seal only asks whether there is a bundle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import orjson

from runbundle.errors import KeyNotFound, MalformedBundle, NotSealed, OddEntry, TooDeep, TooLarge, UnsupportedVersion
from runbundle.format.identity import RunKey
from runbundle.format.layout import EVENTS, EVIDENCE, RUN, TOOL_CALLS
from runbundle.format.words import RUN_SCHEMA
from runbundle.process.regex import later
from runbundle.store import ArtifactStore

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from runbundle.format.evidence import Evidence
    from runbundle.format.run import ConfigSnapshot, RunIndex
    from runbundle.format.tool_calls import ToolCalls

M = TypeVar("M", bound="BaseModel")
_TIME = later(r"[0-9]{1,20}")  # not str.isdigit(), which takes superscripts too
MAX_LINE_BYTES = 64 * 1024 * 1024
"""Limit in bytes for a line of events.jsonl, an entry of a listing, and other files that are read as a whole. More is
refused, so that a hostile bundle cannot exhaust memory."""
MAX_INDEX_BYTES = 16 * 1024 * 1024
"""Limit in bytes for run.json."""
MAX_DEPTH = 96
"""Limit for the nesting of JSON. Bundles that runbundle writes stay below it: payloads have at most 64 levels and
configurations 32, and both lie at most six levels deep."""
_STRINGS = later(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Bundle:
    """A sealed bundle. Files are found by the paths that run.json lists, not by their names."""

    def __init__(self, store: ArtifactStore, key: str, index: RunIndex, index_bytes: bytes) -> None:
        self.store = store
        self.key = key
        self.index = index
        self.index_bytes = index_bytes

    @classmethod
    def open(cls, store: ArtifactStore, key: str) -> Bundle:
        """Open the bundle under `key` by reading its run.json.

        Raises `NotSealed`, `MalformedBundle` or `UnsupportedVersion`.
        """
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
        """Return the bytes of one file. Raises `KeyNotFound`, or `MalformedBundle` if it is larger than 64 MiB."""
        return whole_file(self.store, self.key, path)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events in order, with one line in memory at a time. Raises `MalformedBundle` with file and line."""
        path = self.path(EVENTS)
        with self.store.open(f"{self.key}/{path}") as file:
            for number, line in event_lines(file):
                yield parse_event_line(line, path, number)

    def span(self, span_id: str) -> list[dict[str, Any]]:
        """Return all events of the span whose id begins with `span_id`; an empty list if there is none.

        Raises `KeyNotFound` if the ids of several spans begin with it.
        """
        found: list[dict[str, Any]] = []
        for event in self.events():
            if event["span_id"].startswith(span_id):
                if found and found[0]["span_id"] != event["span_id"]:
                    raise KeyNotFound(f"more than one span id begins with {span_id}", hint="give more digits")
                found.append(event)
        return found

    def tool_calls(self) -> ToolCalls:
        """Return all tool calls. Raises `MalformedBundle`; `listings.each_tool_call` reads files above 64 MiB too."""
        from runbundle.format.tool_calls import ToolCalls

        return self._parsed(TOOL_CALLS, ToolCalls)

    def evidence(self) -> Evidence | None:
        """Return the evidence, or None if nothing was retrieved. Raises `MalformedBundle`."""
        if listed_path(self.index, EVIDENCE) is None:
            return None
        from runbundle.format.evidence import Evidence

        return self._parsed(EVIDENCE, Evidence)

    def config(self) -> ConfigSnapshot:
        """Return the configuration of the run. Raises `MalformedBundle`."""
        from runbundle.format.run import ConfigSnapshot

        return self._parsed(self.index.config.path, ConfigSnapshot)

    def _parsed(self, name: str, model: type[M]) -> M:
        path = self.path(name)
        return parse_model(self.read(path), model, path)

    def path(self, name: str) -> str:
        """Return the path of a file of this revision, such as `revisions/2/events.jsonl` for `events.jsonl`.

        Raises `MalformedBundle` if run.json does not list the file.
        """
        path = listed_path(self.index, name)
        if path is None:
            raise MalformedBundle("is not listed in run.json", file=name)
        return path


def listed_path(index: RunIndex, name: str) -> str | None:
    """Return the path under which run.json lists the file `name`, or None."""
    for entry in index.files:
        if entry.path == name or entry.path.endswith("/" + name):
            return entry.path
    return None


def misplaced(key: str, index: RunIndex) -> str:
    """Return what is wrong if a run.json lies under the key of another run or tenant; an empty text if it does not."""
    if key.rpartition("/")[2] != index.run_id:
        return "run.json is of another run than its folder's name says"
    if key != RunKey(index.tenant_id or "", index.run_id).path:
        return "run.json is of another tenant than the bundle lies under"
    return ""


def index_bytes(store: ArtifactStore, key: str, path: str = "run.json") -> bytes:
    """Return the bytes of a run.json, at most `MAX_INDEX_BYTES` + 1; `parse_index` refuses the longer ones.

    `path`: another run.json of the bundle, such as `revisions/1/run.json`. Raises `KeyNotFound`, or `OddEntry` if the
    file or its folder is a link or no regular file.
    """
    return store.get_range(f"{key}/{path}", 0, MAX_INDEX_BYTES + 1)


def whole_file(store: ArtifactStore, key: str, path: str) -> bytes:
    """Return the bytes of a file. Raises `KeyNotFound`, or `TooLarge`, a `MalformedBundle`, above 64 MiB."""
    data = store.get_range(f"{key}/{path}", 0, MAX_LINE_BYTES + 1)
    if len(data) > MAX_LINE_BYTES:
        raise TooLarge("is larger than 64 MiB", file=path)
    return data


def too_deep(data: bytes) -> bool:
    """Tell whether JSON is nested more than `MAX_DEPTH` levels deep. Does not recurse."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    rest = _STRINGS.sub(b"", data).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each takes away the innermost level
        rest = rest.replace(b"()", b"")
    return b"()" in rest or rest.count(b"(") > MAX_DEPTH  # what is cut off is deep only by what it opens


def parse_json(data: bytes, file: str, line: int = 0) -> Any:
    """Return the value of untrusted JSON. Raises `MalformedBundle`, or its subclass `TooDeep`, with file and line."""
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

    A line that is too long is cut to `MAX_LINE_BYTES` + 1 bytes, which `parse_event_line` refuses; its rest is skipped.
    So the use of memory does not depend on the file.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        yield number, line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def parse_index(data: bytes) -> RunIndex:
    """Parse the bytes of run.json. Raises `MalformedBundle`, or `UnsupportedVersion` for a later format."""
    if len(data) > MAX_INDEX_BYTES:
        raise TooLarge("is larger than 16 MiB", file="run.json")
    value = parse_json(data, "run.json")
    said = cast("dict[str, Any]", value).get("schema") if isinstance(value, dict) else None
    if isinstance(said, str) and said.startswith("runbundle/run/v") and said != RUN_SCHEMA:
        raise UnsupportedVersion(f"run.json is in format {said}", hint="install a newer runbundle")
    from runbundle.format.run import RunIndex

    return parse_model(data, RunIndex, RUN)


def parse_model(data: bytes, model: type[M], file: str) -> M:
    """Parse JSON as a model. Raises `MalformedBundle` that names the wrong field, never its value."""
    if too_deep(data):
        raise TooDeep(f"is nested more than {MAX_DEPTH} deep, or no JSON", file=file)
    from pydantic import ValidationError

    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise MalformedBundle(first_problem(error), file=file) from None


def first_problem(error: ValidationError) -> str:
    """Return a description of the first wrong field of a validation error; it never contains the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def parse_event_line(line: bytes, file: str, number: int) -> dict[str, Any]:
    """Parse a line of events.jsonl as a dict with the fields that readers use, of the right types.

    Raises `MalformedBundle` with the number of the line.
    """
    fields = parse_object_line(line, file, number)
    for field in ("time_ns", "type", "trace_id", "span_id", "name"):
        if not isinstance(fields.get(field), str):
            raise MalformedBundle(f"has no {field}", file=file, line=number)
    if not isinstance(fields.get("attributes"), dict) or not _TIME.fullmatch(fields["time_ns"]):
        raise MalformedBundle("is not an event", file=file, line=number)
    for field in ("parent_span_id", "op", "status", "duration_ns", "lane"):
        value = fields.get(field)
        if value is not None and not isinstance(value, str):  # a union of types would take ten times as long
            raise MalformedBundle(f"has a {field} that is not text", file=file, line=number)
    if not _TIME.fullmatch(fields.get("duration_ns") or "0"):
        raise MalformedBundle("has a duration_ns that is none", file=file, line=number)
    return fields


def parse_object_line(line: bytes, file: str, number: int) -> dict[str, Any]:
    """Parse a line as a JSON object, without a check of its fields. Raises `MalformedBundle`."""
    if len(line) > MAX_LINE_BYTES:
        raise TooLarge("is longer than 64 MiB", file=file, line=number)
    if not line.endswith(b"\n"):
        raise MalformedBundle("is cut off: no line end", file=file, line=number)
    event = parse_json(line, file, number)
    if not isinstance(event, dict):
        raise MalformedBundle("is not a JSON object", file=file, line=number)
    return cast("dict[str, Any]", event)
