"""The form of a dialect's table, and the reading of a span by it.

A table says in rows which attribute of ours each of the dialect's attributes becomes. Our attributes are those of the
GenAI conventions (`semconv`) and our own (`own`). A source that was read is gone afterwards; one that could not be read
stays, and redaction withholds it as it does any other that nobody declared.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from runbundle.signals.dialects.forms.flattened import Lists
from runbundle.signals.kinds import Kind
from runbundle.signals.records import Attributes, EventRecord

Read = Callable[[Any], Any]
"""Turns a source's value into ours; None says that it cannot."""


class Row(NamedTuple):
    """One of our attributes and the attributes of the dialect that say it, the most believable first."""

    target: str
    sources: tuple[str, ...]
    """If one is the target itself, it is read where it is."""
    read: Read | None = None
    """Without it the value is taken as it is."""
    keep: bool = False
    """Whether the sources stay: they are not the dialect's own."""


class Rows:
    """Rows, of which those that have something to do are found at once: a span has few of the keys of a table."""

    __slots__ = ("_numbers", "_rows")

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._rows = rows
        of_rows: dict[int, set[int]] = {}
        self._numbers: dict[str, set[int]] = {}
        for number in range(len(rows) - 1, -1, -1):
            fed = (later for later in of_rows if rows[number].target in rows[later].sources)
            of_rows[number] = {number}.union(*[of_rows[later] for later in fed])
            for source in rows[number].sources:
                self._numbers.setdefault(source, set()).update(of_rows[number])

    def with_sources_in(self, keys: Collection[str]) -> tuple[Row, ...]:
        """Return the rows that have a source among the keys, or one that a row before them puts there, in their order.

        Of their sources only those are left that may be there.
        """
        found = set[int]().union(*[self._numbers[key] for key in self._numbers.keys() & keys])
        rows = [self._rows[number] for number in sorted(found)]
        there = {*keys, *(row.target for row in rows)}
        return tuple(row._replace(sources=tuple(filter(there.__contains__, row.sources))) for row in rows)


class Reading:
    """One span while it is read: its attributes, which change, and what else a table may ask."""

    op = ""
    """The dialect's word for the kind of work, as its table has it among `rows_of`."""
    lists = Lists((), ())
    """The dialect's lists that were flattened, to be taken."""

    def __init__(
        self,
        name: str,
        attributes: Attributes,
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

    def replace(self, key: str, value: Any) -> None:
        """Set one of our attributes to a value as JSON text, whatever was there; None and what JSON cannot hold say
        nothing.
        """
        text = json_text(value)
        if text is not None:
            self.attributes[key] = text

    def apply(self, rows: Iterable[Row]) -> None:
        """Read the sources of each row. What is there under our name already is believed more."""
        attributes = self.attributes
        for target, sources, read, keep in rows:
            for source in sources:
                if source not in attributes:
                    continue
                here = source == target
                if here or target not in attributes:
                    value = attributes[source]
                    if read is not None:
                        value = read(value)
                    if value is None:
                        continue
                    attributes[target] = value
                    if here:
                        continue
                    self.moved[source] = target
                if not keep and not here:
                    del attributes[source]

    def gather(self, head: str, target: str, keys: Iterable[tuple[str, str]]) -> None:
        """Put what is left of keys that begin with `head` into one attribute, as JSON, without that beginning.

        `keys` are given with what each is without it.
        For keys that anybody may make up: they are content as their values are. An empty text says nothing, and goes.
        What JSON cannot hold stays where it is.
        """
        attributes = self.attributes
        if target in attributes:
            return
        found: dict[str, Any] = {}
        for key, word in keys:
            value = attributes.pop(key, "")
            if value != "":
                found[word] = value
        if found:
            text = json_text(found)
            if text is None:
                attributes.update((head + word, value) for word, value in found.items())
            else:
                attributes[target] = text


def json_text(value: Any) -> str | None:
    """Return a value as JSON text, a text as it is; None for None and for what JSON cannot hold."""
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None


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
    """Reads what no row can say, after them."""
    lists: frozenset[str] = frozenset()
    """Heads of lists that were flattened, which `finish` takes as `reading.lists`."""
    gathered: Mapping[str, str] = {}
    """Beginnings of keys that anybody may make up, and the attribute of content that has what is left of them, last."""
    leaves: Callable[[Mapping[str, Any]], bool] | None = None
    """Tells of a span without events, none of whose keys is a source, that `work` and `finish` leave it as it is. May
    say no of such a span; of one without a name, most are such."""
