"""Which run a span belongs to, and where in the run it stands.

The answer is found when a span starts and kept in a table here: with the SDK's limit of 128 attributes, one set at
the start is the first to be evicted. Order: the run the span itself begins, the run in its context, that of a parent
in this process; for a span that came from elsewhere, the run that a token in the baggage proves, or one that is open
here in the same trace; and last, for agent work outside any run, a run of its own.
"""

import os
import weakref
from dataclasses import dataclass, field
from typing import NamedTuple

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext

from runbundle.bundle.mutex import Mutex
from runbundle.codec.dialects import Operation, is_agent_work, operation
from runbundle.models.identity import valid_run_id
from runbundle.otel import active, spawning
from runbundle.otel.joining import ENTRY, Sender, Trust, claimed_run, sender_of, token_of
from runbundle.otel.spans import identity
from runbundle.otel.spawning import Control, Lane, Origin, below, short_digest
from runbundle.redaction.floor import safe_name

RUN_ID_KEY = "runbundle.run.id"
"""Attribute key. As a baggage entry it is a claim that nothing proves."""

_RUN = otel_context.create_key("runbundle-run")
_EFFECTS: frozenset[Operation] = frozenset({"tool", "model", "retrieval"})
_LIVE_LIMIT = 100_000  # spans open at once in a process; an application that never ends its spans meets it
_TOKENS, _PLACES = 2048, 4096  # remembered, of those that came from elsewhere


@dataclass(eq=False)
class RunScope:
    """A run as this process sees it."""

    run_id: str
    root: Span | None = None
    versions: str = ""
    tenant_id: str = ""
    joined: str = ""
    """How work from elsewhere came to it: `signed`, `any`; "" for a run begun in this process."""
    lane: str = ""
    """Where that work stands, as the sender said; "" if it did not."""
    control: str = ""
    """Which lane of spawned work that work is; "" if nobody knows."""


@dataclass(eq=False, slots=True)
class _Run:
    """What is counted of a run in this process. It does not know its scope, with which it ends."""

    places: dict[str, Lane] = field(default_factory=dict[str, Lane])
    """The lanes of spans without a live parent."""
    origin: Origin | None = None
    """None where nobody knows which of the process's threads and tasks the run's own is."""
    factories: list[spawning.TaskFactory] = field(default_factory=list[spawning.TaskFactory])
    held: int = 0
    """How many are inside it that may create tasks: the span that began it, those who continue it."""
    forks: int = field(default_factory=spawning.forks)

    def place(self, path: str) -> Lane:
        """Return the lane of that path."""
        lane = self.places.get(path)
        if lane is None:
            if len(self.places) >= _PLACES:
                self.places.clear()
            lane = self.places[path] = Lane(path, self.forks)
        return lane

    def begins_at(self, control: str) -> None:
        """Say that the current task or thread is the run's own, unless another is."""
        if self.origin is None:
            self.origin = Origin(Control(control, self, forked=self.forks))
        self.origin.settle()

    def control(self) -> Control | None:
        """Return the lane of the current task or thread in the run; None if nobody can know."""
        return self.origin.current() if self.origin is not None else None


@dataclass(eq=False)
class Member:
    """What is known of a live span."""

    scope: RunScope
    run: _Run
    lane: str
    """The path of named scopes above this span."""
    ordinal: int
    """Its place among the spans of that lane."""
    label: str
    """What it is, and its name if that is one that may be kept: `tool:find_order`."""
    is_run: bool
    span_id: int
    inside: Lane
    """The lane of its children."""
    control: Control | None = None
    """The task or thread it started in; None if nobody knows."""
    effect: int = -1
    """For a tool, model or retrieval whose `control` is known: its place among those there."""
    joined: str = ""
    """How it came to its run from another process: `signed`, `any`, `trace`."""
    claimed: str = ""
    """Of a run of its own: the run whose part it claimed to be, without proof."""
    root: "Member | None" = None
    """The local root above it; None for a local root."""
    implicit: bool = False
    inherited: bool = False
    """Begun by the process that this one was forked from."""
    started: int = 1
    unfollowed: int = 0
    """Spans beneath a local root that were not recorded, since too many were open."""
    elsewhere: dict[str, Lane] | None = None
    """The lanes of children in other tasks and threads, by what leads there."""

    @property
    def run_id(self) -> str:
        """The run."""
        return self.scope.run_id

    def effect_key(self) -> str | None:
        """Return the key of an effect: the same for the same agent, whatever the weather; None if it is not known."""
        control = self.control
        if control is None or self.effect < 0 or control.entered > 1:
            return None
        return f"{control.path}:{self.effect}"


class Incoming(NamedTuple):
    """What the baggage of a context says."""

    scope: RunScope | None = None
    """The run, if it is believed."""
    claimed: str = ""
    """The run that was named, if it is not."""


_NOTHING = Incoming()


class Membership:
    """The table of live spans. Thread-safe."""

    def __init__(self, key: bytes = b"", trust: Trust = "signed") -> None:
        """`key`: of the tokens in which processes tell each other of runs; with none, no token is believed."""
        self.key = key
        self.trust: Trust = trust
        self._live: dict[tuple[int, int], Member] = {}
        self._runs: weakref.WeakKeyDictionary[RunScope, _Run] = weakref.WeakKeyDictionary()
        self._traces: dict[int, list[RunScope]] = {}
        """The runs that are open here, by the trace of the span that began them."""
        self._incoming: dict[str, Incoming] = {}
        self._incoming_before: dict[str, Incoming] = {}
        self._lock = Mutex()
        self.outside = 0
        """Spans that began outside any run, such as those of a thread that was not given the context."""
        self.unfollowed = 0
        """Spans that were not recorded since too many were open."""
        _memberships.add(self)

    def enter(self, span: Span, parent_context: Context | None) -> Member | None:
        """Find the run of a starting span; None if it is in none."""
        context = otel_context.get_current() if parent_context is None else parent_context
        own, above = identity(span), span.parent
        parent = self._live.get((own.trace_id, above.span_id)) if above else None
        remote = above is not None and above.is_remote
        attributes = span.attributes or {}
        is_run, implicit, joined, claimed = attributes.get("runbundle.op") == "run", False, "", ""
        run_id = attributes.get(RUN_ID_KEY) if is_run else None
        scope = otel_context.get_value(_RUN, context)
        if not isinstance(run_id, str) or not valid_run_id(run_id):
            if not isinstance(scope, RunScope):
                if parent is not None and not remote:
                    scope = parent.scope
                else:
                    scope, claimed = self.incoming(context)
                    joined = scope.joined if scope is not None and remote else ""
                    if scope is None and not claimed and remote:
                        scope = parent.scope if parent is not None else self._open_in(own.trace_id)
                        joined = "trace" if scope is not None else ""
        elif not isinstance(scope, RunScope) or scope.run_id != run_id:
            scope = RunScope(run_id)
        if scope is None:
            if not is_agent_work(span.name, attributes):
                self.outside += 1
                return None
            implicit = is_run = True
            run_id = format(own.trace_id, "032x")
            if above is not None:
                run_id += "-" + format(own.span_id, "016x")
            scope = RunScope(run_id)
        if parent is not None and parent.scope is not scope:
            parent = None
        run = parent.run if parent is not None else self._run_of(scope)
        with self._lock:
            if len(self._live) >= _LIVE_LIMIT:
                self.unfollowed += 1
                if parent is not None:
                    (parent.root or parent).started += 1
                    (parent.root or parent).unfollowed += 1
                return None
            if is_run:
                self._begin(scope, run, own.trace_id, attributes.get("runbundle.resumed.from"))
            if run.held and (loop := spawning.running_loop()) is not None:
                self._watch(run, loop)
            member = self._place(scope, run, span, parent, is_run=is_run, joined=joined)
            member.implicit, member.claimed = implicit, claimed
            self._live[own.trace_id, own.span_id] = member
        return member

    def leave(self, trace_id: int, span_id: int) -> Member | None:
        """Take an ended span out of the table."""
        member = self._live.pop((trace_id, span_id), None)
        if member is not None and member.is_run and not member.inherited:
            with self._lock:
                open_here = self._traces.get(trace_id, [])
                if member.scope in open_here:
                    open_here.remove(member.scope)
                if not open_here:
                    self._traces.pop(trace_id, None)
                self._let_go(member.run)
        return member

    def after_fork_in_child(self) -> None:
        """Keep the parent's live spans, to know where in the run the child's stand, but not to end them here."""
        self._lock = Mutex()
        for member in self._live.values():
            member.inherited = True

    # -- which run ------------------------------------------------------------------------------------------------

    def scope_of(self, context: Context | None) -> RunScope | None:
        """Return the run of what happens in a context, as a span that started there would be in it."""
        scope = otel_context.get_value(_RUN, context)
        if isinstance(scope, RunScope):
            return scope
        member = self.member_in(context)
        return member.scope if member is not None else self.incoming(context).scope

    def member_in(self, context: Context | None = None) -> Member | None:
        """Return what is known of a context's span, if it is live and in a run."""
        own = trace.get_current_span(context).get_span_context()
        return self._live.get((own.trace_id, own.span_id))

    def incoming(self, context: Context | None) -> Incoming:
        """Return which run the baggage of a context names, and whether that is believed."""
        entries = baggage.get_all(context)
        if not entries or self.trust == "never":
            return _NOTHING
        token = entries.get(ENTRY)
        if isinstance(token, str):
            return self._from_token(token)
        plain = entries.get(RUN_ID_KEY)
        if not isinstance(plain, str):
            return _NOTHING
        if self.trust == "any" and valid_run_id(plain):
            key = f"={plain}"  # which no token is
            return self._remembered(key) or self._remember(key, Incoming(RunScope(plain, joined="any")))
        return Incoming(None, plain)

    def _from_token(self, token: str) -> Incoming:
        known = self._remembered(token)
        if known is None:
            sender = sender_of(self.key, token) if self.key else None
            if sender is None:
                return Incoming(None, claimed_run(token))  # not remembered: whoever sends many must not push out others
            tenant_id, run_id, lane, control = sender
            scope = RunScope(run_id, tenant_id=tenant_id, joined="signed", lane=lane, control=control)
            known = self._remember(token, Incoming(scope))
        return known

    def _remembered(self, text: str) -> Incoming | None:
        known = self._incoming.get(text)
        if known is None:
            known = self._incoming_before.get(text)
            if known is not None:
                self._remember(text, known)
        return known

    def _remember(self, text: str, known: Incoming) -> Incoming:
        with self._lock:
            if len(self._incoming) >= _TOKENS:
                self._incoming_before, self._incoming = self._incoming, {}
            return self._incoming.setdefault(text, known)

    def _open_in(self, trace_id: int) -> RunScope | None:
        """Return the run that is open here in a trace; None if there is not exactly one."""
        scopes = self._traces.get(trace_id, ())
        return scopes[0] if len(scopes) == 1 else None

    def _run_of(self, scope: RunScope) -> _Run:
        run = self._runs.get(scope)
        if run is None:
            with self._lock:
                run = self._runs.setdefault(scope, _Run())
        return run

    # -- being inside ---------------------------------------------------------------------------------------------

    def _begin(self, scope: RunScope, run: _Run, trace_id: int, resumed_from: object) -> None:
        # A part that goes on from a checkpoint counts afresh, beside what the part before has counted.
        scope.lane = f"resumed@{short_digest(resumed_from)}" if isinstance(resumed_from, str) else ""
        run.begins_at(scope.lane or "main")
        run.held += 1
        self._traces.setdefault(trace_id, []).append(scope)

    def hold(self, scope: RunScope) -> object:
        """Say that the current task or thread works for a run begun elsewhere, until `let_go` is given the result."""
        run = self._run_of(scope)
        with self._lock:
            if scope.control:
                run.begins_at(scope.control)
            run.held += 1
            loop = spawning.running_loop()
            if loop is not None:
                self._watch(run, loop)
        return run

    def let_go(self, held: object) -> None:
        """Say that it does not any more."""
        if isinstance(held, _Run):
            with self._lock:
                self._let_go(held)

    @staticmethod
    def _let_go(run: _Run) -> None:
        run.held -= 1
        if run.held <= 0:
            for factory in run.factories:
                spawning.unwatch(run, factory)
            run.factories.clear()

    def _watch(self, run: _Run, loop: spawning.Loop) -> None:
        if run.origin is not None:
            factory = spawning.watch(loop, run, run.origin, self.spawned)
            if factory is not None:
                run.factories.append(factory)

    def spawned(self, name: str) -> Control | None:
        """Return the lane of a task or thread that is being created now; None if nobody can know which it is."""
        context = otel_context.get_current()
        scope = self.scope_of(context)
        run = self._runs.get(scope) if scope is not None else None
        control = run.control() if run is not None else None
        if control is None:
            return None
        under = self.member_in(context)
        if under is None and control.under is not None:
            span_id = trace.get_current_span(context).get_span_context().span_id
            under = control.under if control.under.span_id == span_id else None
        return control.spawn(name, under)

    def sender(self, context: Context | None = None) -> Sender | None:
        """Return what to tell a process that is to work for the current run; None outside a run."""
        scope, member = self.scope_of(context), self.member_in(context)
        if scope is None:
            return None
        run = self._run_of(scope)
        control = run.control()
        with self._lock:
            if member is not None and member.run is run:
                lane = _lane_below(member, control)
            else:
                own = trace.get_current_span(context).get_span_context()
                lane = run.place(_base(scope, run, own.trace_id, None, control))
            path = lane.next("remote")
            way = control.next("remote") if control is not None else ""
        # A path of names that may be kept may still not be one, by what one ends with and the next begins with.
        path, way = (p if not p or safe_name(p) else f"@{short_digest(p)}" for p in (path, way))
        return Sender(scope.tenant_id, scope.run_id, path, way)

    # -- where in it ----------------------------------------------------------------------------------------------

    @staticmethod
    def _place(scope: RunScope, run: _Run, span: Span, parent: Member | None, *, is_run: bool, joined: str) -> Member:
        op, label = _named(span)
        control, own, above = run.control(), identity(span), span.parent
        if is_run or (joined and scope.lane):
            parent = None
        before: Member | None = control.under if control is not None else None
        if parent is not None:
            lane = _lane_below(parent, control)
        elif is_run:
            lane = run.place(scope.lane)
        elif before is not None and above is not None and before.span_id == above.span_id:
            lane = _lane_below(before, control)  # it has ended, but was live when this task was created
        else:
            lane = run.place(_base(scope, run, own.trace_id, above, control))
        root = None
        if parent is not None and not parent.inherited:
            # Without a root it is a local root of a forked process, which counts what it starts by itself.
            root = parent.root or parent
            root.started += 1
        path = lane.path  # first: in a forked process it starts the counts afresh
        ordinal = lane.ordinal()
        inside = Lane(below(path, label) if is_run and ordinal == 0 else lane.next(label))
        member = Member(scope, run, path, ordinal, label, is_run, own.span_id, inside, control, root=root)
        member.joined = joined
        if control is not None and op in _EFFECTS and control.path:
            member.effect = control.ordinal()
        return member


def _lane_below(member: Member, control: Control | None) -> Lane:
    """Return the lane of what starts beneath a span: one of its own for each task or thread but the span's."""
    if control is None or member.control is None or control is member.control:
        return member.inside
    way = control.seen_from(member.control)
    if member.elsewhere is None:
        member.elsewhere = {}
    lane = member.elsewhere.get(way)
    if lane is None:
        lane = member.elsewhere[way] = Lane(below(member.inside.path, way))
    return lane


def _base(scope: RunScope, run: _Run, trace_id: int, above: SpanContext | None, control: Control | None) -> str:
    """Return the lane of a span that has no live parent here."""
    base = scope.lane
    if (scope.joined or (above is not None and above.is_remote)) and not (scope.joined and base):
        # Nobody has said where the sender stands; the sender's span says at least which one it is.
        base = below(base, f"remote@{short_digest(f'{trace_id}/{above.span_id if above is not None else 0}')}")
    if control is not None and run.origin is not None and control is not run.origin.control:
        base = below(base, control.seen_from(run.origin.control))
    return base


def with_scope(scope: RunScope, context: Context) -> Context:
    """Return `context` inside the run: for this process as a value, for others as a token in the baggage."""
    context = otel_context.set_value(_RUN, scope, context)
    handle = active.get()
    if handle is not None:
        token = token_of(handle.boundary.membership.key, Sender(scope.tenant_id, scope.run_id))
        context = baggage.set_baggage(ENTRY, token, context)
    # What came with a request must not be handed on as if this run were a part of it.
    for stale in (RUN_ID_KEY,) if handle is not None else (RUN_ID_KEY, ENTRY):
        if baggage.get_baggage(stale, context) is not None:
            context = baggage.remove_baggage(stale, context)
    return context


def current_scope(context: Context | None = None) -> RunScope | None:
    """Return the run of a context, the current one by default: begun in this process, or proven by a token."""
    scope = otel_context.get_value(_RUN, context)
    if isinstance(scope, RunScope):
        return scope
    handle = active.get()
    return handle.boundary.membership.incoming(context).scope if handle is not None else None


def _named(span: Span) -> tuple[Operation, str]:
    attributes = span.attributes or {}
    op = operation(attributes)
    for key in ("runbundle.name", "gen_ai.tool.name", "gen_ai.agent.name"):
        name = attributes.get(key)
        if isinstance(name, str) and len(name) <= 64 and "/" not in name and safe_name(name):
            return op, f"{op}:{name}"
    return op, op


_memberships: "weakref.WeakSet[Membership]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    spawning.after_fork_in_child()
    for membership in list(_memberships):
        membership.after_fork_in_child()


os.register_at_fork(before=spawning.before_fork, after_in_child=_after_fork_in_child)
