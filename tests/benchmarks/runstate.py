"""What keeping a LangGraph run costs, beside LangGraph's own savers: `python -m tests.benchmarks.runstate`.

A run of 100 steps, each of which appends 2 KB of text that does not compress to a list with a plain reducer. The savers
take turns, each in an empty database; time is of the run alone. Disk is what is left when all is written back: after
`wal_checkpoint(TRUNCATE)` the SQLite file, after `VACUUM` the PostgreSQL tables with their indexes. Both SQLite savers
sync at every commit, and both PostgreSQL savers use the same server, as it is set up by default.
"""

import asyncio
import base64
import contextlib
import operator
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.runstate import PostgresRunStore, SqliteRunStore
from tests.support import databases

STEPS = 100
TEXT = 2000
ROUNDS = 5
TEXTS = [base64.b85encode(random.Random(n).randbytes(TEXT * 4 // 5)).decode() for n in range(STEPS)]
CONFIG: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 2 * STEPS}


class State(TypedDict):
    """A list that grows."""

    items: Annotated[list[str], operator.add]


def graph_with(saver: Any) -> Any:
    """A node that goes round."""
    graph = StateGraph(State)
    graph.add_node("step", lambda state: {"items": [TEXTS[len(state["items"])]]})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: END if len(state["items"]) == STEPS else "step")
    return graph.compile(checkpointer=saver)


def timed(saver: Any) -> float:
    """Return the seconds of one run by the synchronous interface, the state of which is checked."""
    graph = graph_with(saver)
    began = time.perf_counter()
    graph.invoke({"items": []}, CONFIG)
    taken = time.perf_counter() - began
    assert graph.get_state(CONFIG).values["items"] == TEXTS
    return taken


async def atimed(saver: Any) -> float:
    """Return the seconds of one run by the asynchronous interface."""
    graph = graph_with(saver)
    began = time.perf_counter()
    await graph.ainvoke({"items": []}, CONFIG)
    return time.perf_counter() - began


def ours_sqlite(path: Path) -> tuple[float, float]:
    """Our saver on SQLite."""
    with SqliteRunStore(path) as store:
        sync = timed(RunStoreSaver(store))
    with SqliteRunStore(path.with_suffix(".async")) as store:
        return sync, asyncio.run(atimed(RunStoreSaver(store)))


def theirs_sqlite(path: Path) -> tuple[float, float]:
    """LangGraph's saver on SQLite."""

    async def run() -> float:
        async with AsyncSqliteSaver.from_conn_string(str(path.with_suffix(".async"))) as saver:
            await saver.setup()
            return await atimed(saver)

    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
        sync = timed(saver)
    return sync, asyncio.run(run())


def ours_postgres(url: str, other: str) -> tuple[float, float]:
    """Our saver on PostgreSQL."""
    with PostgresRunStore(url) as store:
        store.find_checkpoints()  # makes the tables, as `setup` does
        sync = timed(RunStoreSaver(store))
    with PostgresRunStore(other) as store:
        store.find_checkpoints()
        return sync, asyncio.run(atimed(RunStoreSaver(store)))


def theirs_postgres(url: str, other: str) -> tuple[float, float]:
    """LangGraph's saver on PostgreSQL."""

    async def run() -> float:
        async with AsyncPostgresSaver.from_conn_string(other) as saver:
            await saver.setup()
            return await atimed(saver)

    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        sync = timed(saver)
    return sync, asyncio.run(run())


@contextlib.contextmanager
def on_sqlite(run: Callable[[Path], tuple[float, float]]) -> Generator[tuple[float, float, int]]:
    """Run in an empty file; yield the times and the bytes it takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        times = run(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield *times, sum(file.stat().st_size for file in Path(folder).glob("state.sqlite*"))


@contextlib.contextmanager
def on_postgres(server: str, run: Callable[[str, str], tuple[float, float]]) -> Generator[tuple[float, float, int]]:
    """Run in an empty schema; yield the times and the bytes its tables take."""
    import psycopg

    with databases.schema(server) as url, databases.schema(server) as other:
        times = run(url, other)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM")
            size = connection.execute(
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = current_schema() AND relkind = 'r'"
            ).fetchone()
        assert size is not None
        yield *times, int(size[0])


def main(rounds: int = ROUNDS) -> None:
    """Run the savers in turn; print medians, and ours by theirs."""
    with databases.postgres() as server:
        kinds: dict[str, Callable[[], Any]] = {
            "langgraph-checkpoint-sqlite": lambda: on_sqlite(theirs_sqlite),
            "runbundle, SQLite": lambda: on_sqlite(ours_sqlite),
            "langgraph-checkpoint-postgres": lambda: on_postgres(server, theirs_postgres),
            "runbundle, PostgreSQL": lambda: on_postgres(server, ours_postgres),
        }
        found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in kinds}
        for number in range(rounds + 1):
            for name, kind in kinds.items():
                with kind() as measured:
                    if number:  # the first round warms up
                        found[name].append(measured)
    medians = {name: tuple(map(statistics.median, zip(*rows, strict=True))) for name, rows in found.items()}
    print(f"{STEPS} steps of {TEXT} bytes, medians of {rounds} rounds\n")
    print(f"{'':30}  sync ms/step  async ms/step  disk MB")
    for name, (sync, asynchronous, size) in medians.items():
        print(f"{name:30}  {sync / STEPS * 1e3:12.2f}  {asynchronous / STEPS * 1e3:13.2f}  {size / 1e6:7.2f}")
    names = list(medians)
    print()
    for theirs, ours in (names[:2], names[2:]):
        ratios = [a / b for a, b in zip(medians[ours], medians[theirs], strict=True)]
        print(f"{ours:30}  {ratios[0]:11.2f}x  {ratios[1]:12.2f}x  {ratios[2]:6.2f}x")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
