"""The small language of `--where`: conditions on fields, with `and`, `or`, `not` and brackets.

    duration > 2s and tool.refund.status = "error"

A condition becomes SQL whose words come from `fields` alone; each value that was typed is bound to a mark. An error
says at which character, and names the nearest field.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from runbundle.bundle.search.fields import FIELDS, NAMED, Field
from runbundle.bundle.search.moments import parse_duration, parse_moment
from runbundle.errors import ConfigError
from runbundle.process.regex import later
from runbundle.settings import nearest

_TOKEN = later(
    r"""\s*(?:(?P<text>"[^"\n]*"|'[^'\n]*')|(?P<op>!=|<=|>=|=|<|>|~|\(|\))"""
    r"""|(?P<word>[^\s"'()=<>!~]+(?:"[^"\n]*"[^\s"'()=<>!~]*)?))"""
)
_COMPARED = ("=", "!=", "<", "<=", ">", ">=", "~")
_MOST_CHARS, _MOST_CONDITIONS = 2000, 50
_SHOWN = 60


class Sql(NamedTuple):
    """A condition in SQL: its text, which no one typed, and the values of its marks."""

    text: str
    values: tuple[str | int | float, ...] = ()
    needs_facts: bool = False


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def condition(text: str) -> Sql:
    """Return the SQL of a condition. Raises `ConfigError` that points at the character."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > _MOST_CHARS or not text.isprintable():
            raise ConfigError(f"a condition is one line of {_MOST_CHARS} characters at most", hint=_EXAMPLE)
        self._tokens = self._split()
        self._next = 0
        self._conditions = 0

    def whole(self) -> Sql:
        found = self._any()
        if self._peek().kind != "end":
            raise self._wrong(self._peek(), "expected `and`, `or` or the end here")
        return found

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at, end = 0, len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                quote = self._text[start] in "\"'"
                raise self._wrong(_Token("", "", start), "this quote is not closed" if quote else "not understood here")
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return [*tokens, _Token("end", "", end)]

    def _any(self) -> Sql:
        return self._joined("or", self._all)

    def _all(self) -> Sql:
        return self._joined("and", self._one)

    def _joined(self, word: str, part: Callable[[], Sql]) -> Sql:
        parts = [part()]
        while self._peek().kind == "word" and self._peek().text.lower() == word:
            self._next += 1
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        return Sql(
            "(" + f" {word.upper()} ".join(p.text for p in parts) + ")",
            tuple(value for p in parts for value in p.values),
            any(p.needs_facts for p in parts),
        )

    def _one(self) -> Sql:
        token = self._take()
        self._conditions += 1
        if self._conditions > _MOST_CONDITIONS:
            raise self._wrong(token, f"more than {_MOST_CONDITIONS} conditions")
        if token.text == "(" and token.kind == "op":
            inner = self._any()
            if self._peek().text != ")":
                raise self._wrong(self._peek(), "expected `)` here")
            self._next += 1
            return inner
        if token.kind == "word" and token.text.lower() == "not":
            inner = self._one()
            return Sql(f"NOT coalesce({inner.text}, 0)", inner.values, inner.needs_facts)
        if token.kind != "word" or token.text.lower() in ("and", "or"):
            raise self._wrong(token, "expected the name of a field here")
        field, named = self._field(token)
        operator = self._take()
        if operator.kind != "op" or operator.text not in _COMPARED:
            raise self._wrong(operator, f"expected one of {' '.join(_COMPARED)} here")
        value = self._take()
        if value.kind not in ("word", "text"):
            raise self._wrong(value, "expected a value here")
        return self._compared(field, named, operator, value)

    def _field(self, token: _Token) -> tuple[Field, tuple[str, ...]]:
        """Return the field of that name, and the values of its own marks."""
        name = token.text
        if name in FIELDS:
            return FIELDS[name], ()
        family, _, rest = name.partition(".")
        if family in NAMED and rest:
            if "" in NAMED[family]:
                return NAMED[family][""], (rest.replace('"', ""),)
            of, _, last = rest.rpartition(".")
            if of and last in NAMED[family]:
                return NAMED[family][last], (of.replace('"', ""),)
            near = nearest(last, NAMED[family]) if of else "status"
            raise self._wrong(token, f"{family}.NAME has no such field", f"{family}.{of or rest}.{near or 'status'}")
        near = nearest(family, NAMED) if rest else ""
        near = f"{near}.{rest}" if near and family != near else nearest(name, [*FIELDS, *NAMED])
        raise self._wrong(token, "there is no such field", f"{near}.NAME" if near in NAMED else near)

    def _compared(self, field: Field, named: tuple[str, ...], operator: _Token, token: _Token) -> Sql:
        text = token.text[1:-1] if token.kind == "text" else token.text
        sign, needs = operator.text, field.needs_facts
        if sign == "~":
            if field.kind in ("number", "duration", "time"):
                raise self._wrong(operator, "`~` is for texts; a number or time takes = != < <= > >=")
            return Sql(_of(field, "coalesce(instr(lower({}), ?), 0)"), (*named, text.lower()), needs)
        if field.kind == "search":
            raise self._wrong(operator, "this field can only be searched, with `~`")
        if field.kind == "lines":
            if sign not in ("=", "!="):
                raise self._wrong(operator, "this field takes = != ~")
            found = "coalesce(instr({}, ?), 0) " + ("> 0" if sign == "=" else "= 0")
            return Sql(_of(field, found), (*named, f"\n{text}\n"), needs)
        known = "(runs.started_at != '' AND {} %s ?)" if field.kind in ("time", "duration") else "({} %s ?)"
        return Sql(_of(field, known % sign), (*named, self._value(field, token, text)), needs)

    def _value(self, field: Field, token: _Token, text: str) -> str | int | float:
        try:
            if field.kind == "duration":
                return parse_duration(text)
            if field.kind == "time":
                return parse_moment(text)
        except ConfigError as error:
            raise self._wrong(token, f"this is no {field.kind}: {error.hint}") from None
        if field.kind != "number":
            return text
        if not re.fullmatch(r"-?\d{1,15}(?:\.\d{1,15})?", text):
            raise self._wrong(token, "this is no number")
        return float(text) if "." in text else int(text)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _wrong(self, token: _Token, why: str, near: str = "") -> ConfigError:
        start = max(0, token.at - _SHOWN // 2)
        lines = self._text[start : start + _SHOWN], " " * (token.at - start) + "^"
        hint = f"did you mean {near}?" if near else _EXAMPLE
        return ConfigError(f"column {token.at + 1} of the condition: {why}", hint=hint, lines=lines)


def _of(field: Field, comparison: str) -> str:
    """Return the comparison of a field, or that of one of its several values."""
    if field.column:
        return f"EXISTS {field.sql.format(comparison.format(field.column))}"
    return comparison.format(field.sql)


_EXAMPLE = "as in --where 'duration > 2s and tool.refund.status = \"error\"'; runbundle ls --fields lists the fields"
