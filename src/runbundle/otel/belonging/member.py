"""The facts about one live span, and the lanes in which the spans beneath it start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.lanes import Control, Lane, join_path, short_digest
from runbundle.otel.belonging.originals import Originals
from runbundle.otel.belonging.span_identity import span_context_of
from runbundle.otel.belonging.spawning import RunLanes
from runbundle.process.mutex import Mutex


class Backlog:
    """The ends of spans whose unit is a run now, as long as another thread records what had ended before them."""

    def __init__(self, lock: Mutex) -> None:
        self._lock = lock
        self._ends: list[tuple[ReadableSpan, Member]] = []
        self._is_over = False
        """Whether that thread has recorded all."""

    def add(self, span: ReadableSpan, member: "Member") -> bool:
        """Add the end of a span for that thread to record; False if it is not at work any more."""
        with self._lock:
            if not self._is_over:
                self._ends.append((span, member))
            return not self._is_over

    def take(self, *, is_last: bool = False) -> "list[tuple[ReadableSpan, Member]]":
        """Take out what has ended meanwhile, in that order. If that is nothing, or `is_last`, no more can be added."""
        with self._lock:
            ends, self._ends = self._ends, []
            self._is_over = is_last or not ends
            return ends


@dataclass(eq=False, slots=True)
class Member:
    """The facts about one live span."""

    scope: RunScope
    run: RunLanes
    lane: str
    """The path of named scopes above this span."""
    ordinal: int
    """The span's number among the spans of that lane."""
    label: str
    """Its operation, with its name if that may be kept: `tool:find_order`."""
    is_run: bool
    span_id: int
    inside: Lane
    control: Control | None = None
    """The task or thread in which it started; None if that is not known."""
    key: RunKey = NO_RUN
    """The tenant and id of its run."""
    effect: int = -1
    """The number of a tool call, model call or retrieval among those of its `control`; -1 for other spans."""
    joined: str = ""
    """How it joined its run from another process or unit: `signed`, `any`, `trace`, `id`; "" otherwise."""
    claimed: str = ""
    """The run that it claimed to belong to without proof; it is then a run of its own."""
    root: "Member | None" = None
    """The local root above it; None for a local root."""
    opens: bool = False
    """Whether later spans of its trace from elsewhere join its run while it is open, as beneath the run's own span."""
    holds: bool = False
    """Whether its run began with a span that had ended by then; this one closes it instead."""
    implicit: bool = False
    inherited: bool = False
    """Whether a parent process began it."""
    started: int = 1
    unfollowed: int = 0
    """Spans beneath a local root that were not recorded, because too many were open."""
    elsewhere: dict[str, Lane] | None = None
    """Lanes of children in other tasks and threads, by the path that leads there."""
    start_ns: int = 0
    twin: "Member | None" = None
    """Another live span of the same trace and span id; `start_ns` tells them apart."""
    originals: Originals | None = None
    backlog: Backlog | None = None
    """Where its end goes if that must come after others; None for a span that has never waited."""
    begun: Mapping[str, Any] | None = None
    """The attributes it began with; limits may evict them later, and they say what the span is."""

    @property
    def ends_run(self) -> bool:
        """Whether its run is over with it. Of a run that may have more local roots nobody knows when it is."""
        return self.is_run and not self.scope.several

    def effect_key(self) -> str | None:
        """Return the key of an effect, the same in every run of the same agent; None if it has none."""
        control = self.control
        if control is None or self.effect < 0 or control.shared:
            return None
        return f"{control.path}:{self.effect}"


def lane_below(member: Member, control: Control | None) -> Lane:
    """Return the lane of what starts beneath a span: one of its own for each task or thread but the span's."""
    if control is None or member.control is None or control is member.control:
        return member.inside
    way = control.seen_from(member.control)
    if member.elsewhere is None:
        member.elsewhere = {}
    lane = member.elsewhere.get(way)
    if lane is None:
        lane = member.elsewhere[way] = Lane(join_path(member.inside.path, way))
    return lane


def base_lane(scope: RunScope, run: RunLanes, trace_id: int, above: SpanContext | None, control: Control | None) -> str:
    """Return the lane of a span that has no live parent here."""
    base = scope.lane
    if (scope.joined or (above is not None and above.is_remote)) and not (scope.joined and base):
        # Nobody has said where the sender stands; the sender's span says at least which one it is.
        base = join_path(base, f"remote@{short_digest(f'{trace_id}/{above.span_id if above is not None else 0}')}")
    if control is not None and run.origin is not None and control is not run.origin.control:
        base = join_path(base, control.seen_from(run.origin.control))
    return base


def place(
    scope: RunScope,
    run: RunLanes,
    span: ReadableSpan,
    label: str,
    parent: Member | None,
    control: Control | None,
    *,
    is_run: bool,
    joined: str,
) -> Member:
    """Make the member of a span: find its lane and its number there. `control`: its task or thread, if it is known."""
    here, above = span_context_of(span), span.parent
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
    key = parent.key if parent is not None else scope.key
    member = Member(scope, run, path, ordinal, label, is_run, here.span_id, inside, control, key, root=root)
    member.joined = joined
    return member
