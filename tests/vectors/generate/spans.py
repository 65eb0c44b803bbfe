"""Spans and log records as instrumentations make them, each kind of work with the attributes that it has."""

import json
from typing import Any

from tests.vectors.generate.draw import Draw
from tests.vectors.generate.policies import TOOLS
from tests.vectors.generate.values import capture, config, fitting, leaf, messages, stack, written

Span = dict[str, Any]
OPERATIONS = ("run", "agent", "step", "tool", "model", "retrieval", "other")
OUR_SCOPE = {"name": "runbundle", "version": "1", "schema_url": "", "attributes": {}}
START_NS = 1_790_000_000_000_000_000


def span(draw: Draw, op: str) -> Span:
    """Return a span of one kind of work."""
    made = _MAKERS[op](draw)
    if draw.chance(5):
        made |= {
            "status_code": 2,
            "status_message": draw.one((draw.prose(), f"no such user {draw.mail()}", "timeout", "")),
        }
        made["attributes"]["error.type"] = draw.one(("ValueError", "TimeoutError", "app.errors.NotFound", draw.prose()))
        made.setdefault("events", []).append(exception(draw))
    if draw.chance(8):
        made["attributes"][
            draw.one(("app.note", "app.order_kind", "tier.kind", "customer.email", "x y z", "db_password"))
        ] = leaf(draw)
    return made


def exception(draw: Draw) -> dict[str, Any]:
    """Return the event of an exception."""
    said: dict[str, Any] = {
        "exception.type": draw.one(("ValueError", "app.errors.NotFound", "KeyError", draw.prose())),
        "exception.message": draw.one(
            (draw.prose(), f"{draw.mail()} is not known", json.dumps({"code": 5, "user": draw.person()}))
        ),
    }
    if draw.chance(2):
        said["exception.stacktrace"] = stack(draw)
    if draw.chance(2):
        said["exception.escaped"] = draw.one(("True", "False", True, "maybe"))
    return {"name": "exception", "attributes": said}


def _run(draw: Draw) -> Span:
    name = draw.name()
    said: dict[str, Any] = {
        "runbundle.op": "run",
        "runbundle.name": name,
        "runbundle.run.id": "r",
        "runbundle.spans.started": draw.below(9),
    }
    said |= dict(
        draw.some(
            [
                ("runbundle.user.id", draw.one((draw.mail(), "u-17", draw.of("d", 11)))),
                ("runbundle.session.id", draw.one(("s-1", draw.phone(), draw.of("h", 16)))),
                ("runbundle.request.id", draw.of("h", 32)),
                ("runbundle.case.id", draw.one(("case-7", draw.of("d", 12), draw.mail()))),
                ("runbundle.config", json.dumps(config(draw))),
                ("runbundle.versions", '{"python":"3.11.0","runbundle":"0.1.0"}'),
                (
                    "runbundle.result",
                    json.dumps(
                        {
                            "answer": draw.prose(),
                            "who": draw.person(),
                            "items": [draw.prose()],
                            "customer": draw.person(),
                        }
                    ),
                ),
                ("runbundle.result.kind", "json"),
                ("runbundle.resumed.from", "r-before"),
                ("runbundle.claimed.run.id", draw.one(("other", "a b", "x" * 200))),
                ("runbundle.parent.run.id", "parent-1"),
                ("runbundle.run.attempt", 2),
                ("runbundle.joined", "signed"),
                ("runbundle.tenant.id", "acme"),
            ],
            1,
            4,
        )
    )
    return {"name": draw.one((f"run {name}", "run", draw.prose())), "attributes": said}


def _agent(draw: Draw) -> Span:
    name = draw.one((draw.name(), "Support agent", draw.person(), draw.mail()))
    said: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": name,
        "gen_ai.agent.id": f"agent-{draw.of('h', 8)}",
    }
    said |= {
        "gen_ai.agent.description": draw.prose(),
        "gen_ai.usage.input_tokens": draw.below(5000),
        "gen_ai.conversation.id": draw.of("h", 32),
    }
    if draw.chance(2):
        said["gen_ai.input.messages"] = json.dumps(messages(draw))
    return {"name": f"invoke_agent {name}", "attributes": said}


def _step(draw: Draw) -> Span:
    name = draw.one((draw.name(), draw.prose(4, 9)))
    said: dict[str, Any] = {
        "runbundle.op": "step",
        "runbundle.name": name,
        "runbundle.lane": draw.one(("main", "worker#2", "a b c d e f")),
    }
    events = [{"name": "runbundle.event", "attributes": {"runbundle.event.name": draw.name(), draw.name(): leaf(draw)}}]
    scored = {
        "runbundle.score.name": "helpful",
        "runbundle.score.value": 0.5,
        "runbundle.score.label": draw.one(("good", draw.prose())),
    }
    events.append({"name": "runbundle.score", "attributes": scored})
    return {"name": f"step {name}", "attributes": said, "events": draw.some(events, 0, 2)}


def _tool(draw: Draw) -> Span:
    tool = draw.one(TOOLS)
    said: dict[str, Any] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.call.id": f"call_{draw.of('a', 16)}",
    }
    older = draw.chance(5)
    for kind, key, old in (
        ("arguments", "gen_ai.tool.call.arguments", "tool_arguments"),
        ("result", "gen_ai.tool.call.result", "tool_response"),
    ):
        if draw.below(3):
            said[old if older else key] = written(draw, fitting(draw, tool, kind))
            if draw.chance(10):
                said["runbundle.capture"] = capture(draw, key)
    if draw.chance(3):
        said |= {
            "runbundle.tool.side_effects": "none",
            "runbundle.contract.sha256": "0" * 64,
            "runbundle.attempt": draw.between(1, 3),
        }
    events: list[dict[str, Any]] = []
    if draw.chance(4):
        decision = {
            "runbundle.policy.decision": "blocked",
            "runbundle.policy.rule": "limit",
            "runbundle.policy.reason": draw.prose(),
        }
        events.append({"name": "runbundle.policy.decision", "attributes": decision})
    return {"name": f"execute_tool {tool}", "attributes": said, "events": events}


def _model(draw: Draw) -> Span:
    model = draw.one(("gpt-5", "claude-4.5-sonnet", "accounts/x/models/llama", draw.token(), draw.prose()))
    said: dict[str, Any] = {
        "gen_ai.operation.name": draw.one(("chat", "text_completion", "embeddings")),
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": draw.below(9000),
        "gen_ai.usage.output_tokens": draw.below(900),
        "gen_ai.request.temperature": 0.25,
        "gen_ai.response.finish_reasons": [draw.one(("stop", "tool_calls", draw.prose()))],
        "gen_ai.response.id": f"resp_{draw.of('a', 20)}",
    }
    for key in draw.some(
        (
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.system_instructions",
            "gen_ai.prompt",
            "gen_ai.completion",
        ),
        0,
        2,
    ):
        said[key] = json.dumps(messages(draw))
    return {"name": f"{said['gen_ai.operation.name']} {model}", "kind": 3, "attributes": said}


def _retrieval(draw: Draw) -> Span:
    said: dict[str, Any] = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": draw.name(),
        "gen_ai.retrieval.query.text": draw.prose(),
    }
    said |= {
        "runbundle.retriever.name": draw.name(),
        "gen_ai.retrieval.top_k": draw.below(9),
        "runbundle.query": draw.prose(),
    }
    documents = [
        {
            "name": "runbundle.evidence",
            "attributes": {
                "runbundle.document.id": draw.one((f"doc-{n}", draw.prose(), draw.token())),
                "runbundle.document.rank": n,
                "runbundle.document.score": 1 / n,
                "runbundle.document.uri": f"https://h.example/{draw.name()}",
                "runbundle.document.title": draw.prose(),
                "runbundle.document.content": draw.prose(),
            },
        }
        for n in range(1, draw.between(1, 2))
    ]
    return {"name": f"retrieval {said['gen_ai.data_source.id']}", "attributes": said, "events": documents}


def _other(draw: Draw) -> Span:
    what = draw.below(5)
    if what == 0:
        said = {
            "http.request.method": "GET",
            "http.route": "/orders/{id}",
            "url.full": f"https://h.example/orders/{draw.of('d', 9)}?key={draw.token()}",
            "http.response.status_code": 200,
            "server.address": "h.example",
        }
        return {
            "name": draw.one(("GET /orders/{id}", "GET", f"GET /orders/{draw.of('d', 9)}")),
            "kind": 3,
            "attributes": said,
        }
    if what == 1:
        said = {
            "db.system.name": "postgresql",
            "db.operation.name": "SELECT",
            "db.collection.name": "orders",
            "db.query.text": f"select * from orders where mail = '{draw.mail()}'",
        }
        return {"name": draw.one(("SELECT orders", f"SELECT {draw.mail()}")), "kind": 3, "attributes": said}
    if what == 2:
        said = {"rpc.system": "grpc", "rpc.service": "acme.Orders", "rpc.method": "Get", "rpc.grpc.status_code": 0}
        return {"name": "acme.Orders/Get", "attributes": said}
    if what == 3:
        said = {
            "messaging.system": "kafka",
            "messaging.operation.name": "publish",
            "messaging.destination.name": draw.one(("orders", draw.mail())),
        }
        return {"name": f"publish {said['messaging.destination.name']}", "kind": 4, "attributes": said}
    said = {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": draw.one(TOOLS),
        "mcp.session.id": draw.of("h", 32),
        "mcp.resource.uri": f"file:///home/{draw.name()}",
    }
    return {"name": f"tools/call {said['gen_ai.tool.name']}", "attributes": said}


_MAKERS = {
    "run": _run,
    "agent": _agent,
    "step": _step,
    "tool": _tool,
    "model": _model,
    "retrieval": _retrieval,
    "other": _other,
}


def log(draw: Draw) -> dict[str, Any]:
    """Return a log record."""
    record: dict[str, Any] = {
        "body": draw.one(
            (
                draw.prose(),
                {"msg": draw.prose(), "user": draw.mail()},
                [draw.prose(), 1],
                None,
                5,
                1.5,
                True,
                f"password={draw.password()}",
            )
        ),
        "severity": draw.one((0, 1, 9, 17, 24)),
        "severity_text": draw.one(("", "INFO", "warn", draw.prose(), "ERROR!")),
        "event_name": draw.one(
            (
                "",
                "gen_ai.client.inference.operation.details",
                "runbundle.event",
                "exception",
                draw.prose(),
                "job.done",
                "gen_ai.user message",
            )
        ),
    }
    said: dict[str, Any] = {}
    for key in draw.some(
        (
            "gen_ai.input.messages",
            "exception.type",
            "exception.stacktrace",
            "code.function.name",
            "thread.name",
            "app.note",
            "app.order_kind",
            "gen_ai.tool.name",
            "gen_ai.tool.call.arguments",
            "code.lineno",
            "url.full",
            "runbundle.session.id",
        ),
        0,
        4,
    ):
        value: Any = draw.prose()
        if key == "gen_ai.input.messages":
            value = json.dumps(messages(draw))
        elif key == "exception.stacktrace":
            value = stack(draw)
        elif key == "gen_ai.tool.call.arguments":
            value = json.dumps(fitting(draw, "echo", "arguments"))
        elif key in ("code.function.name", "thread.name", "exception.type", "app.order_kind"):
            value = draw.name()
        elif key == "gen_ai.tool.name":
            value = draw.one(TOOLS)
        elif key == "code.lineno":
            value = draw.below(900)
        said[key] = value
    return {**record, "attributes": said}
