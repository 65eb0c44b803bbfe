"""Values as agents and instrumentations have them: payloads, messages, configurations, and odd ones."""

import hashlib
import json
from typing import Any

from tests.vectors.form import Made
from tests.vectors.generate.credentials import CONTEXTS, in_context, vendor
from tests.vectors.generate.draw import ODD_TEXTS, Draw

MARKERS = (
    "[REDACTED:undeclared]",
    "[REDACTED:credential]",
    "[REDACTED:content:bytes=<64]",
    "[REDACTED:oversize:bytes=300000]",
    "[REDACTED:content:h2:deadbeef:abcdefghijklmnopqrstuvwxyz:bytes=99:roles=user+assistant]",
    "[REDACTED:key:3]",
    "[REDACTED:financial:last=34]",
    "[REDACTED:secret words]",
    "[REDACTED:name:h1:00000000:ABCDEFGHIJKLMNOPQRSTUVWXYZ]",
    "x [REDACTED:personal] y",
    "[REDACTED:content:bytes=5",
    "[redacted:content]",
    "h2:deadbeef:abcdefghijklmnopqrstuvwxyz",
)
RECEIPTS = (
    '{"n":[["attributes.x","undeclared","drop"]]}',
    '{"n":[],"by":"deadbeef"}',
    '{"n":[["secret words here!","x","digest"]]}',
    '{"n":[["span","failed","drop"]]}',
    '{"n":[],"more":{"a|digest":-5}}',
    '{"n":[["a","b","digest"]],"more":{"c|mask":3},"by":"deadbeef"}',
    '{"n":[],"more":{"a|digest":99999999999}}',
    "{}",
    "{not a receipt",
    '{"n":[["a","b","shout"]]}',
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**63,
    2**64,
    -(2**63) - 1,
    2**70,
    10**30,
    0.0,
    -0.0,
    1.5,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    12345678.5,
    49301234,
    "\ud800",
    "a\udfffb",
    "\udc80\udc81",
    b"",
    b"\xff\x00",
    b"plain bytes",
    b'{"q": 1}',
    [],
    {},
    [[]],
    [None, 1, "x", 2.5, True],
    ["a", b"b"],
    [float("nan"), 1],
    {"": ""},
    {"a": {"b": {"c": "deep"}}},
    {5: "five", "k": 1},
    {None: 1, "k": 2},
    {"\ud800": "v"},
    {"q": float("nan")},
    {"q": 2**70},
    {"q": "\ud800"},
    {"q": b"\x00"},
    [["x"] * 3] * 2,
    Made({"$nest": [60, "x"]}),
    Made({"$nest": [63, 1]}),
    Made({"$nest": [66, "x"]}),
    Made({"$nest": [300, 1]}),
    Made({"$repeat": ["x", 300]}),
    Made({"$repeat": ["é", 5000]}),
)


def odd(draw: Draw) -> Any:
    """Return a value that nobody expects."""
    return draw.one((*ODD, *ODD_TEXTS)) if draw.below(4) else [draw.one(ODD_TEXTS), draw.one(ODD)]


def leaf(draw: Draw) -> Any:
    """Return a single value of a payload."""
    what = draw.below(14)
    if what == 0:
        return draw.person()
    if what == 1:
        return draw.mail()
    if what == 2:
        return draw.phone()
    if what == 3:
        return in_context(draw, draw.one(CONTEXTS))
    if what == 4:
        return vendor(draw)
    if what == 5:
        return draw.one(ODD_TEXTS)
    if what == 6:
        return draw.one(MARKERS)
    if what == 7:
        return draw.one((None, True, False, 0, 7, 1.5, -3, 12345678, 20261125))
    if what == 8:
        return f"DE{draw.of('d', 20)}"
    if what == 9:
        return json.dumps({draw.one(_KEYS): draw.prose()})
    return draw.prose()


_KEYS = (
    "q",
    "note",
    "name",
    "email",
    "customer",
    "id",
    "iban",
    "card",
    "pin",
    "memo",
    "amount",
    "currency",
    "health",
    "ref",
    "to",
    "subject",
    "body",
    "headers",
    "a",
    "b",
    "c",
    "a/b",
    "m~n",
    "hits",
    "title",
    "author",
    "score",
    "total",
    "answer",
    "who",
    "items",
    "password",
    "api_key",
    "token_count",
    "value",
    "field",
    "lines",
    "secret",
    "X-Api-Key",
    "contact_name",
    "*",
    "**",
    "0",
    "übung",
    "type",
    "parts",
)


def tree(draw: Draw, depth: int = 2) -> Any:
    """Return a value as tools are given and give, whatever their contracts say."""
    what = draw.below(6)
    if depth == 0 or what == 0:
        return leaf(draw)
    if what == 1:
        return [tree(draw, depth - 1) for _ in range(draw.between(0, 3))]
    return {draw.one(_KEYS): tree(draw, depth - 1) for _ in range(draw.between(1, 3))}


def fitting(draw: Draw, tool: str, kind: str) -> Any:
    """Return a payload as the contract of a tool expects it, more or less."""
    if tool == "lookup":
        if kind == "arguments":
            return {
                "q": draw.prose(),
                "note": draw.prose(),
                "customer": {"name": draw.person(), "email": draw.mail(), "id": draw.below(10**6)},
                "filters": [{"field": draw.name(), "value": leaf(draw)} for _ in range(draw.between(0, 2))],
                **({draw.name(): leaf(draw)} if draw.chance(3) else {}),
            }
        return {
            "hits": [
                {"title": draw.prose(), "score": draw.below(100) / 4, "author": draw.person()}
                for _ in range(draw.between(0, 2))
            ],
            "total": draw.below(100),
        }
    if tool == "pay":
        return {
            "iban": f"DE{draw.of('d', 20)}",
            "card": draw.of("d", 16),
            "amount": draw.below(10**5) / 100,
            "currency": "EUR",
            "memo": draw.prose(),
            "ref": draw.person(),
            "health": draw.prose(),
            "auth": {"pin": draw.of("d", 4)},
            "lines": [{"sku": draw.name(), "secret": draw.token(), "n": draw.below(9)}],
            draw.name(): leaf(draw),
            "count": 3,
        }
    if tool == "mail":
        return {
            "to": [draw.mail()],
            "subject": draw.prose(),
            "headers": {"Received": draw.prose(), "Authorization": f"Bearer {draw.token()}"},
            "parts": [{"type": "text/plain", "body": draw.prose()}],
            "a/b": leaf(draw),
            "m~n": leaf(draw),
            "x": {"id": draw.below(99)},
        }
    if tool.startswith("ns."):
        return {"a": {"b": leaf(draw), "c": leaf(draw), "d": {"c": leaf(draw)}}, "z": [leaf(draw)], "n": draw.below(5)}
    return tree(draw)


def written(draw: Draw, value: Any) -> Any:
    """Return a payload as an attribute has it: mostly as JSON text, now and then as it is, or as bytes."""
    if draw.chance(8):
        return value if isinstance(value, str | list) else [str(value)]
    return json.dumps(value, ensure_ascii=draw.chance(2))


def messages(draw: Draw) -> Any:
    """Return what a model was given or gave, in one of the forms of instrumentations."""
    call = f"call_{draw.of('a', 10)}"
    parts: list[Any] = [
        {"role": "system", "content": draw.prose()},
        {"role": "user", "content": f"{draw.prose()} {draw.mail()}"},
        {"role": "user", "parts": [{"type": "text", "content": draw.prose()}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": call, "name": "lookup", "arguments": {"id": call, "q": draw.prose()}}],
        },
        {"role": "tool", "tool_call_id": call, "content": draw.prose()},
        {"type": "human", "content": draw.prose()},
        {"type": "ai", "content": [{"type": "text", "text": draw.prose()}], "id": f"msg_{draw.of('a', 8)}"},
        {"role": "judge", "content": draw.prose()},
        draw.prose(),
        {"role": "developer", "content": None, "n": 1.5},
    ]
    found = draw.some(parts, 1, 5)
    what = draw.below(8)
    if what == 0:
        return found[0]
    if what == 1:
        return {"messages": found, "temperature": 0.2, "model": "m"}
    if what == 2:
        return {"a": [{"role": "user", "content": "1"}], "b": [{"role": "tool", "content": "2"}], "rest": draw.prose()}
    if what == 3:
        return found * 2 if draw.below(8) else [{"role": "user", "content": str(n % 3)} for n in range(66)]
    return found


def config(draw: Draw) -> Any:
    """Return a configuration with a secret here and there."""
    return {
        "model": "m-1",
        "temperature": 0.5,
        "retries": draw.below(9),
        draw.name(): draw.prose(),
        **dict(
            draw.some(
                [
                    ("api_key", draw.token()),
                    ("password", draw.password()),
                    ("db", {"url": f"postgres://u:{draw.password()}@h/x", "pool": 5}),
                    ("headers", [["Authorization", f"Bearer {draw.token()}"], ["Accept", "text/plain"]]),
                    ("pin", 4921),
                    ("token_count", 12),
                    ("tools", ["a", "b", None, True]),
                    ("args", ["--password", draw.password(), "--verbose"]),
                    ("note", vendor(draw)),
                    ("env", [{"name": "SECRET_KEY", "value": draw.token()}, {"name": "HOME", "value": "/x"}]),
                    ("empty", {}),
                    ("secret", ""),
                    ("nested", {"credentials": {"user": "u", "pw": draw.password(), "set": True}}),
                    (vendor(draw), 1),
                    ("mark", draw.one(MARKERS)),
                    ("text", json.dumps({"password": draw.password(), "x": 1})),
                    ("big", 2**53),
                    ("f", 1e20),
                    ("key", draw.token()),
                ],
                1,
                5,
            )
        ),
    }


def capture(draw: Draw, key: str) -> str:
    """Return what may be said of a value that is not whole; now and then what may not be."""
    sha256 = hashlib.sha256(draw.of("a", 8).encode()).hexdigest()
    entry = draw.one(
        (
            {"word": "cut"},
            {"word": "not_consumed"},
            {"word": "unserialisable"},
            {"word": "oversize", "sha256": sha256, "bytes": 300_000},
            {"word": "abandoned", "sha256": sha256, "bytes": 12},
            {"word": "whole", "sha256": sha256, "bytes": 70, "chunked": True},
            {"word": "oversize"},
            {"word": "abandoned", "chunked": True},
            {"word": "whole", "chunked": True},
            {"word": "oversize", "digest": "h2:deadbeef:abcdefghijklmnopqrstuvwxyz", "bytes": 70_000},
            {"word": "cut", "sha256": sha256, "bytes": 5},
            {"word": "eaten"},
            {"word": "oversize", "sha256": sha256},
            {"word": "cut", "more": 1},
            {"word": "oversize", "sha256": sha256[:-1], "bytes": 5},
        )
    )
    return json.dumps({key: entry})


def stack(draw: Draw) -> str:
    """Return a stack trace as Python writes it."""
    frames = draw.some(
        [
            ("/srv/app/agents/run.py", 12, "main", "answer(question)"),
            ("/home/ada.lovelace/app/tools/pay.py", 99, "pay", f'charge("{draw.phone()}")'),
            ("C:\\Users\\Ada\\app\\x.py", 3, "<lambda>", "f()"),
            ("/usr/lib/python3.11/json/decoder.py", 355, "raw_decode", "raise"),
            ("/app/ghost mail@example.org/y.py", 1, "g", ""),
            ("/app/z.py", 7, f"f_{draw.token()}", ""),
            ("/app/deep/a.py", 8, "Outer.<locals>.inner", "inner()"),
        ],
        1,
        3,
    )
    lines = [f'  File "{path}", line {line}, in {name}\n    {code}\n    ^^^^' for path, line, name, code in frames]
    text = "Traceback (most recent call last):\n" + "\n".join(lines) + f"\nValueError: no {draw.mail()}"
    return text.replace("/", "\\") if draw.chance(12) else text
