"""Rows of an index: the facts about one bundle that a listing shows, from run.json, and names of tools and agents."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from runbundle.errors import BundleError, KeyNotFound, OddEntry
from runbundle.format.layout import EVENTS, RUN, TOOL_CALLS
from runbundle.signals.reading import LARGEST
from runbundle.store import ArtifactStore
from runbundle.store.base import Body, is_key

T = TypeVar("T")
_BATCH = 500
_MOST_TEXT = 16 * 1024 * 1024
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[0-9.]{0,10}(?:Z|\+00:00)\Z")
_NUMBER = re.compile(r"[0-9]{1,20}")
_WORD = re.compile(r"[a-z]{1,20}")
_SMALL = 8 * 1024 * 1024  # of larger files the names are looked up when they are first asked for, not at the seal


class Row(NamedTuple):
    """The row of one bundle."""

    key: str
    """Key of the bundle: `<run_id>` or `<tenant>/<run_id>`."""
    run_id: str
    problem: str = ""
    """Empty, `unsealed`, or the reason why run.json cannot be read. With a problem most other fields are empty."""
    started_at: str = ""
    duration_ns: str = ""
    status: str = ""
    state: str = ""
    """State of its completeness."""
    user_id: str = ""
    session_id: str = ""
    tool_calls: int = 0
    model_calls: int = 0
    revision: int = 0
    text: str = ""
    """Text that `--text` searches, in lower case: ids, status, models, error type, and names once they are known."""
    tools: str | None = None
    """Names of its tools, each with a line end before and after; None if they are not known yet."""
    agents: str | None = None
    """Names of its agents, likewise."""
    stamp: str = ""
    """Time, size and inode of its run.json on disk; empty if it is not on disk."""


def checked_row(values: Sequence[Any]) -> Row | None:
    """Return the row with these values, or None if they do not form one: others may write to an index too."""
    if len(values) != len(Row._fields):
        return None
    row = Row(*values)
    texts = (*row[:9], row.text, row.stamp)
    named = all(type(names) in (str, type(None)) for names in (row.tools, row.agents))
    counts = (row.tool_calls, row.model_calls, row.revision)
    fits = (
        named
        and all(type(text) is str and len(text) <= _MOST_TEXT for text in texts)
        and all(type(count) is int and 0 <= count <= LARGEST for count in counts)
        and is_key(row.key)
        and row.key.count("/") <= 1
        and (row.problem or (row.run_id.isprintable() and bool(row.run_id)))
        and (row.problem or (_MOMENT.match(row.started_at) and _NUMBER.fullmatch(row.duration_ns)))
        and (row.problem or (_WORD.fullmatch(row.status) and _WORD.fullmatch(row.state)))
        and (not row.problem or (row.started_at, row.duration_ns) == ("", ""))
    )
    return row if fits else None


def row_of(key: str, index: Mapping[str, Any], *, stamp: str = "") -> Row:
    """Return the row of a bundle with the run.json `index`."""
    counts: Mapping[str, Any] = index.get("counts") or {}
    words = [key, *(index.get(f"{name}_id") for name in ("user", "session", "request"))]
    error: Mapping[str, Any] = index.get("error") or {}
    versions: Mapping[str, Any] = index.get("versions") or {}
    words += [error.get("type"), index["status"], *versions.get("models", ())]
    return Row(
        key,
        index["run_id"],
        started_at=index["started_at"],
        duration_ns=index["duration_ns"],
        status=index["status"],
        state=index["completeness"]["state"],
        user_id=index.get("user_id") or "",
        session_id=index.get("session_id") or "",
        tool_calls=counts.get("tool_calls", 0),
        model_calls=counts.get("model_calls", 0),
        revision=index.get("revision", 1),
        text="\n".join(str(word) for word in words if word).lower(),
        stamp=stamp,
    )


def problem_row(key: str, problem: str) -> Row:
    """Return the row of a bundle that is unsealed or not readable."""
    return Row(key, key.rpartition("/")[2], problem, tools="\n", agents="\n", text=key.lower())


def with_names(row: Row, tools: Iterable[str], agents: Iterable[str]) -> Row:
    """Return a row with the names of its tools and agents added."""
    lines = _lines(tools), _lines(agents)
    return row._replace(tools=lines[0], agents=lines[1], text=row.text + "".join(lines).lower())


def _lines(names: Iterable[str]) -> str:
    return "\n" + "".join(f"{name}\n" for name in sorted(set(names)))


def names_in_files(files: Mapping[str, Body], index: Mapping[str, Any]) -> tuple[set[str], set[str]] | None:
    """Return the names of tools and agents from the files of a bundle that is being sealed; None above 8 MiB."""
    paths = [_path(index, TOOL_CALLS), _path(index, EVENTS)]
    bodies = [files[path] for path in paths if path in files]
    if len(bodies) < 2 or sum(e["bytes"] for e in index["files"] if e["path"] in paths) > _SMALL:
        return None
    calls, events = (body if isinstance(body, bytes) else _read(body) for body in bodies)
    return _tools(calls), _agents(events.split(b"\n"))


def stored_names(store: ArtifactStore, key: str, index: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names of tools and agents of a sealed bundle by reading its files; damaged files give none."""
    tools, agents = set[str](), set[str]()
    for name in (TOOL_CALLS, EVENTS):
        path = _path(index, name)
        try:
            with store.open(f"{key}/{path}") as file:
                if name == EVENTS:
                    agents = _agents(file)
                else:
                    tools = _tools(file.read())
        except (KeyNotFound, orjson.JSONDecodeError):
            continue  # a damaged bundle is verify's to report
    return tools, agents


def read_row(store: ArtifactStore, key: str) -> Row:
    """Return the row of a bundle by reading its run.json. Raises `StoreUnavailable`."""
    from runbundle.bundle.reader import index_bytes, parse_index

    stamp = stamp_of(store, key)  # before it is read: if it changes meanwhile, that shows
    try:
        said = parse_index(index_bytes(store, key))
    except OddEntry as error:
        return problem_row(key, error.message)
    except KeyNotFound:
        return problem_row(key, "unsealed")
    except BundleError as error:
        return problem_row(key, error.message)
    return row_of(key, said.model_dump(mode="json", by_alias=True), stamp=stamp)


def row_with_names(store: ArtifactStore, row: Row) -> Row:
    """Return a row with the names of tools and agents read from its bundle."""
    try:
        return with_names(row, *stored_names(store, row.key, orjson.loads(store.get(f"{row.key}/{RUN}"))))
    except (KeyNotFound, orjson.JSONDecodeError):
        return row._replace(tools="\n", agents="\n")


def stamp_of(store: ArtifactStore, key: str) -> str:
    """Return time, size and inode of a bundle's run.json; empty if it does not exist or is not on disk."""
    folder = store.folder
    if folder is None:
        return ""
    try:
        status = Path(f"{folder}/{key}/{RUN}").stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"


def batches(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield the items in lists of at most 500, the size of one transaction."""
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])


def _read(body: Any) -> bytes:
    body.seek(0)
    data: bytes = body.read()
    return data


def _path(index: Mapping[str, Any], name: str) -> str:
    return next((e["path"] for e in index["files"] if e["path"] == name or e["path"].endswith("/" + name)), name)


def _tools(data: bytes) -> set[str]:
    return {call["tool"] for call in orjson.loads(data)["calls"]}


def _agents(lines: Iterable[bytes]) -> set[str]:
    found = set[str]()
    for line in lines:
        if b'"op":"agent"' in line and b'"type":"span.started"' in line:
            found.add(orjson.loads(line)["name"].removeprefix("invoke_agent "))
    return found
