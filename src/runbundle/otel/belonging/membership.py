"""Finds the run of each span, and the span's place in that run.

Both are found when a span starts and kept in a table: the SDK's limits would evict an attribute set then first. The
first that applies decides: the run that the span begins; that of its context; that of its parent here; for a span whose
parent is elsewhere, the run that a token proves, or one open here in the same trace. What is in none waits, and becomes
a run with all of its unit as soon as a span of it is agent work (see `undecided`).
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import SpanContext

from runbundle.format.identity import NO_RUN, RunKey, tenant_of, valid_run_id
from runbundle.otel.belonging import lanes, spawning
from runbundle.otel.belonging.claims import RUN, Claims, RunScope
from runbundle.otel.belonging.joining import Sender, Trust
from runbundle.otel.belonging.lanes import short_digest
from runbundle.otel.belonging.live_spans import LiveSpans
from runbundle.otel.belonging.member import Backlog, Member, base_lane, lane_below, place
from runbundle.otel.belonging.open_runs import OpenRuns
from runbundle.otel.belonging.originals import Originals
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.otel.belonging.run_names import RunNames
from runbundle.otel.belonging.span_identity import copied_attributes, operation_and_label, span_context_of
from runbundle.otel.belonging.undecided import Log, Undecided, Unit, Waiting, described, ends_of, scope_name
from runbundle.process import forks
from runbundle.process.mutex import Mutex
from runbundle.redaction.permitted.safe_text import safe_name
from runbundle.signals import own
from runbundle.signals.operations import Operation, begins_run, is_agent_work

_EFFECTS: frozenset[Operation] = frozenset({"tool", "model", "retrieval"})
_LIVE_LIMIT = 100_000  # spans open at once in a process; an application that never ends its spans meets it


class Recording(NamedTuple):
    """What is asked and told of whoever records, where spans wait to be decided. Nothing of it raises."""

    holds: Callable[[RunKey], bool]
    """Tells whether a run is recorded here or in the same place already."""
    started: Callable[[ReadableSpan, Member], None]
    """Takes note that a span has started which is now known to be of a run."""
    ended: Callable[[RunKey, Sequence[tuple[ReadableSpan, Member] | Log], Mapping[str, int]], None]
    """Records what of a run had ended when it was decided, in the order of ends; and counts what was lost of it."""


class Membership(LiveSpans):
    """The table of live spans and their runs. Thread-safe."""

    def __init__(
        self,
        keys: tuple[bytes, ...] = (),
        trust: Trust = "signed",
        names: RunNames | None = None,
        recording: Recording | None = None,
    ) -> None:
        """`keys` check the tokens of other processes; without keys no token is believed.

        `names` says how runs are named that nobody has named. Without `recording` nothing waits: a span is in a run or
        in none from its start.
        """
        self.names = names or RunNames()
        """How runs are named that nobody has begun by name."""
        super().__init__(OpenRuns(self.names, recording.holds if recording is not None else None))
        self.claims = Claims(keys, trust)
        self._recording = recording
        self.outside = OutsideCounts(self._lock)
        """Counts of spans and logs outside any run, such as those of a thread without the context."""
        self._undecided = Undecided(self.outside, self._lock)
        self.unfollowed = 0
        """Spans that were not recorded since too many were open."""
        _memberships.add(self)

    def enter(self, span: Span, parent_context: Context | None, originals: Originals | None = None) -> Member | None:
        """Find the run of a starting span and add it to the table; None if it is in no run, or not known to be.

        `originals` are the values that the span does not show. Above 100,000 live spans a span is counted and not
        followed.
        """
        context = otel_context.get_current() if parent_context is None else parent_context
        here, above = span_context_of(span), span.parent
        trace_id, remote = here.trace_id, False
        parent = beneath = None
        if above is not None:
            remote, above_id = above.is_remote, above.span_id
            parent = self._live.get((trace_id, above_id))
            if parent is None:
                beneath = self._undecided.find(trace_id, above_id)
                if beneath is None:  # it may have become a member between the two looks
                    parent = self._live.get((trace_id, above_id))
        attributes = copied_attributes(span)
        if originals is not None:
            attributes.update(originals.attributes)
        is_run, implicit, joined, claimed = attributes.get(own.OP) == "run", False, "", ""
        run_id = attributes.get(own.RUN_ID) if is_run else None
        scope = otel_context.get_value(RUN, context)
        if not isinstance(run_id, str) or not valid_run_id(run_id):
            if not isinstance(scope, RunScope):
                if remote or (parent is None and beneath is None):
                    scope, joined, claimed = self._arrived(context, above, parent, beneath)
                else:
                    scope = parent.scope if parent is not None else None
        else:
            tenant_id = tenant_of(attributes.get(own.TENANT_ID))
            if not isinstance(scope, RunScope) or (scope.tenant_id, scope.run_id) != (tenant_id, run_id):
                scope = RunScope(run_id, tenant_id=tenant_id)
        if scope is None:
            begins = begins_run(span.name, attributes, scope_name(span))
            if not begins and self._recording is None:
                self.outside.count_span(scope_name(span))
                return None
            unit = None
            if above is not None and not claimed:
                unit = beneath.unit if beneath is not None else self._undecided.unit_of(trace_id)
            if not begins:
                waiting = self._undecided.add(unit, trace_id, here.span_id, span, beneath, claimed)
                if waiting is None:
                    self.unfollowed += 1
                    return None
                if originals is not None:
                    waiting.originals = originals
                if remote:
                    waiting.unit.is_remote = True
                return self._added_late(waiting, span, parent_context, originals) if waiting.unit.closed else None
            if unit is not None:
                heirless = self._promote(unit, attributes)
                if unit.closed:
                    member = self.enter(span, parent_context, originals)
                    if heirless is not None:
                        self._hand_on(heirless, trace_id, member)
                    return member
            scope, joined = self._open.unnamed(here, above, (attributes,), claimed)
            is_run = implicit = not joined
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
                self._begin(scope, run, trace_id, attributes.get(own.RESUMED_FROM))
            if run.held and (loop := spawning.running_loop()) is not None:
                self._watch(run, loop)
            control = run.control()
            named = operation_and_label(attributes, scope_name(span))
            member = place(scope, run, span, named[1], parent, control, is_run=is_run, joined=joined)
            if control is not None and named[0] in _EFFECTS and control.path:
                member.effect = control.next_ordinal()
            member.implicit, member.claimed, member.begun = implicit, claimed, attributes
            member.originals = originals
            self._add(member, span, opens=joined in ("trace", "id"))
        return member

    # -- what is not known yet --------------------------------------------------------------------------------------

    def _added_late(
        self, waiting: Waiting, span: Span, parent_context: Context | None, originals: Originals | None
    ) -> Member | None:
        """Find the run of a span that was added to a unit just when another thread decided it."""
        with self._lock:
            if waiting.member is not None:
                return None  # it was taken along, and its start is noted
            waiting.unit.live.pop(span_context_of(span).span_id, None)
        return self.enter(span, parent_context, originals)

    def lost(self, span: Span, parent_context: Context | None) -> RunKey | None:
        """Take note that a span was lost at its start; return its run, NO_RUN if it has none.

        None if it would wait: its unit has it as lost, and says so as a run or counts it as outside any.
        """
        scope = self.scope_of(parent_context)
        if scope is not None:
            return scope.key
        with self._lock:
            above, trace_id = span.parent, span_context_of(span).trace_id
            beneath = self._undecided.find(trace_id, above.span_id) if above is not None else None
            unit = beneath.unit if beneath is not None else self._undecided.unit_of(trace_id)
            if unit is None or unit.closed:
                return NO_RUN
            unit.lose(scope_name(span))
            return None

    def _end_waiting(self, span: ReadableSpan, trace_id: int, span_id: int) -> Member | None:
        """Hold an ended span of no known run; return its facts if its unit is a run, with this span or already."""
        waiting = self._undecided.find(trace_id, span_id)
        if waiting is None:  # it may have become a member between the two looks
            member = self._live.pop((trace_id, span_id), None)
            return self._left(member, span, trace_id) if member is not None else None
        unit, attributes = waiting.unit, copied_attributes(span)
        if not waiting.inherited:
            if begins_run(span.name, attributes):
                heirless = self._promote(unit)
                if heirless is not None:
                    self._hand_on(heirless, trace_id, None)
            else:
                if unit.is_remote and not unit.is_agents:
                    unit.is_agents = is_agent_work(span.name, attributes)
                if len(unit.live) > 1:
                    self._undecided.end(waiting, span_id, span, attributes)
                    if unit.live and not unit.closed:
                        return None
        with self._lock:
            member = waiting.member
            if member is None:
                self._undecided.end_last(waiting, span_id, span, attributes)
                return None
            if waiting.taken:
                return None
            self._live.pop((trace_id, span_id), None)
            return self._left(member, span, trace_id)

    def hold_log(self, record: Log) -> bool:
        """Hold a log record of a span that waits; False if it is of none."""
        log = record.log_record
        waiting = self._undecided.find(log.trace_id or 0, log.span_id or 0)
        if waiting is None or waiting.inherited:
            return False
        with self._lock:
            if waiting.unit.closed:  # another thread has decided it just now
                return False
            self._undecided.hold_log(waiting.unit, record)
            return True

    def originals_of(self, span: trace.Span) -> Originals | None:
        """Return where to keep what a live span is given and does not show; None for one that no bundle can have."""
        here = span.get_span_context()
        known = self._live.get((here.trace_id, here.span_id)) or self._undecided.find(here.trace_id, here.span_id)
        if known is None:
            return None
        if known.originals is None:
            known.originals = Originals()
        return known.originals

    def _promote(self, unit: Unit, starting: Mapping[str, Any] | None = None) -> RunScope | None:
        """Make a unit a run, unless it was decided meanwhile: name it, make members of its spans, record what it held.

        Where in the run a span stands is counted as if all had begun in the task or thread that has decided. An effect
        among them has no number, since its task is not known any more. Returns the run if it is open and no live span
        of it closes it: `_hand_on` must be told of one. `starting`: the attributes of a span that begins the run and is
        not in the unit.

        It is recorded without the lock, so that only who has decided waits. Just the first start is recorded with it:
        from then on the run is open, whoever else comes by.
        """
        recording = self._recording
        if unit.closed or recording is None:
            return None
        known = {one: described(one) for one in unit.held.copy() if isinstance(one, Waiting)}
        with self._lock:
            if unit.closed:
                return None
            if all(one.inherited for one in unit.live.copy().values()) and (unit.live or not unit.held):
                return None  # a parent process's: what begins beneath it is of this one
            ends, live = self._undecided.close(unit)
            ended = {one for one in ends if isinstance(one, Waiting)}
            spans = sorted(ended.union(live), key=lambda one: one.number)
            ours = [one for one in spans if not one.inherited]
            said = [known.get(one) or described(one) for one in spans]
            attributes = [each for each, _ in said]
            first = ours[0]
            context = span_context_of(first.span)
            said_last = attributes if starting is None else [*attributes, starting]
            scope, joined = self._open.unnamed(context, first.span.parent, said_last, unit.claimed)
            run = self._run_of(scope)
            if not joined:
                self._begin(scope, run, context.trace_id, None)
            elif first in ended:
                run.held += 1
                self._open.add(context.trace_id, scope)
            control = run.origin.control if run.origin is not None else None
            gone: set[Member] = set()
            starts, backlog = list[tuple[ReadableSpan, Member]](), Backlog(self._lock)
            for one, (begun, label) in zip(spans, said, strict=True):
                above = one.parent.member if one.parent is not None else None
                begins = one is first and not joined
                how = "" if above is not None or begins else joined or "trace"
                member = place(scope, run, one.span, label, above, control, is_run=begins, joined=how)
                member.implicit, member.claimed = begins, unit.claimed if begins else ""
                member.begun, member.originals, member.inherited = begun, one.originals, one.inherited
                one.member, one.taken = member, one in ended
                if one is first:
                    recording.started(one.span, member)
                elif not one.inherited:
                    starts.append((one.span, member))
                if one.taken:
                    gone.add(member)
                else:
                    if member.root in gone:  # which counts nothing any more
                        member.root.started -= 1
                        member.root = None
                    member.backlog = None if one.inherited else backlog
                    self._add(member, one.span, opens=bool(how) and not one.inherited)
            if first.member is not None:
                first.member.started += unit.lost_spans
            self._undecided.remove(unit)
            heirless = scope if first in ended else None
            heir = next((one.member for one in ours if not one.taken), None)
            if heirless is not None and heir is not None:
                self._hand_on(heirless, context.trace_id, heir)
                heirless = None
        try:
            for span, member in starts:
                recording.started(span, member)
            recording.ended(scope.key, list(ends_of(ends)), unit.losses())
            while late := backlog.take():
                recording.ended(scope.key, late, {})
        finally:  # a signal handler may raise
            if late := backlog.take(is_last=True):
                recording.ended(scope.key, late, {})
        return heirless

    def after_fork_in_child(self) -> None:
        """Mark the parent's live spans as inherited: the child's spans stand beneath them, but the parent ends them."""
        self._lock = Mutex()
        self.claims.after_fork_in_child()
        self.outside.reset(self._lock)
        self._undecided.after_fork_in_child(self._lock)
        for member in list(self._live.values()):
            member.inherited, member.backlog = True, None

    # -- which run ------------------------------------------------------------------------------------------------

    def scope_of(self, context: Context | None) -> RunScope | None:
        """Return the run that a span started in this context would belong to; None if in none."""
        scope = otel_context.get_value(RUN, context)
        if isinstance(scope, RunScope):
            return scope
        here = trace.get_current_span(context).get_span_context()
        member = self._live.get((here.trace_id, here.span_id))
        if member is not None and not here.is_remote:
            return member.scope
        # A current span that is none of ours, and not remote, is in no run because another one of its trace is.
        return self._arrived(context, here if here.is_remote else None, member)[0]

    def _arrived(
        self, context: Context | None, above: SpanContext | None, parent: Member | None, beneath: Waiting | None = None
    ) -> tuple[RunScope | None, str, str]:
        """Return the run of what came from elsewhere, how it came to it, and what it claimed if it is in none.

        Anybody can send the ids of a trace and of a span, so they lead into no run of a tenant. A token does, and so
        does a span of this process that has ended.
        """
        scope, claimed = self.claims.judge(context)
        if scope is not None:
            return scope, scope.joined, ""
        if claimed or above is None or beneath is not None:
            return None, "", claimed
        scope = self._open.left_by(above) if not above.is_remote else None
        if scope is None:
            scope = parent.scope if parent is not None else self._open.of_trace(above.trace_id)
            if scope is not None and scope.tenant_id:
                scope = None
        return scope, "trace" if scope is not None else "", ""

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


_memberships: "weakref.WeakSet[Membership]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    lanes.after_fork_in_child()
    for membership in list(_memberships):
        membership.after_fork_in_child()


forks.before(forks.Stage.BELONGING, lanes.before_fork)
forks.in_child(forks.Stage.BELONGING, _after_fork_in_child)
