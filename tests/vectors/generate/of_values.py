"""Families of vectors about values: what tools, models and configurations hold, and what credentials come in.

A family is a function of what is drawn and of a number; it returns a policy, the steps, and the known secrets, if any.
"""

import json
from typing import Any

from tests.vectors.form import Made
from tests.vectors.generate.credentials import CONTEXTS, FORMATS, WRAPPED, in_context, made, vendor
from tests.vectors.generate.draw import ODD_TEXTS, Draw
from tests.vectors.generate.policies import POLICIES, TOOLS
from tests.vectors.generate.spans import OUR_SCOPE
from tests.vectors.generate.values import ODD, capture, config, fitting, messages, odd, tree, written

SOME_KEYS = (
    "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.agent.name", "gen_ai.tool.name",
    "gen_ai.response.finish_reasons", "error.type", "exception.type", "http.route", "server.address",
    "db.collection.name", "thread.name", "code.function.name", "model_name", "net.peer.name", "gen_ai.response.id",
    "gen_ai.conversation.id", "gen_ai.tool.call.id", "mcp.session.id", "session.id", "runbundle.run.id",
    "runbundle.tenant.id", "runbundle.claimed.run.id", "runbundle.contract.sha256", "runbundle.child.run.id",
    "gen_ai.usage.input_tokens", "server.port", "thread.id", "gen_ai.request.temperature", "runbundle.score.value",
    "runbundle.spans.started", "gen_ai.prompt", "gen_ai.completion", "url.full", "db.query.text",
    "exception.message", "final_result", "runbundle.query", "runbundle.policy.reason", "gen_ai.input.messages",
    "gen_ai.output.messages", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "tool_arguments",
    "tool_response", "exception.stacktrace", "exception.escaped", "runbundle.config", "runbundle.user.id",
    "runbundle.session.id", "runbundle.case.id", "runbundle.op", "runbundle.name", "runbundle.lane",
    "runbundle.status", "runbundle.joined", "runbundle.redaction", "runbundle.tool.arguments.digest",
    "runbundle.tool.result.bytes", "runbundle.versions", "runbundle.coerced", "runbundle.effect",
    "runbundle.messages", "runbundle.capture", "runbundle.result",
)  # fmt: skip
"""Keys of every kind: not those of the tables, or a key that is added would draw everything anew."""
_VENDORS = sorted(FORMATS)
Steps = list[dict[str, Any]]
Found = tuple[str, Steps] | tuple[str, Steps, list[Any]]
"""A policy, the steps, and the known secrets."""


def echo(value: Any, kind: str = "arguments") -> dict[str, Any]:
    """Return the attributes of a tool whose contract keeps all."""
    return {
        "gen_ai.tool.name": "echo",
        f"gen_ai.tool.call.{kind}": value if isinstance(value, str) else json.dumps(value),
    }


def _configured(value: Any) -> dict[str, Any]:
    """Return a span with a configuration, which is kept but for its secrets."""
    return {"span": {"attributes": {"runbundle.config": json.dumps(value)}}}


def payload(draw: Draw, number: int) -> Found:
    """Take what tools are given and give, under contracts and none."""
    tool = TOOLS[number % len(TOOLS)]
    kind = draw.one(("arguments", "result"))
    value = fitting(draw, tool, kind) if draw.below(3) else tree(draw)
    record: dict[str, Any] = {
        "attributes": {"gen_ai.tool.name": tool, f"gen_ai.tool.call.{kind}": written(draw, value)}
    }
    if draw.chance(6):
        record |= {
            "status_code": 2,
            "status_message": draw.one((draw.prose(), json.dumps({"code": 7, "who": draw.person()}), vendor(draw))),
        }
    return draw.one(("contracts", "contracts", "other-key", "result")), [{"span": record}]


def vendor_formats(draw: Draw, number: int) -> Found:
    """Take each format of a vendor's, wrapped in one way and another, in a text that is kept."""
    rule = _VENDORS[number % len(_VENDORS)]
    ways = sorted(WRAPPED)
    first = ways[(number + number // len(_VENDORS) * 5) % len(ways)]
    token = made(draw, FORMATS[rule])
    text = WRAPPED[first](token)
    if number % 5 < 3:
        return "none", [_configured({"text": text})]
    return "echo", [{"span": {"attributes": echo({"text": text})}}]


def context(draw: Draw, number: int) -> Found:
    """Take a word beside a value: in a payload, in a configuration, in a name."""
    text = in_context(draw, CONTEXTS[number % len(CONTEXTS)])
    if draw.chance(3):
        text = draw.one(list(WRAPPED.values()))(text)
    place = draw.below(6)
    if place < 3:
        return "none", [_configured({"text": text})]
    if place == 3:
        return "safe", [
            {"span": {"name": text[:60], "attributes": {"gen_ai.agent.name": text[:60], "app.order_kind": text[:60]}}}
        ]
    return "echo", [
        {
            "span": {
                "attributes": echo(f"{draw.prose(1, 2)} {text}\n{draw.prose(1, 2)}", draw.one(("arguments", "result")))
            }
        }
    ]


def labelled(draw: Draw, number: int) -> Found:
    """Take credentials by what stands beside them in structure."""
    token, password = draw.token(), draw.password()
    value = draw.one(
        (
            {"name": "Authorization", "value": token},
            {"key": "api_key", "data": token, "n": 1},
            ["Authorization", f"Bearer {token}"],
            ["--password", password, "--verbose"],
            {"password": ["a1b2c3d4", {"x": 5}]},
            {"token_count": 12, "tokens": [1, 2]},
            {"password": None, "secret": True, "pin": 4921},
            [["X-Api-Key", token], ["Accept", "text/plain"]],
            {"env": {"DB_PASSWORD": password}},
            {"public_key": token, "key": token},
            {"clientSecret": json.dumps({"a": token})},
            {"body": json.dumps({"password": password})},
            {
                "body": json.dumps(
                    {"body": json.dumps({"body": json.dumps({"body": json.dumps({"password": password})})})}
                )
            },
            {"credentials": {"user": "ada", "pw": password, "ok": True}},
            ["user", "password"],
            {"field": "password", "text": password},
            {vendor(draw): 1, "b": 2},
            {"session": token, "seed": 42},
            {f"{password}": "x"},
            {"a": [[["token", token]]]},
        )
    )
    if draw.chance(2):
        return draw.one(("none", "result")), [_configured(value)]
    return "echo", [{"span": {"attributes": echo(value)}}]


def odd_values(draw: Draw, number: int) -> Found:
    """Take values, names and keys that nobody expects, under keys of every kind."""
    keys = (
        *draw.some(SOME_KEYS, 1, 2),
        *draw.some(("app.x", "", "ü", "k" * 70, "\ud800", 5, None, b"k", "runbundle.redacted.abcdefghijkl"), 0, 1),
    )
    said: dict[Any, Any] = {key: odd(draw) for key in keys}
    if draw.chance(2):
        said |= {
            "gen_ai.tool.name": draw.one(TOOLS),
            draw.one(("gen_ai.tool.call.arguments", "tool_response")): draw.one(ODD),
        }
    record: dict[str, Any] = {"attributes": said}
    if draw.chance(4):
        record["name"] = draw.one((*ODD_TEXTS, "\ud800x", 5, None, b"n"))
    if draw.chance(6):
        record["events"] = [{"name": draw.one((*ODD_TEXTS, 7)), "attributes": {draw.one(SOME_KEYS): odd(draw)}}]
    if draw.chance(4):
        return draw.one(("none", "contracts")), [{"log": {"attributes": said, "body": odd(draw)}}]
    return draw.one(sorted(POLICIES)), [{"span": record}]


def large(draw: Draw, number: int) -> Found:
    """Take texts that are too large to be kept, opened or digested bit by bit. They are stored as what repeats."""
    size = (100, 4097, 70_000, 262_100, 263_000, 1_048_500, 1_048_600, 300_000)[number % 8]
    text = Made({"$repeat": [draw.one(("x", "word ", "é", "ab12 ")), size // 3]})
    whole: Any = Made({"$join": ['{"q":"kept words","text":"', text.said, '"}']})
    wide: Any = Made({"$join": ['{"q":["', {"$repeat": ['aaaaaaaaaaaaaaaaaaaaaaaa","', size // 60]}, '"]}']})
    value = (whole, wide, text)[number % 3]
    key = (
        "gen_ai.tool.call.arguments",
        "gen_ai.input.messages",
        "runbundle.config",
        "gen_ai.prompt",
        "runbundle.result",
        "exception.message",
    )[number // 3 % 6]
    return "result", [{"span": {"attributes": {"gen_ai.tool.name": draw.one(("echo", "lookup")), key: value}}}]


def messages_values(draw: Draw, number: int) -> Found:
    """Take messages of models: JSON, mostly, and what is none."""
    keys = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "pydantic_ai.all_messages")
    found = messages(draw)
    said: dict[str, Any] = {
        keys[number % 4]: json.dumps(found)
        if draw.below(6)
        else draw.one((json.dumps(found)[:-1], [json.dumps(found)], draw.prose()))
    }
    if draw.chance(3):
        said[draw.one(keys)] = json.dumps(messages(draw))
    if draw.chance(6):
        said["runbundle.messages"] = draw.one(
            ('{"gen_ai.input.messages":{"neutral":"x","roles":[]}}', "{}", draw.prose())
        )
    return draw.one(("none", "contracts", "other-key")), [{"span": {"attributes": said}}]


def captured(draw: Draw, number: int) -> Found:
    """Take values of which something is said: cut, not consumed, too large."""
    keys = (
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.input.messages",
        "runbundle.result",
        "gen_ai.prompt",
        "gen_ai.agent.name",
        "app.x",
    )
    key = keys[number % len(keys)]
    value = draw.one(
        (
            json.dumps({"q": draw.prose()}),
            "[REDACTED:oversize:bytes=300000:roles=user]",
            "[REDACTED:oversize]",
            draw.prose(),
        )
    )
    said: dict[str, Any] = {"gen_ai.tool.name": draw.one(TOOLS), key: value, "runbundle.capture": capture(draw, key)}
    if draw.chance(4):
        del said[key]
    policy, span = draw.one(("contracts", "result", "none")), dict[str, Any](attributes=said)
    if number // len(keys) % 3:  # two of three spans are our own, of which all of this is believed
        span["scope"] = OUR_SCOPE
    return policy, [{"span": span}]


def config_values(draw: Draw, number: int) -> Found:
    """Take configurations: JSON, mostly, and what is none."""
    value: Any = json.dumps(config(draw))
    if draw.chance(8):
        value = draw.one(
            (
                "{not json",
                {"$": 1},
                b'{"password": "hunter2xx"}',
                "[REDACTED:content]",
                '"text"',
                json.dumps({"t": "x" * 5000}),
            )
        )
    return draw.one(sorted(POLICIES)), [{"span": {"attributes": {"runbundle.op": "run", "runbundle.config": value}}}]


def known(draw: Draw, number: int) -> Found:
    """Take values that are known secrets, in what encodings they come."""
    secret = draw.one(
        (
            f"correct horse {draw.name()}",
            f"{draw.name()}-{draw.of('d', 6)}",
            draw.token(),
            f'quo"te/{draw.of("a", 6)}+ü',
        )
    )
    number_secret = int("4" + draw.of("d", 9))
    wrap = draw.one(list(WRAPPED.values()))
    said: dict[str, Any] = draw.one(
        (
            echo({"text": wrap(secret), "n": number_secret, "hex": secret.encode().hex()}),
            echo(f"a {secret} b {secret}", "result"),
            {"gen_ai.agent.name": secret, "gen_ai.conversation.id": secret, "gen_ai.usage.input_tokens": number_secret},
            {"runbundle.config": json.dumps({"text": secret, "n": number_secret, secret: 1})},
            {"app.order_kind": secret, "server.port": number_secret, secret: 1},
            {"runbundle.run.id": secret, "runbundle.child.run.id": secret, "http.route": f"/x/{secret}"},
        )
    )
    steps: Steps = [{"span": {"name": draw.one(("x", secret)), "attributes": said}}]
    if draw.chance(3):
        return draw.one(("echo", "safe")), [*steps, {"secrets": [secret, number_secret]}, *steps]
    return (
        draw.one(("echo", "safe")),
        steps,
        [
            secret,
            number_secret,
            *draw.some(["short", "wordsonly", "2026-11-27", {"a": draw.token()}, "two\nlines of it"], 0, 2),
        ],
    )
