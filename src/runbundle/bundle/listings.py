"""Reading tool_calls.json and evidence.json, which are an object with one long list, one entry at a time.

Each entry begins and ends with a line of its own, indented by four (see `entry_lines`), so a reader finds its end
without parsing the rest. A file with another layout is read as a whole.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, Generic, TypeVar

import orjson
from pydantic import BaseModel

from runbundle.bundle.reader import MAX_LINE_BYTES, Bundle, listed_path, parse_json, parse_model
from runbundle.errors import MalformedBundle, TooLarge
from runbundle.format.evidence import Evidence, Retrieval
from runbundle.format.layout import EVIDENCE, TOOL_CALLS
from runbundle.format.tool_calls import CallEntry, ToolCalls

M = TypeVar("M", bound=BaseModel)
_MOST_AROUND_BYTES = 65_536  # what may stand behind the list


class Listing(Generic[M]):
    """A reader of such a file. Iterate over it once: it yields each entry as a model and its bytes."""

    around: BaseModel
    """The object around the list, with an empty list. Set when the iteration is over."""
    around_bytes = b""
    """The JSON of `around`."""

    def __init__(self, file: BinaryIO, path: str, key: str, outer: type[BaseModel], inner: type[M]) -> None:
        self._lines = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        self._path, self._key, self._outer, self._inner = path, key, outer, inner

    def __iter__(self) -> Iterator[tuple[M, bytes]]:
        """Yield the entries in order; raise `MalformedBundle` at the first that does not fit its model."""
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


def each_tool_call(bundle: Bundle) -> Iterator[CallEntry]:
    """Yield the tool calls of a bundle, with one in memory at a time. Raises `MalformedBundle`."""
    path = bundle.path(TOOL_CALLS)
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        yield from (call for call, _ in Listing(file, path, "calls", ToolCalls, CallEntry))


def each_retrieval(bundle: Bundle) -> Iterator[Retrieval]:
    """Yield the retrievals of a bundle, with one in memory at a time. Raises `MalformedBundle`."""
    if listed_path(bundle.index, EVIDENCE) is None:
        return
    path = bundle.path(EVIDENCE)
    with bundle.store.open(f"{bundle.key}/{path}") as file:
        yield from (retrieval for retrieval, _ in Listing(file, path, "retrievals", Evidence, Retrieval))


def _model(data: bytes, path: str, model: type[M]) -> M:
    return parse_model(data, model, path)
