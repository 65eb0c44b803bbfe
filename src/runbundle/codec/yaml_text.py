"""YAML that people write, as PyYAML has parsed it and before it makes values of it."""

from typing import Any


def repeated_key(node: Any) -> tuple[str, int] | None:
    """Return a key that a mapping of a document has twice, and the line of the second; None if there is none.

    PyYAML silently takes the second. `node` is the document's node, or None for an empty one.
    """
    pending, seen = [node], set[int]()
    while pending:
        here = pending.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        if here.id == "mapping":
            keys: set[str] = set()
            for key, inner in here.value:
                if str(key.value) in keys:
                    return str(key.value), key.start_mark.line + 1
                keys.add(str(key.value))
                pending.append(inner)
        elif here.id == "sequence":
            pending += here.value
    return None
