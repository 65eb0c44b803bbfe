"""Turns a span of any dialect into our terms: once, at the edge, before anything else looks at it.

A new dialect is a module with a `Dialect`, named here, and a dump of spans that the tests read.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from runbundle.signals import own, semconv
from runbundle.signals.dialects.adk import ADK
from runbundle.signals.dialects.anthropic import ANTHROPIC
from runbundle.signals.dialects.forms.cuts import CUT, OF_DOCUMENTS, PAYLOADS, with_cuts, without_cut
from runbundle.signals.dialects.forms.flattened import Lists
from runbundle.signals.dialects.forms.message_events import ROLES, put_messages
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row, Rows
from runbundle.signals.dialects.genai import GENAI, RENAMED
from runbundle.signals.dialects.langsmith import LANGSMITH
from runbundle.signals.dialects.litellm import LITELLM
from runbundle.signals.dialects.logfire import LOGFIRE
from runbundle.signals.dialects.mcp import MCP
from runbundle.signals.dialects.openinference import OPENINFERENCE
from runbundle.signals.dialects.openllmetry import OPENLLMETRY
from runbundle.signals.dialects.strands import STRANDS
from runbundle.signals.dialects.vectorstores import VECTORSTORES
from runbundle.signals.kinds import Kind
from runbundle.signals.records import LogRecordDict, SpanRecord

DIALECTS: tuple[Dialect, ...] = (
    OPENINFERENCE,
    ANTHROPIC,
    LOGFIRE,
    STRANDS,
    ADK,
    MCP,
    VECTORSTORES,
    LITELLM,
    LANGSMITH,
    OPENLLMETRY,
    GENAI,
)
"""In the order in which they are read. The first that says something is believed; the GenAI conventions come last,
since others may have written their names."""

KINDS: dict[str, Kind] = {key: kind for dialect in DIALECTS for key, kind in dialect.kinds.items()}
"""What is held by keys that only these tables declare."""
STATED: frozenset[str] = (
    PAYLOADS
    | OF_DOCUMENTS
    | KINDS.keys()
    | {
        target
        for dialect in DIALECTS
        for target in (
            *(row.target for rows in (dialect.rows, *dialect.rows_of.values()) for row in rows),
            *dialect.gathered.values(),
        )
    }
)
"""Keys of which a span says that what is there was read from a cut value."""
_RENAMED = frozenset(source for row in RENAMED for source in row.sources)
_EVENT_NAME = "event.name"
"""Where the name of an event was before log records had a field for it."""
_SIGNS: dict[str, int] = {}
for _number, _dialect in enumerate(DIALECTS):
    for _sign in _dialect.signs:
        _SIGNS[_sign] = _SIGNS.get(_sign, 0) | 1 << _number


class _Table(NamedTuple):
    """A dialect with its rows made ready."""

    dialect: Dialect
    rows: Rows
    """For work that is none of those in `rows_of`."""
    rows_of: dict[str, Rows]
    lists: Lists | None = None
    """Those that the keys of a span make, if the dialect has any."""


_TABLES = [
    _Table(dialect, Rows(dialect.rows), {op: Rows((*dialect.rows, *rows)) for op, rows in dialect.rows_of.items()})
    for dialect in DIALECTS
]
_OURS = frozenset(row.target for each in DIALECTS for rows in (each.rows, *each.rows_of.values()) for row in rows)
"""What a row may read that was not among a span's keys: the reading has put it there."""


class _Shape:
    """What follows from the keys of a span alone, in their order: what one line of code emits has one shape, or few."""

    __slots__ = ("_keys", "_rows", "leaves", "loose", "tables")

    def __init__(self, keys: tuple[str, ...]) -> None:
        signs = 0
        for sign in _SIGNS.keys() & keys:
            signs |= _SIGNS[sign]
        self.tables = tuple(
            table._replace(lists=Lists(keys, table.dialect.lists)) if table.dialect.lists else table
            for number, table in enumerate(_TABLES)
            if signs >> number & 1
        )
        """In the order in which they are read. What one of them puts there is in our terms, and no sign for others."""
        self.loose = {
            head: [(key, key[len(head) :]) for key in keys if key.startswith(head) and key not in table.dialect.kinds]
            for table in self.tables
            for head in table.dialect.gathered
        }
        """Keys of which a table has only the beginning, by that: each with what follows."""
        self._keys = keys
        self._rows: dict[Rows, tuple[Row, ...]] = {}
        self.leaves = self._leaves()
        """Tells of attributes of a span without events that they are in our terms; None if that takes a reading."""

    def _leaves(self) -> Callable[[Mapping[str, Any]], bool] | None:
        if len(self.tables) != 1 or semconv.TOTAL_TOKENS in self._keys:
            return None
        dialect, rows, rows_of, _ = self.tables[0]
        is_read = dialect.name or rows_of or dialect.lists or dialect.gathered or self.rows(rows)
        return None if is_read else dialect.leaves

    def rows(self, rows: Rows) -> tuple[Row, ...]:
        """Return those of the rows that have something to do."""
        chosen = self._rows.get(rows)
        if chosen is None:
            chosen = self._rows[rows] = rows.with_sources_in(_OURS.union(self._keys))
        return chosen


_NOTHING = _Shape(())
_SHAPES: dict[tuple[str, ...], _Shape] = {}
_MOST_SHAPES, _MOST_CHARS = 2048, 4096
"""How many shapes are remembered, and of how many characters at most."""


def _new_shape(keys: tuple[str, ...]) -> _Shape:
    if not all(map(_is_text, keys)):
        return _NOTHING
    shape = _Shape(keys)
    if sum(map(len, keys)) <= _MOST_CHARS:
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        _SHAPES[keys] = shape
    return shape


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def is_unread(attributes: Mapping[str, Any]) -> bool:
    """Tell whether attributes are of a dialect with a name, and do not say that its table has read them."""
    if own.DIALECT in attributes:
        return False
    keys = tuple(attributes)
    shape = _SHAPES.get(keys) or _new_shape(keys)
    return any(table.dialect.name for table in shape.tables)


def canonical(record: SpanRecord) -> SpanRecord:
    """Return the record in our terms; the same object if it is so already. The input is not modified.

    Total: what a table cannot read stays as it is. Whether a record that was redacted is read again, its redactor says.
    """
    attributes, events = record["attributes"], record["events"]
    is_cut = CUT in attributes or own.CAPTURE in attributes
    if is_cut or (events and any(CUT in event["attributes"] or own.CAPTURE in event["attributes"] for event in events)):
        is_cut, record = True, without_cut(record)
        attributes = record["attributes"]
    keys = tuple(attributes)
    shape = _SHAPES.get(keys) or _new_shape(keys)
    if not shape.tables or (shape.leaves is not None and not events and shape.leaves(attributes)):
        return record
    reading = Reading(
        record["name"],
        attributes.copy(),
        record["scope"]["name"],
        record["events"],
        record["end_ns"],
        not record["parent_span_id"] or record["remote_parent"],
    )
    try:
        _read(reading, shape)
    except Exception:  # noqa: BLE001 - whatever is in it, a span costs itself the reading alone
        return record
    if own.CAPTURE in attributes:
        _move_captures(reading)
    events = [*reading.events, *reading.added]
    if is_cut:
        events = with_cuts(reading.attributes, attributes, events, STATED)
    return {**record, "attributes": reading.attributes, "events": events}


def canonical_attributes(name: object, attributes: Mapping[str, Any], *, whole: bool = True) -> Mapping[str, Any]:
    """Return attributes in our terms, as far as a span that has only begun says; the given ones stay.

    Without `whole` they say the kind of work as they do with it, and of the rest as much as costs little.
    """
    keys = tuple(attributes)
    shape = _SHAPES.get(keys) or _new_shape(keys)
    if not shape.tables:
        return attributes
    reading = Reading(name if isinstance(name, str) else "", dict(attributes))
    try:
        _read(reading, shape, whole=whole)
    except Exception:  # noqa: BLE001 - as above
        return attributes
    return reading.attributes


def canonical_log(record: LogRecordDict) -> LogRecordDict:
    """Return the log record in our terms; the same object if it is so already. The input is not modified.

    Total, as `canonical`. The message that a record is has a place among the attributes, besides the body.
    """
    attributes = record["attributes"]
    if CUT in attributes:
        attributes = {key: value for key, value in attributes.items() if key != CUT}
        record = {**record, "attributes": attributes}
    name = record["event_name"] or attributes.get(_EVENT_NAME, "")
    is_message = isinstance(name, str) and name in ROLES
    if not is_message and _RENAMED.isdisjoint(attributes):
        return record
    reading = Reading(name, attributes.copy(), scope=record["scope"]["name"])
    try:
        reading.apply(RENAMED)
        if is_message and isinstance(record["body"], dict):
            put_messages(reading, [(name, record["body"])])
    except Exception:  # noqa: BLE001 - as above
        return record
    if is_message and not record["event_name"]:
        reading.take(_EVENT_NAME)
        return {**record, "event_name": name, "attributes": reading.attributes}
    return {**record, "attributes": reading.attributes}


def _read(reading: Reading, shape: _Shape, *, whole: bool = True) -> None:
    attributes = reading.attributes
    for dialect, rows, rows_of, lists in shape.tables:
        if dialect.name:
            reading.put(own.DIALECT, dialect.name)
        reading.op = op = dialect.work(reading)
        reading.apply(shape.rows(rows_of.get(op, rows)))
        if not whole:
            continue
        if dialect.finish is not None:
            if lists is not None:
                reading.lists = lists
            dialect.finish(reading)
        for head, target in dialect.gathered.items():
            reading.gather(head, target, shape.loose[head])
    if (
        semconv.TOTAL_TOKENS in attributes
        and semconv.INPUT_TOKENS in attributes
        and semconv.OUTPUT_TOKENS in attributes
    ):
        del attributes[semconv.TOTAL_TOKENS]  # a sum of both: in sums of spans it would be a third kind of tokens


def _move_captures(reading: Reading) -> None:
    """Let what was said of a source's capture be said of the attribute that it became."""
    said = reading.attributes.get(own.CAPTURE)
    if not isinstance(said, str) or not reading.moved:
        return
    try:
        of_keys: Any = orjson.loads(said)
        moved = {reading.moved.get(key, key): word for key, word in of_keys.items()}
    except (orjson.JSONDecodeError, AttributeError):
        return
    reading.attributes[own.CAPTURE] = orjson.dumps(moved, option=orjson.OPT_SORT_KEYS).decode()
