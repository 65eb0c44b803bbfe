"""Finding the spans that are one act: two libraries that instrument one call leave two spans of it, or three.

Two spans of model calls, or two of tool calls, are one call

- if one is within the other: a model call with no agent, tool or run between, a call of a tool of the same name with
  only spans of other work between, such as the request that carried it. Not if one library tells of both, and gave
  them different ids, or without ids says that they were given different things: a tool that calls itself;
- if they have one response id, or are of one MCP request (trace, request id and tool). One library tells a call once:
  what it tells twice, as an answer from a cache, is two calls, the second of which another library's second is.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.timeline import Span
from runbundle.signals import own, semconv
from runbundle.signals.names import EMBEDDINGS
from runbundle.signals.operations import Operation
from runbundle.signals.reading import LARGEST, text_of, whole_of, written_of

_OTHER, _STEP, _RETRIEVAL, _BOUNDARY, _TOOL, _MODEL, _EMBEDDINGS = range(7)
_KINDS: dict[Operation, int] = {
    "other": _OTHER, "step": _STEP, "retrieval": _RETRIEVAL, "agent": _BOUNDARY, "run": _BOUNDARY, "tool": _TOOL,
    "model": _MODEL,
}  # fmt: skip
_COUNTED = {_MODEL: "model_calls", _EMBEDDINGS: "embeddings", _TOOL: "tool_calls"}
_KIND, _COVERED, _SAYS = 7, 8, 16
_MOST_BETWEEN = 32
"""Spans between two of one call. It bounds the search where parents form a circle."""
_MEMORY_BYTES = 4_194_304
_MOST_OF_ONE_ID = 1000
"""Spans that may have one id. An id of more names no call."""
SAME_COUNT = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cache_write_input_tokens": "cache_creation_input_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
}
"""Second names of counts, and the first. Where a span has both, the first name's is believed."""


class Acts:
    """The calls of a run, each once. Call `add` for each span in the order of rows, then `link`. Close it after use.

    Takes 1 byte a span, and 62 a span of a call. The tokens and the ids that calls share are on disk where memory is
    not enough. The result does not depend on the order in which records arrived.
    """

    def __init__(self, scratch: Path) -> None:
        self._spans = bytearray()
        self._rows = array("i")
        self._names = array("Q")  # as the next four: a digest, 0 for none
        self._ids = array("Q")
        self._requests = array("Q")  # of MCP
        self._given = array("Q")  # arguments or messages: see `_given`
        self._scopes = array("Q")
        self._above = array("i")  # the span of the same call around it; -1: none
        self._same = array("i")  # a span of the same call, nearer to the first; -1: it is the first
        self._nests = array("i")
        self._keys = Sorter(scratch, _MEMORY_BYTES)
        self._used = Sorter(scratch, _MEMORY_BYTES)
        self._loose = False
        self._of_steps: Counter[str] = Counter()
        self._of_agents: Counter[str] = Counter()
        self.repeated = False
        """Whether any tool call has more than one span."""

    def close(self) -> None:
        """Free memory and disk."""
        self._keys.close()
        self._used.close()

    def add(self, span: Span) -> None:
        """Add the span of the next row."""
        kind = _KINDS[span.op]
        if kind == _MODEL and span.attributes.get(semconv.OPERATION) == EMBEDDINGS:
            kind = _EMBEDDINGS
        self._spans.append(kind | (_SAYS if span.status != "unset" else 0))
        self.add_at(len(self._spans) - 1, span)

    def know(self, spans: bytes) -> None:
        """Add all rows at once, by a byte for each as `add` makes it; then `add_at` every span that says something."""
        self._spans += spans

    def add_at(self, row: int, span: Span) -> None:
        """Add what the span of a known row says of a call and of tokens. Add the rows in order."""
        kind = self._spans[row] & _KIND
        if kind in _COUNTED:
            self._call(row, kind, span)
        used = usage_of(span.attributes)
        if not used:
            return
        if span.op in ("agent", "run", "step"):
            (self._of_agents if span.op == "agent" else self._of_steps).update(used)
            return
        self._loose |= kind not in (_MODEL, _EMBEDDINGS)
        self._used.add(_place(span) + b"%010d" % row + orjson.dumps(used))

    def _call(self, row: int, kind: int, span: Span) -> None:
        attributes = span.attributes
        scope = span.record["scope"].get("name") or ""
        tool = text_of(attributes, semconv.TOOL_NAME) or "" if kind == _TOOL else ""
        said = text_of(attributes, semconv.CALL_ID if kind == _TOOL else semconv.RESPONSE_ID) or ""
        key, mark, request = said, scope, ""
        if kind == _TOOL:
            request = text_of(attributes, semconv.MCP_REQUEST_ID) or ""
            key = f"{span.record['trace_id']}\0{request}\0{tool}" if request and tool else ""
            mark = f"{scope}\0joined" if own.JOINED in attributes else scope
        if key:
            digest = blake2b(f"{kind}\0{key}".encode("utf-8", "replace"), digest_size=16).hexdigest()
            number = len(self._rows)
            self._keys.add(digest.encode() + _place(span) + b"%010d%020d" % (number, _digest_of_name(mark)))
        self._rows.append(row)
        self._names.append(_digest_of_name(tool))
        self._ids.append(_digest(said))
        self._requests.append(_digest(request))
        self._given.append(_given(attributes, kind))
        self._scopes.append(_digest_of_name(scope))

    def link(self, parent_of: Callable[[int], int]) -> None:
        """Find the spans of each call. Call it once, after the last `add`. `parent_of`: the row of a row's parent."""
        self._same = array("i", [-1]) * len(self._rows)
        self._above = array("i", (self._around(row, parent_of) for row in self._rows))
        known = bytearray(len(self._rows))
        for number in range(len(self._rows)):
            # The outermost first: whether a call goes on within it depends on all spans of that call.
            way, at = list[int](), number
            while at >= 0 and not known[at]:
                known[at] = 1
                way.append(at)
                at = self._above[at]
            for inner in reversed(way):
                above = self._above[inner]
                if above >= 0 and self._is_same(inner, above) and self._first(above) != inner:
                    self._same[inner] = above
                else:
                    self._above[inner] = -1
        self._nests = array("i", self._same)
        for _, lines in groupby(self._keys, key=lambda line: line[:32]):
            self._join([(int(line[100:110]), int(line[110:])) for line in islice(lines, _MOST_OF_ONE_ID)])
        self.repeated = any(
            same >= 0 and self._spans[row] & _KIND == _TOOL for row, same in zip(self._rows, self._same, strict=True)
        )
        self._cover(parent_of)

    def _around(self, row: int, parent_of: Callable[[int], int]) -> int:
        """Return the nearest span of a call that a row may be one call with, or -1."""
        kind, at = self._spans[row] & _KIND, row
        for _ in range(_MOST_BETWEEN):
            at = parent_of(at)
            if at < 0 or at == row:
                return -1
            above = self._spans[at] & _KIND
            if above == kind:
                return self._number(at)
            if above in (_BOUNDARY, _TOOL) or (kind == _TOOL and above != _OTHER):
                return -1
        return -1

    def _is_same(self, inner: int, outer: int) -> bool:
        """Tell whether a span within another is of the same call: no span of that call around it says otherwise."""
        if self._spans[self._rows[inner]] & _KIND == _TOOL and (
            self._names[inner] != self._names[outer] or not self._names[inner]
        ):
            return False
        scope = self._scopes[inner]
        at, passed = outer, 0
        while scope and at >= 0 and passed < _MOST_BETWEEN:
            if self._scopes[at] == scope and self._differ(inner, at):
                return False
            at, passed = self._above[at], passed + 1
        return True

    def _differ(self, inner: int, outer: int) -> bool:
        """Tell whether two spans of one library, one within the other, are two calls: by ids, else by what was given.

        A model's span with an id may be within one that has none and says something else of its messages.
        """
        ids = self._ids[inner], self._ids[outer]
        if all(ids):
            return ids[0] != ids[1]
        if self._requests[inner] == self._requests[outer] != 0:
            return False
        if any(ids) and self._spans[self._rows[inner]] & _KIND != _TOOL:
            return False
        given = self._given[inner], self._given[outer]
        return all(given) and given[0] != given[1] and given[0] >> 32 == given[1] >> 32

    def _join(self, spans: list[tuple[int, int]]) -> None:
        """Join calls that share an id. `spans`: their numbers in canonical order, and a digest of who tells of each."""
        if len(spans) < 2:
            return
        calls: list[int] = []
        places: dict[int, int] = {}
        told: Counter[int] = Counter()
        for number, mark in spans:
            first = self._first(number)
            place = places.get(first)
            if place is None:
                place = told[mark] if mark else 0
                if place < len(calls):
                    self._same[first] = calls[place]
                else:
                    place = len(calls)
                    calls.append(first)
                    places[first] = place
            if mark:
                told[mark] = max(told[mark], place + 1)

    def _cover(self, parent_of: Callable[[int], int]) -> None:
        """Mark the spans within which another has the tokens of the same call."""
        for line in self._used:
            row = int(line[68:78])
            number = self._number(row)
            at = self._above[number] if number >= 0 else -1
            while at >= 0 and not self._spans[self._rows[at]] & _COVERED:
                self._spans[self._rows[at]] |= _COVERED
                at = self._above[at]
        for line in self._used if self._loose else ():
            at = parent_of(int(line[68:78]))
            passed = 0
            while at >= 0 and passed < _MOST_BETWEEN and self._spans[at] & _KIND != _BOUNDARY:
                if self._spans[at] & _KIND not in (_MODEL, _EMBEDDINGS):
                    self._spans[at] |= _COVERED
                if self._spans[at] & _KIND == _TOOL:
                    break
                at, passed = parent_of(at), passed + 1

    def first(self, row: int) -> int:
        """Return the row of the first span of a row's call: the outermost, or the one that began first."""
        return self._rows[self._first(self._number(row))]

    def counts(self) -> Counter[str]:
        """Return the numbers of model calls, embeddings and tool calls, by the names that run.json has for them."""
        found: Counter[str] = Counter()
        for row, same in zip(self._rows, self._same, strict=True):
            if same < 0:
                found[_COUNTED[self._spans[row] & _KIND]] += 1
        return found

    def usage(self) -> dict[str, int]:
        """Return the numbers of tokens by kind: of each call those that its innermost span says, once.

        Agents, runs and steps repeat the tokens of their calls: theirs count only if no call says any.
        """
        found: Counter[str] = Counter()
        paid = array("i", [-1]) * len(self._rows)
        for line in self._used:
            row = int(line[68:78])
            if self._spans[row] & _COVERED:
                continue
            number = self._number(row)
            if number >= 0:
                call, nest = self._first(number), _first(self._nests, number)
                if paid[call] < 0:
                    paid[call] = nest
                if paid[call] != nest:
                    continue
            found.update(orjson.loads(line[78:]))
        return {kind: min(n, LARGEST) for kind, n in sorted((found or self._of_steps or self._of_agents).items())}

    def below(self, row: int, top: int, parent_of: Callable[[int], int]) -> tuple[bool, bool]:
        """Tell whether only steps and other work lie between a span and one above it, and whether all are unset."""
        return _below(self._spans, row, top, parent_of)

    def _number(self, row: int) -> int:
        number = bisect_left(self._rows, row)
        return number if number < len(self._rows) and self._rows[number] == row else -1

    def _first(self, number: int) -> int:
        return _first(self._same, number)


class CountedActs(NamedTuple):
    """The calls of a run in which no call has two spans, which others have found, counted and added up."""

    spans: bytes
    """Of each row what `Acts` holds of it."""
    of_kinds: Sequence[int]
    """Numbers of spans, by kind."""
    used: tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]
    """Numbers of tokens: of calls, of steps and runs, of agents."""

    def counts(self) -> Counter[str]:
        """Return the numbers of model calls, embeddings and tool calls, as `Acts` does."""
        return Counter({name: number for kind, name in _COUNTED.items() if (number := self.of_kinds[kind])})

    def usage(self) -> dict[str, int]:
        """Return the numbers of tokens by kind, as `Acts` does."""
        calls, steps, agents = self.used
        return {kind: min(n, LARGEST) for kind, n in sorted((calls or steps or agents).items())}

    def below(self, row: int, top: int, parent_of: Callable[[int], int]) -> tuple[bool, bool]:
        """Tell what lies between a span and one above it, as `Acts` does."""
        return _below(self.spans, row, top, parent_of)


def _below(spans: bytes | bytearray, row: int, top: int, parent_of: Callable[[int], int]) -> tuple[bool, bool]:
    unset = True
    for _ in range(_MOST_BETWEEN):
        row = parent_of(row)
        if row < 0 or row == top:
            return row == top, unset
        if spans[row] & _KIND not in (_OTHER, _STEP):
            break
        unset &= not spans[row] & _SAYS
    return False, False


def usage_of(attributes: dict[str, Any]) -> dict[str, int]:
    """Return the numbers of tokens that a span says, by kind, each once; a total only if it says no part of it."""
    said = [key for key in attributes if key.startswith(semconv.USAGE)]
    if not said:
        return {}
    found: dict[str, int] = {}
    second: dict[str, int] = {}
    for key in said:
        value = whole_of(attributes, key)
        if value is not None and value >= 0:
            kind = key.removeprefix(semconv.USAGE).replace(".", "_")
            (second if kind in SAME_COUNT else found)[SAME_COUNT.get(kind, kind)] = value
    found = {**second, **found}
    if "total_tokens" in found and not found.keys().isdisjoint(("input_tokens", "output_tokens")):
        del found["total_tokens"]
    return found


def _first(same: "array[int]", number: int) -> int:
    """Return the last of a chain, and shorten the chain."""
    first = number
    while same[first] >= 0:
        first = same[first]
    while same[number] >= 0:
        same[number], number = first, same[number]
    return first


def _given(attributes: dict[str, Any], kind: int) -> int:
    """Return what a call was given, of a tool its arguments, of a model its messages; 0 if that is not known whole.

    Above 32 bits of the keyed digest stand those of its key: digests of two keys are never compared.
    """
    if kind == _TOOL:
        said = text_of(attributes, own.ARGUMENTS_DIGEST) or ""
    else:
        about = written_of(attributes.get(own.MESSAGES))
        asked = cast("dict[str, Any]", about).get(semconv.INPUT_MESSAGES) if isinstance(about, dict) else None
        said = text_of(cast("dict[str, Any]", asked), "neutral") or "" if isinstance(asked, dict) else ""
    key, _, value = said.rpartition(":")
    return (_digest(key) >> 32) << 32 | _digest(value) >> 32 if value else 0


def _place(span: Span) -> bytes:
    start_ns, trace_id, span_id = span.order
    return f"{start_ns:020d}{trace_id}{span_id}".encode()


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) if text else 0


_digest_of_name = lru_cache(maxsize=256)(_digest)  # of a tool or a scope, which nearly all calls of a run share
