"""Which run a span belongs to, and where in the run it stands.

The answer is found when a span starts and kept in a table here: with the SDK's limit of 128 attributes, one set at
the start is the first to be evicted. Order: the run the span itself begins, the run in its context, the baggage entry
that came with a request, its parent's run, and last, for agent work outside any run, a run of its own.
"""

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from runbundle.bundle.mutex import Mutex
from runbundle.codec.dialects import is_agent_work, operation
from runbundle.models.identity import valid_run_id
from runbundle.otel.outside import Outside
from runbundle.otel.spans import identity
from runbundle.redaction.floor import safe_name

RUN_ID_KEY = "runbundle.run.id"
"""Attribute and baggage key. The baggage entry holds the run id and nothing else."""

_RUN = otel_context.create_key("runbundle-run")
_LANE_LIMIT = 200
_LIVE_LIMIT = 100_000  # spans open at once in a process; an application that never ends its spans meets it


@dataclass(eq=False)
class RunScope:
    """A run as the process that began it sees it."""

    run_id: str
    root: Span | None = None
    versions: str = ""


@dataclass(eq=False)
class Member:
    """What is known of a live span."""

    run_id: str
    lane: str
    """The path of named scopes above this span."""
    ordinal: int
    """Its place among the spans of that lane."""
    path: str
    """The lane of its children."""
    label: str
    """What it is, and its name if that is one that may be kept: `tool:find_order`."""
    is_run: bool
    root: "Member | None" = None
    """The local root above it; None for a local root."""
    implicit: bool = False
    inherited: bool = False
    """Begun by the process that this one was forked from."""
    started: int = 1
    unfollowed: int = 0
    """Spans beneath a local root that were not recorded, since too many were open."""
    children: int = 0
    labels: dict[str, int] = field(default_factory=dict[str, int])
    begun: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The attributes it began with: those that limits evict later say what it is."""


class Membership:
    """The table of live spans. Thread-safe."""

    def __init__(self) -> None:
        self._live: dict[tuple[int, int], Member] = {}
        self._lock = Mutex()
        self._forks = 0
        self.outside = Outside()
        """Spans that began outside any run, such as those of a thread that was not given the context; and logs."""
        self.unfollowed = 0
        """Spans that were not recorded since too many were open."""
        _memberships.add(self)

    def enter(self, span: Span, parent_context: Context | None) -> Member | None:
        """Find the run of a starting span; None if it is in none."""
        context = otel_context.get_current() if parent_context is None else parent_context
        own = identity(span)
        parent = self._live.get((own.trace_id, span.parent.span_id)) if span.parent else None
        attributes = _attributes_of(span)
        is_run, implicit = attributes.get("runbundle.op") == "run", False
        run_id = attributes.get(RUN_ID_KEY) if is_run else None
        if not isinstance(run_id, str) or not valid_run_id(run_id):
            scope = current_scope(context)
            run_id = scope.run_id if scope else parent.run_id if parent else None
        if run_id is None:
            if not is_agent_work(span.name, attributes):
                library = span.instrumentation_scope
                self.outside.span(library.name if library is not None else "")
                return None
            implicit = is_run = True
            run_id = format(own.trace_id, "032x")
            if span.parent is not None:
                run_id += "-" + format(own.span_id, "016x")
        with self._lock:
            if len(self._live) >= _LIVE_LIMIT:
                self.unfollowed += 1
                if parent is not None:
                    (parent.root or parent).started += 1
                    (parent.root or parent).unfollowed += 1
                return None
            member = self._place(run_id, _label(attributes), parent, is_run=is_run)
            member.implicit = implicit
            member.begun = attributes
            self._live[own.trace_id, own.span_id] = member
        return member

    def leave(self, trace_id: int, span_id: int) -> Member | None:
        """Take an ended span out of the table."""
        return self._live.pop((trace_id, span_id), None)

    def before_fork(self) -> None:
        """Count the child that is to be: its number tells its lane from those of its siblings."""
        self._forks += 1

    def after_fork_in_child(self) -> None:
        """Keep the parent's live spans, to know where in the run the child's stand, but not to end them here."""
        self._lock = Mutex()
        self.outside.reset()
        for member in self._live.values():
            member.inherited = True
            member.path += f"/fork#{self._forks - 1}"
            member.labels, member.children = {}, 0
        self._forks = 0

    @staticmethod
    def _place(run_id: str, label: str, parent: Member | None, *, is_run: bool) -> Member:
        if parent is None or is_run or parent.run_id != run_id:
            return Member(run_id, "", 0, label, label, is_run)
        root = None if parent.inherited else parent.root or parent
        if root is not None:
            root.started += 1
        ordinal = parent.children
        parent.children += 1
        repeat = parent.labels.get(label, 0)
        parent.labels[label] = repeat + 1
        path = f"{parent.path}/{label}#{repeat}"
        # Without a root it is a local root of a forked process, which counts what it starts by itself.
        path = path if len(path) <= _LANE_LIMIT else parent.path
        return Member(run_id, parent.path, ordinal, path, label, False, root)


def with_scope(scope: RunScope, context: Context) -> Context:
    """Return `context` inside the run: for this process as a value, for others as a baggage entry."""
    return otel_context.set_value(_RUN, scope, baggage.set_baggage(RUN_ID_KEY, scope.run_id, context))


def current_scope(context: Context | None = None) -> RunScope | None:
    """Return the run of a context, the current one by default: begun in this process, or named by baggage."""
    value = otel_context.get_value(_RUN, context)
    if isinstance(value, RunScope):
        return value
    run_id = _from_baggage(context)
    return RunScope(run_id) if run_id is not None else None


def _from_baggage(context: Context | None) -> str | None:
    value = baggage.get_baggage(RUN_ID_KEY, context)
    return value if isinstance(value, str) and valid_run_id(value) else None


def _attributes_of(span: Span) -> dict[str, Any]:
    """Return a copy of a starting span's attributes: each look into its own takes as long as the copy."""
    attributes: Any = span.attributes
    return attributes.copy() if attributes else {}


def _label(attributes: Mapping[str, Any]) -> str:
    op = operation(attributes)
    for key in ("runbundle.name", "gen_ai.tool.name", "gen_ai.agent.name"):
        name = attributes.get(key)
        if isinstance(name, str) and len(name) <= 64 and "/" not in name and safe_name(name):
            return f"{op}:{name}"
    return op


_memberships: "weakref.WeakSet[Membership]" = weakref.WeakSet()


def _before_fork() -> None:
    for membership in list(_memberships):
        membership.before_fork()


def _after_fork_in_child() -> None:
    for membership in list(_memberships):
        membership.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
