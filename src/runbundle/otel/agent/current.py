"""Enters and leaves the contexts of spans, so that no ended span stays the current one anywhere.

OpenTelemetry's `detach` logs an error and changes nothing where a context is left in another task or thread than it was
entered in. A `with` block in an async generator that another task closes does that. The context that was entered is
then still current where the generator was last asked for an item, out of reach; so its content is replaced by that of
the context around it.
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
    """The place of a scope's context among the contexts of the scopes around it."""

    __slots__ = ("heirs", "outer", "within")

    def __init__(self, outer: "ScopeMark | None") -> None:
        self.outer = outer
        self.within = True
        """Whether the scope has not been left."""
        self.heirs: tuple[weakref.ref[Context], ...] = ()
        """Contexts of inner scopes that were left elsewhere, and whose content is now that of this one."""


def context_with_span(span: Span, outer: Context) -> tuple[Context, ScopeMark]:
    """Return a copy of `outer` in which `span` is current, and the mark that identifies that context."""
    context = trace.set_span_in_context(span, outer)
    return context, marked(context, outer)


def marked(context: Context, outer: Context) -> ScopeMark:
    """Mark a context that nobody else has seen yet, and that is to be entered where `outer` is; return the mark."""
    above = outer.get(_MARK)
    mark = ScopeMark(above if isinstance(above, ScopeMark) else None)
    super(Context, context).__setitem__(_MARK, mark)  # its own refuses
    return mark


def detach(token: Token[Context]) -> bool:
    """Undo an attach. Returns False, silently, if it was made in another task or thread, or undone before."""
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):
        return False
    except AttributeError:  # a runtime context of another kind than the SDK's
        otel_context.detach(token)
    return True


def leave_scope(token: Token[Context], context: Context, mark: ScopeMark, outer: Context) -> None:
    """Leave a context that was marked and attached; afterwards it is current nowhere.

    In the task that entered it, the context before it is current again. Where it is left elsewhere or out of order, its
    content becomes that of `outer` for everyone who still holds it; so does the content of inner scopes' contexts that
    were left that way.
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
