"""tool_calls.json and evidence.json: an object with one long list, written and read an entry at a time.

The bytes are those of `to_json_bytes(..., indent=True)`: an entry begins and ends with a line of its own, indented by
four, which is how it is found again without reading the whole. A file of another layout is read whole.
"""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Generic, TypeVar

import orjson
from pydantic import BaseModel

from runbundle.bundle.reader import MAX_LINE_BYTES, Bundle, listed_path, parse_json, parse_model
from runbundle.errors import MalformedBundle, TooLarge
from runbundle.format.canonical import to_json_bytes
from runbundle.format.evidence import Evidence, Retrieval
from runbundle.format.layout import EVIDENCE, TOOL_CALLS
from runbundle.format.tool_calls import ToolCall, ToolCalls

M = TypeVar("M", bound=BaseModel)
_BREAK = b"\x01"
_MOST_AROUND_BYTES = 65_536  # what may stand behind the list


def entry_bytes(entry: dict[str, Any]) -> bytes:
    """Return an entry as it will stand in the file, but on one line, as it is sorted: JSON has no bytes below 32."""
    return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).replace(b"\n", _BREAK)


def write_listing(key: str, entries: Iterable[bytes], **rest: str) -> Iterator[bytes]:
    """Yield the file in pieces: `entries`, made by `listed`, under `key`, which sorts before the keys of `rest`.

    One entry is in memory at a time.
    """
    assert all(key < other for other in rest)
    yield b'{\n  "%b": [' % key.encode()
    end = b"]"
    for number, entry in enumerate(entries):
        yield (b",\n    " if number else b"\n    ") + entry.replace(_BREAK, b"\n    ")
        end = b"\n  ]"
    yield end + b",\n" + to_json_bytes(rest, indent=True)[2:]


class Listing(Generic[M]):
    """Such a file, read from a stream: iterate over it for the entries, each a model and its bytes."""

    around: BaseModel
    """The object around the list, as a model whose list is empty; once the iteration is over."""
    around_bytes = b""
    """Its bytes."""

    def __init__(self, file: BinaryIO, path: str, key: str, outer: type[BaseModel], inner: type[M]) -> None:
        self._lines = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        self._path, self._key, self._outer, self._inner = path, key, outer, inner

    def __iter__(self) -> Iterator[tuple[M, bytes]]:
        """Yield the entries. Raises `MalformedBundle` where something is not as the models say, after what was."""
        head = [next(self._lines, b""), next(self._lines, b"")]
        if head != [b"{\n", b'  "%b": [\n' % self._key.encode()]:
            yield from self._whole(self._all(head))
            return
        for first in self._lines:
            if first != b"    {\n":
                self._rest(first)
                return
            entry = [first]
            size = 0
            for line in self._lines:
                entry.append(line)
                size += len(line)
                if size > MAX_LINE_BYTES:
                    raise TooLarge("has an entry larger than 64 MiB", file=self._path)
                if line in (b"    }\n", b"    },\n"):
                    break
            data = b"".join(entry).rstrip(b",\n")
            yield _model(data, self._path, self._inner), data
        raise MalformedBundle("is cut off within its list", file=self._path)

    def _rest(self, first: bytes) -> None:
        rest = first
        for line in self._lines:
            rest += line
            if len(rest) > _MOST_AROUND_BYTES:
                raise MalformedBundle(f"has more than a few words behind {self._key}", file=self._path)
        self.around_bytes = b'{"%b": [%b' % (self._key.encode(), rest)
        self.around = _model(self.around_bytes, self._path, self._outer)
        if getattr(self.around, self._key):
            raise MalformedBundle(f"has {self._key} twice", file=self._path)

    def _all(self, head: list[bytes]) -> bytes:
        size, lines = 0, head
        for line in self._lines:
            lines.append(line)
            size += len(line)
            if size > MAX_LINE_BYTES:
                raise TooLarge("is larger than 64 MiB, and of another layout than is written", file=self._path)
        return b"".join(lines)

    def _whole(self, data: bytes) -> Iterator[tuple[M, bytes]]:
        found = _model(data, self._path, self._outer)
        value: dict[str, Any] = parse_json(data, self._path)  # raises for NaN, which pydantic takes
        for entry, body in zip(getattr(found, self._key), value[self._key], strict=True):
            yield entry, orjson.dumps(body)
        self.around = found.model_copy(update={self._key: []})
        self.around_bytes = orjson.dumps({**value, self._key: []})


def each_tool_call(bundle: Bundle) -> Iterator[ToolCall]:
    """Yield a bundle's tool calls, one in memory at a time. Raises `MalformedBundle`."""
    path = bundle.path(TOOL_CALLS)
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        yield from (call for call, _ in Listing(file, path, "calls", ToolCalls, ToolCall))


def each_retrieval(bundle: Bundle) -> Iterator[Retrieval]:
    """Yield a bundle's retrievals, one in memory at a time; none if it has no evidence. Raises `MalformedBundle`."""
    if listed_path(bundle.index, EVIDENCE) is None:
        return
    path = bundle.path(EVIDENCE)
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        yield from (retrieval for retrieval, _ in Listing(file, path, "retrievals", Evidence, Retrieval))


def _model(data: bytes, path: str, model: type[M]) -> M:
    return parse_model(data, model, path)
