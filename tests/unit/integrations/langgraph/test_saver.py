"""The saver: versions never repeat, and each asynchronous method does what its synchronous one does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.integrations.langgraph.saver_async import AsyncSaver
from runbundle.integrations.langgraph.serde import StateSerializer
from runbundle.runstate import SqliteRunStore

Saved = tuple[Any, ...]


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[RunStoreSaver]:
    """A saver over a new file."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        yield RunStoreSaver(store)


def on(thread_id: str, **more: str) -> Any:
    """A configuration of a thread."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **more}}


def test_versions_grow_and_never_repeat(saver: RunStoreSaver) -> None:
    """Two forks of a thread that go on from one version get different ones, so they never share a slot by accident."""
    version = None
    seen: list[str] = []
    for _ in range(20):
        first, second = (saver.get_next_version(version, None) for _ in range(2))
        assert first != second
        assert version is None or min(first, second) > version
        seen += [first, second]
        version = first
    assert len(set(seen)) == len(seen)
    assert saver.get_next_version("3", None) > f"{3:020}"


async def _by_async(saver: AsyncSaver) -> Saved:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"a": [1] * 99}, {"a": "1"}
    at = await saver.aput(on("t"), checkpoint, {"run_id": "r"}, {"a": "1"})
    await saver.aput_writes(at, [("c", 1), ("d", [2])], "task")
    await saver.acopy_thread("t", "u")
    await saver.acopy_thread("t", "v")
    await saver.adelete_thread("u")
    found = [item async for item in saver.alist(on("t"))]
    await saver.aprune(["t"])
    kept = await saver.aget_tuple(on("t"))
    copies = [await saver.aget_tuple(on(name)) for name in ("u", "v")]
    await saver.adelete_for_runs(["r"])
    return found, kept, copies, await saver.aget_tuple(on("t")), checkpoint["id"]


def _by_sync(saver: RunStoreSaver, checkpoint_id: str) -> Saved:
    checkpoint = empty_checkpoint() | {"id": checkpoint_id}
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"a": [1] * 99}, {"a": "1"}
    at = saver.put(on("t"), checkpoint, {"run_id": "r"}, {"a": "1"})  # type: ignore[arg-type]
    saver.put_writes(at, [("c", 1), ("d", [2])], "task")
    saver.copy_thread("t", "u")
    saver.copy_thread("t", "v")
    saver.delete_thread("u")
    found = list(saver.list(on("t")))
    saver.prune(["t"])
    kept = saver.get_tuple(on("t"))
    copies = [saver.get_tuple(on(name)) for name in ("u", "v")]
    saver.delete_for_runs(["r"])
    return found, kept, copies, saver.get_tuple(on("t")), checkpoint_id


def test_each_asynchronous_method_does_what_its_synchronous_one_does(saver: RunStoreSaver, tmp_path: Path) -> None:
    """The same calls give the same answers, and leave the same behind."""
    by_async = asyncio.run(_by_async(saver))
    with SqliteRunStore(tmp_path / "other.sqlite") as store:
        by_sync = _by_sync(RunStoreSaver(store), by_async[-1])

    def shown(saved: Saved) -> str:
        found, kept, copies, last, _ = saved

        def one(item: Any) -> Any:
            return item and (item.config, item.checkpoint["channel_values"], item.metadata, item.pending_writes)

        return repr(([one(item) for item in found], one(kept), [one(item) for item in copies], one(last)))

    assert shown(by_async) == shown(by_sync)
    assert by_async[2][0] is None
    assert by_async[2][1] is not None
    assert by_async[3] is None


class Client:
    """No data: it comes back only if it is allowed."""

    def __init__(self, host: str = "") -> None:
        self.host = host

    def model_dump(self) -> dict[str, str]:
        """As pydantic has it."""
        return {"host": self.host}


def test_a_serializer_that_allows_more_types_restores_them() -> None:
    """LangGraph asks for one; the serializer it was made from stays as strict as it was."""
    strict = StateSerializer()
    written = strict.dumps_typed(Client("h"))
    assert strict.loads_typed(written) == {"host": "h"}
    loose = strict.with_msgpack_allowlist([Client])
    assert loose.loads_typed(written).host == "h"
    assert strict.loads_typed(written) == {"host": "h"}
    assert loose.with_msgpack_allowlist([Client]) is loose
