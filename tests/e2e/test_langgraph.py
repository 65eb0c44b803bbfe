"""Graphs of LangGraph with our saver: what becomes a run, a step, a tool call, in every way a graph can be called."""

import asyncio
import operator
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pydantic
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.runstate import SqliteRunStore
from tests.conftest import all_bytes, sealed

Configured = Callable[..., runbundle.Handle]
CONFIG: Any = {"configurable": {"thread_id": "thread-1"}}


class State(TypedDict):
    notes: Annotated[list[str], operator.add]


@runbundle.tool
def note(text: str) -> str:
    """Return it."""
    return text


def one(state: State) -> State:
    """Call a tool."""
    return {"notes": [note("one")]}


def two(state: State) -> State:
    """Call another, in the same super-step."""
    return {"notes": [note("two")]}


async def later(state: State) -> State:
    """Call a tool from a coroutine."""
    await asyncio.sleep(0)
    return {"notes": [note("later")]}


def ask(state: State) -> State:
    """Wait for an answer."""
    return {"notes": [note(interrupt("well?"))]}


def fail(state: State) -> State:
    """Fail."""
    raise ValueError("no")


@pytest.fixture
def saver(tmp_path: Path) -> Generator[RunStoreSaver]:
    """Give a saver over a store of the test's own."""
    with SqliteRunStore(tmp_path / "state.sqlite") as store:
        yield RunStoreSaver(store)


def graph(saver: Any, *layers: Any) -> Any:
    """Return a graph of layers; the nodes of a layer run side by side."""
    builder = StateGraph(State)
    before: Any = START
    for layer in layers:
        nodes = layer if isinstance(layer, tuple) else (layer,)
        names = [node.__name__ for node in nodes]
        for node in nodes:
            builder.add_node(node.__name__, node)
            builder.add_edge(before, node.__name__)
        before = names if len(names) > 1 else names[0]
    builder.add_edge(before, END)
    return builder.compile(checkpointer=saver)


def tree(bundle: Bundle) -> dict[str, str]:
    """Return the parent's name of each span's name."""
    starts = {e["span_id"]: e for e in bundle.events() if e["type"] == "span.started"}
    return {e["name"]: starts.get(e.get("parent_span_id"), {}).get("name", "") for e in starts.values()}


def test_each_invocation_is_a_run_with_its_nodes_as_steps(configured: Configured, saver: RunStoreSaver) -> None:
    """Nodes of one super-step run in threads and are in the run all the same; the context is as before, afterwards."""
    handle = configured()
    app = graph(saver, (one, two))
    app.invoke({"notes": []}, CONFIG)
    assert runbundle.current_run().run_id == ""
    bundle = sealed(handle)
    assert tree(bundle) == {
        "run LangGraph": "", "step one": "run LangGraph", "step two": "run LangGraph",
        "execute_tool note": tree(bundle)["execute_tool note"],
    }  # fmt: skip
    assert sorted(call.tool for call in bundle.tool_calls().calls) == ["note", "note"]
    assert (bundle.index.session_id, bundle.index.completeness.state) == ("thread-1", "complete")
    assert verify(bundle.store, bundle.key).verdict == "verified"
    app.invoke({"notes": []}, CONFIG)
    assert sealed(handle).key != bundle.key


def test_coroutines_and_tasks(configured: Configured, saver: RunStoreSaver) -> None:
    """ainvoke, with nodes that are coroutines and such that are not; several graphs at once stay apart."""
    handle = configured()
    app = graph(saver, (later, one))

    async def many() -> None:
        await asyncio.gather(*(app.ainvoke({"notes": []}, {"configurable": {"thread_id": f"t{n}"}}) for n in range(4)))

    asyncio.run(many())
    bundles = [Bundle.open(handle.store, key) for key in handle.flush().sealed]
    assert sorted(bundle.index.session_id or "" for bundle in bundles) == ["t0", "t1", "t2", "t3"]
    assert {bundle.index.counts.tool_calls for bundle in bundles} == {2}
    assert {bundle.index.completeness.state for bundle in bundles} == {"complete"}
    for bundle in bundles:
        assert {tree(bundle)["step later"], tree(bundle)["step one"]} == {"run LangGraph"}


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_an_answer_goes_on_with_the_run(configured: Configured, saver: RunStoreSaver, how: str) -> None:
    """A run whose graph waits for input is waiting; the answer makes a revision of the same bundle, which ends well."""
    handle = configured()
    app = graph(saver, one, ask)

    def call(what: Any) -> None:
        if how == "invoke":
            app.invoke(what, CONFIG)
        else:
            asyncio.run(app.ainvoke(what, CONFIG))

    call({"notes": []})
    first = sealed(handle)
    assert (first.index.status, first.index.counts.errors, first.index.result) == ("waiting", 0, None)
    assert any(e["name"] == "runbundle.event" for e in first.events())
    call(Command(resume="yes"))
    second = sealed(handle)
    assert (second.key, second.index.revision, second.index.status) == (first.key, 2, "ok")
    steps = [(e["name"], e["status"]) for e in second.events() if e["type"] == "span.ended" and e["op"] == "step"]
    assert steps == [("step one", "unset"), ("step ask", "waiting"), ("step ask", "unset")]
    assert second.index.resumed_from == saver.get_tuple(CONFIG).parent_config["configurable"]["checkpoint_id"]  # type: ignore[union-attr, index]
    assert [call.tool for call in second.tool_calls().calls] == ["note", "note"]
    assert verify(second.store, second.key).verdict == "verified"
    steps = [e for e in second.events() if e["type"] == "span.started" and e["op"] == "step"]
    runs = {e["span_id"] for e in second.events() if e["type"] == "span.started" and e["op"] == "run"}
    assert {e["parent_span_id"] for e in steps} == runs


def test_the_run_id_is_in_every_checkpoint(configured: Configured, saver: RunStoreSaver) -> None:
    """So a resumption in another process finds it, and `delete_for_runs` can delete by it."""
    handle = configured()
    graph(saver, one).invoke({"notes": []}, CONFIG)
    run_id = sealed(handle).index.run_id
    assert {found.metadata["run_id"] for found in saver.list(CONFIG)} == {run_id}  # type: ignore[typeddict-item]


def test_a_run_id_of_the_users_own(configured: Configured, saver: RunStoreSaver) -> None:
    """`run_id` in the configuration's metadata is taken, if it is an id."""
    handle = configured()
    graph(saver, one).invoke({"notes": []}, {**CONFIG, "metadata": {"run_id": "mine-1"}})
    assert sealed(handle).key == "mine-1"
    graph(saver, one).invoke({"notes": []}, {**CONFIG, "metadata": {"run_id": "../mine"}})
    assert sealed(handle).key != "mine-1"


def test_inside_a_run_a_graph_is_part_of_it(configured: Configured, saver: RunStoreSaver) -> None:
    """An application that begins its own run gets no second one."""
    handle = configured()
    with runbundle.start_run("outer", run_id="outer"):
        graph(saver, one).invoke({"notes": []}, CONFIG)
    bundle = sealed(handle)
    assert tree(bundle) == {"run outer": "", "step one": "run outer", "execute_tool note": "step one"}


def test_an_error_in_a_node_ends_the_run_with_it(configured: Configured, saver: RunStoreSaver) -> None:
    """Step and run have the error; the exception reaches the caller as ever; going on is a resumption."""
    handle = configured()
    app = graph(saver, one, fail)
    with pytest.raises(ValueError, match="no"):
        app.invoke({"notes": []}, CONFIG)
    bundle = sealed(handle)
    assert (bundle.index.status, bundle.index.counts.errors) == ("error", 2)
    assert runbundle.current_run().run_id == ""
    with pytest.raises(ValueError, match="no"):
        app.invoke(None, CONFIG)
    assert sealed(handle).key == bundle.key


def test_streaming_and_leaving_early(configured: Configured, saver: RunStoreSaver) -> None:
    """A stream is a run; one that is dropped half-way is abandoned."""
    handle = configured()
    app = graph(saver, one, two)
    assert len(list(app.stream({"notes": []}, CONFIG))) == 2
    assert sealed(handle).index.counts.spans == 5

    def leave() -> None:
        next(iter(app.stream({"notes": []}, {"configurable": {"thread_id": "left"}})))

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    handle.shutdown()
    [key] = [k for k in handle.store.list_dirs() if Bundle.open(handle.store, k).index.session_id == "left"]
    assert [call.tool for call in Bundle.open(handle.store, key).tool_calls().calls] == ["note"]


def test_another_saver_begins_runs_too(configured: Configured, saver: RunStoreSaver) -> None:
    """Once ours is imported, graphs with LangGraph's own saver are runs as well; only a resumption is not known."""
    handle = configured()
    graph(InMemorySaver(), one).invoke({"notes": []}, CONFIG)
    assert sealed(handle).index.counts.spans == 3


def test_without_configure_graphs_just_run(saver: RunStoreSaver) -> None:
    """Nothing is recorded, nothing fails."""
    app = graph(saver, one, ask)
    app.invoke({"notes": []}, CONFIG)
    assert app.invoke(Command(resume="yes"), CONFIG)["notes"] == ["one", "yes"]


def test_the_state_is_not_in_the_bundle(configured: Configured, saver: RunStoreSaver, tmp_path: Path) -> None:
    """Raw state stays in the run store: a canary in it is in no byte of the bundle."""
    from tests.conftest import all_bytes

    handle = configured()
    graph(saver, one).invoke({"notes": ["canary-5e1f"]}, CONFIG)
    key = sealed(handle).key
    saver.store.close()
    assert b"canary-5e1f" not in all_bytes(tmp_path / "store" / key)
    assert b"canary-5e1f" in (tmp_path / "state.sqlite").read_bytes()


class Holder(TypedDict, total=False):
    token: Any
    plain: dict[str, str]
    seen: str


SECRETS = ("merlin-of-the-lake-77", "arthur-of-the-table-88")


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_secret_in_the_state_is_masked_before_and_after_a_resume(
    configured: Configured, tmp_path: Path, durability: Any
) -> None:
    """By its type and by its name, in a process that has never seen it; and it comes back as a secret."""
    rule = runbundle.FieldRule(selector="/text", action="keep")
    contract = runbundle.ToolContract(name="note", data=runbundle.DataHandling(rules=(rule,)))

    def put(state: Holder) -> Holder:
        note(f"before: {state['token'].get_secret_value()} and {state['plain']['password']}")
        return {}

    def use(state: Holder) -> Holder:
        interrupt("go on?")
        note(f"after: {state['token'].get_secret_value()} and {state['plain']['password']}")
        return {"seen": str(state["token"])}

    builder = StateGraph(Holder)
    builder.add_sequence([("put", put), ("use", use)])
    builder.add_edge(START, "put")
    state = {"token": pydantic.SecretStr(SECRETS[0]), "plain": {"password": SECRETS[1]}}
    for given in (state, Command(resume="yes")):
        KNOWN.clear()
        with configured(contracts=[contract]) as handle, SqliteRunStore(tmp_path / "state.sqlite") as store:
            found = builder.compile(checkpointer=RunStoreSaver(store)).invoke(given, CONFIG, durability=durability)
            bundle = sealed(handle)
    assert found["seen"] == "**********"
    texts = [str(call.arguments.view) for call in bundle.tool_calls().calls]
    assert ["before" in text or "after" in text for text in texts] == [True, True]
    written = all_bytes(tmp_path)
    assert SECRETS[0].encode() not in written
    assert SECRETS[1].encode() not in all_bytes(tmp_path / "store")
