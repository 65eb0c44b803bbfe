"""Calls of which several spans tell: each is counted and listed once, and its tokens are added once."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.bundle.assembly.acts import usage_of
from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.listings import each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.bundle.seal import seal
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.format.run import RunIndex
from runbundle.format.words import RULES
from runbundle.store import MemoryStore
from tests.unit.bundle.assembly.spans import entry, span_id

Entry = dict[str, Any]
RECEIPT = '{"n":[]}'
ROOT = entry(1, name="run", attributes={"runbundle.op": "run", "runbundle.spans.started": 1})


def of(number: int, parent: int, operation: str, scope: str = "", /, **said: Any) -> Entry:
    """Return a span of a kind of work, recorded by a library. `said`: attributes, with `__` for a dot."""
    attributes = {"gen_ai.operation.name": operation} if operation else {}
    for key, value in said.items():
        name = key.replace("__", ".")
        attributes[name if name.startswith("jsonrpc.") else f"gen_ai.{name}"] = value
    return entry(number, parent, attributes=attributes, scope={"name": scope} if scope else {})


def chat(number: int, parent: int = 1, answer: str = "", tokens: int = 0, scope: str = "") -> Entry:
    """Return a span of a model call."""
    said = {"response__id": answer} if answer else {}
    return of(number, parent, "chat", scope, **said, **({"usage__input_tokens": tokens} if tokens else {}))


def tool(number: int, parent: int = 1, name: str = "find", scope: str = "", **said: Any) -> Entry:
    """Return a span of a tool call."""
    return of(number, parent, "execute_tool", scope, tool__name=name, **said)


def sealed(spans: list[Entry], folder: Path, *, shuffled: int | None = None, rules: int = RULES) -> Bundle:
    """Seal a run of these spans, verify it, and check that it is derived from its own events in the same way."""
    every = [{**span, "attributes": {**span["attributes"], "runbundle.redaction": RECEIPT}} for span in [ROOT, *spans]]
    every[0]["attributes"]["runbundle.spans.started"] = len(every)
    if shuffled is not None:
        random.Random(shuffled).shuffle(every)
    store = MemoryStore()
    with closing(GatheredRun(RunKey("", "r"), folder)) as gathered:
        gathered.add(every)
        with closing(assemble(gathered, rules=rules)) as made:
            seal(store, made)
    report = verify(store, "r")
    assert report.verdict == "verified", report.findings
    return Bundle.open(store, "r")


def counts(spans: list[Entry], folder: Path) -> tuple[int, int, dict[str, int]]:
    """Return the numbers of model and tool calls, and the tokens; in any order of the spans."""
    found = [sealed(spans, folder, shuffled=seed).index_bytes for seed in (None, 1, 2)]
    assert len(set(found)) == 1
    index = RunIndex.model_validate_json(found[0])
    return index.counts.model_calls, index.counts.tool_calls, index.usage


AGENT = of(2, 1, "invoke_agent", agent__name="desk")


@pytest.mark.parametrize(
    ("spans", "calls", "tokens"),
    [
        ([chat(2, answer="r1", tokens=7), chat(3, answer="r2", tokens=7)], 2, 14),
        ([chat(2, answer="r1", tokens=7), chat(3, answer="r1", tokens=7)], 1, 7),
        ([chat(2, answer="r1", scope="a"), chat(3, 2, "r1", 7, "b")], 1, 7),
        ([chat(2, tokens=7, scope="a"), chat(3, 2, tokens=7, scope="a"), chat(4, 3, tokens=7, scope="a")], 1, 7),
        ([chat(2, tokens=7), of(3, 2, ""), chat(4, 3)], 1, 7),
        # An answer from a cache: one library tells of it twice, another beside it as well.
        ([chat(2, answer="r1", tokens=7, scope="a"), chat(3, answer="r1", tokens=7, scope="a")], 2, 14),
        (
            [chat(n, answer="r1", tokens=7, scope=scope) for n, scope in ((2, "a"), (3, "b"), (4, "a"), (5, "b"))],
            2,
            14,
        ),
        # One library that gives two ids means two calls, one within the other or not.
        ([chat(2, answer="r1", tokens=7, scope="a"), chat(3, 2, "r2", 7, "a")], 2, 14),
        ([chat(2, answer="wrapper", tokens=7, scope="a"), chat(3, 2, "r2", 7, "b")], 1, 7),
        # A tool or an agent between: the inner call is another.
        ([chat(2, tokens=7), tool(3, 2), chat(4, 3, tokens=7)], 2, 14),
        ([chat(2, tokens=7), of(3, 2, "invoke_agent"), chat(4, 3, tokens=7)], 2, 14),
        # Two within one, each with tokens of its own: one call with the tokens of both.
        ([chat(2, tokens=9), chat(3, 2, tokens=4), chat(4, 2, tokens=5)], 1, 9),
        ([of(2, 1, "invoke_agent", usage__input_tokens=9), chat(3, 2, tokens=7)], 1, 7),
    ],
)
def test_a_model_call_counts_once_and_so_do_its_tokens(
    spans: list[Entry], calls: int, tokens: int, tmp_path: Path
) -> None:
    """By response id, or by one within another; tokens are those of the innermost span that has any."""
    assert counts(spans, tmp_path)[::2] == (calls, {"input_tokens": tokens})


def given(letter: str, key_id: str = "0c1fc531") -> str:
    """Return the keyed digest of what a call was given, by a letter."""
    return f"h2:{key_id}:{letter * 26}"


def with_arguments(span: Entry, letter: str, key_id: str = "0c1fc531") -> Entry:
    """Return a span of a tool that says the digest of its arguments; the letter " " for none."""
    said = {"runbundle.tool.arguments.digest": given(letter, key_id)} if letter.strip() else {}
    return {**span, "attributes": {**span["attributes"], **said}}


def with_messages(span: Entry, letter: str) -> Entry:
    """Return a span of a model that says the digest of its messages; the letter " " for none."""
    about = {"gen_ai.input.messages": {"neutral": given(letter), "roles": [["user", given("z")]]}}
    said = {"runbundle.messages": orjson.dumps(about).decode()} if letter.strip() else {}
    return {**span, "attributes": {**span["attributes"], **said}}


WITHIN = [
    # Each span is within the one before; a letter each of what it was given, and of who tells of it.
    ("abc", "sss", 3),
    ("aaa", "sss", 1),
    ("aab", "sss", 2),
    ("a a", "sss", 1),
    ("a b", "sss", 2),
    ("   ", "sss", 1),
    ("abc", "stu", 1),  # two libraries may write down one call in two ways
    ("abc", "   ", 1),
    ("axby", "stst", 2),  # both instrument both calls
    ("axyb", "stts", 2),
    ("a b ", "stst", 2),
    ("abcd", "stst", 2),
]


@pytest.mark.parametrize(("letters", "scopes", "calls"), WITHIN)
@pytest.mark.parametrize("upwards", [False, True])
def test_what_calls_itself_with_something_else_is_another_call(
    letters: str, scopes: str, calls: int, upwards: bool, tmp_path: Path
) -> None:
    """A tool by its arguments, a model by its messages, where one library tells of both; in any order of ids."""
    said = list(zip(letters, scopes, strict=True))
    ids = list(range(2, 2 + len(said)))[:: -1 if upwards else 1]
    parents = [1, *ids[:-1]]
    tools = [
        with_arguments(tool(n, p, scope=scope.strip()), letter)
        for n, p, (letter, scope) in zip(ids, parents, said, strict=True)
    ]
    models = [
        with_messages(chat(n, p, tokens=7, scope=scope.strip()), letter)
        for n, p, (letter, scope) in zip(ids, parents, said, strict=True)
    ]
    assert counts(tools, tmp_path)[:2] == (0, calls)
    assert counts(models, tmp_path) == (calls, 0, {"input_tokens": 7 * calls})


def test_each_call_of_a_tool_that_calls_itself_is_listed(tmp_path: Path) -> None:
    """With the spans of the second library beside its own."""
    spans = [
        with_arguments(tool(n, n - 1, scope=scope), letter)
        for n, (letter, scope) in enumerate(zip("axby", "stst", strict=True), 2)
    ]
    found = [(call.span_id, call.also) for call in each_tool_call(sealed(spans, tmp_path))]
    assert found == [(span_id(2), [span_id(3)]), (span_id(4), [span_id(5)])]


@pytest.mark.parametrize(
    ("spans", "calls"),
    [
        # One id, of the call or of the request, outweighs what was given.
        ([tool(n, n - 1, scope="s", tool__call__id="c") for n in (2, 3)], 1),
        ([tool(n, n - 1, scope="s", jsonrpc__request__id=1) for n in (2, 3)], 1),
        ([tool(n, n - 1, scope="s", jsonrpc__request__id=n) for n in (2, 3)], 2),
    ],
)
def test_one_id_says_one_call_whatever_it_was_given(spans: list[Entry], calls: int, tmp_path: Path) -> None:
    """A client and a server may write down the arguments of one request in two ways."""
    told = [with_arguments(span, letter) for span, letter in zip(spans, "ab", strict=True)]
    assert counts(told, tmp_path)[1] == calls


def test_digests_of_two_keys_say_nothing_of_two_calls(tmp_path: Path) -> None:
    """Two processes may have a key each; what they were given cannot be compared."""
    spans = [with_arguments(tool(n, n - 1, scope="s"), "a", key_id) for n, key_id in ((2, "0" * 8), (3, "1" * 8))]
    assert counts(spans, tmp_path)[1] == 1


@pytest.mark.parametrize(("answers", "calls"), [(("", "r1"), 1), (("r1", ""), 1), (("r1", "r1"), 1)])
def test_messages_tell_two_calls_apart_only_where_no_id_of_an_answer_is(
    answers: tuple[str, str], calls: int, tmp_path: Path
) -> None:
    """What has the id is the call; what is around it may have written down less, or more."""
    spans = [
        with_messages(chat(n, n - 1, answer, 7, "s"), letter)
        for n, (answer, letter) in enumerate(zip(answers, "ab", strict=True), 2)
    ]
    assert counts(spans, tmp_path)[::2] == (calls, {"input_tokens": 7})


def test_tokens_of_agents_runs_and_steps_never_add_to_those_of_calls(tmp_path: Path) -> None:
    """They count where no call has any: first those of steps and runs, then those of agents."""
    agent = of(2, 1, "invoke_agent", usage__input_tokens=9)
    step = entry(3, 2, attributes={"runbundle.op": "step", "gen_ai.usage.input_tokens": 8})
    assert counts([agent, step, chat(4, 3, tokens=7)], tmp_path)[2] == {"input_tokens": 7}
    assert counts([agent, step, chat(4, 3)], tmp_path)[2] == {"input_tokens": 8}
    assert counts([agent, chat(4, 2)], tmp_path)[2] == {"input_tokens": 9}


def test_tokens_of_other_work_count_unless_a_call_within_has_some(tmp_path: Path) -> None:
    """A request that repeats those of the call it carries adds none."""
    other = of(2, 1, "rerank", usage__input_tokens=3)
    assert counts([other, chat(3, tokens=7)], tmp_path)[2] == {"input_tokens": 10}
    assert counts([other, chat(3, 2, tokens=7)], tmp_path)[2] == {"input_tokens": 7}


def test_embeddings_are_counted_apart_from_model_calls(tmp_path: Path) -> None:
    """One within another is one; their tokens are the run's."""
    said = {"usage__input_tokens": 5}
    inner, outer = of(3, 2, "embeddings", "b", **said), of(2, 1, "embeddings", "a", **said)
    index = sealed([outer, inner, chat(4, tokens=7)], tmp_path).index
    assert (index.counts.model_calls, index.counts.embeddings, index.usage) == (1, 1, {"input_tokens": 12})
    assert sealed([chat(2)], tmp_path).index.counts.embeddings is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"input_tokens": 5, "prompt_tokens": 6}, {"input_tokens": 5}),
        ({"prompt_tokens": 6, "completion_tokens": 2}, {"input_tokens": 6, "output_tokens": 2}),
        ({"cache_write.input_tokens": 3, "cache_creation.input_tokens": 3}, {"cache_creation_input_tokens": 3}),
        ({"reasoning_tokens": 2, "reasoning.output_tokens": 2}, {"reasoning_output_tokens": 2}),
        ({"input_tokens": 5, "total_tokens": 7}, {"input_tokens": 5}),
        ({"total_tokens": 7, "cache_read.input_tokens": 1}, {"total_tokens": 7, "cache_read_input_tokens": 1}),
        ({"input_tokens": -1, "output_tokens": "many"}, {}),
    ],
)
def test_two_names_of_one_count_are_one(said: dict[str, Any], expected: dict[str, int]) -> None:
    """The first name is believed; a total stands only where no part of it does; aggregates are no usage."""
    attributes = {f"gen_ai.usage.{key}": value for key, value in said.items()}
    assert usage_of({**attributes, "gen_ai.aggregated_usage.input_tokens": 99}) == expected


def test_a_tool_call_of_which_several_spans_tell_is_listed_once(tmp_path: Path) -> None:
    """By the caller's span, completed by what only the others say: client and server of MCP, and what carried it."""
    client = tool(3, 2, scope="mcp", jsonrpc__request__id="3")
    request = entry(4, 3, attributes={"http.request.method": "POST"})
    server = tool(
        5, 4, scope="mcp", jsonrpc__request__id="3", tool__call__result="[REDACTED:undeclared:bytes=70]"
    )  # fmt: skip
    server["attributes"] |= {"error.type": "tool_error", "runbundle.contract.sha256": "c" * 64}
    server["status_code"] = 2
    bundle = sealed([AGENT, client, request, server], tmp_path)
    (call,) = each_tool_call(bundle)
    assert (call.span_id, call.also, call.agent, call.call_id) == (span_id(3), [span_id(5)], "desk", span_id(3))
    assert (call.status, call.error and (call.error.type, call.error.span_id)) == ("error", ("tool_error", span_id(5)))
    assert call.result is not None
    assert call.result.bytes == 70
    assert call.contract is not None
    assert bundle.index.counts.tool_calls == 1
    assert [e["op"] for e in bundle.events() if e["type"] == "span.started"].count("tool") == 2


@pytest.mark.parametrize(
    ("spans", "calls"),
    [
        ([tool(2, scope="a"), tool(3, 2, scope="b")], 1),
        ([tool(2, scope="a"), tool(3, 2, scope="a")], 1),
        ([tool(2, scope="a", tool__call__id="c1"), tool(3, 2, scope="b", tool__call__id="c2")], 1),
        # A tool that calls itself: one library gives the two calls two ids.
        ([tool(2, scope="a", tool__call__id="c1"), tool(3, 2, scope="a", tool__call__id="c2")], 2),
        ([tool(2), tool(3, 2, "other")], 2),
        ([tool(2), chat(3, 2), tool(4, 3)], 2),
        ([tool(2), entry(3, 2, attributes={"runbundle.op": "step"}), tool(4, 3)], 2),
        ([of(2, 1, "execute_tool"), of(3, 2, "execute_tool")], 2),
        ([tool(2), tool(3)], 2),
        # Client and server side by side, told apart by their libraries; then two calls over sessions of their own.
        ([tool(2, scope="a", jsonrpc__request__id=1), tool(3, scope="b", jsonrpc__request__id=1)], 1),
        ([tool(2, scope="a", jsonrpc__request__id=1), tool(3, scope="a", jsonrpc__request__id=1)], 2),
        ([tool(2, 1, "find", jsonrpc__request__id=1), tool(3, 1, "other", jsonrpc__request__id=1)], 2),
        ([of(2, 1, "summary", tool__name="(merged tools)")], 0),
    ],
)
def test_spans_of_tools_are_one_call_only_if_they_are_of_one(spans: list[Entry], calls: int, tmp_path: Path) -> None:
    """Two calls that were made are two, whatever they have in common."""
    assert counts(spans, tmp_path)[1] == calls
    assert len(list(each_tool_call(sealed(spans, tmp_path)))) == calls


def test_a_server_in_another_process_is_told_from_its_client(tmp_path: Path) -> None:
    """Both are of one library and lie side by side; the boundary said which came from elsewhere."""
    client, server = (tool(number, scope="mcp", jsonrpc__request__id=1) for number in (2, 3))
    server["attributes"]["runbundle.joined"] = "signed"
    assert counts([client, server], tmp_path)[1] == 1


def test_a_refusal_is_counted_once_whoever_tells_of_it(tmp_path: Path) -> None:
    """And a payload that reads like one is none."""
    outer, inner = tool(2, scope="a"), tool(3, 2, scope="b")
    inner["attributes"]["runbundle.status"] = "blocked"
    spoken = tool(4, tool__call__arguments='{"decision": "blocked"}')
    index = sealed([outer, inner, spoken], tmp_path).index
    assert (index.counts.tool_calls, index.counts.policy_blocks) == (2, 1)
    assert sealed([spoken], tmp_path).index.counts.policy_blocks == 0


def test_spans_that_are_their_own_ancestors_are_counted(tmp_path: Path) -> None:
    """A hostile journal may hold a circle of calls; it ends, and what it gives is the same each time."""
    circle = [chat(2, 4, tokens=1), chat(3, 2, tokens=1), chat(4, 3, tokens=1), chat(5, 5, tokens=1)]
    circle += [tool(6, 7), tool(7, 6), tool(8, 8)]
    assert counts(circle, tmp_path)[:2] == (2, 2)


def test_by_the_first_rules_each_span_is_a_call(tmp_path: Path) -> None:
    """A bundle that says so is verified by them; sealed again, it follows the rules of today."""
    spans = [chat(2, answer="r1", tokens=7), chat(3, 2, "r1", 7), tool(4), tool(5, 4)]
    bundle = sealed(spans, tmp_path, rules=1)
    index = bundle.index
    assert (index.rules, index.counts.model_calls, index.counts.tool_calls) == (1, 2, 2)
    assert index.usage == {"input_tokens": 14}
    with closing(GatheredRun(RunKey("", "r"), tmp_path)) as gathered:
        gathered.add(entries_of_bundle(bundle, tmp_path), sealed=True)
        with closing(assemble(gathered)) as made:
            assert made.index() == sealed(spans, tmp_path).index_bytes


def test_whatever_the_order_the_same_calls_are_found(tmp_path: Path) -> None:
    """Random runs, each in three orders: what verify derives from the events is what was sealed."""
    draw = random.Random(5)
    for _ in range(40):
        spans: list[Entry] = []
        for number in range(2, draw.randrange(4, 14)):
            parent, scope = draw.randrange(1, number), draw.choice(("", "a", "b"))
            spans.append(
                draw.choice(
                    (
                        lambda n=number, p=parent, s=scope: chat(n, p, draw.choice(("", "r1", "r2")), 1, s),
                        lambda n=number, p=parent, s=scope: with_messages(chat(n, p, "", 1, s), draw.choice("ab ")),
                        lambda n=number, p=parent, s=scope: tool(n, p, draw.choice(("find", "buy")), s),
                        lambda n=number, p=parent, s=scope: with_arguments(tool(n, p, "find", s), draw.choice("ab ")),
                        lambda n=number, p=parent, s=scope: tool(n, p, "find", s, jsonrpc__request__id=1),
                        lambda n=number, p=parent: of(n, p, draw.choice(("", "invoke_agent", "embeddings"))),
                    )
                )()
            )
        counts(spans, tmp_path)
