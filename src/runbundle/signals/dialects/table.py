"""The form of a dialect's table, and the reading of a span by it.

A table says in rows which attribute of ours each of the dialect's attributes becomes. Our attributes are those of the
GenAI conventions (`semconv`) and our own (`own`). A source that was read is gone afterwards; one that could not be read
stays, and redaction withholds it as it does any other that nobody declared.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from runbundle.signals.kinds import Kind
from runbundle.signals.records import Attributes, EventRecord

Read = Callable[[Any], Any]
"""Turns a source's value into ours; None says that it cannot."""


class Row(NamedTuple):
    """One of our attributes and the attributes of the dialect that say it, the most believable first."""

    target: str
    sources: tuple[str, ...]
    read: Read | None = None
    """Without it the value is taken as it is."""


class Reading:
    """One span while it is read: its attributes, which change, and what else a table may ask."""

    __slots__ = ("added", "attributes", "end_ns", "events", "is_root", "moved", "name", "op", "scope")

    def __init__(
        self,
        name: str,
        attributes: Attributes,
        *,
        scope: str = "",
        events: list[EventRecord] | None = None,
        end_ns: int = 0,
        is_root: bool = False,
    ) -> None:
        """`attributes` are changed. `events` are read only; those that the reading makes are in `added`."""
        self.name = name
        self.attributes = attributes
        self.scope = scope
        """Name of the instrumentation scope."""
        self.events: list[EventRecord] = events or []
        self.end_ns = end_ns
        self.is_root = is_root
        """Whether nothing in its process stands above the span, as far as it is known yet."""
        self.op = ""
        """The dialect's word for the kind of work, as its table has it among `rows_of`."""
        self.added: list[EventRecord] = []
        self.moved: dict[str, str] = {}
        """Where sources went, by key: what was said of how a value was captured goes with it."""

    def put(self, key: str, value: Any) -> None:
        """Set one of our attributes, unless it is there already or there is nothing to say."""
        if value is not None and key not in self.attributes:
            self.attributes[key] = value

    def take(self, key: str) -> Any:
        """Remove a source and return its value; None if there is none."""
        return self.attributes.pop(key, None)

    def text(self, key: str) -> str:
        """Return the text under a key; "" for nothing and for what is no text."""
        value = self.attributes.get(key)
        return value if isinstance(value, str) else ""

    def apply(self, rows: tuple[Row, ...]) -> None:
        """Read the sources of each row. What is there under our name already is believed more."""
        attributes = self.attributes
        for target, sources, read in rows:
            for source in sources:
                if source not in attributes:
                    continue
                value = attributes[source]
                if target not in attributes:
                    value = value if read is None else read(value)
                    if value is None:
                        continue
                    attributes[target] = value
                    self.moved[source] = target
                if source != target:
                    del attributes[source]


class Dialect(NamedTuple):
    """One dialect: how it is recognised, and how it is read."""

    name: str
    """Kept in `runbundle.dialect`; "" for names that are ours too."""
    signs: frozenset[str]
    """Attribute keys of which each span of the dialect has at least one."""
    kinds: Mapping[str, Kind]
    """What is held by keys that stay where they are, and that no other table declares."""
    work: Callable[[Reading], str]
    """Sets the attributes that say what kind of work a span is, and its name; returns a word for `rows_of`."""
    rows: tuple[Row, ...] = ()
    """Read on every span."""
    rows_of: Mapping[str, tuple[Row, ...]] = {}
    """Read on spans of one kind of work, after `rows`."""
    finish: Callable[[Reading], None] | None = None
    """Reads what no row can say, last."""
