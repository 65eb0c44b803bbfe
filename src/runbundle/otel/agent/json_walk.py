"""Turns live Python values into JSON values; a part that cannot be written costs only its own place.

No iterator is used up, no walk exceeds its limits, and depth costs no stack.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, cast

import orjson

from runbundle.format.words import CaptureWord
from runbundle.otel.agent.json_kinds import (
    NATIVE,
    NotJson,
    builtin_base,
    declared_fields,
    dumped,
    items_of,
    items_of_dict,
    json_kind,
    scalar,
    scalar_or_self,
    type_of,
)
from runbundle.redaction.captured import worst
from runbundle.redaction.markers import marker

MAX_DEPTH = 250
"""Levels that are opened. orjson writes 253."""
MAX_NODES = 100_000
"""Values that are visited one by one, at about 1 µs each."""
MAX_SECONDS = 0.5
"""Time limit of a walk, for values whose own code is slow."""

_UNSERIALISABLE = marker("unserialisable")
_CUT = marker("oversize")


def key_text(key: Any) -> str:
    """Return the text of a mapping's key; raises `NotJson` for a key that is not data."""
    tag = json_kind(type_of(key))
    written = scalar_or_self(key) if tag in ("native", "scalar") else key
    if type_of(written) is str:
        return written
    plain, word = JsonWalk(1000).to_json(written)
    if word != "whole":
        raise NotJson
    return plain if type_of(plain) is str else orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()


def _fields(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, object.__getattribute__(value, name)
        except AttributeError:
            continue  # declared and never set
        except Exception:  # noqa: BLE001 - a property that raises costs itself alone
            yield name, _ODD


class _Odd:
    """Stands for a value that could not be had."""


_ODD = _Odd()


def _model_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Return the fields of a model as they are where its own serializers fail, without those it never shows."""
    try:
        shown = dumped(value)
    except Exception:  # noqa: BLE001 - a serializer that raises, a cycle, a model without its fields
        declared = type_of(value).model_fields
        shown = dict(cast("dict[str, Any]", object.__getattribute__(value, "__dict__")))
        shown = {name: item for name, item in shown.items() if name not in declared or not declared[name].exclude}
        with contextlib.suppress(AttributeError):
            shown |= object.__getattribute__(value, "__pydantic_extra__") or {}
    return iter(cast("Any", shown).items()) if type_of(shown) is dict else iter({"root": shown}.items())


# Where a value stands: itself, and where what is above it stands. Objects, not ids: an id may be given again.
_Above = tuple[Any, "_Above"] | None
_Place = tuple[Any, Any, Any, int, _Above]


class JsonWalk:
    """One walk over one value, level by level: where a limit ends it, the parts near the top are kept."""

    def __init__(self, nodes: int = MAX_NODES, seconds: float = MAX_SECONDS) -> None:
        self._nodes = nodes
        self._until = time.monotonic() + seconds
        self._word: CaptureWord = "whole"
        self._pending: deque[_Place] = deque()
        self._sets: list[list[Any]] = []

    def to_json(self, value: Any) -> tuple[Any, CaptureWord]:
        """Return `value` as JSON values, and the word for the result: `whole`, `cut` or `unserialisable`. Never raises.

        Parts that a limit cuts, or that are no data, are replaced by markers.
        """
        holder: list[Any] = [None]
        self._pending.append((value, holder, 0, 0, None))
        while self._pending:
            place = self._pending.popleft()
            item, into, at, depth, above = place
            try:
                into[at] = self._opened(item, depth, above)
            except Exception:  # noqa: BLE001 - whatever is wrong with it is wrong with it alone
                into[at] = self._marked("unserialisable", _UNSERIALISABLE)
        for items in reversed(self._sets):  # inner ones come later, and are in order before outer ones are
            items.sort(key=_canonical)
        return holder[0], self._word

    def _marked(self, word: CaptureWord, mark: str) -> str:
        self._word = worst((self._word, word))
        return mark

    def _opened(self, value: Any, depth: int, above: _Above) -> Any:
        tag = json_kind(type_of(value))
        if tag in ("native", "scalar"):
            written = value if value is None else scalar(value)
            if type_of(written) in NATIVE:
                return written
            value, tag = written, json_kind(type_of(written))  # an enum or an array of numbers
        if tag == "none" or depth >= MAX_DEPTH or _within(value, above):
            raise NotJson
        is_dict = tag == "map" and issubclass(type_of(value), dict)
        sized = is_dict or tag in ("list", "set")
        if self._nodes <= 0 or (sized and builtin_base(value).__len__(value) > self._nodes):
            return self._marked("cut", _CUT)
        here = (value, above)
        if tag in ("list", "set"):
            return self._sequence(value, depth, here, in_order=tag == "list")
        if is_dict:
            return self._mapping(iter(items_of_dict(value)), depth, here)
        if tag == "map":
            return self._mapping(iter(value.items()), depth, here, timed=True)
        if tag == "model":
            return self._mapping(_model_fields(value), depth, here)
        return self._mapping(_fields(value, declared_fields(type_of(value)) or ()), depth, here)

    def _spent(self) -> bool:
        self._nodes -= 1
        return self._nodes < 0

    def _sequence(self, value: Any, depth: int, here: _Above, *, in_order: bool) -> Any:
        made: list[Any] = []
        for item in items_of(value):
            if self._spent():
                return self._marked("cut", _CUT)
            made.append(None)
            self._put(item, made, len(made) - 1, depth, here)
        if not in_order:
            self._sets.append(made)
        return made if self._in_time() else self._marked("cut", _CUT)

    def _mapping(self, items: Iterator[Any], depth: int, here: _Above, *, timed: bool = False) -> Any:
        made: dict[str, Any] = {}
        later: list[tuple[Any, Any]] = []
        for key, item in items:
            if self._spent() or (timed and not self._in_time()):
                return self._marked("cut", _CUT)
            if type_of(key) is str and key.isascii():
                made[key] = None
                self._put(item, made, key, depth, here)
            else:
                later.append((key, item))
        named = ((*self._named(key), item) for key, item in later)
        for name, kind, item in sorted(named, key=itemgetter(0, 1)):  # in whatever order they were put there
            if name in made:
                name = f"{kind}:{name}"  # the number 1 beside the text "1"
                while name in made:  # of several like that, which is which nobody can tell
                    name = self._marked("unserialisable", f"{name}'")
            made[name] = None
            self._put(item, made, name, depth, here)
        return made if self._in_time() else self._marked("cut", _CUT)

    def _named(self, key: Any) -> tuple[str, str]:
        try:
            return key_text(key), type_of(key).__name__
        except Exception:  # noqa: BLE001 - as for a value
            return self._marked("unserialisable", _UNSERIALISABLE), ""

    def _put(self, item: Any, into: Any, at: Any, depth: int, here: _Above) -> None:
        """Put a child in its place: at once if it is JSON's own, else when its level's turn comes."""
        kind = type_of(item)
        if (
            item is None
            or (kind is str and item.isascii())
            or kind is bool
            or (kind is int and -(2**63) <= item < 2**64)
            or (kind is float and item - item == 0)
        ):
            into[at] = item
        else:
            self._pending.append((item, into, at, depth + 1, here))

    def _in_time(self) -> bool:
        if time.monotonic() <= self._until:
            return True
        self._nodes = 0
        return False


def _within(value: Any, above: _Above) -> bool:
    while above is not None:
        if above[0] is value:
            return True
        above = above[1]
    return False


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
