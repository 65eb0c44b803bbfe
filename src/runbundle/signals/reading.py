"""Attributes read as what they should be: whoever instruments may put anything there, and a bundle has declared types.

A reader returns its type, or what says that there is none; it never raises. JSON text is read so that nothing of it is
lost: a parser makes a float of a number beyond 64 bits, rounds a decimal with many digits, and keeps the last of two
equal keys. What it makes would be recorded, and its digest be that of other texts as well.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson

from runbundle.process.regex import later

LARGEST = 2**63 - 1
"""What a count is cut to, and a sum of counts: JSON holds no more."""
_TOKEN = later(rb'"(?:[^"\\]|\\.)*+"(?P<key>[ \t\r\n]*:)?|[{}]|-?\d[\d.eE+-]*', re.DOTALL)
"""What the values of a text are made of; the text is known to be JSON."""
_LIKE_NUMBER = later(rb"-?\d[\d.eE+-]{4,}")
_LONG_NUMBER = later(rb"0000000000000000[0e+-]*")
_KEY = later(rb'"[ \t\r\n]*:')
_BLANKS = b" \t\r\n"
_ALIKE = bytes.maketrans(b"123456789.E\t\r\n", b"0000000000e   ")
"""Makes all digits one, all blanks one, and both signs of an exponent one."""
_ODD = (b"\\u0022", b"\\u003a", b"\\u003A")
"""What is written in another way may look like a key, or like none any more."""
_LONG, _SMALL = b"0" * 16, b"e-000"
"""What a number looks like then of which a float may lose digits: all of 15 come back (IEEE 754, 5.12.2)."""


def text_of(attributes: Mapping[str, Any], key: str) -> str | None:
    """Return the text that is stated under `key`, a number as text; None for a list, a mapping, nothing or ""."""
    value = attributes.get(key)
    if value is None or isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int | float) else None


def whole_of(attributes: Mapping[str, Any], key: str) -> int | None:
    """Return the whole number that is stated under `key`, as 3 or as 3.0; None for what is none, as True is."""
    value = attributes.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(-LARGEST, min(value, LARGEST))


def count_of(attributes: Mapping[str, Any], key: str) -> int:
    """Return the count that is stated under `key`; 0 for what is none."""
    return max(0, whole_of(attributes, key) or 0)


def number_of(attributes: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number that is stated under `key`; None for what is none."""
    value = attributes.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or value - value != 0:
        return None
    return value


_BEGINNINGS = frozenset('{["-0123456789tfn \t\n\r')


def json_of(text: object) -> Any:
    """Return the value of JSON text of others, as `value_of` does; None for what is none, or repeats a key."""
    if isinstance(text, str) and text[:1] not in _BEGINNINGS:
        return None  # most text is none: to let the parser say so costs more than all else that is asked of it
    try:
        return value_of(cast("str", text))
    except (orjson.JSONDecodeError, TypeError):
        return None


def written_of(text: object) -> Any:
    """Return the value of JSON text that we wrote, of which a parser loses nothing; None for what is none."""
    try:
        return orjson.loads(cast("str", text))
    except (orjson.JSONDecodeError, TypeError):
        return None


# -- JSON text of others -----------------------------------------------------------------------------------------------


class RepeatedKey(orjson.JSONDecodeError):
    """Raised for a text in which an object has one key twice: what it says depends on who reads it (RFC 8259, 4)."""


def value_of(text: str | bytes) -> Any:
    """Return the value of JSON text. A number that neither 64 bits nor a float hold is text, as it was written.

    Raises `orjson.JSONDecodeError` for what is no JSON, and its subclass `RepeatedKey`.
    """
    value = orjson.loads(text)
    if value.__class__ is not dict and value.__class__ is not list and value.__class__ is not float:
        return value
    data = text.encode() if isinstance(text, str) else text
    # Nearly all texts are what is written again, but for blanks; to look at each token costs ten times as much.
    again = _written(value)
    if again == data or again.translate(None, _BLANKS) == data.translate(None, _BLANKS):
        return value
    return value if _has_all(data, again) else _in_full(data)


def _has_all(data: bytes, again: bytes) -> bool:
    """Tell whether a text surely says no more than what was made of it, written `again`: by its looks alone."""
    alike = data.translate(_ALIKE)
    if (_LONG in alike or _SMALL in alike) and any(map(_loses, _likely(data, alike))):
        return False
    if b"\\u00" in data and any(escape in data for escape in _ODD):
        return False
    # Of a text that has all, both have as many keys, and as many parts of strings look like one.
    if b" :" in alike:
        return len(_KEY.findall(data)) == len(_KEY.findall(again))
    return data.count(b'":') == again.count(b'":')


def _likely(data: bytes, alike: bytes) -> Iterator[bytes]:
    """Yield what looks like a number of which digits may be lost; some of it is in strings."""
    if _SMALL in alike:
        yield from _LIKE_NUMBER.findall(data)
    else:  # the same in a quarter of the time, for ids of 19 digits are common
        for found in _LONG_NUMBER.finditer(alike):
            start = found.start()
            yield data[start - (data[start - 1 : start] == b"-") : found.end()]


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # it reads what is nested deeper than what it writes
        return b""


def _in_full(data: bytes) -> Any:
    """Return the value of JSON text, looked at token by token. Depth costs no stack."""
    keys: list[set[str]] = []
    pieces: list[bytes] = []
    at = 0
    for found in _TOKEN.finditer(data):
        token = found[0]
        if token == b"{":
            keys.append(set())
        elif token == b"}":
            keys.pop()
        elif found["key"] is not None:
            key: str = orjson.loads(data[found.start() : found.start("key")])
            if key in keys[-1]:
                before = data[: found.start()].decode()
                raise RepeatedKey("an object has one key twice", data.decode(), len(before))
            keys[-1].add(key)
        elif token[:1] != b'"' and _loses(token):
            pieces += data[at : found.start()], b'"', token, b'"'
            at = found.end()
    return orjson.loads(b"".join([*pieces, data[at:]]))


def _loses(number: bytes) -> bool:
    """Tell whether a number is another one when it was read; of digits in a string, whether it would be."""
    digits = number.removeprefix(b"-")
    if digits.isdigit():
        return len(digits) > 18 and (len(digits) > 20 or not -(2**63) <= int(number) < 2**64)
    try:
        again = repr(float(number))
    except ValueError:
        return False
    said = number.decode()
    if said == again:
        return False
    from decimal import Decimal  # of few texts is this asked

    try:
        return Decimal(again) != Decimal(said)
    except ArithmeticError:  # its exponent is beyond what decimals have
        return True
