"""What run.json says of the run itself, where the run's own span does not say it."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.seal import seal
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.format.run import RunIndex
from runbundle.format.words import RULES
from runbundle.store import MemoryStore
from tests.unit.bundle.assembly.spans import entry, span_id

Entry = dict[str, Any]
MESSAGES = "[REDACTED:content:h2:01234567:" + "a" * 26 + ":bytes=90:roles=assistant]"
OK, ERROR = 1, 2


def web(**said: Any) -> Entry:
    """Return the span of a web request, with which the boundary began a run."""
    return entry(1, end_ns=1000, attributes={
        "runbundle.implicit": True, "http.request.method": "POST", "runbundle.spans.started": 1, **said,
    })  # fmt: skip


def explicit(**said: Any) -> Entry:
    """Return the span of a run that the application began itself."""
    return entry(1, end_ns=1000, attributes={"runbundle.op": "run", "runbundle.spans.started": 1, **said})


def agent(number: int, parent: int = 1, name: str = "desk", code: int = 0, **said: Any) -> Entry:
    """Return the span of an agent."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    if code == ERROR:
        attributes["error.type"] = f"E{number}"
    return entry(number, parent, status_code=code, attributes={**attributes, **said})


def step(number: int, parent: int = 1, code: int = 0) -> Entry:
    """Return the span of a step."""
    return entry(number, parent, status_code=code, attributes={"runbundle.op": "step", "runbundle.name": "s"})


def index_of(spans: list[Entry], folder: Path, rules: int = RULES) -> RunIndex:
    """Return the run.json of a run of these spans, whatever their order; it follows from the run's own events."""
    found: set[bytes] = set()
    for seed in (None, 1, 2):
        every = [{**s, "attributes": {**s["attributes"], "runbundle.redaction": '{"n":[]}'}} for s in spans]
        every[0]["attributes"]["runbundle.spans.started"] = len(every)
        if seed is not None:
            random.Random(seed).shuffle(every)
        store = MemoryStore()
        with closing(GatheredRun(RunKey("", "r"), folder)) as gathered:
            gathered.add(every)
            with closing(assemble(gathered, rules=rules)) as made:
                seal(store, made)
        report = verify(store, "r")
        assert report.verdict == "verified", report.findings
        found.add(store.get("r/run.json"))
    (data,) = found
    return RunIndex.model_validate_json(data)


@pytest.mark.parametrize(
    ("spans", "failed_in"),
    [
        ([web(), agent(2, code=ERROR)], 2),
        ([web(), step(2), agent(3, 2, code=ERROR)], 3),
        ([web(), agent(2), agent(3, code=ERROR)], 3),
        ([web(), agent(2, code=ERROR), agent(3)], 0),
        # Whoever was asked after it made it good, or caught it and said so.
        ([web(), agent(2, code=ERROR), entry(3, 1, attributes={"gen_ai.operation.name": "chat"})], 0),
        ([web(), step(2, code=OK), agent(3, 2, code=ERROR)], 0),
        ([web(), agent(2), agent(3, 2, code=ERROR)], 0),
        ([{**web(), "status_code": OK}, agent(2, code=ERROR)], 0),
        ([explicit(), agent(2, code=ERROR)], 0),
        ([explicit(**{"runbundle.dialect": "genai", "runbundle.implicit": True}), agent(2, code=ERROR)], 2),
        ([agent(1, 0, **{"runbundle.implicit": True}), agent(2, code=ERROR)], 2),
    ],
)
def test_a_run_that_does_not_say_how_it_ended_ended_as_its_last_agent(
    spans: list[Entry], failed_in: int, tmp_path: Path
) -> None:
    """If its own span is unset and not of `start_run`, and no work after the agent ended in no error."""
    index = index_of(spans, tmp_path)
    assert index.status == ("error" if failed_in else "ok")
    said = index.error and (index.error.type, index.error.span_id)
    assert said == ((f"E{failed_in}", span_id(failed_in)) if failed_in else None)


def test_the_error_of_a_run_names_the_span_in_which_it_began(tmp_path: Path) -> None:
    """The tool's, where an agent failed by it."""
    tool = entry(3, 2, status_code=ERROR, attributes={
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "error.type": "E2",
    })  # fmt: skip
    failed = {**agent(2, code=ERROR), "end_ns": 900}
    index = index_of([web(), failed, tool], tmp_path)
    assert index.error is not None
    assert index.error.span_id == span_id(3)


@pytest.mark.parametrize("key", ["session", "user"])
def test_session_and_user_are_of_the_runs_own_span_else_of_the_first_that_says_one(key: str, tmp_path: Path) -> None:
    """By the order in which they began, not by that in which they arrived."""
    name, said = f"runbundle.{key}.id", f"{key}_id"
    of_spans = [agent(3, **{name: "later"}), agent(2, **{name: "first"})]
    assert getattr(index_of([web(), *of_spans], tmp_path), said) == "first"
    assert getattr(index_of([web(**{name: "own"}), *of_spans], tmp_path), said) == "own"
    assert getattr(index_of([web(), agent(2)], tmp_path), said) is None


def test_a_conversation_is_a_session_where_none_is_named(tmp_path: Path) -> None:
    """`runbundle.session.id` of any span precedes `gen_ai.conversation.id` of any other."""
    talk = agent(2, **{"gen_ai.conversation.id": "c-1"})
    assert index_of([web(), talk], tmp_path).session_id == "c-1"
    assert index_of([web(), talk, agent(3, **{"runbundle.session.id": "s-1"})], tmp_path).session_id == "s-1"


def test_the_result_is_what_the_run_set_else_what_its_framework_says_else_its_messages(tmp_path: Path) -> None:
    """Of the run's own span; if that is not of `start_run` and says none, of its last agent."""
    final = "[REDACTED:content:bytes=80]"
    says = {"runbundle.result": "[1]", "final_result": final, "gen_ai.output.messages": MESSAGES}
    kinds: list[Any] = []
    for number in range(3):
        found = index_of([web(**dict(list(says.items())[number:])), agent(2)], tmp_path).result
        assert found is not None
        kinds.append((found.kind, found.view, found.bytes))
    assert kinds == [("unknown", [1], None), ("unknown", None, 80), ("messages", None, 90)]
    inner = agent(2, **{"gen_ai.output.messages": MESSAGES})
    found = index_of([web(), step(4), inner], tmp_path).result
    assert found is not None
    assert (found.kind, found.digest) == ("messages", "h2:01234567:" + "a" * 26)
    assert index_of([web(), inner, agent(3)], tmp_path).result is None
    assert index_of([explicit(), inner], tmp_path).result is None


def test_a_run_that_has_no_name_is_called_by_its_first_agent(tmp_path: Path) -> None:
    """Unless the application named it, or its own span is an agent's or a workflow's."""
    agents = [agent(3, name="later"), agent(2, name="first")]
    assert index_of([web(), *agents], tmp_path).name == "first"
    assert index_of([web(**{"runbundle.name": "flow"}), *agents], tmp_path).name == "flow"
    own = agent(1, 0, "own", **{"runbundle.implicit": True})
    assert index_of([own, *agents], tmp_path).name == "own"
    assert index_of([explicit(), *agents], tmp_path).name is None


def test_what_a_framework_calls_a_run_is_no_second_run(tmp_path: Path) -> None:
    """It lies within the run that the application or the boundary began."""
    flow = {"runbundle.op": "run", "runbundle.dialect": "genai", "runbundle.name": "flow"}
    spans = [explicit(**{"runbundle.name": "mine"}), *(entry(n, 1, attributes=flow) for n in (2, 3))]
    index = index_of(spans, tmp_path)
    assert (index.name, index.completeness.roots, index.completeness.state) == ("mine", 1, "complete")


def test_spans_that_no_table_reads_are_counted_by_their_library(tmp_path: Path) -> None:
    """Of other work, with attributes withheld as unknown; not those of requests, which say what they are."""
    hidden = {"runbundle.redacted.abcdefghijkl": "[REDACTED:undeclared:bytes=70]"}
    scope = {"name": "acme.flows"}
    spans = [
        web(),
        entry(2, 1, attributes=hidden, scope=scope),
        entry(3, 1, attributes=hidden, scope=scope),
        entry(4, 1, attributes=hidden),
        entry(5, 1, attributes={**hidden, "db.system": "x"}, scope={"name": "db"}),
        agent(6, **hidden),
        entry(7, 1, attributes={}, scope={"name": "plain"}),
    ]
    assert index_of(spans, tmp_path).completeness.unread == {"?": 1, "acme.flows": 2}
    many = [entry(n, 1, attributes=hidden, scope={"name": f"s{n:02d}"}) for n in range(2, 30)]
    unread = index_of([web(), *many, *({**s, "span_id": span_id(90 + n)} for n, s in enumerate(many))], tmp_path)
    assert unread.completeness.unread == {**{f"s{n:02d}": 2 for n in range(2, 18)}, "…": 24}
    assert index_of([web(), agent(2)], tmp_path).completeness.unread is None


def test_by_the_first_rules_only_the_runs_own_span_says_these(tmp_path: Path) -> None:
    """A bundle that was assembled by them is verified by them."""
    inner = agent(2, code=ERROR, **{"gen_ai.output.messages": MESSAGES, "runbundle.session.id": "s"})
    index = index_of([web(), inner], tmp_path, rules=1)
    assert (index.status, index.error, index.result, index.session_id, index.name) == ("ok", None, None, None, None)
