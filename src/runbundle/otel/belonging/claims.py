"""Judges which run the baggage of a request claims to belong to, and whether that is believed."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from runbundle.format.identity import RunKey, valid_run_id
from runbundle.otel.belonging.joining import Trust, claimed_run, sender_of
from runbundle.otel.belonging.spawning import RunLanes
from runbundle.process.mutex import Mutex
from runbundle.signals import own

RUN = otel_context.create_key("runbundle-run")
"""Key under which a context holds its `RunScope`."""

_TOKENS = 2048  # remembered
_LEFT = 4096  # of one run


@dataclass(eq=False)
class RunScope:
    """A run as this process sees it."""

    run_id: str
    root: Span | None = None
    tenant_id: str = ""
    session_id: str = ""
    """The conversation that the run is part of; runs within it inherit it."""
    joined: str = ""
    """How work joined a run that began elsewhere: `signed`, `any`, `trace`, `id`; "" for a run begun here."""
    lane: str = ""
    """The place of that work in the run, as its sender said; "" if it did not."""
    control: str = ""
    """The lane of the task or thread that sent the work; "" if it is not known."""
    several: bool = False
    """Whether more local roots of the run may come, so that it has no one end: it is sealed when it is quiet."""
    left: dict[int, None] = field(default_factory=dict[int, None])
    """The last spans of a tenant's run that have ended here, by id."""
    lanes: dict[object, RunLanes] = field(default_factory=dict[object, RunLanes])
    """The counts of the run, for each boundary of this process."""

    @property
    def key(self) -> RunKey:
        """The run's tenant and id."""
        return RunKey(self.tenant_id, self.run_id)

    def leave(self, span_id: int) -> None:
        """Remember a span that has ended."""
        _put(self.left, span_id, None, _LEFT)


class BaggageClaim(NamedTuple):
    """The verdict on a context's baggage."""

    scope: RunScope | None = None
    """The claimed run, if the claim is believed."""
    claimed: str = ""
    """The claimed run, if the claim is not believed."""


_NOTHING = BaggageClaim()


class Claims:
    """Judges claims, and remembers those it believed, since a run's counts live as long as its scope. Thread-safe."""

    def __init__(self, keys: tuple[bytes, ...], trust: Trust) -> None:
        self.keys = keys
        self._trust = trust
        self._known: dict[str, BaggageClaim] = {}
        self._known_before: dict[str, BaggageClaim] = {}
        self._lock = Mutex()

    def after_fork_in_child(self) -> None:
        """Replace the lock, which another thread of the parent may have held at the fork."""
        self._lock = Mutex()

    def judge(self, context: Context | None) -> BaggageClaim:
        """Return the run that the baggage of a context names, and whether that is believed."""
        entries = baggage.get_all(context)
        if not entries or self._trust == "never":
            return _NOTHING
        token = entries.get(own.RUN_TOKEN)
        if isinstance(token, str):
            return self._from_token(token)
        plain = entries.get(own.RUN_ID)
        if not isinstance(plain, str):
            return _NOTHING
        if self._trust == "any" and valid_run_id(plain):
            key = f"={plain}"  # which no token is
            return self._remembered(key) or self._remember(key, BaggageClaim(RunScope(plain, joined="any")))
        return BaggageClaim(None, plain)

    def _from_token(self, token: str) -> BaggageClaim:
        known = self._remembered(token)
        if known is None:
            sender = sender_of(self.keys, token)
            if sender is None:
                # Not remembered: whoever sends many must not push out others.
                return BaggageClaim(None, claimed_run(token))
            tenant_id, run_id, lane, control = sender
            scope = RunScope(run_id, tenant_id=tenant_id, joined="signed", lane=lane, control=control)
            known = self._remember(token, BaggageClaim(scope))
        return known

    def _remembered(self, text: str) -> BaggageClaim | None:
        known = self._known.get(text)
        if known is None:
            known = self._known_before.get(text)
            if known is not None:
                self._remember(text, known)
        return known

    def _remember(self, text: str, known: BaggageClaim) -> BaggageClaim:
        with self._lock:
            if len(self._known) >= _TOKENS:
                self._known_before, self._known = self._known, {}
            return self._known.setdefault(text, known)


_by_trace: dict[int, tuple[RunKey, bool]] = {}
"""The first run of a trace, and whether it has others that may not be taken for it."""
_by_span: dict[tuple[int, int], RunKey] = {}
"""The run that a span is itself, by the ids of its trace and of the span."""
_TRACES = 2048  # remembered
_SPANS = 8192  # likewise


def remember_trace(trace_id: int, scope: RunScope) -> None:
    """Remember a run of a trace, for exporters without a boundary: they see the run's own span last."""
    run, root = scope.key, scope.root
    first, several = _by_trace.get(trace_id, (run, False))
    if first != run and not several:
        attributes: Any = getattr(root, "attributes", None) or {}
        # A run within another, of the same tenant, leaves no doubt whose the spans above are.
        several = first.tenant_id != run.tenant_id or own.PARENT_RUN_ID not in attributes
    _put(_by_trace, trace_id, (first, several), _TRACES)
    if root is not None:
        _put(_by_span, (trace_id, root.get_span_context().span_id), run, _SPANS)


def _put(table: dict[Any, Any], key: object, value: object, most: int) -> None:
    if len(table) >= most and key not in table:
        with suppress(RuntimeError, StopIteration):  # another thread has changed the table meanwhile
            table.pop(next(iter(table)), None)
    table[key] = value


def run_of_trace(trace_id: int) -> RunKey | None:
    """Return the run that began first in a trace, if it is remembered (the last 2,048 traces are)."""
    return _by_trace.get(trace_id, (None, False))[0]


def has_several_runs(trace_id: int) -> bool:
    """Tell whether runs have begun in a trace that are not one within the other, or not of one tenant."""
    return _by_trace.get(trace_id, (None, False))[1]


def run_of_span(trace_id: int, span_id: int) -> RunKey | None:
    """Return the run that a span is, whether it has ended or not, if it is remembered (the last 8,192 are)."""
    return _by_span.get((trace_id, span_id))
