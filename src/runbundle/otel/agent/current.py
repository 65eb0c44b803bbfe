"""Which context is the current one: entered and left so that no ended span stays current anywhere.

OpenTelemetry's `detach` logs an error, and leaves everything as it was, where a context is left in another task or
thread than it was entered in. That is what happens to a `with` block in an async generator that another task closes,
or the event loop finalises. What was entered is then still current where the generator was last asked for an item,
out of reach; so the context itself is made to say what the one around it says.
"""

import weakref
from contextvars import Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

_MARK = otel_context.create_key("runbundle-mark")


class ScopeMark:
    """Where a scope's context stands among those of other scopes."""

    __slots__ = ("heirs", "outer", "within")

    def __init__(self, outer: "ScopeMark | None") -> None:
        self.outer = outer
        self.within = True
        """Whether the scope has not been left."""
        self.heirs: tuple[weakref.ref[Context], ...] = ()
        """Contexts of scopes within this one that were left elsewhere, and say now what this one says."""


def context_with_span(span: Span, outer: Context) -> tuple[Context, ScopeMark]:
    """Return `outer` with the span as the current one, and the mark by which that context is known."""
    above = outer.get(_MARK)
    mark = ScopeMark(above if isinstance(above, ScopeMark) else None)
    context = trace.set_span_in_context(span, outer)
    super(Context, context).__setitem__(_MARK, mark)  # its own refuses; nobody else has seen it yet
    return context, mark


def detach(token: Token[Context]) -> bool:
    """Undo an attach; False, and nothing said, if it was done in another task or thread, or undone before."""
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):
        return False
    except AttributeError:  # a runtime context of another kind than the SDK's
        otel_context.detach(token)
    return True


def leave_scope(token: Token[Context], context: Context, mark: ScopeMark, outer: Context) -> None:
    """Leave what `place` returned and was attached; afterwards it is current nowhere.

    In the task that entered it, what was current before is current again. Where it was left elsewhere, or out of
    order, the context becomes like `outer` for whoever still has it; so do contexts of scopes within it that were.
    """
    mark.within = False
    current = otel_context.get_current()
    if current is context:
        if detach(token):
            return
    else:
        between = _between(current.get(_MARK), mark)
        # What was current before may itself have been left since: nobody is to come back to that.
        stale = between is None and mark.outer is not None and not mark.outer.within
        if not stale and detach(token) and not any(inner.within for inner in between or ()):
            return
    _lapse(context, mark, outer)


def _between(inner: Any, mark: ScopeMark) -> list[ScopeMark] | None:
    """Return the marks from `inner` up to `mark`; None if it is not above."""
    found: list[ScopeMark] = []
    while isinstance(inner, ScopeMark):
        if inner is mark:
            return found
        found.append(inner)
        inner = inner.outer
    return None


def _lapse(context: Context, mark: ScopeMark, outer: Context) -> None:
    lapsed = [context, *(known for heir in mark.heirs if (known := heir()) is not None)]
    mark.heirs = ()
    for known in lapsed:
        # Added to before it is taken from: another thread may read it at any moment, and must find some run.
        super(Context, known).update(outer)
        for key in known.keys() - outer.keys():
            super(Context, known).pop(key, None)
    if mark.outer is not None and mark.outer.within:
        alive = [heir for heir in mark.outer.heirs if heir() is not None]
        mark.outer.heirs = (*alive, *map(weakref.ref, lapsed))
