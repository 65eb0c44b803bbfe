"""Lanes: the place of a span, task or thread in its run, by the names and ranks of what created it, never by time.

A `Lane` is a path in which things are counted. A `Control` is the lane of one sequential thread of control, a task or a
thread. Its creator fixes it at the creation, so that counts in it are the same for the same agent however its tasks are
scheduled.
"""

import contextvars
import functools
import hashlib
from types import CoroutineType
from typing import Any, get_args

from runbundle.redaction.permitted.safe_text import safe_name
from runbundle.signals.operations import Operation

LANE_LIMIT = 200
"""Characters of a path."""
_HEAD = 120
_NAME_LIMIT = 64
_RESERVED = frozenset({*get_args(Operation), "fork", "remote"})

_forks: list[int] = []
"""The number of the child that each fork on the way to this process made."""


Moment = tuple[int, int]
"""How many forks led to this process, and how many children it had forked."""


class _Now:
    moment: Moment = (0, 0)


_now = _Now()


class Lane:
    """A path, and the counts in it. A forked child process counts in a path of its own."""

    __slots__ = ("_count", "_path", "_ranks", "_since")

    def __init__(self, path: str, since: Moment | None = None) -> None:
        """`since` is the fork moment at which the path was made; by default the current one."""
        self._path, self._count = path, 0
        self._since = since or _now.moment
        self._ranks: dict[str, int] | None = None

    @property
    def path(self) -> str:
        """The path in this process."""
        if self._since[0] != _now.moment[0]:
            self._follow()
        return self._path

    def _follow(self) -> None:
        generation, children = self._since
        for child in _forks[generation:]:
            self._path, children = join_path(self._path, f"fork#{child - children}"), 0
        self._count, self._ranks, self._since = 0, None, _now.moment

    def next_ordinal(self) -> int:
        """Count one more thing; return how many were counted before."""
        count = self._count
        self._count = count + 1
        return count

    def next_rank(self, name: str) -> int:
        """Count one more thing of this name; return how many of this name were counted before."""
        if self._since[0] != _now.moment[0]:
            _ = self.path  # starts the count afresh
        ranks = self._ranks
        if ranks is None:
            ranks = self._ranks = {}
        rank = ranks.get(name, 0)
        ranks[name] = rank + 1
        return rank

    def next_path(self, name: str) -> str:
        """Return the path of one more thing of this name; its rank among things of that name is part of it."""
        rank = self.next_rank(name)
        return join_path(self.path, f"{name}#{rank}")


class Control(Lane):
    """The lane of one task or thread of a run; the effects of the run are counted in it."""

    __slots__ = ("_last", "run", "shared", "under")

    def __init__(self, path: str, run: object, under: Any = None, since: Moment | None = None) -> None:
        self._path, self._count, self._ranks = path, 0, None
        self._since = since or _now.moment
        self._last: tuple[str, int] | None = None
        self.run = run
        self.under = under
        """The span that was current when the task or thread was created; its lane continues there."""
        self.shared = False
        """Whether several calls use this lane; it is not sequential then, and effects in it get no key."""

    def spawn(self, name: str, under: Any = None) -> "Control":
        """Return the lane of a task or thread that this one creates. Its path is made only when it is asked for."""
        rank = self.next_rank(name)
        spawned = Control(self.path, self.run, under)
        spawned._last = name, rank
        return spawned

    @property
    def path(self) -> str:
        """The path in this process."""
        if self._last is not None:
            name, rank = self._last
            self._path, self._last = join_path(self._path, f"{path_segment(name)}#{rank}"), None
        if self._since[0] != _now.moment[0]:
            self._follow()
        return self._path

    def seen_from(self, other: "Control") -> str:
        """Return the path from another lane of the run to this one; the whole path if it is not below that."""
        path, above = self.path, other.path
        return path[len(above) + 1 :] if path.startswith(above + "/") else path


def join_path(path: str, rest: str) -> str:
    """Join two paths. A result over the limit keeps its head, and a digest of the whole path replaces the rest."""
    joined = f"{path}/{rest}" if path else rest
    return joined if len(joined) <= LANE_LIMIT else f"{joined[:_HEAD].rpartition('/')[0]}/@{short_digest(joined)}"


def short_digest(text: str) -> str:
    """Return 15 hex digits that stand for `text`. With 16 the redactor would take them for a token."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:15]


@functools.lru_cache(maxsize=8192)
def path_segment(name: str) -> str:
    """Return the segment of a path for a function's name: the name if it may be kept, else a digest of it."""
    if name in _RESERVED:
        return f"{name}()"  # else it would be taken for a span, which is called so if it has no name
    kept = len(name) <= _NAME_LIMIT and not any(c in name for c in "/:@#= ") and safe_name(name)
    return name if kept else f"@{short_digest(name)}"


def function_name(function: Any) -> str:
    """Return the qualified name of a function or coroutine, beneath `partial` and a context's `run`.

    Never raises: an object whose attributes raise is named "?".
    """
    if type(function) is CoroutineType:
        return function.__qualname__
    try:
        while isinstance(function, functools.partial):
            partial: Any = function  # pyright: ignore[reportUnknownVariableType]
            context = getattr(partial.func, "__self__", None)
            function = partial.args[0] if isinstance(context, contextvars.Context) and partial.args else partial.func
        name = getattr(function, "__qualname__", None)
        return name if isinstance(name, str) else type(function).__qualname__
    except Exception:  # noqa: BLE001 - an object of the application's whose attributes raise
        return "?"


def fork_moment() -> Moment:
    """Return how many forks led to this process, and how many children it has forked."""
    return _now.moment


def before_fork() -> None:
    """Count the child that is about to be forked; its number tells its lanes from its siblings'."""
    generation, children = _now.moment
    _now.moment = generation, children + 1


def after_fork_in_child() -> None:
    """Move every lane to a path of its own for this child process."""
    generation, children = _now.moment
    _forks.append(children - 1)
    _now.moment = generation + 1, 0
