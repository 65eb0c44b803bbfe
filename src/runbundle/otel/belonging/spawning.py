"""Knows which task or thread of a run is running, by the lane that each was given when it was created.

To see tasks being created, the task factory of an event loop is wrapped while a run is open there. An agent that has
no loop does not wait for asyncio to be loaded.
"""

import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runbundle.otel.belonging.lanes import Control, Lane, Moment, fork_moment, function_name

if TYPE_CHECKING:
    import asyncio

    Loop = asyncio.AbstractEventLoop

R = TypeVar("R")
Spawn = Callable[[str], Control | None]

_PLACES = 4096  # remembered of one run


def _first_running_loop() -> "Loop | None":
    """Return the event loop that runs in this thread; None if none does. Gives its place to asyncio's own function."""
    global running_loop
    known = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    if known is None:
        return None
    running_loop = known  # the public one raises: 6 times as slow
    return known()


running_loop: "Callable[[], Loop | None]" = _first_running_loop


# -- threads ---------------------------------------------------------------------------------------------------------


class _Here(threading.local):
    """The lane of the current thread, and an object that stands for the thread."""

    def __init__(self) -> None:
        self.token = object()
        self.control: Control | None = None


_here = _Here()


def call_in_lane(control: Control | None, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call `function` with `control` as the lane of this thread; None: the lane is not known."""
    before, _here.control = _here.control, control
    try:
        return function(*args, **kwargs)
    finally:
        _here.control = before


def _scheduled_by_others() -> bool:
    """Tell whether this thread's control is not this thread: a task of trio, a greenlet."""
    trio, greenlet = sys.modules.get("trio"), sys.modules.get("greenlet")
    return (trio is not None and trio.lowlevel.current_root_task() is not None) or (
        greenlet is not None and greenlet.getcurrent().parent is not None
    )


class Origin:
    """The task or thread in which a run was begun or continued, and its lane."""

    __slots__ = ("_task", "_thread", "control")

    def __init__(self, control: Control) -> None:
        self.control = control
        self._thread: object = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None

    def settle(self) -> None:
        """Make the current task or thread the origin, unless one is set already."""
        if self._thread is not None or self._task is not None:
            return
        loop = running_loop()
        if loop is not None:
            import asyncio

            task = asyncio.current_task(loop)
            self._task = weakref.ref(task) if task is not None else None
        elif not _scheduled_by_others():
            self._thread = _here.token

    def current(self) -> Control | None:
        """Return the lane of the current task or thread within the run; None if it cannot be known."""
        loop = running_loop()
        if loop is None:
            return self._of_thread()
        import asyncio

        task = asyncio.current_task(loop)
        if task is None:
            return None
        if self._task is not None and self._task() is task:
            return self.control
        factory = _factories.get(id(loop))
        control = factory.control_of(task) if factory is not None else None
        return control if control is not None and control.run is self.control.run else None

    def _of_thread(self) -> Control | None:
        if ("trio" in sys.modules or "greenlet" in sys.modules) and _scheduled_by_others():
            return None
        control = _here.control
        if control is not None and control.run is self.control.run:
            return control
        return self.control if self._thread is _here.token else None

    def adopt(self, loop: "Loop") -> None:
        """Treat the loop's only task as a continuation of this thread, which waits for the loop."""
        import asyncio

        task, control = asyncio.current_task(loop), self._of_thread()
        if task is not None and control is not None and asyncio.all_tasks(loop) == {task}:
            setattr(task, _NOTE, control)


# -- tasks -----------------------------------------------------------------------------------------------------------


class TaskFactory:
    """Wraps the task factory of a loop and gives each task its lane. Adds no exception of its own.

    A task whose lane cannot be found runs as it would have; its effects then get no key.
    """

    def __init__(self, loop: "Loop", spawn: Spawn) -> None:
        import asyncio

        self.runs: set[object] = set()
        """Runs that are open in this loop."""
        self._loop = weakref.ref(loop, functools.partial(_forget, id(loop)))
        self._spawn = spawn
        self._inner: Any = loop.get_task_factory()
        self._pending: list[tuple[object, Control]] = []
        self._depth = 3 if isinstance(type(loop).create_task, FunctionType) else 2  # compiled ones have no frame
        self._executor: _Executor | None = None
        loop.set_task_factory(cast("Any", self))
        _factories[id(loop)] = self
        if type(loop).run_in_executor is asyncio.BaseEventLoop.run_in_executor:  # others may not go by threads
            self._executor = _Executor(loop, spawn)

    def __call__(self, loop: "Loop", coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        """Create the task as it would have been created."""
        try:
            control = None if _in_no_order(self._depth) else self._spawn(function_name(coro))
        except Exception:  # noqa: BLE001 - never raise into create_task(): the lane is then not known
            control = None
        if control is None:
            return self._create(loop, coro, options)
        # An eager task runs, up to its first wait, before there is anybody to whom it could have been handed.
        self._pending.append((coro, control))
        try:
            task = self._create(loop, coro, options)
        finally:
            self._pending.pop()
        try:  # noqa: SIM105 - half a microsecond for each task
            task._runbundle_lane = control
        except (AttributeError, TypeError):
            pass  # a task of somebody's own that takes no attributes
        return task

    def _create(self, loop: "Loop", coro: Any, options: dict[str, Any]) -> Any:
        if self._inner is not None:
            return self._inner(loop, coro, **options)
        import asyncio

        return asyncio.Task(coro, loop=loop, **options)

    def control_of(self, task: "asyncio.Task[Any]") -> Control | None:
        """Return the lane that a task was given when it was created; None if it was given none."""
        control: Control | None = getattr(task, _NOTE, None)
        if control is None and self._pending and task.get_coro() is self._pending[-1][0]:
            return self._pending[-1][1]
        return control

    def remove(self) -> None:
        """Restore the loop's own factory, unless other code has replaced it since."""
        loop = self._loop()
        if loop is None:
            return
        if _factories.get(id(loop)) is self:
            del _factories[id(loop)]
        if cast("Any", loop.get_task_factory()) is self:
            loop.set_task_factory(self._inner)
        if self._executor is not None:
            self._executor.remove(loop)


class _Executor:
    """Stands in for `run_in_executor` of a loop, through which `asyncio.to_thread` goes too."""

    def __init__(self, loop: "Loop", spawn: Spawn) -> None:
        self._loop = weakref.ref(loop)
        self._spawn = spawn
        self._inner: Any = vars(loop).get(_RUN_IN_EXECUTOR)
        self._own = self._run
        setattr(loop, _RUN_IN_EXECUTOR, self._own)  # of this object alone: the class is everybody's

    def _run(self, executor: Any, func: Any, *args: Any) -> Any:
        loop: Any = self._loop()
        with contextlib.suppress(Exception):  # never raise into run_in_executor(): the lane is then not known
            if self._by_threads(executor):
                func = functools.partial(call_in_lane, self._spawn(function_name(func)), func)
        inner: Any = self._inner or functools.partial(type(cast("asyncio.BaseEventLoop", loop)).run_in_executor, loop)
        return inner(executor, func, *args)

    def _by_threads(self, executor: Any) -> bool:
        # Others, and subclasses too, may send the function to another process or interpreter.
        if executor is None:
            executor = getattr(self._loop(), "_default_executor", None)
        return executor is None or type(executor) is ThreadPoolExecutor

    def remove(self, loop: "Loop") -> None:
        """Put back what was there, unless somebody has put something else in this place."""
        if vars(loop).get(_RUN_IN_EXECUTOR) is not self._own:
            return
        if self._inner is None:
            delattr(loop, _RUN_IN_EXECUTOR)
        else:
            setattr(loop, _RUN_IN_EXECUTOR, self._inner)


_NOTE = "_runbundle_lane"
"""Attribute of a task: a dictionary of weak references costs ten times as much."""
_RUN_IN_EXECUTOR = "run_in_executor"
_factories: dict[int, TaskFactory] = {}
"""Wrapped factories by the `id` of their loop."""


def _codes(*functions: Any) -> set[CodeType]:
    """Return the code of functions, and of the comprehensions in them."""
    codes = [function.__code__ for function in functions if hasattr(function, "__code__")]
    return {*codes, *(const for code in codes for const in code.co_consts if isinstance(const, CodeType))}


@functools.cache
def _of_asyncio() -> tuple[set[CodeType], set[CodeType]]:
    """Return the code of `ensure_future` and that of `as_completed`, whichever Python has them where."""
    from asyncio import as_completed, ensure_future, tasks

    iterator = getattr(getattr(tasks, "_AsCompletedIterator", None), "__init__", None)
    return _codes(ensure_future, getattr(tasks, "_ensure_future", None)), _codes(as_completed, iterator)


def _in_no_order(depth: int) -> bool:
    """Tell whether the task that is being created is one of `as_completed`: it makes a set of coroutines first.

    `depth`: how far above this function is who called `create_task`.
    """
    frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage] - `inspect` has the same, with an import
    ensures, unordered = _of_asyncio()
    if frame.f_code not in ensures:
        return False
    for _ in range(3):
        above = frame.f_back
        if above is None:
            break
        frame = above
        if frame.f_code in unordered:
            return True
    return False


def _forget(key: int, _loop: object) -> None:
    _factories.pop(key, None)


def watch_tasks(loop: "Loop", run: object, origin: Origin, spawn: Spawn) -> TaskFactory | None:
    """Give lanes to the tasks that the running loop creates from now on, while the run is open.

    `spawn` makes the lane for a name. Returns the factory, or None if the run is watched already or the loop takes
    none. Call `unwatch_tasks` when the run ends.
    """
    factory = _factories.get(id(loop))
    if factory is not None and run in factory.runs:
        return None
    if factory is None:
        try:
            factory = TaskFactory(loop, spawn)
            origin.adopt(loop)
        except Exception:  # noqa: BLE001 - a loop of somebody's own that cannot do this: its tasks have no lanes
            return None
    factory.runs.add(run)
    return factory


def unwatch_tasks(run: object, factory: TaskFactory) -> None:
    """Stop watching for a run; when no run is left, the loop gets back its own factory."""
    factory.runs.discard(run)
    if not factory.runs:
        factory.remove()


@dataclass(eq=False, slots=True)
class RunLanes:
    """The counts of a run in this process. It does not refer to the run's scope, with which it is freed."""

    places: dict[str, Lane] = field(default_factory=dict[str, Lane])
    """The lanes of spans without a live parent."""
    origin: Origin | None = None
    """The run's own task or thread; None if it is not known."""
    factories: list[TaskFactory] = field(default_factory=list[TaskFactory])
    held: int = 0
    """Holders inside the run that may create tasks: the span that began it, and those who continue it."""
    identity: object = field(default_factory=object)
    """The object by which tasks and threads know the run; a reference to itself would delay its collection."""
    since: Moment = field(default_factory=fork_moment)

    def place(self, path: str) -> Lane:
        """Return the lane of a path; the oldest of more than 4,096 is forgotten."""
        lane = self.places.get(path)
        if lane is None:
            if len(self.places) >= _PLACES:
                places = iter(self.places)
                next(places)  # the first is where the run itself stands, which must go on counting
                del self.places[next(places)]
            lane = self.places[path] = Lane(path, self.since)
        return lane

    def begins_at(self, control: str) -> None:
        """Make the current task or thread the run's own, in the lane `control`, unless one is set already."""
        if self.origin is None:
            self.origin = Origin(Control(control, self.identity, since=self.since))
        self.origin.settle()

    def control(self) -> Control | None:
        """Return the lane of the current task or thread in the run; None if it cannot be known."""
        return self.origin.current() if self.origin is not None else None
