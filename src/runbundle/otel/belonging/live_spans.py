"""The table of live spans of known runs, and what happens as runs begin, are worked for, and end in this process."""

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.otel.belonging import spawning
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.lanes import Control, short_digest
from runbundle.otel.belonging.member import Member
from runbundle.otel.belonging.open_runs import OpenRuns
from runbundle.otel.belonging.span_identity import span_context_of
from runbundle.otel.belonging.spawning import RunLanes
from runbundle.process.mutex import Mutex


class LiveSpans:
    """The live spans and the runs that are open here. Thread-safe. `Membership` says which span is of which run."""

    def __init__(self, open_runs: OpenRuns) -> None:
        self._live: dict[tuple[int, int], Member] = {}
        self._open = open_runs
        self._spawner: tuple[Context, RunLanes, Member | None] | None = None
        """Where a task was created last: the context, its run, its span."""
        self._lock = Mutex()

    def member_of(self, span: trace.Span) -> Member | None:
        """Return the facts about a live span; None for a span that is in no run."""
        here = span.get_span_context()
        return self._live.get((here.trace_id, here.span_id))

    def leave(self, span: ReadableSpan) -> Member | None:
        """Remove an ended span from the table and return its facts; None if it is in no run, or not known to be."""
        here = span_context_of(span)
        trace_id, span_id = here.trace_id, here.span_id
        member = self._live.pop((trace_id, span_id), None)
        if member is None:
            return self._end_waiting(span, trace_id, span_id)
        if member.twin is not None:
            member = self._leave_twin((trace_id, span_id), span.start_time or 0, member)
        return self._left(member, span, trace_id)

    def _left(self, member: Member, span: ReadableSpan, trace_id: int) -> Member | None:
        """Take note that a live span has left the table; None if another thread records its end."""
        if member.scope.tenant_id:
            member.scope.leave(member.span_id)
        if (member.is_run or member.opens) and not member.inherited:
            with self._lock:
                self._open.remove(trace_id, member.scope)
                if member.is_run or member.holds:
                    self._let_go(member.run)
        return member if member.backlog is None or not member.backlog.add(span, member) else None

    def _hand_on(self, scope: RunScope, trace_id: int, heir: Member | None) -> None:
        """Let a run that is open without a live span to close it be closed by `heir`, or now if there is none."""
        with self._lock:
            if heir is not None and heir.scope is scope and not (heir.is_run or heir.opens):
                heir.opens = heir.holds = True
                return
            self._open.remove(trace_id, scope)
            self._let_go(self._run_of(scope))

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

    def _add(self, member: Member, span: ReadableSpan, *, opens: bool) -> None:
        """Add a live span to the table. `opens`: later spans of its trace from elsewhere join its run."""
        here = span_context_of(span)
        member.start_ns, ids = span.start_time or 0, (here.trace_id, here.span_id)
        member.twin = self._live.get(ids)
        self._live[ids] = member
        if opens and not member.is_run and not self._open.has(here.trace_id, member.scope):
            self._open.add(here.trace_id, member.scope)
            member.opens = True

    def _end_waiting(self, span: ReadableSpan, trace_id: int, span_id: int) -> Member | None:
        """End a span of no known run; return its facts if its run is known by now."""
        raise NotImplementedError

    def scope_of(self, context: Context | None) -> RunScope | None:
        """Return the run that a span started in this context would belong to; None if in none."""
        raise NotImplementedError

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

    def _run_of(self, scope: RunScope) -> RunLanes:
        return scope.lanes.get(self) or scope.lanes.setdefault(self, RunLanes())

    def _begin(self, scope: RunScope, run: RunLanes, trace_id: int, resumed_from: object) -> None:
        # A part that goes on from a checkpoint counts afresh, beside what the part before has counted.
        scope.lane = f"resumed@{short_digest(resumed_from)}" if isinstance(resumed_from, str) else ""
        run.begins_at(scope.lane or "main")
        run.held += 1
        self._open.add(trace_id, scope)

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

    def _watch(self, run: RunLanes, loop: "spawning.Loop") -> None:
        if run.origin is not None:
            factory = spawning.watch_tasks(loop, run, run.origin, self.spawned)
            if factory is not None:
                run.factories.append(factory)
