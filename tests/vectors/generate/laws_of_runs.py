"""The laws of assembly, written by hand; see `laws`. What a line leaves out is as in all lines (`form.DEFAULTS`)."""

from typing import Any

from tests.vectors.form import journal_line

_NOW = 1_790_000_000_000_000_000
_RECEIPT = '{"n":[["attributes.x","undeclared","digest"]],"by":"0a1b2c3d"}'
_RESOURCE: dict[str, Any] = {"k": "resource"}


def _line(number: int, parent: int, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    ids = {"span_id": f"{number:016x}", "parent_span_id": f"{parent:016x}" if parent else ""}
    times = {"start_ns": _NOW + number, "end_ns": _NOW + 1000 - number}
    return {"k": "span", **ids, **times, "attributes": {**attributes, "runbundle.redaction": _RECEIPT}, **more}


_ROOT = {"runbundle.op": "run", "runbundle.name": "answer", "runbundle.run.id": "r"}
_CONTRACT = {
    "runbundle.contract.version": "1",
    "runbundle.contract.sha256": "c" * 64,
    "runbundle.tool.side_effects": "read",
}
_DIGEST = {"runbundle.tool.arguments.digest": f"h2:0a1b2c3d:{'a' * 26}", "runbundle.tool.arguments.bytes": 63}
_CALL = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "lookup",
    "gen_ai.tool.call.arguments": '{"q":"kept"}',
    **_CONTRACT,
    **_DIGEST,
}
_CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1", "gen_ai.usage.input_tokens": 7}
_AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "boss", "gen_ai.usage.input_tokens": 7}
_SEARCH = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "shelf"}
_MARK = f"[REDACTED:content:h2:0a1b2c3d:{'d' * 26}:bytes=70]"
_FOUND = [
    {
        "name": "runbundle.evidence",
        "time_ns": _NOW + rank,
        "attributes": {"runbundle.document.id": f"doc-{rank}", "runbundle.document.content": _MARK},
    }
    for rank in (1, 2)
]
RUN = _line(1, 0, {**_ROOT, "runbundle.spans.started": 3}, name="run answer")
TOOL = _line(2, 1, _CALL, name="execute_tool lookup")
CHAT = _line(3, 1, _CHAT, name="chat m-1")
LOG = {"k": "log", "time_ns": _NOW + 5, "attributes": {"thread.name": "main"}}


def _open(line: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"k": "start", **{key: line[key] for key in ("span_id", "parent_span_id", "start_ns")}, **more}


def _cut(line: dict[str, Any]) -> str:
    return journal_line(line)[:-20].decode()


def _scope(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1", "schema_url": "", "attributes": {}}


def _failed(number: int, parent: int, attributes: dict[str, Any]) -> dict[str, Any]:
    raised = {
        "name": "exception",
        "time_ns": _NOW + 9,
        "attributes": {"exception.type": "KeyError", "exception.stacktrace": "a/x.py:1 in f\na/y.py:2 in g"},
        "dropped": 0,
    }
    return _line(number, parent, attributes, status_code=2, events=[raised])


ASSEMBLY: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    (
        "whole",
        "A run of which all that was started has ended is complete.",
        [_RESOURCE, RUN, TOOL, CHAT],
        {"kept": ['"state":"complete"']},
    ),
    (
        "any-order",
        "The order of the lines does not matter.",
        [CHAT, TOOL, RUN, _RESOURCE],
        {"same_as": "law-assembly-whole"},
    ),
    (
        "twice",
        "A record that is there twice counts once.",
        [RUN, TOOL, TOOL, CHAT, RUN],
        {"same_as": "law-assembly-whole"},
    ),
    (
        "start-and-end",
        "The start of a span that has ended says nothing more.",
        [_open(RUN, is_run=True), RUN, _open(TOOL, label="tool:lookup"), TOOL, CHAT],
        {"same_as": "law-assembly-whole"},
    ),
    (
        "redacted-again",
        "A line that a recorder wrote comes through redaction as it was.",
        [RUN, TOOL, CHAT],
        {"same_as": "law-assembly-whole", "redact_again": True},
    ),
    (
        "torn",
        "A line that was cut off is counted, and costs itself alone.",
        [RUN, TOOL, CHAT, _cut(CHAT)],
        {"kept": ['"torn_lines":1', '"state":"lossy"']},
    ),
    (
        "malformed",
        "A record that none writes is counted, and costs itself alone.",
        [RUN, TOOL, CHAT, {**LOG, "time_ns": -1}],
        {"kept": ['"malformed_records":1']},
    ),
    (
        "collided",
        "Of two records with one identity one holds, and the other is counted.",
        [RUN, TOOL, CHAT, {**CHAT, "name": "chat m-2"}],
        {"kept": ['"collided":1']},
    ),
    (
        "lost",
        "A run of which less has ended than was started is lossy.",
        [RUN, TOOL],
        {"kept": ['"state":"lossy"', '"spans_expected":3', '"spans_seen":2']},
    ),
    (
        "open",
        "A span without an end is interrupted.",
        [RUN, TOOL, _open(CHAT, label="model:m-1")],
        {"kept": ['"status":"interrupted"', '"open_spans":["0000000000000003"]'], "grace_s": 2.5},
    ),
    (
        "crashed",
        "A run whose own span has no end is crashed, and knows what it was.",
        [_open(RUN, is_run=True, name="run answer", attributes=_ROOT), TOOL, CHAT],
        {"kept": ['"state":"crashed"', '"name":"answer"']},
    ),
    (
        "part",
        "Spans without the run's own have no status of their own.",
        [TOOL, CHAT],
        {"kept": ['"status":"incomplete"']},
    ),
    (
        "two-runs",
        "Two spans that claim to be the run are two roots, and that did not end well.",
        [RUN, TOOL, CHAT, _line(4, 0, _ROOT, name="run answer")],
        {"kept": ['"roots":2', '"status":"incomplete"']},
    ),
    (
        "resumed",
        "A run that was resumed under its id is one run, and ends as the last attempt did.",
        [RUN, TOOL, CHAT, {**_line(4, 0, {**_ROOT, "runbundle.resumed.from": "r"}), "end_ns": _NOW + 5000}],
        {"kept": ['"roots":1', '"resumed_from":"r"']},
    ),
    (
        "origin",
        "An error is said to have begun in the innermost span that raised it at the same place.",
        [_failed(1, 0, _ROOT), _failed(2, 1, _AGENT), _failed(3, 2, _CALL)],
        {"kept": ['"error":{"span_id":"0000000000000003","type":"KeyError"}']},
    ),
    (
        "usage",
        "Tokens that an agent repeats are not counted twice.",
        [RUN, _line(2, 1, _AGENT), _line(3, 2, _CHAT)],
        {"kept": ['"usage":{"input_tokens":7}']},
    ),
    (
        "implicit",
        "Spans of an agent that nobody put into a run are a run, which has the agent's name.",
        [_line(1, 9, {**_AGENT, "runbundle.implicit": True, "runbundle.spans.started": 2}), _line(2, 1, _CALL)],
        {"kept": ['"name":"boss"', '"state":"complete"']},
    ),
    (
        "evidence",
        "What was retrieved is listed by rank, without its content.",
        [RUN, _line(2, 1, {**_SEARCH, "gen_ai.retrieval.query.text": _MARK}, events=_FOUND), CHAT],
        {"kept": ['"retriever":"shelf"', '"rank":1', '"rank":2', '"query":{"bytes":70'], "never": ["text of"]},
    ),
    (
        "agent-of",
        "A tool call is said to be of the agent above it.",
        [RUN, _line(2, 1, _AGENT), _line(3, 2, _CALL)],
        {"kept": ['"agent":"boss"']},
    ),
    ("log-twice", "A log record that is there twice counts once.", [RUN, TOOL, CHAT, LOG, LOG], {"kept": ['"logs":1']}),
    (
        "hostile-parent",
        "Spans that are their own ancestors are listed as they say, and the run is assembled.",
        [RUN, _line(2, 3, _AGENT), _line(3, 2, _CALL)],
        {"kept": ['"spans_seen":3']},
    ),
    (
        "policy",
        "A call that was blocked is said to be, with the rule that did.",
        [
            RUN,
            CHAT,
            _line(
                2,
                1,
                {**_CALL, "runbundle.status": "blocked"},
                status_code=2,
                events=[
                    {
                        "name": "runbundle.policy.decision",
                        "time_ns": _NOW + 9,
                        "attributes": {"runbundle.policy.decision": "blocked", "runbundle.policy.rule": "limit"},
                        "dropped": 0,
                    }
                ],
            ),
        ],
        {"kept": ['"policy":{"decision":"blocked","rule":"limit"}', '"policy_blocks":1']},
    ),
    (
        "tenant",
        "Whose run it is, its own span may say where nobody else has.",
        [{**RUN, "attributes": {**RUN["attributes"], "runbundle.tenant.id": "acme"}}, TOOL, CHAT],
        {"kept": ['"tenant_id":"acme"']},
    ),
    (
        "one-answer",
        "Two libraries that tell of one answer of a model tell of one call, whose tokens count once.",
        [
            RUN,
            _line(2, 1, {**_CHAT, "gen_ai.response.id": "r1"}, name="chat m-1", scope=_scope("one")),
            _line(3, 1, {**_CHAT, "gen_ai.response.id": "r1"}, name="chat m-1", scope=_scope("another")),
        ],
        {"kept": ['"model_calls":1', '"usage":{"input_tokens":7}']},
    ),
    (
        "one-call",
        "A tool call within one of the same tool is that call, completed by what only the inner span says.",
        [
            RUN,
            _line(2, 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup"}),
            _line(3, 2, _CALL),
        ],
        {"kept": ['"also":["0000000000000003"]', '"tool_calls":1', '"view":{"q":"kept"}']},
    ),
    (
        "last-agent",
        "A run that nobody began and whose span does not say how it ended has ended as its last agent did.",
        [
            _line(1, 0, {"runbundle.implicit": True, "http.request.method": "POST"}),
            _failed(2, 1, _AGENT),
        ],
        {"kept": ['"status":"error"']},
    ),
]
