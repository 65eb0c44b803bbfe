"""JSON text, read so that nothing of it is lost: instrumentations give payloads and messages as such text.

A parser makes a float of a number beyond 64 bits, rounds a decimal with many digits, and keeps the last of two equal
keys. What it makes is then recorded, and its digest is that of other texts as well.
"""

import re
from typing import Any

import orjson

from runbundle.process.regex import later

_TOKEN = later(rb'"(?:[^"\\]|\\.)*+"(?P<key>[ \t\r\n]*:)?|[{}]|-?\d[\d.eE+-]*', re.DOTALL)
"""What the values of a text are made of; the text is known to be JSON."""
_ALIKE = bytes.maketrans(b"123456789.E\t\r\n", b"0000000000e   ")
"""Makes all digits one, all blanks one, and both signs of an exponent one."""
_LONG = b"0" * 16
"""Decimals of 15 digits come back from a float as they were: IEEE 754, 5.12.2."""


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
    alike = data.translate(_ALIKE)
    if _LONG in alike or b"e-00" in alike:
        return _in_full(data)
    # Escaped quotes and blanks aside, the text and what is written again have as many keys. To look at each costs a
    # text of 1 KB ten times as much.
    is_plain = b" :" not in alike and b"\\u00" not in data
    return value if is_plain and data.count(b'":') == _written(value).count(b'":') else _in_full(data)


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
        elif token[:1] != b'"' and _loses(token.decode()):
            pieces += data[at : found.start()], b'"', token, b'"'
            at = found.end()
    return orjson.loads(b"".join([*pieces, data[at:]]))


def _loses(number: str) -> bool:
    """Tell whether a number is another one when it was read."""
    value: int | float = orjson.loads(number)
    if isinstance(value, int):
        return False
    if not any(sign in number for sign in ".eE"):
        return True
    from decimal import Decimal  # of few texts is this asked

    try:
        return Decimal(repr(value)) != Decimal(number)
    except ArithmeticError:  # its exponent is beyond what decimals have
        return True
