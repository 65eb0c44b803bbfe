"""Fork hooks: the one place that says what happens around a fork, and in which order.

A forked child has the parent's memory and one thread. A lock that another thread held stays locked for ever, threads
that did work are gone, and open files are shared with the parent. So each module that keeps such a thing registers a
function here, when it is imported, under the stage it belongs to.

`os.register_at_fork` would call the functions in the order in which modules were imported, which depends on what an
application imports first. Here the stage decides, and the interpreter is told of one function for each moment.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable
from enum import IntEnum
from typing import NamedTuple

_log = logging.getLogger("runbundle")

Hook = Callable[[], object]


class Stage(IntEnum):
    """When a hook runs. In the child and in the parent the stages run as they stand here, before a fork from the last.

    The rule: a stage may use what earlier stages have begun anew, and never what later ones will. Hooks of one stage
    know nothing of each other.
    """

    RANDOM = 1
    """Random bits that were drawn ahead. First: whoever begins anew may draw a name or an id."""
    LEAVES = 2
    """Locks and tables that call nobody: detectors, known secrets, taint. Everything that redacts takes these."""
    POLICIES = 3
    """Declared contracts and the composition root: they hold redactors, which take the leaves."""
    INHERITED = 4
    """Descriptors with the parent's locks on them are closed before anything below opens a file of the child's own."""
    BELONGING = 5
    """Lanes and live spans. Before recorders: a record says where in a run it stands.

    Before a fork the child is counted here, after the waits of `DATABASES`: nothing comes between count and fork.
    """
    RECORDING = 6
    """Recorders with their sealers and losses, and the vault: new writers, new keys, no threads yet."""
    SINKS = 7
    """What hands spans to recorders or to other exporters: bundle sinks, forwarders."""
    DATABASES = 8
    """Files of run state. Last, and so the first before a fork: they wait for transactions of other threads, while
    nothing of the other stages is held; and let go again when all else is ready.
    """


class _Hooks(NamedTuple):
    """Hooks that belong together: known all at once, since another thread may fork at any moment."""

    stage: Stage
    before: Hook | None = None
    in_parent: Hook | None = None
    in_child: Hook | None = None


_hooks: list[_Hooks] = []
_forking = threading.local()
"""The hooks that were there when this thread began to fork: what ran before has its other half run after."""
_known = False


def before(stage: Stage, hook: Hook) -> None:
    """Have a function called before each fork, in the thread that forks. Stages run from the last to the first."""
    around(stage, before=hook)


def in_child(stage: Stage, hook: Hook) -> None:
    """Have a function called in each forked child. It must not wait for a thread: there is none but its own."""
    around(stage, in_child=hook)


def around(
    stage: Stage, *, before: Hook | None = None, in_parent: Hook | None = None, in_child: Hook | None = None
) -> None:
    """Have functions called around each fork: before it, and after it in the process that forked and in the child.

    `in_parent` is called also if the fork failed. Those after a fork are called only if those before it were known.
    """
    _hooks.append(_Hooks(stage, before, in_parent, in_child))
    _tell_interpreter()


def _tell_interpreter() -> None:
    global _known
    if not _known and hasattr(os, "register_at_fork"):  # elsewhere nothing forks
        _known = True
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


@contextlib.contextmanager
def loading() -> Generator[None]:
    """Return a context in which a thread of ours imports modules: a fork waits for its end.

    In a child the module that another thread was importing would be half there, and locked for ever: whoever imports it
    then hangs. A fork waits two seconds at most, since the thread that forks may be importing what the other waits for.
    """
    _tell_interpreter()
    with _loading:
        yield


_loading = threading.RLock()
_LOADED_WITHIN_S = 2.0


def _before() -> None:
    _forking.waited = _loading.acquire(timeout=_LOADED_WITHIN_S)
    _forking.hooks = sorted(_hooks, key=_stage)
    _run((hooks.stage, hooks.before) for hooks in reversed(_forking.hooks))


def _in_parent() -> None:
    _run((hooks.stage, hooks.in_parent) for hooks in getattr(_forking, "hooks", ()))
    if getattr(_forking, "waited", False):
        _loading.release()


def _in_child() -> None:
    global _loading
    _loading = threading.RLock()
    _run((hooks.stage, hooks.in_child) for hooks in getattr(_forking, "hooks", ()))


def _stage(hooks: _Hooks) -> Stage:
    return hooks.stage


def _run(entries: Iterable[tuple[Stage, Hook | None]]) -> None:
    for stage, hook in entries:
        if hook is None:
            continue
        try:
            hook()
        except BaseException as error:  # noqa: BLE001 - as the interpreter does: a lock left undone would hang the child
            name = getattr(hook, "__qualname__", type(hook).__name__)
            _log.error("fork: %s (%s) failed: %s", name, stage.name, type(error).__name__)
