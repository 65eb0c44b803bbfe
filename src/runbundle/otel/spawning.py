"""Lanes: where in its run something stands, by the names and ranks of what made it, never by when it happened.

A `Lane` is a path in which things are counted. A `Control` is the lane of one sequential thread of control, a task or
a thread: it is fixed when that is created, by whoever creates it, so that what is counted in it is the same for the
same agent, however its tasks are scheduled. To see tasks being created, the task factory of an event loop is wrapped
while a run is open there.
"""

import asyncio
import contextlib
import contextvars
import functools
import hashlib
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast, get_args

from runbundle.codec.dialects import Operation
from runbundle.redaction.floor import safe_name

R = TypeVar("R")
Loop = asyncio.AbstractEventLoop
Spawn = Callable[[str], "Control | None"]

LANE_LIMIT = 200
"""Characters of a path."""
_HEAD = 120
_NAME_LIMIT = 64
_RESERVED = frozenset({*get_args(Operation), "fork", "remote"})

running_loop = asyncio._get_running_loop  # pyright: ignore[reportPrivateUsage] - the public one raises: 6 times as slow

_forks: list[str] = []
"""What each fork on the way to this process has added to every path."""


class _Forked:
    children = 0
    """Of this process."""


class Lane:
    """A path, and what has been counted in it by this process. A forked child has a lane of its own for each."""

    __slots__ = ("_count", "_forks", "_path", "_ranks")

    def __init__(self, path: str, forked: int = -1) -> None:
        """`forked`: how often this process had been forked when the path was one of its own; by default, so far."""
        self._path, self._count = path, 0
        self._forks = len(_forks) if forked < 0 else forked
        self._ranks: dict[str, int] | None = None

    @property
    def path(self) -> str:
        """The path in this process."""
        if self._forks != len(_forks):
            self._path = below(self._path, "/".join(_forks[self._forks :]))
            self._count, self._ranks, self._forks = 0, None, len(_forks)
        return self._path

    def ordinal(self) -> int:
        """Count one more thing; return how many were there before."""
        count = self._count
        self._count = count + 1
        return count

    def next(self, name: str) -> str:
        """Return the path of one more thing of that name: its rank among its equals is part of it."""
        path = self.path  # first: it may start the count afresh
        ranks = self._ranks
        if ranks is None:
            ranks = self._ranks = {}
        rank = ranks.get(name, 0)
        ranks[name] = rank + 1
        return below(path, f"{name}#{rank}")


class Control(Lane):
    """The lane of a task or thread within one run. What is counted in it are effects."""

    __slots__ = ("entered", "run", "under")

    def __init__(self, path: str, run: object, under: Any = None, forked: int = -1) -> None:
        super().__init__(path, forked)
        self.run = run
        self.under = under
        """What the current span was when it was created, whose lane that of its spans continues."""
        self.entered = 0
        """How many calls it was the lane of: with more than one it is not sequential."""

    def spawn(self, name: str, under: Any = None) -> "Control":
        """Return the lane of a task or thread that this one creates."""
        return Control(self.next(segment(name)), self.run, under)

    def seen_from(self, other: "Control") -> str:
        """Return what leads from another lane of the run to this one."""
        path, above = self.path, other.path
        return path[len(above) + 1 :] if path.startswith(above + "/") else path


def below(path: str, rest: str) -> str:
    """Join two paths. Over the limit the result keeps its head, and a digest stands for the whole."""
    joined = f"{path}/{rest}" if path else rest
    return joined if len(joined) <= LANE_LIMIT else f"{joined[:_HEAD].rpartition('/')[0]}/@{short_digest(joined)}"


def short_digest(text: str) -> str:
    """Return 15 hex digits that stand for `text`, which is a name. One more, and the redactor took it for a token."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:15]


@functools.lru_cache(maxsize=8192)
def segment(name: str) -> str:
    """Return what stands for a function's name in a path: the name, if it is one that may be kept and reads as one."""
    if name in _RESERVED:
        return f"{name}()"  # else it would be taken for a span, which is called so if it has no name
    kept = len(name) <= _NAME_LIMIT and not any(c in name for c in "/:@#=") and safe_name(name)
    return name if kept else f"@{short_digest(name)}"


def name_of(function: Any) -> str:
    """Return the qualified name of a function or coroutine, beneath `partial` and a context's `run`. Total."""
    try:
        while isinstance(function, functools.partial):
            partial: Any = function  # pyright: ignore[reportUnknownVariableType]
            context = getattr(partial.func, "__self__", None)
            function = partial.args[0] if isinstance(context, contextvars.Context) and partial.args else partial.func
        name = getattr(function, "__qualname__", None)
        return name if isinstance(name, str) else type(function).__qualname__
    except Exception:  # noqa: BLE001 - an object of the application's whose attributes raise
        return "?"


# -- threads ---------------------------------------------------------------------------------------------------------


class _Here(threading.local):
    """What is known of the current thread."""

    def __init__(self) -> None:
        self.token = object()
        self.control: Control | None = None


_here = _Here()


def within(control: Control | None, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call `function` with `control` as the lane of this thread; None: nobody knows which it is."""
    before, _here.control = _here.control, control
    if control is not None:
        control.entered += 1
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
    """The thread of control in which a run was begun or continued, and what it is called there."""

    __slots__ = ("_task", "_thread", "control")

    def __init__(self, control: Control) -> None:
        self.control = control
        self._thread: object = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None

    def settle(self) -> None:
        """Say that it is the current one, unless another was said to be."""
        if self._thread is not None or self._task is not None:
            return
        loop = running_loop()
        if loop is not None:
            task = asyncio.current_task(loop)
            self._task = weakref.ref(task) if task is not None else None
        elif not _scheduled_by_others():
            self._thread = _here.token

    def current(self) -> Control | None:
        """Return the lane of the current thread of control within the run; None if nobody can know."""
        loop = running_loop()
        if loop is None:
            return self._of_thread()
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

    def adopt(self, loop: Loop, factory: "TaskFactory") -> None:
        """Take the loop's task for a continuation of this thread, if it is the only one: its thread waits for it."""
        task, control = asyncio.current_task(loop), self._of_thread()
        if task is not None and control is not None and asyncio.all_tasks(loop) == {task}:
            factory.controls[task] = control


# -- tasks -----------------------------------------------------------------------------------------------------------


class TaskFactory:
    """Stands in for the task factory of a loop, if it has one, and gives each task its lane. Never raises itself."""

    def __init__(self, loop: Loop, spawn: Spawn) -> None:
        self.controls: weakref.WeakKeyDictionary[asyncio.Task[Any], Control] = weakref.WeakKeyDictionary()
        self.runs: set[object] = set()
        """Those that are open here."""
        self._loop = weakref.ref(loop)
        self._spawn = spawn
        self._inner: Any = loop.get_task_factory()
        self._pending: list[tuple[object, Control]] = []
        self._executor: _Executor | None = None
        loop.set_task_factory(cast("Any", self))
        _factories[id(loop)] = self
        weakref.finalize(loop, _factories.pop, id(loop), None)
        if type(loop).run_in_executor is asyncio.BaseEventLoop.run_in_executor:  # others may not go by threads
            self._executor = _Executor(loop, spawn)

    def __call__(self, loop: Loop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        """Create the task as it would have been created."""
        try:
            control = self._spawn(name_of(coro))
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
        with contextlib.suppress(TypeError):  # a task of somebody's own that takes no weak references
            self.controls[task] = control
        return task

    def _create(self, loop: Loop, coro: Any, options: dict[str, Any]) -> Any:
        if self._inner is not None:
            return self._inner(loop, coro, **options)
        return asyncio.Task(coro, loop=loop, **options)

    def control_of(self, task: "asyncio.Task[Any]") -> Control | None:
        """Return the lane that a task was given when it was created."""
        control = self.controls.get(task)
        if control is None and self._pending and task.get_coro() is self._pending[-1][0]:
            return self._pending[-1][1]
        return control

    def remove(self) -> None:
        """Put back what was there, unless somebody has put something else in this place."""
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

    def __init__(self, loop: Loop, spawn: Spawn) -> None:
        self._loop = weakref.ref(loop)
        self._spawn = spawn
        self._inner: Any = vars(loop).get(_RUN_IN_EXECUTOR)
        self._own = self._run
        setattr(loop, _RUN_IN_EXECUTOR, self._own)  # of this object alone: the class is everybody's

    def _run(self, executor: Any, func: Any, *args: Any) -> Any:
        loop: Any = self._loop()
        with contextlib.suppress(Exception):  # never raise into run_in_executor(): the lane is then not known
            if self._by_threads(executor):
                func = functools.partial(within, self._spawn(name_of(func)), func)
        inner: Any = self._inner or functools.partial(type(cast("asyncio.BaseEventLoop", loop)).run_in_executor, loop)
        return inner(executor, func, *args)

    def _by_threads(self, executor: Any) -> bool:
        # Others, and subclasses too, may send the function to another process or interpreter.
        if executor is None:
            executor = getattr(self._loop(), "_default_executor", None)
        return executor is None or type(executor) is ThreadPoolExecutor

    def remove(self, loop: Loop) -> None:
        """Put back what was there, unless somebody has put something else in this place."""
        if vars(loop).get(_RUN_IN_EXECUTOR) is not self._own:
            return
        if self._inner is None:
            delattr(loop, _RUN_IN_EXECUTOR)
        else:
            setattr(loop, _RUN_IN_EXECUTOR, self._inner)


_RUN_IN_EXECUTOR = "run_in_executor"
_factories: dict[int, TaskFactory] = {}
"""Of the loops in which a run is open, by the loop's `id`."""


def watch(loop: Loop, run: object, origin: Origin, spawn: Spawn) -> TaskFactory | None:
    """See to it that the tasks which the running loop creates from now on have lanes; return who does, if it is news.

    `spawn` makes a lane for a name, as of where it is called. To be called while the run is open; `unwatch` afterwards.
    """
    factory = _factories.get(id(loop))
    if factory is not None and run in factory.runs:
        return None
    if factory is None:
        try:
            factory = TaskFactory(loop, spawn)
            origin.adopt(loop, factory)
        except Exception:  # noqa: BLE001 - a loop of somebody's own that cannot do this: its tasks have no lanes
            return None
    factory.runs.add(run)
    return factory


def unwatch(run: object, factory: TaskFactory) -> None:
    """Say that a run is not open any more; when none is, the loop gets back what it had."""
    factory.runs.discard(run)
    if not factory.runs:
        factory.remove()


# -- forks -----------------------------------------------------------------------------------------------------------


def forks() -> int:
    """Return how many forks led to this process."""
    return len(_forks)


def before_fork() -> None:
    """Count the child that is to be: its number tells its lanes from those of its siblings."""
    _Forked.children += 1


def after_fork_in_child() -> None:
    """Let every lane go on under a path of its own."""
    _forks.append(f"fork#{_Forked.children - 1}")
    _Forked.children = 0
