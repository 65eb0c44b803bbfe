"""Effects have a key that is the same for the same agent, whatever the weather; where that cannot be known, none."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

import runbundle
from runbundle.bundle.reader import Bundle
from tests.conftest import KEY, headers_from, left_open, sealed

Configured = Callable[..., runbundle.Handle]
Key = tuple[str | None, str, int, str | None]


@runbundle.tool
async def find(x: Any) -> Any:
    """Find."""
    return x


@runbundle.tool
def look_up(x: Any) -> Any:
    """Look up."""
    return x


def keys(bundle: Bundle) -> list[Key]:
    """Return effect, lane, ordinal and arguments of each tool call."""
    said = [e["attributes"] for e in bundle.events() if e["type"] == "span.ended" and e["op"] == "tool"]
    rest = ("runbundle.ordinal", "runbundle.tool.arguments.digest")
    return [(a.get("runbundle.effect"), a.get("runbundle.lane", ""), *(a[key] for key in rest)) for a in said]


class Weather:
    """Sleeps at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self) -> float:
        """Return some seconds."""
        return self._random.random() / 200

    async def sleep(self) -> None:
        """Sleep."""
        await asyncio.sleep(self.some())


async def branch(weather: Weather, x: Any) -> None:
    """Find something after a while, and something else after another."""
    await weather.sleep()
    await find(x)
    await weather.sleep()
    await find([x])


async def gathered(weather: Weather) -> None:
    """Gather."""
    await asyncio.gather(*(branch(weather, x) for x in "abcd"))


async def in_a_group(weather: Weather) -> None:
    """Use a task group, and the task itself."""
    async with asyncio.TaskGroup() as group:
        for x in "abcd":
            group.create_task(branch(weather, x), name=f"named-{x}")
        await find("self")


async def nested(weather: Weather) -> None:
    """Gather what gathers."""

    async def pair(x: str) -> None:
        await asyncio.gather(branch(weather, x), branch(weather, x * 2))

    await asyncio.gather(*(pair(x) for x in "abc"))


async def as_completed(weather: Weather) -> None:
    """Take what comes first."""
    for done in asyncio.as_completed([asyncio.create_task(branch(weather, x)) for x in "abcd"]):
        await done


async def waited(weather: Weather) -> None:
    """Wait for each with a timeout, which is a task in some versions."""
    tasks = [asyncio.ensure_future(asyncio.wait_for(branch(weather, x), 5)) for x in "abcd"]
    await asyncio.wait(tasks)


async def by_anyio(weather: Weather) -> None:
    """Use another library's task group."""
    async with anyio.create_task_group() as group:
        for x in "abcd":
            group.start_soon(branch, weather, x)


async def fire_and_forget(weather: Weather) -> None:
    """Begin tasks in a span that ends before they do, or after."""
    async with runbundle.start_step("begin"):
        tasks = [asyncio.create_task(branch(weather, x)) for x in "abcd"]
        await weather.sleep()
    await asyncio.gather(*tasks)


async def in_threads(weather: Weather) -> None:
    """Go into threads by all doors of the loop."""

    def work(x: Any) -> None:
        threading.Event().wait(weather.some())
        look_up(x)
        look_up([x])

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as pool:
        context = [otel_context.get_current()] * 2
        await asyncio.gather(
            *(asyncio.to_thread(work, x) for x in "abc"),
            *(loop.run_in_executor(pool, runbundle.in_context(work), x) for x in "de"),
        )
        assert context


PROGRAMS = [gathered, in_a_group, nested, as_completed, waited, by_anyio, fire_and_forget, in_threads]


def shapes(program: Callable[[Weather], Awaitable[None]]) -> list[Callable[[Weather], None]]:
    """Return the ways in which a program and a run are begun."""

    @runbundle.agent
    async def agent(weather: Weather) -> None:
        await program(weather)

    def around(weather: Weather) -> None:
        with runbundle.start_run("r"):
            look_up("before")
            asyncio.run(agent(weather))
            look_up("after")

    @runbundle.run(name="r")
    async def inside(weather: Weather) -> None:
        await program(weather)

    return [around, lambda weather: asyncio.run(inside(weather)), lambda weather: asyncio.run(agent(weather))]


# Of what outlives the span above it nothing says whose run it is, where nobody began one.
@pytest.mark.parametrize(
    ("program", "shape"),
    [(program, shape) for program in PROGRAMS for shape in range(3) if program is not fire_and_forget or shape != 2],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_same_agent_gets_the_same_keys_in_any_weather(
    configured: Configured, program: Callable[[Weather], Coroutine[Any, Any, None]], shape: int
) -> None:
    """Effect, lane, ordinal and arguments are one set over all seeds, and each pair is there once."""
    handle = configured()
    begin = shapes(program)[shape]
    found: list[set[Key]] = []
    for seed in range(4):
        begin(Weather(seed))
        calls = keys(sealed(handle))
        assert all(effect for effect, *_ in calls), calls
        assert len({effect for effect, *_ in calls}) == len(calls)
        assert len({(lane, ordinal) for _, lane, ordinal, _ in calls}) == len(calls)
        found.append(set(calls))
    assert all(other == found[0] for other in found)


def test_threads_have_the_rank_of_their_submission(configured: Configured) -> None:
    """Bound once for each submission, threads have the same keys whichever comes first."""
    handle = configured()

    def work(wait: float, x: int) -> None:
        threading.Event().wait(wait)
        look_up(x)

    for order in (1, -1):
        with runbundle.start_run("r"), ThreadPoolExecutor(4) as pool:
            for x in range(4):
                pool.submit(runbundle.in_context(work), (2 + order * x) / 200, x)
    assert len({frozenset(keys(Bundle.open(handle.store, key))) for key in handle.flush().sealed}) == 1


def test_what_is_not_known_has_no_effect(configured: Configured) -> None:
    """One bound function for many calls, a thread that only has the context, a task that was there before."""
    handle = configured()
    barrier = threading.Barrier(3)

    @runbundle.tool
    def meet(x: int) -> int:
        barrier.wait()
        return x

    async def early(gate: asyncio.Event) -> None:
        await gate.wait()
        await find("early")
        await asyncio.create_task(find("child of early"))

    async def main() -> None:
        gate = asyncio.Event()
        task = asyncio.create_task(early(gate))
        await asyncio.sleep(0)
        await find("main, which is not the only one")
        gate.set()
        await task

    async def unordered() -> None:
        look_up("known")
        for done in asyncio.as_completed([find("in a set"), find("of coroutines")]):
            await done

    with runbundle.start_run("r"):
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(runbundle.in_context(meet), range(3)))
        context = otel_context.get_current()
        thread = threading.Thread(target=lambda: (otel_context.attach(context), look_up("thread")))
        thread.start()
        thread.join()
        asyncio.run(main())
        look_up("known")
        asyncio.run(unordered())
    calls = keys(sealed(handle))
    assert sorted(effect or "" for effect, *_ in calls) == [""] * 9 + ["main:0", "main:1"]
    assert len({(lane, ordinal) for _, lane, ordinal, _ in calls}) == len(calls)


def test_a_span_does_not_say_its_own_effect(configured: Configured) -> None:
    """What instrumentations set under our keys is not believed."""
    handle = configured()
    said = {"runbundle.effect": "main:7", "runbundle.joined": "signed", "runbundle.lane": "x"}
    with runbundle.start_run("r"):
        attributes = {"gen_ai.operation.name": "execute_tool", **said}
        handle.tracer.start_span(
            "execute_tool t", trace.set_span_in_context(trace.INVALID_SPAN), attributes=attributes
        ).end()
        handle.tracer.start_span("x", attributes=attributes | {"gen_ai.operation.name": "plan"}).end()
    events = [e for e in sealed(handle).events() if e["type"] == "span.started"]
    assert [e.get("effect") for e in events] == [None, "main:0", None]
    assert [e.get("joined") for e in events] == [None] * 3
    assert [e.get("lane") for e in events] == [None, None, "run:r"]


def test_models_and_retrievals_have_effects_too_and_steps_have_none(configured: Configured) -> None:
    """They are numbered together, in the order of one thread of control."""
    handle = configured()
    with runbundle.start_run("r"), runbundle.start_agent("a"), runbundle.start_step("s"):
        for scope in (runbundle.start_model("m"), runbundle.start_retriever("d"), runbundle.start_tool("t")):
            with scope:
                pass
    effects = {e["op"]: e.get("effect") for e in sealed(handle).events() if e["type"] == "span.started"}
    assert effects == {
        "run": None, "agent": None, "step": None, "model": "main:0", "retrieval": "main:1", "tool": "main:2"
    }  # fmt: skip


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_a_loop_is_left_as_it_was_found(configured: Configured) -> None:
    """The factory that is there goes on making the tasks, and when the last run has ended it is there again."""
    configured()
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        made.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    async def main(mine: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(mine)
        for _ in range(2):
            with runbundle.start_run("outer"):
                with runbundle.start_run("inner"):
                    assert loop.get_task_factory() is not mine
                    await asyncio.gather(find(1), find(2))
                assert loop.get_task_factory() is not mine
            assert loop.get_task_factory() is mine
            assert "run_in_executor" not in vars(loop)
            assert not runbundle.otel.belonging.spawning._factories  # type: ignore[attr-defined]

    asyncio.run(main(factory))
    assert made[:4] == ["find"] * 4
    asyncio.run(main(None))


def test_a_factory_that_came_later_stays(configured: Configured) -> None:
    """What somebody else has set meanwhile is theirs; it goes on calling ours, which then does nothing."""
    configured()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with runbundle.start_run("r"):
            ours: Any = loop.get_task_factory()
            theirs: Any = lambda loop, coro, **options: ours(loop, coro, **options)  # noqa: E731
            loop.set_task_factory(theirs)
            await asyncio.gather(find(1))
        assert loop.get_task_factory() is theirs
        await asyncio.create_task(find(2), name="n")

    asyncio.run(main())


def test_a_task_keeps_its_name_and_its_context(configured: Configured) -> None:
    """`create_task` does what it does without a run, and refuses what it refuses."""
    configured()

    async def main() -> None:
        own = __import__("contextvars").Context()
        with runbundle.start_run("r"):
            task = asyncio.create_task(asyncio.sleep(0), name="mine", context=own)
            assert task.get_name() == "mine"
            inside = asyncio.create_task(_current_run_id(), context=own)
            assert await inside == ""
            not_a_coroutine: Any = 5
            with pytest.raises(TypeError):
                asyncio.get_running_loop().create_task(not_a_coroutine)
            await task

    asyncio.run(main())


async def _current_run_id() -> str:
    return runbundle.current_run().run_id


def test_an_eager_task_has_its_lane_before_it_is_handed_over(configured: Configured) -> None:
    """A factory may run the coroutine at once, as eager ones do: what it does then is not taken for its creator's."""
    handle = configured()

    class Eager(asyncio.Task[Any]):
        def __init__(self, coro: Any, **options: Any) -> None:
            super().__init__(coro, **options)
            loop: Any = options["loop"]
            before = asyncio.current_task(loop)
            if before is None:
                return
            asyncio.tasks._leave_task(loop, before)  # type: ignore[attr-defined]
            asyncio.tasks._enter_task(loop, self)  # type: ignore[attr-defined]
            look_up("eager")
            asyncio.tasks._leave_task(loop, self)  # type: ignore[attr-defined]
            asyncio.tasks._enter_task(loop, before)  # type: ignore[attr-defined]

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(lambda loop, coro, **options: Eager(coro, loop=loop, **options))
        with runbundle.start_run("r"):
            look_up("mine")
            await asyncio.gather(find(1), find(2))

    asyncio.run(main())
    branches = [f"main/find#{rank}:{ordinal}" for ordinal in range(2) for rank in range(2)]
    assert [effect for effect, *_ in keys(sealed(handle))] == ["main:0", *branches]


def test_threads_of_a_loop_return_what_they_did_before(configured: Configured) -> None:
    """Results, errors and arguments pass; processes are not touched."""
    configured()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with runbundle.start_run("r"):
            assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
            assert await loop.run_in_executor(None, len, "abc") == 3
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(divmod, 7, 0)

    asyncio.run(main())


# -- depth, processes, forks -------------------------------------------------------------------------------------------


def places(bundle: Bundle) -> list[tuple[str, int]]:
    """Return lane and ordinal of every span."""
    said = [e["attributes"] for e in bundle.events() if e["type"] == "span.ended"]
    return [(a.get("runbundle.lane", ""), a["runbundle.ordinal"]) for a in said]


def test_lanes_are_a_key_in_any_depth(configured: Configured) -> None:
    """Paths over the limit end in a digest, and spans of other traces have ordinals of their own."""
    handle = configured()

    def deep(n: int) -> None:
        with runbundle.start_step(f"abcdefghijklmnopqrstuvwxyz-{n % 10}"):
            look_up(n)
            handle.tracer.start_span("x", trace.set_span_in_context(trace.INVALID_SPAN)).end()
            if n:
                deep(n - 1)
                deep(n - 1)

    with runbundle.start_run("r"):
        deep(6)
    found = places(sealed(handle))
    assert len(set(found)) == len(found) == 3 * 127 + 1
    assert all(len(lane) <= 200 for lane, _ in found)


CHILD = """
import json, sys, asyncio, runbundle
@runbundle.tool
def t(x): return x
@runbundle.tool
async def ta(x): return x
async def main():
    await asyncio.gather(ta("c"), ta("d"))
with runbundle.configure(store=sys.argv[1], key={key!r}), runbundle.continue_run(json.loads(sys.argv[2])):
    t("a"); t("b"); asyncio.run(main())
"""


def test_keys_stay_unique_over_processes(configured: Configured, tmp_path: Path) -> None:
    """Each carrier gives its receiver a lane of its own, and the same one when the agent runs again."""
    handle = configured()
    found: list[list[Key]] = []
    for _ in range(2):
        with runbundle.start_run("r"):
            for _ in range(2):
                with runbundle.start_step("s"):
                    for _ in range(2):
                        headers = __import__("json").dumps(runbundle.carrier())
                        code = CHILD.format(key=KEY)
                        subprocess.run([sys.executable, "-c", code, str(tmp_path / "store"), headers], check=True)
        found.append(keys(sealed(handle)))
    assert len({effect for effect, *_ in found[0] if effect}) == 8
    assert len({(lane, ordinal) for _, lane, ordinal, _ in found[0]}) == len(found[0]) == 16
    assert sorted(map(str, found[0])) == sorted(map(str, found[1]))


def test_a_fork_goes_on_in_lanes_of_its_own(configured: Configured) -> None:
    """The child counts afresh under its number, in spans that were open and in runs that were continued."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"), runbundle.continue_run(runbundle.carrier()):
        look_up("before")
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                try:
                    look_up("child")
                    with runbundle.start_step("s"):
                        look_up("child")
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
        look_up("after")
    bundle = sealed(handle)
    effects = [effect for effect, *_ in keys(bundle)]
    assert len(set(effects)) == len(effects) == 6
    assert {"main/remote#0:0", "main/remote#0/fork#0:1", "main/remote#0/fork#1:0"} <= set(effects)
    assert len(set(places(bundle))) == len(places(bundle)) == 9


def test_a_resumed_part_has_lanes_of_its_own(configured: Configured) -> None:
    """It goes on in the same run, and counts afresh."""
    handle = configured()
    left_open(lambda: runbundle.start_run("r", run_id="r"))
    handle.shutdown()
    handle = configured()
    for n in range(2):
        with runbundle.start_run("r", run_id="r", resumed_from=f"checkpoint-{n}"):
            look_up(1)
        handle.flush()
    bundle = Bundle.open(handle.store, "r")
    assert len({effect for effect, *_ in keys(bundle)}) == 2


def test_work_from_elsewhere_whose_place_nobody_said_has_one_of_its_own(configured: Configured) -> None:
    """Two requests of one run never share a lane; nothing is said of their effects."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        for span in ("b", "c"):
            headers = {**headers_from("r"), "traceparent": f"00-{'a' * 32}-{span * 16}-01"}
            with runbundle.continue_run(headers):
                look_up(1)
                look_up(2)
    calls = keys(sealed(handle))
    assert len({(lane, ordinal) for _, lane, ordinal, _ in calls}) == 4
    assert {effect for effect, *_ in calls} == {None}
