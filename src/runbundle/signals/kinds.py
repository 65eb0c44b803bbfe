"""The kinds of values that attributes hold; redaction has one way of handling each."""

from typing import Literal

Kind = Literal[
    "name",
    "id",
    "number",
    "content",
    "config",
    "messages",
    "arguments",
    "result",
    "own",
    "stack",
    "user",
    "free_id",
    "flag",
]


def keys_of(kind: Kind, *keys: str) -> dict[str, Kind]:
    """Return a table in which each of the keys, given in texts with blanks between them, is of one kind."""
    return dict.fromkeys(" ".join(keys).split(), kind)
