"""The vectors of assembly that are drawn: runs as lines of a journal, with what journals may hold besides.

Their records are written as redacted ones, by hand, so that a change of redaction changes none of them.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.vectors.form import DEFAULTS, Vector, encoded, journal_line, said_of_line
from tests.vectors.generate.draw import Draw

COUNT = 69
START_NS = 1_790_000_000_000_000_000
Line = dict[str, Any]


class _Run:
    """A run while it is drawn."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.trace = draw.of("h", 32) if draw.chance(8) else DEFAULTS["span"]["trace_id"]
        self.key_id = "0a1b2c3d"
        self.now = START_NS + draw.below(10**6)
        self.lines: list[Any] = []
        self.root = draw.of("h", 16)

    def marker(self, kind: str, size: int = 0) -> str:
        """Return what stands for a value."""
        size = size or self.draw.between(64, 900)
        return f"[REDACTED:{kind}:h2:{self.key_id}:{self.draw.of('abcdefghijklmnopqrstuvwxyz234567', 26)}:bytes={size}]"

    def receipt(self, *notes: tuple[str, str, str]) -> str:
        """Return a receipt, mostly with a note."""
        body: dict[str, Any] = {"n": [list(note) for note in notes]}
        if self.draw.chance(8):
            body["more"] = {"content|digest": self.draw.between(1, 5)}
        return json.dumps({**body, "by": self.key_id}, separators=(",", ":"))

    def span(self, parent: str, attributes: dict[str, Any], **more: Any) -> Line:
        """Return the line of an ended span."""
        self.now += self.draw.below(5000)
        return {
            "k": "span",
            "run_id": "r",
            "tenant_id": "",
            "trace_id": self.trace,
            "span_id": self.draw.of("h", 16),
            "parent_span_id": parent,
            "remote_parent": False,
            "trace_state": "",
            "name": "x",
            "kind": 0,
            "start_ns": self.now,
            "end_ns": self.now + self.draw.below(9000),
            "status_code": 0,
            "status_message": "",
            "attributes": attributes,
            "events": [],
            "links": [],
            "scope": DEFAULTS["lines.span"]["scope"],
            "dropped": {},
            "resource": 1,
            **more,
        }

    def start(self, span: Line, **more: Any) -> Line:
        """Return the line that says that a span has started."""
        return {
            "k": "start",
            "trace_id": span["trace_id"],
            "span_id": span["span_id"],
            "parent_span_id": span["parent_span_id"],
            "start_ns": span["start_ns"],
            "lane": "",
            "label": "",
            "is_run": False,
            **more,
        }


def _root(run: _Run) -> Line:
    draw = run.draw
    said: dict[str, Any] = {
        "runbundle.op": "run",
        "runbundle.name": "answer",
        "runbundle.run.id": "r",
        "runbundle.redaction.policy": draw.of("h", 64),
        "runbundle.redaction.key_id": run.key_id,
    }
    said |= dict(
        draw.some(
            [
                ("runbundle.config", '{"model":"m","k":[1,null]}'),
                ("runbundle.config", run.marker("content")),
                ("runbundle.user.id", f"h2:{run.key_id}:{'a' * 26}"),
                ("runbundle.session.id", "s-1"),
                ("runbundle.case.id", "case-1"),
                ("runbundle.request.id", "q1"),
                ("runbundle.run.attempt", draw.between(1, 3)),
                ("runbundle.repeat", 2),
                ("runbundle.parent.run.id", "before"),
                ("runbundle.resumed.from", "r"),
                ("runbundle.claimed.run.id", "theirs"),
                ("runbundle.tenant.id", "acme"),
                (
                    "runbundle.versions",
                    '{"python":"3.11.0","engine":{"name":"e","version":"1"},"git":{"commit":"abc","dirty":true}}',
                ),
                ("runbundle.versions", '{"python":5}'),
                ("runbundle.result", '{"answer":"yes"}'),
                ("runbundle.result", run.marker("undeclared")),
                ("runbundle.result.kind", "json"),
                ("runbundle.spans.dropped", 1),
                ("runbundle.redaction.mode", "debug"),
                ("runbundle.status", draw.one(("cancelled", "waiting", "abandoned", "odd"))),
                ("runbundle.joined", "signed"),
            ],
            0,
            4,
        )
    )
    said["runbundle.redaction"] = run.receipt(("attributes.runbundle.config", "config", "mask"))
    return run.span("", said, span_id=run.root, name="run answer", status_code=draw.below(3))


def _events(run: _Run, op: str) -> list[Line]:
    draw = run.draw
    at = lambda: run.now + draw.below(9000)  # noqa: E731
    every: list[Line] = [
        {
            "name": "exception",
            "attributes": {
                "exception.type": "ValueError",
                "exception.message": run.marker("error"),
                "exception.stacktrace": "a/x.py:1 in f\na/y.py:2 in g",
            },
        },
        {
            "name": "runbundle.child",
            "attributes": {"runbundle.child.run.id": "child-1", "runbundle.name": draw.one(("kid", "[REDACTED:name]"))},
        },
        {"name": "runbundle.score", "attributes": {"runbundle.score.name": "s", "runbundle.score.value": 0.5}},
        {"name": "gen_ai.evaluation.result", "attributes": {"gen_ai.evaluation.score.value": 1}},
        {"name": "runbundle.event", "attributes": {"runbundle.event.name": "shelf_emptied"}},
    ]
    if op == "tool":
        every.append(
            {
                "name": "runbundle.policy.decision",
                "attributes": {
                    "runbundle.policy.decision": draw.one(("blocked", "approved", "maybe")),
                    "runbundle.policy.rule": "limit",
                },
            }
        )
    if op == "retrieval":
        every += [
            {
                "name": "runbundle.evidence",
                "attributes": {
                    "runbundle.document.id": f"d{n}",
                    "runbundle.document.rank": n,
                    "runbundle.document.content": run.marker("content"),
                    "runbundle.document.score": 0.5 / n,
                },
            }
            for n in (1, 2)
        ]
    return [
        {**event, "time_ns": at(), "dropped": draw.one((0, 0, 2))}
        for event in draw.some(every, 0, draw.one((0, 1, 1, 2)))
    ]


def _child(run: _Run, parents: list[str]) -> Line:
    draw = run.draw
    op = draw.one(("agent", "step", "tool", "tool", "model", "retrieval", "other"))
    payload = draw.one(('{"q":"kept"}', run.marker("undeclared"), run.marker("oversize"), '"text"', "not json"))
    said: dict[str, Any] = {
        "agent": {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": draw.one(("helper", "boss")),
            "gen_ai.usage.input_tokens": 10,
        },
        "step": {
            "runbundle.op": "step",
            "runbundle.name": "tidy",
            "runbundle.lane": "main#1",
            "runbundle.effect": "main#1:2",
        },
        "tool": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": draw.one(("pay", "lookup")),
            "gen_ai.tool.call.arguments": payload,
            "runbundle.tool.arguments.digest": f"h2:{run.key_id}:{'b' * 26}",
            "runbundle.tool.arguments.bytes": draw.between(63, 900),
        },
        "model": {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.response.model": "m-1-x",
            "gen_ai.usage.output_tokens": draw.below(99),
            "gen_ai.usage.cache_read.input_tokens": 3,
            "gen_ai.input.messages": run.marker("content"),
        },
        "retrieval": {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": "shelf",
            "gen_ai.retrieval.query.text": run.marker("content"),
        },
        "other": {"http.request.method": "GET", "runbundle.redacted.abcdefghijkl": run.marker("undeclared")},
    }[op]
    if op == "tool" and draw.chance(2):
        said |= {
            "runbundle.contract.version": "1",
            "runbundle.contract.sha256": "c" * 64,
            "runbundle.tool.side_effects": draw.one(("read", "loud")),
            "runbundle.attempt": 2,
        }
        said |= {"gen_ai.tool.call.result": payload, "gen_ai.tool.call.id": "call_1"}
    if draw.chance(6):
        key = draw.one(("gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.input.messages"))
        said["runbundle.capture"] = json.dumps(
            {
                key: draw.one(
                    (
                        {"word": "cut"},
                        {"word": "not_consumed"},
                        {"word": "oversize", "digest": f"h2:{run.key_id}:{'c' * 26}", "bytes": 999999},
                    )
                )
            }
        )
    if draw.chance(8):
        said["runbundle.status"] = draw.one(("blocked", "cancelled", "abandoned"))
    said["runbundle.redaction"] = run.receipt(
        ("arguments/q", "contract:pay:/q", "hash"), ("name", "undeclared", "mask")
    )
    more: dict[str, Any] = {"events": _events(run, op), "status_code": draw.one((0, 1, 2)), "name": f"{op} x"}
    if draw.chance(6):
        more["links"] = [
            {
                "trace_id": draw.of("h", 32),
                "span_id": draw.of("h", 16),
                "trace_state": "",
                "attributes": draw.one(({}, {"a": 1})),
                "dropped": 1,
            }
        ]
    if draw.chance(6):
        more["dropped"] = {"attributes": 2}
    if draw.chance(6):
        more["scope"] = {
            "name": "acme",
            "version": "2",
            "schema_url": "https://opentelemetry.io/schemas/1.37.0",
            "attributes": {},
        }
    if draw.chance(10):
        more |= {"parent_span_id": draw.of("h", 16), "remote_parent": draw.chance(2)}
    if more["status_code"] == 2:
        more["status_message"] = run.marker("error")
    made = run.span(draw.one(parents), said, **more)
    parents.append(made["span_id"])
    return made


def _spoilt(run: _Run, lines: list[Any]) -> None:
    """Do to some lines what a dying machine, another program or an enemy does."""
    draw = run.draw
    for _ in range(draw.between(1, 2)):
        at = draw.below(len(lines))
        line = lines[at]
        whole = json.loads(json.dumps(line))
        what = draw.below(9)
        if what == 0:
            text = journal_line(said_of_line(whole)).decode()
            lines[at] = text[: draw.between(3, len(text) - 2)]
            if not lines[at].endswith("\n"):
                lines[at] += "\n"
        elif what == 1:
            lines.insert(at, whole)
        elif what == 2:
            whole["name"] = "another"
            lines.append(whole)
        elif what == 3:
            whole["start_ns"] = draw.one((-1, 2**63, "5", 1.5, None))
            lines[at] = whole
        elif what == 4:
            whole["attributes"] = draw.one(
                ([], {"gen_ai.operation.name": ["execute_tool"]}, {"runbundle.op": 5}, {"runbundle.status": {"a": 1}})
            )
            lines[at] = whole
        elif what == 5:
            lines.insert(at, draw.one(("deadbeef {}\n", "nonsense\n", '00000000 {"k":"span"}\n', "\n")))
        elif what == 6:
            lines.insert(at, {"k": draw.one(("future", "span", "log", "start")), "x": 1})
        elif what == 7 and whole["k"] == "span":
            whole["events"] = [
                {
                    "name": "x",
                    "time_ns": draw.one((START_NS, "5")),
                    "attributes": draw.one(({}, {"exception.type": 5}, [])),
                    "dropped": draw.one((0, -1)),
                }
            ]
            lines[at] = whole
        else:
            whole["trace_id"] = draw.one(("0" * 32, "F" * 32, "", 5))
            lines[at] = whole


def _run(draw: Draw, number: int) -> Vector:
    run = _Run(draw)
    root = _root(run)
    parents = [run.root]
    children = [_child(run, parents) for _ in range(draw.one((0, 1, 1, 1, 2)))]
    root["end_ns"] = max([root["end_ns"], *(child["end_ns"] for child in children)]) + 1
    if draw.below(5):
        root["attributes"]["runbundle.spans.started"] = len(children) + 1 + draw.one((0, 0, 0, 1))
    lines: list[Any] = [
        {
            "k": "resource",
            "resource": 1,
            "value": {
                "attributes": {
                    "telemetry.sdk.version": draw.one(("1.45.0", "1.46.1", "odd words in it")),
                    "service.name": "s",
                },
                "schema_url": "",
            },
        }
    ]
    begun = {
        name: root["attributes"][name]
        for name in ("runbundle.op", "runbundle.name", "runbundle.run.id", "runbundle.config", "runbundle.redaction")
        if name in root["attributes"]
    }
    lines.append(run.start(root, is_run=True, name=root["name"], attributes=begun))
    opened = draw.below(4) == 0
    for child in children:
        if draw.chance(3) or (opened and child is children[-1]):
            lines.append(
                run.start(child, label=draw.one(("tool:pay", "agent:boss", "step", "")), lane=draw.one(("", "main#1")))
            )
        if not (opened and child is children[-1]):
            lines.append(child)
    for _ in range(draw.one((0, 0, 0, 1))):
        log: Line = {
            "k": "log",
            "run_id": "r",
            "tenant_id": "",
            "trace_id": run.trace,
            "span_id": draw.one((run.root, "0" * 16)),
            "time_ns": run.now,
            "severity": draw.one((9, 17, 0)),
            "severity_text": "",
            "event_name": draw.one(("", "job.done")),
        }
        lines.append(
            {
                **log,
                "body": draw.one((None, run.marker("content"))),
                "attributes": {"runbundle.redaction": run.receipt()},
                "scope": DEFAULTS["lines.log"]["scope"],
                "dropped": 0,
                "resource": 1,
            }
        )
    how = number % 6
    if how != 5 and not (how == 4 and draw.chance(2)):
        lines.append(root)
    if how == 3:
        lines = draw.some(lines, len(lines), len(lines))
    if how == 4:
        _spoilt(run, lines)
    if how == 2 and draw.chance(2):
        lines = [line for line in lines if line.get("span_id") != run.root or line["k"] == "log"] or lines
    about: dict[str, Any] = {"run_id": "r"}
    if draw.chance(5):
        about["tenant_id"] = "acme"
    if draw.chance(4):
        about["grace_s"] = 2.5
    return {"run": about, "lines": [said_of_line(encoded(line)) for line in lines]}


def vectors() -> Iterator[Vector]:
    """Yield the vectors, without answers."""
    for number in range(COUNT):
        name = f"assembly-{number:03d}"
        yield {"id": name, **_run(Draw(name), number)}
