"""Spans drawn at random, redacted by both cores: `python -m tests.fuzz.native_spans [MINUTES]` looks for ten minutes.

A case is a policy and some spans of one run, since a run remembers what it withheld. Both cores are given the same
spans; each line has to have the same bytes. What the native core leaves to Python is equal by that alone, so the share
that it takes is counted, and a law holds it.
"""

import sys
from typing import Any, NamedTuple, get_args

import orjson
from hypothesis import strategies as st
from pydantic import ValidationError

from runbundle.codec.coerce import attributes_of
from runbundle.core.spans import SpanLines
from runbundle.errors import ContractError
from runbundle.format.contract import DataClass, FieldRule, ToolContract, parse_contract
from runbundle.journal.lines import begun_of, record_line
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester, marker
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import SpanRecord
from tests.fuzz.searching import search

# -- texts -------------------------------------------------------------------------------------------------------------

WORDS = (
    "a", "b", "id", "name", "email", "value", "token", "key", "x-1", "note", "items", "user", "role", "type", "0",
    "pin", "contact", "Ärger", "客户", "surname", "password", "k", "data", "content", "api_key", "", "a/b", "~", "*",
    "header",
)  # fmt: skip
_TEXTS = (
    "", " ", "Oslo", "Ada Lovelace", "ada lovelace called", "ada@example.org", "Mr Ada-Marie O'Neil Jr.", "Jörg Müßig",
    "a fine day in Oslo, said Lovelace", "ORDER-778899-XZ", "order-778899-xz was late", "4111 1111 1111 1111",
    "123456789", "0123456789", "12345678.5", "true", "null", "NaN", "-0", "1e5", "{", "[]", '{"a":1}', '"quoted"',
    " [1]", "\ufeff{}", "été “quoted” — ok…", "Straße 12", "İstanbul", "ΟΔΟΣ Σ", "\u017fecret \u212a", "日本語",
    "🙂 fine",
    "\u0000\u001f\u007f\\\"", "line\nbreak\ttab", "user", "assistant", "tool", "system|user", "call_1", "call_2",
    "sk-" + "a1" * 12, "password: hunter2hunter2", "Bearer abcdefghijklmnop", "https://u:p@host/x", "…[+3]", "x" * 70,
    "long text of words " * 20, "SECRETWORD12", "2024-01-01T00:00:00Z", "--token", "-p", "gpt-4o", "execute_tool find",
    "h2:00000000:" + "a" * 26, marker("undeclared"), marker("content", size=100), "[REDACTED:credential]", "runbundle",
    "Traceback (most recent call last):\n  File \"/a/b/c.py\", line 3, in f\n    x\nValueError: Ada",
)  # fmt: skip
texts = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=24), st.builds(" ".join, st.lists(st.sampled_from(_TEXTS))))
keys = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))

# -- JSON as it is written by others -----------------------------------------------------------------------------------

_TOKENS = (
    "0", "-0", "1", "-1", "01", "1.", "1.0", "-0.0", "0.1", "1e5", "1E-7", "1e+16", "1e400", "1e-400", "5e-324",
    "1.5e300",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "123456789", "12345678", "123456.789", "0.30000000000000004",
    "0.10000000000000000001", "0.10000000000000001", "1234.5678901234567", "4.9E-324", "1.000000000000000000",
    "1e22", "1e21", "100000000000000000000.0", "123456789012345680.0", "true", "false", "null", "nul", "NaN",
    "Infinity", "+1",
    '"\\ud800"', '"\\ud83d\\ude42"', '"\\u00e9"', '"\\u0000"', '"\\x"', '"\\/"', '"\\u12"', '"\t"', '"a\nb"', "''", '"',
    '{"a":1,"a":2}', '{"a":1,}', "[1,]", "[,]", "{,}", "{1:2}", '{"a"}', '""', "[]", "{}", "[[]]", '"a" ',
)  # fmt: skip
_blank = st.sampled_from(("", "", "", " ", "\n", "\t", "\r\n", "\u00a0", "\f"))
_leaf = st.one_of(
    st.sampled_from(_TOKENS),
    texts.map(lambda text: orjson.dumps(text.encode("utf-8", "replace").decode()).decode()),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
)


def _listed(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda blank, parts: f"[{blank}{','.join(parts)}{blank}]", _blank, st.lists(items, max_size=5))


def _mapped(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(
        lambda key, blank, item: f"{orjson.dumps(key.encode('utf-8', 'replace').decode()).decode()}{blank}:{item}",
        keys, _blank, items,
    )  # fmt: skip
    return st.builds(lambda blank, parts: f"{{{blank}{','.join(parts)}{blank}}}", _blank, st.lists(pair, max_size=6))


def _deep(depth: int, inner: str) -> str:
    return "[" * depth + inner + "]" * depth


written = st.one_of(
    st.recursive(_leaf, lambda items: _listed(items) | _mapped(items), max_leaves=16),
    st.builds(_deep, st.integers(55, 70), _leaf),
    st.builds(lambda blank, value: blank + value + blank, _blank, _leaf),
)
"""Text that is JSON, or nearly."""
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), texts),
    lambda items: st.lists(items, max_size=5) | st.dictionaries(keys, items, max_size=6),
    max_leaves=16,
)
"""Values of JSON."""


def _text_of(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return "{}"


payloads = st.one_of(plain.map(_text_of), plain.map(_text_of), written, texts)
_part = st.one_of(
    st.builds(lambda text: {"type": "text", "content": text}, texts),
    st.builds(
        lambda call, tool, arguments: {"type": "tool_call", "id": call, "name": tool, "arguments": arguments},
        st.sampled_from(("call_1", "call_2", "c3")), st.sampled_from(("find", "open", "user")), plain,
    ),
    st.builds(
        lambda call, result: {"type": "tool_call_response", "id": call, "response": result},
        st.sampled_from(("call_1", "call_2", "c3")), plain,
    ),
)  # fmt: skip
_message = st.one_of(
    st.builds(
        lambda role, parts: {"role": role, "parts": parts},
        st.sampled_from(("user", "assistant", "system", "tool", "other")), st.lists(_part, max_size=3),
    ),
    st.builds(lambda kind, text: {"type": kind, "content": text}, st.sampled_from(("human", "ai", "text")), texts),
    plain,
)  # fmt: skip
_arguments = st.dictionaries(keys, st.lists(_message, max_size=3) | plain, max_size=3)
messages = st.one_of(
    st.lists(_message, max_size=4).map(_text_of), _message.map(_text_of), _arguments.map(_text_of), written, texts
)

# -- attributes --------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    texts, st.integers(-(2**63), 2**63 - 1), st.integers(-(10**8), 10**8), st.floats(), st.booleans(), st.none()
)
_lists = st.one_of(st.lists(texts, max_size=4), st.lists(texts, max_size=4).map(tuple), st.lists(scalars, max_size=3))
values = st.one_of(scalars, scalars, _lists, plain, st.binary(max_size=6))
_PAYLOADS = (semconv.ARGUMENTS, semconv.RESULT, "tool_arguments", "tool_response", own.RESULT)
_MESSAGES = tuple(key for key, kind in SPAN_KEYS.items() if kind == "messages")
_OWN = (own.CAPTURE, own.RECEIPT, own.MESSAGES, own.EFFECT, own.VERSIONS, own.COERCED, own.CONTRACT_VERSION, own.RUN_ID)
_LEADING = st.fixed_dictionaries(
    {},
    optional={
        semconv.OPERATION: st.sampled_from(("execute_tool", "chat", "invoke_agent", "odd one")),
        semconv.TOOL_NAME: st.sampled_from(("find", "find", "find", "open", "Ada Lovelace 123456789")),
        semconv.REQUEST_MODEL: st.sampled_from(("gpt-4o", "x" * 80)),
        own.DIALECT: st.sampled_from(("genai", "openinference")),
        own.LANE: st.sampled_from(("main", "main/step#1", "x y z w v u")),
        own.EFFECT: st.sampled_from(("main:3", "main#2:17", "main:x", "Ada:1", "main")),
        own.CONFIG: payloads,
        own.USER_ID: texts,
        own.SESSION_ID: texts,
        own.RUN_ID: st.sampled_from(("run-1", "a b", "SECRETWORD12")),
    },
)
_pairs = st.one_of(
    st.tuples(st.sampled_from(_PAYLOADS), payloads | plain),
    st.tuples(st.sampled_from(_PAYLOADS), payloads),
    st.tuples(st.sampled_from(_MESSAGES), messages),
    st.tuples(st.sampled_from(_OWN), texts | payloads),
    st.tuples(st.sampled_from(sorted(SPAN_KEYS)), values),
    st.tuples(st.sampled_from(("exception.message", "exception.stacktrace", "exception.type")), texts),
    st.tuples(st.one_of(st.sampled_from(WORDS), st.text(max_size=10), st.sampled_from(("app.kind", "app.x"))), values),
)
attributes = st.builds(
    lambda leading, pairs: attributes_of({**leading, **dict(pairs)}, [], ""), _LEADING, st.lists(_pairs, max_size=6)
)
_named = st.sampled_from(
    ("execute_tool find", "find", "chat gpt-4o", "GET /x", "Ada Lovelace", "exception", "gen_ai.choice", "app.start",
     own.EVENT, "étape", marker("name"))
)  # fmt: skip
_states = st.sampled_from(("", "", "", "ot=th:8", "vendor=Ada,ot=th:8", "vendor=Ada"))
SCOPES: tuple[Any, ...] = (
    {"name": "lib", "version": "1", "schema_url": "", "attributes": {}},
    {"name": "runbundle", "version": "0.1", "schema_url": "", "attributes": {}},
    {"name": "Ada Lovelace 123456789", "version": "é", "schema_url": "x", "attributes": {"a": "b"}},
)
_events = st.builds(
    lambda name, given: {"name": name, "time_ns": 5, "attributes": given, "dropped": 1}, _named, attributes
)
_links = st.builds(
    lambda state, given: {
        "trace_id": "1" * 32, "span_id": "2" * 16, "trace_state": state, "attributes": given, "dropped": 0,
    },
    _states, attributes,
)  # fmt: skip


def _record(
    name: str, given: Any, events: Any, links: Any, state: str, message: str, scope: int, tenant_id: str
) -> SpanRecord:
    return {
        "run_id": "run-1", "tenant_id": tenant_id, "trace_id": "1" * 32, "span_id": "3" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": state, "name": name, "kind": 1, "start_ns": 1, "end_ns": 2**62,
        "status_code": 2, "status_message": message.encode("utf-8", "backslashreplace").decode(), "attributes": given,
        "events": events, "links": links, "scope": SCOPES[scope],
        "resource": {"attributes": {"service.name": "s"}, "schema_url": ""}, "dropped": {"attributes": 2},
    }  # fmt: skip


def _seldom(parts: st.SearchStrategy[Any], times: int) -> st.SearchStrategy[list[Any]]:
    return st.integers(0, times).flatmap(lambda n: st.just([]) if n else st.lists(parts, max_size=2))


spans = st.builds(
    _record, _named, attributes, _seldom(_events, 5), _seldom(_links, 9), _states,
    st.one_of(st.just(""), texts), st.integers(0, 2), st.sampled_from(("", "", "acme")),
)  # fmt: skip

# -- policies ----------------------------------------------------------------------------------------------------------

_steps = st.lists(st.sampled_from((*WORDS, "*", "**", "0", "1", "a", "email", "name", "items")), max_size=3)
_rules = st.fixed_dictionaries(
    {
        "selector": _steps.map(lambda steps: "".join("/" + s.replace("~", "~0").replace("/", "~1") for s in steps)),
        "target": st.sampled_from(("input", "input", "output", "output", "error")),
        "data_class": st.sampled_from(get_args(DataClass)),
        "reason": st.just("because"),
    },
    optional={
        "action": st.sampled_from(("keep", "keep", "truncate", "hash", "mask", "drop")),
        "max_chars": st.integers(1, 12),
        "keep_last": st.integers(0, 4),
    },
)  # fmt: skip


def _contract(rules: list[dict[str, Any]], undeclared: str, scalars: str, known: list[str]) -> ToolContract:
    kept: list[dict[str, Any]] = []
    for rule in rules:
        try:
            FieldRule.model_validate(rule)
        except ValidationError:
            continue
        kept.append(rule)
    said = {"name": "find", "data": {"rules": kept, "undeclared": undeclared, "undeclared_scalars": scalars}}
    properties = {key: {} for key in known}
    try:
        return parse_contract({**said, "input_schema": {"properties": properties} if known else {}})
    except (ContractError, ValidationError):
        return parse_contract(said)


contracts = st.builds(
    _contract, st.lists(_rules, max_size=6), st.sampled_from(("mask", "mask", "hash", "drop")),
    st.sampled_from(("mask", "keep", "hash", "drop")), st.lists(st.sampled_from(WORDS), max_size=3),
)  # fmt: skip
policies = st.builds(
    lambda contract, user, safe, result: Policy(
        contracts={"find": contract} if contract else {},
        digester=Digester(b"k"),
        user_id=user,
        safe_keys=frozenset(safe),
        result=result,
    ),
    st.one_of(contracts, contracts, st.none()), st.sampled_from(("keep", "hash", "drop")),
    st.sampled_from(((), (), ("app.*",), ("app.kind",))),
    st.sampled_from(((), (FieldRule(selector="/a", action="keep"),), (FieldRule(selector="", action="keep"),))),
)  # fmt: skip


class Case(NamedTuple):
    """A policy, spans of one run, and secrets that are learned before the last of them."""

    policy: Policy
    spans: list[SpanRecord]
    secrets: list[str]


cases = st.builds(
    Case, policies, st.lists(spans, min_size=1, max_size=4),
    st.sampled_from(([], [], [], ["SECRETWORD12"], ["Ada Lovelace"], ["12345678"])),
)  # fmt: skip


class Compared(NamedTuple):
    """How many lines each core made."""

    native: int
    python: int


def compared(case: Case) -> Compared:
    """Redact the spans of a case by both cores, as they begin and as they end. Raises `AssertionError` where the two
    differ.
    """
    KNOWN.clear()
    lines, python = SpanLines(Redactor(case.policy)), Redactor(case.policy)
    for number, span in enumerate(case.spans):
        if number == len(case.spans) - 1:
            KNOWN.register(*case.secrets)
        assert lines.begun(span) == begun_of(python.redact_span(span))
        line, wanted = lines.line(span, number), record_line("span", python.redact_span(span), number)
        assert line == wanted, f"{line!r}\nis not\n{wanted!r}"
    KNOWN.clear()
    return Compared(lines.by_native, lines.by_python)


def main(minutes: float) -> int:
    """Look until the time is over; print how many spans the native core took."""

    def cores(case: Case) -> list[str]:
        found = compared(case)
        return [""] * found.native + ["Python"] * found.python

    return search(cases, cores, "spans", minutes)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
