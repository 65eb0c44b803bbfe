"""Writing tool_calls.json and evidence.json, which are an object with one long list, one entry at a time.

Their bytes are those of `to_json_bytes(..., indent=True)`. `listings` reads them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from runbundle.format.canonical import to_json_bytes

_BREAK = b"\x01"


def entry_bytes(entry: dict[str, Any]) -> bytes:
    """Return an entry as it will be written, but on one line, so that lines can be sorted.

    Line ends are replaced by the byte 1, which JSON text never contains.
    """
    return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).replace(b"\n", _BREAK)


def parsed_entry(line: bytes) -> dict[str, Any]:
    """Return an entry that `entry_bytes` made."""
    return orjson.loads(line.replace(_BREAK, b"\n"))


def write_listing(key: str, entries: Iterable[bytes], **rest: str) -> Iterator[bytes]:
    """Yield the pieces of a file: `entries`, made by `entry_bytes`, as a list under `key`, then the fields `rest`.

    `key` must sort before the keys of `rest`. One entry is in memory at a time.
    """
    assert all(key < other for other in rest)
    yield b'{\n  "%b": [' % key.encode()
    end = b"]"
    for number, entry in enumerate(entries):
        yield (b",\n    " if number else b"\n    ") + entry.replace(_BREAK, b"\n    ")
        end = b"\n  ]"
    yield end + b",\n" + to_json_bytes(rest, indent=True)[2:]
