"""What is known of one live span, and in which lane of its run the spans beneath it start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanContext

from runbundle.format.identity import RunKey
from runbundle.otel.belonging.beside import Beside
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.lanes import Control, Lane, below, short_digest
from runbundle.otel.belonging.spawning import RunLanes


@dataclass(eq=False, slots=True)
class Member:
    """What is known of a live span."""

    scope: RunScope
    run: RunLanes
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
    start_ns: int = 0
    """When the span started, which tells it from another of the same ids."""
    twin: "Member | None" = None
    """Another live span that claims the same trace and span id."""
    beside: Beside | None = None
    """What it was given and does not show, on a provider of somebody else."""
    begun: Mapping[str, Any] | None = None
    """The attributes it began with: those that limits evict later say what it is."""

    @property
    def key(self) -> RunKey:
        """What names its run."""
        return self.scope.key

    def effect_key(self) -> str | None:
        """Return the key of an effect: the same for the same agent, whatever the weather; None if it is not known."""
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
        lane = member.elsewhere[way] = Lane(below(member.inside.path, way))
    return lane


def base_lane(scope: RunScope, run: RunLanes, trace_id: int, above: SpanContext | None, control: Control | None) -> str:
    """Return the lane of a span that has no live parent here."""
    base = scope.lane
    if (scope.joined or (above is not None and above.is_remote)) and not (scope.joined and base):
        # Nobody has said where the sender stands; the sender's span says at least which one it is.
        base = below(base, f"remote@{short_digest(f'{trace_id}/{above.span_id if above is not None else 0}')}")
    if control is not None and run.origin is not None and control is not run.origin.control:
        base = below(base, control.seen_from(run.origin.control))
    return base
