"""The vectors of redaction that are drawn: each from its own name, so that none moves another."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from runbundle.signals import own
from tests.vectors.core import KEYS, KEYS_OF_RESOURCES
from tests.vectors.form import Vector, encoded
from tests.vectors.generate import of_values
from tests.vectors.generate.credentials import vendor
from tests.vectors.generate.draw import ODD_TEXTS, Draw
from tests.vectors.generate.of_values import SOME_KEYS, Found, Steps
from tests.vectors.generate.policies import POLICIES, TOOLS
from tests.vectors.generate.spans import OPERATIONS, OUR_SCOPE, START_NS, exception, log, span
from tests.vectors.generate.values import MARKERS, ODD, RECEIPTS, leaf, stack


def _key(draw: Draw, number: int) -> Found:
    """Take each key of the tables, with what belongs there, with what does not, and in an event, a link, a log."""
    key = KEYS[number]
    plain = draw.one((draw.name(), draw.below(1000), draw.prose(), True, f"id-{draw.of('h', 12)}"))
    other = draw.one(
        (draw.mail(), vendor(draw), draw.phone(), [draw.name(), draw.prose()], draw.token(), 49301234, draw.one(ODD))
    )
    place = draw.below(3)
    record: dict[str, Any] = {"attributes": {key: plain}}
    if place == 0:
        record["events"] = [{"name": "exception", "attributes": {key: other}}]
    elif place == 1:
        record["links"] = [{"attributes": {key: other}}]
    if key in own.NOT_OF_OTHERS or key == own.CAPTURE:
        record["scope"] = OUR_SCOPE
    steps: Steps = [{"span": record}]
    if place == 2:
        steps.append({"log": {"attributes": {key: other}}})
    return draw.one(("none", "contracts", "safe")), steps


def _resource(draw: Draw, number: int) -> Found:
    key = KEYS_OF_RESOURCES[number]
    second = draw.one(
        ("service.name", "host.id", "process.pid", "k8s.pod.name", "app.order_kind", "runbundle.versions")
    )
    said = {
        key: draw.one((draw.name(), draw.prose(), 17, draw.mail(), vendor(draw))),
        second: leaf(draw),
        "app.secret": draw.token(),
    }
    scope = {
        "name": draw.one(("acme.instrumentation", draw.prose(), draw.mail())),
        "version": draw.one(("1.2.0", "", draw.token())),
        "schema_url": draw.one(("https://opentelemetry.io/schemas/1.37.0", "https://example.org/x", "")),
        "attributes": {draw.one(("code.namespace", "x.y", "gen_ai.prompt")): leaf(draw)},
    }
    url = draw.one(("", "https://opentelemetry.io/schemas/1.37.0", draw.prose()))
    return draw.one(("none", "safe")), [{"span": {"scope": scope, "resource": {"attributes": said, "schema_url": url}}}]


def _operation(draw: Draw, number: int) -> Found:
    policy, made = draw.one(sorted(POLICIES)), span(draw, OPERATIONS[number % len(OPERATIONS)])
    if number // len(OPERATIONS) % 3:  # two of three spans are our own: what they say in our words is believed
        made["scope"] = OUR_SCOPE
    return policy, [{"span": made}]


def _planted(draw: Draw, number: int) -> Found:
    """Take what looks like our own and is not: markers, digests, receipts, hidden keys."""
    mark = MARKERS[number % len(MARKERS)]
    said: dict[str, Any] = {
        draw.one(SOME_KEYS): mark,
        draw.one(("app.x", "url.full", "gen_ai.prompt")): f"{mark} {draw.prose()}",
    }
    if draw.chance(2):
        said["runbundle.redaction"] = draw.one(RECEIPTS)
    if draw.chance(3):
        said[
            draw.one(
                (
                    "runbundle.redacted.abcdefghijkl",
                    "runbundle.redacted.x",
                    "runbundle.tool.arguments.digest",
                    "runbundle.tool.arguments.bytes",
                )
            )
        ] = draw.one((mark, "v", 5))
    if draw.chance(2):
        said |= of_values.echo({"a": mark, "b": [draw.one(MARKERS)], mark: 1})
    record: dict[str, Any] = {
        "name": draw.one((mark, f"execute_tool {mark}", "x")),
        "attributes": said,
        "status_message": draw.one(("", mark)),
    }
    return draw.one(("none", "contracts", "echo")), [{"span": record}]


def _named(draw: Draw, number: int) -> Found:
    """Take names, trace states, messages of status: what stands beside the attributes."""
    names = (
        "refresh shelf",
        "cart.checkout",
        "job.nightly",
        "job.token abc123def",
        "Wake up, Ada!",
        draw.mail(),
        draw.token(),
        draw.name(),
        "POST",
        "tools/call lookup",
        "execute_tool lookup",
        f"execute_tool {draw.prose()}",
        "chat",
        "",
        draw.phone(),
        draw.prose(),
        "x" * 65,
        "x" * 1000,
        vendor(draw),
        "4111 1111 1111 1111",
        draw.one(ODD_TEXTS),
    )
    states = (
        "ot=th:8;rv:0123456789abcd",
        f"vendor={draw.mail()}",
        f"a=1,ot=th:0,{draw.name()}=2",
        "ot=UPPER",
        "",
        "ot=",
    )
    record: dict[str, Any] = {
        "name": names[number % len(names)],
        "trace_state": draw.one(states),
        "status_code": draw.below(3),
    }
    record["status_message"] = draw.one(("", draw.prose(), vendor(draw), draw.mail()))
    record["attributes"] = draw.one(
        (
            {},
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup"},
            {"gen_ai.operation.name": "chat"},
            {"mcp.method.name": "tools/call"},
        )
    )
    record["events"] = [{"name": draw.one(names), "attributes": {}}] if draw.chance(2) else []
    record["links"] = (
        [{"trace_state": draw.one(states), "attributes": {draw.one(SOME_KEYS): leaf(draw)}, "dropped": 1}]
        if draw.chance(2)
        else []
    )
    return draw.one(("none", "safe", "safe", "contracts")), [{"span": record}]


def _failed(draw: Draw, number: int) -> Found:
    """Take exceptions: their types, messages, stack traces, under a contract that says something of errors."""
    tool = TOOLS[number % len(TOOLS)]
    text = draw.one((draw.prose(), json.dumps({"code": draw.below(9), "who": draw.person()}), vendor(draw), "plain"))
    record: dict[str, Any] = {
        "attributes": {"gen_ai.tool.name": tool, "error.type": "ValueError"},
        "status_code": 2,
        "status_message": text,
    }
    record["events"] = [exception(draw) for _ in range(draw.one((1, 1, 1, 2)))]
    if draw.chance(3):
        record["events"][0]["attributes"] |= {
            "gen_ai.tool.name": tool,
            "exception.stacktrace": draw.one((stack(draw), "app/x.py:3 in f\na/y.py:9 in g", draw.prose(), "")),
            "thread.name": leaf(draw),
        }
    return draw.one(("contracts", "none")), [{"span": record}]


def _taint(draw: Draw, number: int) -> Found:
    """Take the records of a run, one after another: what a contract withheld in one is withheld in the next."""
    person, mail, phone, iban = draw.person(), draw.mail(), draw.of("d", 9), f"DE{draw.of('d', 20)}"
    first = {
        "lookup": {"q": "kept", "customer": {"name": person, "email": mail, "id": int(phone)}, "author": person},
        "pay": {
            "iban": iban,
            "health": f"allergy to {draw.name()}",
            "ref": person,
            "amount": 12,
            "other": {"name": person},
        },
        "mail": {"to": [mail, person], "subject": draw.prose(), "extra": iban},
        "unknown_tool": {"name": person, "mail": mail},
    }
    tool = sorted(first)[number % 4]
    given = {
        "gen_ai.tool.name": tool,
        "gen_ai.tool.call.arguments": json.dumps(first[tool], ensure_ascii=draw.chance(2)),
    }
    said = f"I wrote to {mail.upper()} for {person.lower()} ({phone}, {iban}) and {person.split()[-1]}"
    after: Steps = [
        {"span": {"attributes": of_values.echo({"text": said, "n": int(phone), person: 1})}},
        {"span": {"attributes": of_values.echo(said, "result"), "status_code": 2, "status_message": said}},
        {
            "span": {
                "attributes": {"runbundle.op": "run", "runbundle.result": json.dumps({"answer": said, "items": [said]})}
            }
        },
        {"span": {"run_id": "another", "attributes": of_values.echo(said)}},
        {"span": {"tenant_id": "acme", "attributes": of_values.echo(said)}},
        {"log": {"body": said, "attributes": of_values.echo(said)}},
        {"span": {"run_id": "", "attributes": of_values.echo(said)}},
    ]
    return "result", [{"span": {"attributes": given}}, draw.one(after)]


def _logged(draw: Draw, number: int) -> Found:
    return draw.one(sorted(POLICIES)), [{"log": log(draw)}]


def _edge(draw: Draw, number: int) -> Found:
    """Take ids, times, kinds of other types than they should be of, and at the ends of what they may be."""
    times = (
        0,
        1,
        -1,
        2**63 - 1,
        2**63,
        START_NS,
        float(START_NS),
        str(START_NS),
        "soon",
        None,
        float("nan"),
        float("inf"),
        -0.5,
        True,
        b"1",
        [1],
        10**30,
    )
    ids = ("0" * 32, "f" * 16, "0" * 16, 5.0, -1, True, 2**128, 2**64, None, 1.5, float("nan"), "00f067aa0ba902b7")
    record: dict[str, Any] = {"start_ns": times[number % len(times)], "end_ns": draw.one(times)}
    record |= dict(
        draw.some(
            [
                ("trace_id", draw.one(ids[3:])),
                ("span_id", draw.one(ids[1:])),
                ("parent_span_id", draw.one(("", *ids[1:]))),
            ],
            0,
            2,
        )
    )
    record |= dict(
        draw.some(
            [
                ("kind", draw.one((1, 5, -1, 9))),
                ("status_code", draw.one((1, 2, -1, 7))),
                ("remote_parent", True),
                ("dropped", {"attributes": 3, "events": 1}),
            ],
            0,
            2,
        )
    )
    record |= dict(
        draw.some(
            [("run_id", draw.one(("", "a b", "x" * 200, "CON"))), ("tenant_id", draw.one(("acme", "invalid-0", "ü")))],
            0,
            1,
        )
    )
    if draw.chance(3):
        record["events"] = [{"name": "exception", "time_ns": draw.one(times), "dropped": 2}]
        record["links"] = [{"trace_id": draw.one(ids[3:]), "span_id": draw.one(ids[1:])}]
    if draw.chance(4):
        record = {
            "time_ns": draw.one(times),
            "observed_ns": draw.one(times),
            "severity": draw.one((0, 24, 25, -1, "WARN", 2.5, None)),
            "event_name": draw.one((5, "", "\ud800")),
            "trace_id": draw.one(ids[3:]),
        }
        return "none", [{"log": record}]
    return "none", [{"span": record}]


def _tenants(draw: Draw, number: int) -> Found:
    """Take one value for several tenants, and under another key: digests join within one alone."""
    said = {"runbundle.user.id": draw.mail(), "gen_ai.prompt": draw.prose(), "app.undeclared": draw.prose()}
    tenants = draw.some(("", "acme", "globex", "ü", "acme "), 2, 2)
    return draw.one(("none", "other-key")), [{"span": {"tenant_id": tenant, "attributes": said}} for tenant in tenants]


def _person(draw: Draw, number: int) -> Found:
    """Take ids of users, sessions, requests and cases."""
    values = (
        draw.mail(),
        draw.phone(),
        draw.of("d", 12),
        "u-17",
        draw.of("h", 32),
        4711,
        49301234567,
        [1, 2],
        "h2:deadbeef:abcdefghijklmnopqrstuvwxyz",
        "",
        draw.person(),
        1.5,
        vendor(draw),
        b"u",
        "x" * 300,
    )
    keys = ("runbundle.user.id", "runbundle.session.id", "runbundle.request.id", "runbundle.case.id")
    return draw.one(("none", "keep-user", "drop-user")), [
        {"span": {"attributes": {keys[number % 4]: values[number % len(values)], draw.one(keys): draw.one(values)}}}
    ]


FAMILIES: dict[str, tuple[int, Callable[[Draw, int], Found]]] = {
    "key": (len(KEYS), _key),
    "resource": (len(KEYS_OF_RESOURCES), _resource),
    "operation": (70, _operation),
    "payload": (110, of_values.payload),
    "vendor": (200, of_values.vendor_formats),
    "context": (152, of_values.context),
    "labelled": (70, of_values.labelled),
    "odd": (160, of_values.odd_values),
    "large": (60, of_values.large),
    "messages": (48, of_values.messages_values),
    "captured": (56, of_values.captured),
    "planted": (56, _planted),
    "named": (63, _named),
    "failed": (35, _failed),
    "taint": (30, _taint),
    "logged": (56, _logged),
    "edge": (192, _edge),
    "tenants": (10, _tenants),
    "person": (148, _person),
    "config": (40, of_values.config_values),
    "known": (46, of_values.known),
}


def vectors() -> Iterator[Vector]:
    """Yield the vectors, without answers."""
    for family, (count, make) in FAMILIES.items():
        for number in range(count):
            about = {"key": KEYS, "resource": KEYS_OF_RESOURCES}.get(family)
            name = f"{family}-{about[number] if about else f'{number:03d}'}"
            policy, steps, *secrets = make(Draw(name), number)
            known = {"secrets": encoded(secrets[0])} if secrets else {}
            yield {"id": name, "policy": policy, **known, "steps": encoded(steps)}
