"""The saver passes LangGraph's own suite, and what that suite does not ask: deltas, strictness, real graphs."""

import asyncio
import logging
import operator
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.report import ProgressCallbacks
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, RESUME
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from runbundle.errors import ConfigError, StateConflict, StateCorrupt, StateRefused
from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.runstate import (
    EncryptedRunStore,
    Payload,
    PostgresRunStore,
    RunRecord,
    RunStore,
    SqliteRunStore,
    StepWrite,
)

CAPABILITIES = {
    "put", "put_writes", "get_tuple", "list", "delete_thread", "delete_for_runs", "copy_thread", "prune"
}  # fmt: skip
TESTS = 81  # of langgraph-checkpoint-conformance 0.0.2, with all of these capabilities


@pytest.fixture(params=["sqlite", "postgres", "encrypted"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    """Each kind of store."""
    if request.param == "postgres":
        found: RunStore = PostgresRunStore(request.getfixturevalue("postgres_url"))
    else:
        found = SqliteRunStore(tmp_path / "runbundle.sqlite")
    with EncryptedRunStore(found, b"k" * 32) if request.param == "encrypted" else found as opened:
        yield opened


def test_langgraphs_own_suite_passes(store: RunStore) -> None:
    """All capabilities are detected, all tests of each were run, and none failed."""

    @checkpointer_test(name="RunStoreSaver")
    async def saver() -> AsyncIterator[RunStoreSaver]:
        store.delete_threads([key.thread_id for key in store.find_checkpoints()])
        yield RunStoreSaver(store)

    seen: list[str] = []
    failed: list[str] = []

    def on_test(capability: str, name: str, passed: bool, error: str | None) -> None:
        seen.append(name)
        if not passed:
            failed.append(f"{capability}.{name}\n{error}")

    report = asyncio.run(validate(saver, progress=ProgressCallbacks(on_test_result=on_test)))
    assert not failed, "\n".join(failed)
    assert {name for name, result in report.results.items() if result.detected} == CAPABILITIES
    assert report.passed_all_base()
    assert report.passed_all()
    assert len(seen) == TESTS


class Log(TypedDict):
    """A list that grows."""

    items: Annotated[list[str], operator.add]


class DeltaLog(TypedDict):
    """The same list, stored as its changes."""

    items: Annotated[list[str], DeltaChannel(lambda old, new: old + [x for part in new for x in part])]


def graph_of(state: Any, saver: RunStoreSaver) -> Any:
    """A graph that appends one item in each of its two nodes."""
    graph = StateGraph(state)
    graph.add_node("a", lambda state: {"items": [f"a{len(state['items'])}"]})
    graph.add_node("b", lambda state: {"items": [f"b{len(state['items'])}"]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", END)
    return graph.compile(checkpointer=saver)


def on(thread_id: str, **more: Any) -> Any:
    """A configuration."""
    return {"configurable": {"thread_id": thread_id, **more}}


def test_sync_and_async_see_the_same(store: RunStore) -> None:
    """What a graph writes by one interface the other reads, whichever way round."""
    saver = RunStoreSaver(store)
    graph = graph_of(Log, saver)
    graph.invoke({"items": ["x"]}, on("s"))
    asyncio.run(graph.ainvoke({"items": ["x"]}, on("a")))

    async def listed(thread_id: str) -> list[Any]:
        return [found async for found in saver.alist(on(thread_id))]

    for thread_id in ("s", "a"):
        assert graph.get_state(on(thread_id)).values == {"items": ["x", "a1", "b2"]}
        both = list(saver.list(on(thread_id))), asyncio.run(listed(thread_id))
        assert both[0] == both[1]
        assert [found.checkpoint["channel_values"].get("items") for found in both[0]] == [
            ["x", "a1", "b2"], ["x", "a1"], ["x"], None
        ]  # fmt: skip
        assert asyncio.run(saver.aget_tuple(on(thread_id))) == saver.get_tuple(on(thread_id)) == both[0][0]


def test_an_interrupted_graph_is_resumed_by_another_process(store: RunStore) -> None:
    """A graph stops for a person, and a saver that was not there takes it up with the answer."""

    class Asked(TypedDict):
        answer: str

    def ask(state: Asked) -> Asked:
        return {"answer": interrupt("may I?")}

    def build() -> Any:
        graph = StateGraph(Asked)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        return graph.compile(checkpointer=RunStoreSaver(store))

    stopped = build().invoke({"answer": ""}, on("t"), durability="sync")
    assert stopped["__interrupt__"][0].value == "may I?"
    store.close()
    assert build().invoke(Command(resume="yes"), on("t")) == {"answer": "yes"}


def test_forks_keep_their_own_values(store: RunStore) -> None:
    """Two ways on from one checkpoint do not write over each other's channels."""
    saver = RunStoreSaver(store)
    graph = graph_of(Log, saver)
    graph.invoke({"items": ["x"]}, on("t"))
    old = next(found for found in saver.list(on("t")) if found.checkpoint["channel_values"].get("items") == ["x", "a1"])
    left = graph.update_state(old.config, {"items": ["left"]}, as_node="a")
    right = graph.update_state(old.config, {"items": ["right"]}, as_node="a")
    assert graph.get_state(left).values == {"items": ["x", "a1", "left"]}
    assert graph.get_state(right).values == {"items": ["x", "a1", "right"]}
    assert graph.get_state(old.config).values == {"items": ["x", "a1"]}


def test_threads_of_delta_channels_are_kept_whole(store: RunStore) -> None:
    """Pruning one, or taking a run out of it, is refused and changes nothing; a copy is whole; deleting all works."""
    saver = RunStoreSaver(store)
    graph = graph_of(DeltaLog, saver)
    for number in range(3):
        graph.invoke({"items": [f"x{number}"]}, on("t") | {"metadata": {"run_id": f"r{number}"}})
    values = graph.get_state(on("t")).values
    assert len(values["items"]) == 9
    assert "items" not in saver.get_tuple(on("t")).checkpoint["channel_values"]  # the trap: nothing of it is in there
    graph_of(Log, saver).invoke({"items": []}, on("plain"))
    plain = len(store.find_checkpoints(thread_id="plain"))
    with pytest.raises(StateRefused):
        saver.prune(["plain", "t"])
    with pytest.raises(NotImplementedError):
        asyncio.run(saver.aprune(["t"]))
    with pytest.raises(StateRefused):
        saver.delete_for_runs(["r0"])
    assert graph.get_state(on("t")).values == values
    assert len(store.find_checkpoints(thread_id="plain")) == plain
    saver.copy_thread("t", "copy")
    saver.delete_for_runs(["r0", "r1", "r2"])  # now nothing is left that could be wrong
    assert saver.get_tuple(on("t")) is None
    assert saver.get_tuple(on("copy")) is None  # of the same runs
    graph.invoke({"items": ["y"]}, on("u"))
    values = graph.get_state(on("u")).values
    saver.copy_thread("u", "v")
    saver.prune(["u"], strategy="delete")
    assert graph.get_state(on("v")).values == values
    assert values["items"] == ["y", "a1", "b2"]


def test_prune_keeps_what_goes_on(store: RunStore) -> None:
    """A pruned thread has one checkpoint, the same values, and goes on."""
    saver = RunStoreSaver(store)
    graph = graph_of(Log, saver)
    graph.invoke({"items": ["x" * 3000]}, on("t"))
    before = graph.get_state(on("t")).values
    saver.prune(["t"])
    assert len(list(saver.list(on("t")))) == 1
    assert graph.get_state(on("t")).values == before
    assert graph.invoke({"items": ["y"]}, on("t"))["items"] == [*before["items"], "y", "a4", "b5"]


def test_a_run_goes_on_although_its_thread_was_pruned(store: RunStore) -> None:
    """A slot that was pruned from under a run is stored again from what the run holds."""
    saver = RunStoreSaver(store)
    first = {**empty_checkpoint(), "id": "1", "channel_values": {"c": [1, 2]}, "channel_versions": {"c": "1"}}
    config = saver.put(on("t", checkpoint_ns=""), first, {"step": 0}, {"c": "1"})
    saver.delete_thread("t")
    saver.put(config, {**first, "id": "2"}, {"step": 1}, {})
    assert saver.get_tuple(on("t")).checkpoint["channel_values"] == {"c": [1, 2]}


def test_the_run_id_is_kept_when_given(store: RunStore) -> None:
    """From the metadata of a configuration, from the configuration itself, and not made up."""
    saver = RunStoreSaver(store)
    graph = graph_of(Log, saver)
    graph.invoke({"items": []}, on("t") | {"metadata": {"run_id": "r1"}})
    graph.invoke({"items": []}, on("u"))
    run_id = uuid4()
    saver.put(on("v") | {"run_id": run_id}, empty_checkpoint(), {}, {})
    assert {key.thread_id for key in store.find_checkpoints(run_id="r1")} == {"t"}
    assert {key.thread_id for key in store.find_checkpoints(run_id=str(run_id))} == {"v"}
    assert "run_id" not in saver.get_tuple(on("u")).metadata
    assert saver.get_tuple(on("t")).metadata["run_id"] == "r1"
    saver.delete_for_runs(["r1"])
    assert saver.get_tuple(on("t")) is None


class Own:
    """A type that a checkpoint might try to have imported."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and other.value == self.value

    __hash__ = None

    def model_dump(self) -> dict[str, int]:
        """As pydantic has it, by which the serializer knows how to write it."""
        return {"value": self.value}


def test_only_known_types_are_loaded(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    """A type of the application comes back only where the saver was told of it, and pickle never does."""
    strict, told = RunStoreSaver(store), RunStoreSaver(store, types=[(__name__, "Own")])
    checkpoint = {**empty_checkpoint(), "channel_values": {"c": Own(3)}, "channel_versions": {"c": "1"}}
    strict.put(on("t"), checkpoint, {}, {"c": "1"})
    with caplog.at_level(logging.CRITICAL):
        assert not isinstance(strict.get_tuple(on("t")).checkpoint["channel_values"]["c"], Own)
    assert told.get_tuple(on("t")).checkpoint["channel_values"]["c"] == Own(3)
    key = store.find_checkpoints(thread_id="t")[0]
    store.append_writes(key, [StepWrite("task", 0, "c", Payload("pickle", b"\x80\x04."))])
    with pytest.raises(StateCorrupt):
        strict.get_tuple(on("t"))


def test_special_writes_stand_beside_ordinary_ones(store: RunStore) -> None:
    """An error replaces the error before it, and neither what the task wrote nor what came first."""
    saver = RunStoreSaver(store)
    config = saver.put(on("t", checkpoint_ns=""), empty_checkpoint(), {}, {})
    saver.put_writes(config, [("c", 1), ("d", 2)], "task")
    saver.put_writes(config, [("c", 3)], "task")
    for error in ("first", "second"):
        saver.put_writes(config, [(ERROR, error)], "task")
    assert saver.get_tuple(config).pending_writes == [("task", ERROR, "second"), ("task", "c", 1), ("task", "d", 2)]


def test_special_writes_among_ordinary_ones_are_replaced(store: RunStore) -> None:
    """As LangGraph's own saver in memory has it: an answer that comes with an update is the answer, the second too."""
    values: list[Any] = []
    for saver in (InMemorySaver(), RunStoreSaver(store)):
        config = saver.put(on("t", checkpoint_ns=""), empty_checkpoint(), {}, {})
        saver.put_writes(config, [("c", 1), (RESUME, "first")], "task")
        saver.put_writes(config, [("c", 1), ("c", 2), (RESUME, "second")], "task")
        found = saver.get_tuple(config)
        values.append(found.pending_writes)
    assert values[0] == values[1] == [("task", RESUME, "second"), ("task", "c", 1), ("task", "c", 2)]


def test_an_empty_checkpoint_id_is_none(store: RunStore) -> None:
    """The latest is meant, and a first checkpoint has no parent."""
    saver = RunStoreSaver(store)
    saver.put(on("t", checkpoint_ns="", checkpoint_id=""), empty_checkpoint(), {}, {})
    found = saver.get_tuple(on("t", checkpoint_ns="", checkpoint_id=""))
    assert found is not None
    assert found.parent_config is None


def test_nothing_is_loaded_in_the_loops_thread(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reading nor turning what was read into values holds the event loop up."""
    saver = RunStoreSaver(store)
    saver.put(on("t", checkpoint_ns=""), empty_checkpoint(), {}, {})
    threads: set[int] = set()
    loads, get = saver.serde.loads_typed, store.get_checkpoint

    def noted(call: Any) -> Any:
        def noting(*args: Any) -> Any:
            threads.add(threading.get_ident())
            return call(*args)

        return noting

    monkeypatch.setattr(saver.serde, "loads_typed", noted(loads))
    monkeypatch.setattr(store, "get_checkpoint", noted(get))

    async def read() -> None:
        assert [found async for found in saver.alist(on("t"))] == [await saver.aget_tuple(on("t"))]
        await saver.aget_delta_channel_history(config=on("t"), channels=["c"])

    asyncio.run(read())
    assert threads
    assert threading.get_ident() not in threads


def test_a_checkpoint_that_does_not_load_is_an_error(store: RunStore) -> None:
    """Bytes that are no msgpack, and values that are no checkpoint, are one of our errors."""
    saver = RunStoreSaver(store)
    saver.put(on("t", checkpoint_ns=""), empty_checkpoint(), {}, {})
    record = store.get_checkpoint("t")
    for payload in (Payload("msgpack", b"\xd9\xffCANARY"), Payload("null", b""), Payload("bytes", b"CANARY")):
        store.put_checkpoint(replace(record, head=payload), {})
        with pytest.raises(StateCorrupt) as caught:
            saver.get_tuple(on("t"))
        assert "CANARY" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_fence_stops_a_graph(store: RunStore) -> None:
    """After another owner has taken the run over, the old one's graph can write nothing more."""
    store.create_run(RunRecord("r"))
    old = store.acquire_lease("r", "a", 60)
    saver = RunStoreSaver(store, fence=old)
    graph_of(Log, saver).invoke({"items": ["x"]}, on("t"))
    store.release_lease(old)
    lease = store.acquire_lease("r", "b", 60)
    keys = store.find_checkpoints(thread_id="t")
    with pytest.raises(StateConflict):
        graph_of(Log, saver).invoke({"items": ["y"]}, on("t"), durability="sync")
    assert store.find_checkpoints(thread_id="t") == keys
    graph_of(Log, RunStoreSaver(store, fence=lease)).invoke({"items": ["z"]}, on("t"))
    assert len(store.find_checkpoints(thread_id="t")) > len(keys)


def test_arguments_without_a_meaning_are_refused(store: RunStore) -> None:
    """No thread, a text for a list of threads, an unknown strategy."""
    saver = RunStoreSaver(store)
    with pytest.raises(ConfigError):
        saver.get_tuple({"configurable": {}})
    with pytest.raises(ConfigError):
        saver.prune("thread")
    with pytest.raises(ConfigError):
        saver.prune(["thread"], strategy="some")
