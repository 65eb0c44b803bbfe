"""Turns a span of any dialect into our terms: once, at the edge, before anything else looks at it.

A new dialect is a module with a `Dialect`, named here, and a dump of spans that the tests read.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from runbundle.signals import own, semconv
from runbundle.signals.dialects.genai import GENAI
from runbundle.signals.dialects.langsmith import LANGSMITH
from runbundle.signals.dialects.litellm import LITELLM
from runbundle.signals.dialects.openinference import OPENINFERENCE
from runbundle.signals.dialects.openllmetry import OPENLLMETRY
from runbundle.signals.dialects.table import Dialect, Plan, Reading, Row
from runbundle.signals.dialects.vectorstores import VECTORSTORES
from runbundle.signals.kinds import Kind
from runbundle.signals.records import SpanRecord

DIALECTS: tuple[Dialect, ...] = (
    OPENINFERENCE,
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
_SIGNS: dict[str, int] = {}
for _number, _dialect in enumerate(DIALECTS):
    for _sign in _dialect.signs:
        _SIGNS[_sign] = _SIGNS.get(_sign, 0) | 1 << _number
_PLANS = tuple({op: Plan((*d.rows, *d.rows_of.get(op, ()))) for op in (*d.rows_of, "")} for d in DIALECTS)
"""What is read of each dialect, by its word for the kind of work; under "" for all others."""
_TARGETS = tuple(frozenset(row.target for rows in (d.rows, *d.rows_of.values()) for row in rows) for d in DIALECTS)


class _Step:
    """One dialect, as it is read where a span has certain keys."""

    __slots__ = ("_keys", "_plans", "dialect", "loose", "rows")

    def __init__(self, number: int, keys: frozenset[str]) -> None:
        """`keys` are those of the span and of what is read before."""
        self.dialect = DIALECTS[number]
        self._keys = keys
        self._plans = _PLANS[number]
        self.rows: dict[str, tuple[Row, ...]] = {}
        """By the word for the kind of work, as far as there was such a span."""
        known = self.dialect.kinds
        self.loose = tuple(
            (head, target, loose)
            for head, target in self.dialect.gathered.items()
            if (loose := tuple(sorted(key for key in keys if key.startswith(head) and key not in known)))
        )

    def rows_for(self, op: str) -> tuple[Row, ...]:
        op = op if op in self._plans else ""
        rows = self.rows.get(op)
        if rows is None:
            rows = self.rows[op] = self._plans[op].rows_for(self._keys)
        return rows


_SHAPES: dict[tuple[str, ...], tuple[_Step, ...]] = {}
"""By all keys of a span what is read of it: spans that one line of code makes have the same keys."""
_MOST_SHAPES, _MOST_KEYS, _MOST_CHARS = 2048, 128, 8192
"""How many are remembered, and of which size at most."""


def _is_text(key: object) -> bool:
    """A caller of `canonical_attributes` may give any keys."""
    return isinstance(key, str)


def _steps_of(keys: tuple[str, ...]) -> tuple[_Step, ...]:
    """Return how a span with such keys is read; nothing if there is nothing to be read."""
    steps = _SHAPES.get(keys)
    if steps is not None:
        return steps
    signs = 0
    for sign in _SIGNS.keys() & keys:
        signs |= _SIGNS[sign]
    if own.RECEIPT in keys:
        signs = 0
    texts = list(filter(_is_text, keys))
    found: list[_Step] = []
    reach = frozenset(texts)
    for number in range(len(DIALECTS)):
        # What an earlier table has put there is in our terms, and no sign.
        if signs >> number & 1:
            found.append(_Step(number, reach))
            reach |= _TARGETS[number]
    steps = tuple(found)
    if len(keys) <= _MOST_KEYS and sum(map(len, texts)) <= _MOST_CHARS:
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        _SHAPES[keys] = steps
    return steps


def canonical(record: SpanRecord) -> SpanRecord:
    """Return the record in our terms; the same object if it is so already. The input is not modified.

    Total: what a table cannot read stays as it is. A record with a receipt was in our terms before it was redacted.
    """
    attributes = record["attributes"]
    steps = _steps_of(tuple(attributes))
    if not steps:
        return record
    reading = Reading(
        record["name"],
        attributes.copy(),
        scope=record["scope"]["name"],
        events=record["events"],
        end_ns=record["end_ns"],
        is_root=not record["parent_span_id"] or record["remote_parent"],
    )
    try:
        _read(reading, steps)
    except Exception:  # noqa: BLE001 - whatever is in it, a span costs itself the reading alone
        return record
    if own.CAPTURE in attributes:
        _move_captures(reading)
    return {**record, "attributes": reading.attributes, "events": [*record["events"], *reading.added]}


def canonical_attributes(name: object, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return attributes in our terms, as far as a span that has only begun says; the given ones stay."""
    steps = _steps_of(tuple(attributes))
    if not steps:
        return attributes
    reading = Reading(name if isinstance(name, str) else "", dict(attributes))
    try:
        _read(reading, steps)
    except Exception:  # noqa: BLE001 - as above
        return attributes
    return reading.attributes


def _read(reading: Reading, steps: tuple[_Step, ...]) -> None:
    for step in steps:
        dialect = step.dialect
        if dialect.name:
            reading.put(own.DIALECT, dialect.name)
        reading.op = op = dialect.work(reading)
        rows = step.rows.get(op)
        reading.apply(step.rows_for(op) if rows is None else rows)
        if dialect.finish is not None:
            dialect.finish(reading)
        for head, target, keys in step.loose:
            reading.gather(head, target, keys)
    attributes = reading.attributes
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
