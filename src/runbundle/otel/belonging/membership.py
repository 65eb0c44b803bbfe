"""Finds the run of each span, and the span's place in that run.

Both are found when a span starts and kept in a table: the SDK's limits would evict an attribute set then first. The
first that applies decides: the run that the span begins; that of its context; that of its parent here; for a span from
elsewhere, the run that a token proves, or one open here in the same trace; for agent work outside, a run of its own.
"""

import weakref

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext

from runbundle.codec.coerce import hex_id
from runbundle.format.identity import tenant_of, valid_run_id
from runbundle.otel.belonging import lanes, spawning
from runbundle.otel.belonging.claims import RUN, Claims, RunScope
from runbundle.otel.belonging.joining import Sender, Trust
from runbundle.otel.belonging.lanes import Control, Lane, join_path, short_digest
from runbundle.otel.belonging.member import Member, base_lane, lane_below
from runbundle.otel.belonging.originals import Originals
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.otel.belonging.span_identity import copied_attributes, operation_and_label, span_context_of
from runbundle.otel.belonging.spawning import RunLanes
from runbundle.process import forks
from runbundle.process.mutex import Mutex
from runbundle.redaction.permitted.safe_text import safe_name
from runbundle.signals import own
from runbundle.signals.operations import Operation, is_agent_work

_EFFECTS: frozenset[Operation] = frozenset({"tool", "model", "retrieval"})
_LIVE_LIMIT = 100_000  # spans open at once in a process; an application that never ends its spans meets it


class Membership:
    """The table of live spans and their runs. Thread-safe."""

    def __init__(self, keys: tuple[bytes, ...] = (), trust: Trust = "signed") -> None:
        """`keys` check the tokens of other processes; without keys no token is believed."""
        self.claims = Claims(keys, trust)
        self._live: dict[tuple[int, int], Member] = {}
        self._traces: dict[int, list[RunScope]] = {}
        """The runs that are open here, by the trace of the span that began them."""
        self._spawner: tuple[Context, RunLanes, Member | None] | None = None
        """Where a task was created last: the context, its run, its span."""
        self._lock = Mutex()
        self.outside = OutsideCounts()
        """Counts of spans and logs outside any run, such as those of a thread without the context."""
        self.unfollowed = 0
        """Spans that were not recorded since too many were open."""
        _memberships.add(self)

    def enter(self, span: Span, parent_context: Context | None, originals: Originals | None = None) -> Member | None:
        """Find the run of a starting span and add it to the table; None if it is in no run.

        `originals` are the values that the span does not show. Above 100,000 live spans a span is counted and not
        followed.
        """
        context = otel_context.get_current() if parent_context is None else parent_context
        here, above = span_context_of(span), span.parent
        parent = self._live.get((here.trace_id, above.span_id)) if above else None
        remote = above is not None and above.is_remote
        attributes = copied_attributes(span)
        if originals is not None:
            attributes.update(originals.attributes)
        is_run, implicit, joined, claimed = attributes.get(own.OP) == "run", False, "", ""
        run_id = attributes.get(own.RUN_ID) if is_run else None
        scope = otel_context.get_value(RUN, context)
        if not isinstance(run_id, str) or not valid_run_id(run_id):
            if not isinstance(scope, RunScope):
                if parent is not None and not remote:
                    scope = parent.scope
                else:
                    scope, joined, claimed = self._arrived(context, above, parent)
        else:
            tenant_id = tenant_of(attributes.get(own.TENANT_ID))
            if not isinstance(scope, RunScope) or (scope.tenant_id, scope.run_id) != (tenant_id, run_id):
                scope = RunScope(run_id, tenant_id=tenant_id)
        if scope is None:
            if not is_agent_work(span.name, attributes):
                library = span.instrumentation_scope
                self.outside.count_span(library.name if library is not None else "")
                return None
            implicit = is_run = True
            run_id = hex_id(here.trace_id, 32)
            if above is not None:
                run_id += "-" + hex_id(here.span_id, 16)
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
                self._begin(scope, run, here.trace_id, attributes.get(own.RESUMED_FROM))
            if run.held and (loop := spawning.running_loop()) is not None:
                self._watch(run, loop)
            member = self._place(
                scope, run, span, operation_and_label(attributes), parent, is_run=is_run, joined=joined
            )
            member.implicit, member.claimed, member.begun = implicit, claimed, attributes
            member.start_ns, member.originals = span.start_time or 0, originals
            ids = (here.trace_id, here.span_id)
            member.twin = self._live.get(ids)
            self._live[ids] = member
        return member

    def member_of(self, span: trace.Span) -> Member | None:
        """Return the facts about a live span; None for a span that is in no run."""
        here = span.get_span_context()
        return self._live.get((here.trace_id, here.span_id))

    def leave(self, trace_id: int, span_id: int, start_ns: int) -> Member | None:
        """Remove an ended span from the table and return its facts; None if it was not there."""
        member = self._live.pop((trace_id, span_id), None)
        if member is not None and member.twin is not None:
            member = self._leave_twin((trace_id, span_id), start_ns, member)
        if member is not None and member.is_run and not member.inherited:
            with self._lock:
                open_here = self._traces.get(trace_id, [])
                if member.scope in open_here:
                    open_here.remove(member.scope)
                if not open_here:
                    self._traces.pop(trace_id, None)
                self._let_go(member.run)
        return member

    def _leave_twin(self, ids: tuple[int, int], start_ns: int, newest: Member) -> Member:
        """Take out the one of several spans of the same ids that started at `start_ns`; the others stay."""
        with self._lock:
            twins: list[Member] = []
            member: Member | None = newest
            while member is not None:
                twins.append(member)
                following, member.twin = member.twin, None
                member = following
            found = next((twin for twin in twins if twin.start_ns == start_ns), newest)
            for twin in reversed(twins):
                if twin is not found:
                    twin.twin = self._live.get(ids)
                    self._live[ids] = twin
        return found

    def after_fork_in_child(self) -> None:
        """Mark the parent's live spans as inherited: the child's spans stand beneath them, but the parent ends them."""
        self._lock = Mutex()
        self.claims.after_fork_in_child()
        self.outside.reset()
        for member in self._live.values():
            member.inherited = True

    # -- which run ------------------------------------------------------------------------------------------------

    def scope_of(self, context: Context | None) -> RunScope | None:
        """Return the run that a span started in this context would belong to; None if in none."""
        scope = otel_context.get_value(RUN, context)
        if isinstance(scope, RunScope):
            return scope
        here = trace.get_current_span(context).get_span_context()
        member = self._live.get((here.trace_id, here.span_id))
        return member.scope if member is not None and not here.is_remote else self._arrived(context, here, member)[0]

    def _arrived(
        self, context: Context | None, above: SpanContext | None, parent: Member | None
    ) -> tuple[RunScope | None, str, str]:
        """Return the run of what came from elsewhere, how it came to it, and what it claimed if it is in none."""
        scope, claimed = self.claims.judge(context)
        if scope is not None:
            return scope, scope.joined, ""
        if claimed or above is None or not above.is_remote:
            return None, "", claimed
        if parent is not None:
            return parent.scope, "trace", ""
        open_here = self._traces.get(above.trace_id, ())
        return (open_here[0], "trace", "") if len(open_here) == 1 else (None, "", "")

    def _run_of(self, scope: RunScope) -> RunLanes:
        return scope.lanes.get(self) or scope.lanes.setdefault(self, RunLanes())

    # -- being inside ---------------------------------------------------------------------------------------------

    def _begin(self, scope: RunScope, run: RunLanes, trace_id: int, resumed_from: object) -> None:
        # A part that goes on from a checkpoint counts afresh, beside what the part before has counted.
        scope.lane = f"resumed@{short_digest(resumed_from)}" if isinstance(resumed_from, str) else ""
        run.begins_at(scope.lane or "main")
        run.held += 1
        self._traces.setdefault(trace_id, []).append(scope)

    def hold(self, scope: RunScope) -> object:
        """Note that the current task or thread works for a run begun elsewhere.

        Pass the result to `release` when it does so no longer.
        """
        run = self._run_of(scope)
        with self._lock:
            if scope.control:
                run.begins_at(scope.control)
            run.held += 1
            loop = spawning.running_loop()
            if loop is not None:
                self._watch(run, loop)
        return run

    def release(self, held: object) -> None:
        """Note that the holder that `hold` returned works for its run no longer."""
        if isinstance(held, RunLanes):
            with self._lock:
                self._let_go(held)

    def _let_go(self, run: RunLanes) -> None:
        run.held -= 1
        if run.held <= 0:
            self._spawner = None
            for factory in run.factories:
                spawning.unwatch_tasks(run, factory)
            run.factories.clear()

    def _watch(self, run: RunLanes, loop: spawning.Loop) -> None:
        if run.origin is not None:
            factory = spawning.watch_tasks(loop, run, run.origin, self.spawned)
            if factory is not None:
                run.factories.append(factory)

    def spawned(self, name: str) -> Control | None:
        """Return the lane of a task or thread that is being created now; None if it cannot be known."""
        context = otel_context.get_current()
        known = self._spawner
        if known is not None and known[0] is context:  # the same for all branches of a fan-out
            control = known[1].control()
            return control.spawn(name, known[2]) if control is not None else None
        here = trace.get_current_span(context).get_span_context()
        under = self._live.get((here.trace_id, here.span_id))
        scope = self.scope_of(context)
        run = scope.lanes.get(self) if scope is not None else None
        control = run.control() if run is not None else None
        if control is None:
            return None
        if under is None and control.under is not None and control.under.span_id == here.span_id:
            under = control.under
        if run is not None and run.held:
            self._spawner = context, run, under
        return control.spawn(name, under)

    def sender(self, context: Context | None = None) -> Sender | None:
        """Return the token content for a process that is to work for the current run; None outside a run."""
        scope = self.scope_of(context)
        if scope is None:
            return None
        run = self._run_of(scope)
        control = run.control()
        here = trace.get_current_span(context).get_span_context()
        member = self._live.get((here.trace_id, here.span_id))
        with self._lock:
            if member is not None and member.run is run:
                lane = lane_below(member, control)
            else:
                lane = run.place(base_lane(scope, run, here.trace_id, None, control))
            path = lane.next_path("remote")
            way = control.next_path("remote") if control is not None else ""
        # A path of names that may be kept may still not be one, by what one ends with and the next begins with.
        path, way = (p if not p or safe_name(p) else f"@{short_digest(p)}" for p in (path, way))
        return Sender(scope.tenant_id, scope.run_id, path, way)

    # -- where in it ----------------------------------------------------------------------------------------------

    @staticmethod
    def _place(
        scope: RunScope,
        run: RunLanes,
        span: Span,
        named: tuple[Operation, str],
        parent: Member | None,
        *,
        is_run: bool,
        joined: str,
    ) -> Member:
        op, label = named
        control, here, above = run.control(), span_context_of(span), span.parent
        if is_run or (joined and scope.lane):
            parent = None
        before: Member | None = control.under if control is not None else None
        if parent is not None:
            lane = lane_below(parent, control)
        elif is_run:
            lane = run.place(scope.lane)
        elif before is not None and before.run is run and above is not None and before.span_id == above.span_id:
            lane = lane_below(before, control)  # it has ended, but was live when this task was created
        else:
            lane = run.place(base_lane(scope, run, here.trace_id, above, control))
        root = None
        if parent is not None and not parent.inherited:
            # Without a root it is a local root of a forked process, which counts what it starts by itself.
            root = parent.root or parent
            root.started += 1
        path = lane.path  # first: in a forked process it starts the counts afresh
        ordinal = lane.next_ordinal()
        inside = Lane(join_path(path, label) if is_run and ordinal == 0 else lane.next_path(label))
        member = Member(scope, run, path, ordinal, label, is_run, here.span_id, inside, control, root=root)
        member.joined = joined
        if control is not None and op in _EFFECTS and control.path:
            member.effect = control.next_ordinal()
        return member


_memberships: "weakref.WeakSet[Membership]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    lanes.after_fork_in_child()
    for membership in list(_memberships):
        membership.after_fork_in_child()


forks.before(forks.Stage.BELONGING, lanes.before_fork)
forks.in_child(forks.Stage.BELONGING, _after_fork_in_child)
