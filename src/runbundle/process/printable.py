r"""Escapes text from a run or a store before it is printed to a terminal, a log or a CI system.

A tool's result or a file name may contain control characters, escape sequences, marks that reverse the direction of
text, invisible characters, line ends, console markup, or commands to a CI system. Each such character is written as an
escape, such as `\x1b` or `\u202e`. All other text, backslashes included, stays as it is, so the result is for reading
and cannot be converted back. Escaping twice gives the same as escaping once.
"""

import logging
import re
from collections.abc import Mapping

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_UNSEEN = (
    r"\x00-\x1f\x7f-\x9f"  # controls, and those of C1
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufeff"  # what takes no room, or shows nothing
    r"\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, marks and overrides of direction, separators of lines
    r"\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\ue000-\uf8ff"  # no characters, halves of some, private ones
    r"\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff\U000f0000-\U0010ffff"  # tags and the like
)
# A variation selector is well after a sign or an emoji that has variants, once.
_VARIATION = r"(?<![\u00a9\u00ae\u203c-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff])[\ufe00-\ufe0f]"
# Commands to CI systems: `##[error]`, `##vso[...]`, `##teamcity[...]` anywhere, `::error::` at the beginning.
_COMMAND = r"#(?=#\w*\[)"
_COLONS = r"\A\s*:(?=:)"
# Markup of consoles, `[bold]`, `[link=...]`, `[/]`; but not the words of JSON.
_MARKUP = r"\[(?!(?:true|false|null)\b)(?=[a-z#/@][^\[\]]*\])"

_FOREIGN = re.compile(f"[{_UNSEEN}]|{_VARIATION}|{_COMMAND}|{_COLONS}|{_MARKUP}")
_IN_JSON = re.compile(f"[{_UNSEEN}]|{_VARIATION}|{_COMMAND}|{_MARKUP}".replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))


def printable(text: str) -> str:
    """Return text on one line, with each character that a terminal or CI system would act on written as an escape."""
    return text if text.isascii() and text.isalnum() else _FOREIGN.sub(_escaped, text)


def printable_json(text: str) -> str:
    """Return JSON text with the same characters as JSON escapes. Its value stays the same, and so do its line ends."""
    return _IN_JSON.sub(_json_escaped, text)


def on_one_line(record: logging.LogRecord) -> bool:
    """Make a log record's message and arguments printable; a filter for `logging`. Always returns True."""
    record.msg = printable(str(record.msg))
    if isinstance(record.args, Mapping):
        record.args = {name: _quoted(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(_quoted(value) for value in record.args)
    return True


def _quoted(value: object) -> object:
    return value if isinstance(value, int | float) else printable(str(value))


def _escaped(match: re.Match[str]) -> str:
    return "".join(_escape(character) for character in match[0])


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
