"""The runs that are open in this process: by their traces, and what those are called that nobody has named."""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.trace import SpanContext

from runbundle.codec.coerce import hex_id
from runbundle.format.identity import RunKey
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.run_names import RunNames


class OpenRuns:
    """The runs that have an open local root here. Not thread-safe: its owner holds its lock."""

    def __init__(self, names: RunNames, holds: Callable[[RunKey], bool] | None) -> None:
        """`holds` tells whether a run is recorded already, here or elsewhere; without it, no run is."""
        self._names, self._holds = names, holds
        self._traces: dict[int, list[RunScope]] = {}
        self._unnamed: weakref.WeakValueDictionary[str, RunScope] = weakref.WeakValueDictionary()
        """Runs that nobody has named, by id, as long as a span of them is open."""

    def of_trace(self, trace_id: int) -> RunScope | None:
        """Return the run that is open in a trace; None if there is none, or more than one."""
        found = self._traces.get(trace_id, ())
        return found[0] if len(found) == 1 else None

    def left_by(self, above: SpanContext) -> RunScope | None:
        """Return the tenant's run that is open in a trace and had a span which has ended; None if there is none."""
        return next((run for run in self._traces.get(above.trace_id, ()) if above.span_id in run.left), None)

    def add(self, trace_id: int, scope: RunScope) -> None:
        """Add a run of which a local root has started in a trace."""
        self._traces.setdefault(trace_id, []).append(scope)

    def has(self, trace_id: int, scope: RunScope) -> bool:
        """Tell whether a run is open in a trace."""
        return scope in self._traces.get(trace_id, ())

    def remove(self, trace_id: int, scope: RunScope) -> None:
        """Remove a run whose local root has ended."""
        found = self._traces.get(trace_id, [])
        if scope in found:
            found.remove(scope)
        if not found:
            self._traces.pop(trace_id, None)

    def unnamed(
        self, here: SpanContext, above: SpanContext | None, spans: Iterable[Mapping[str, Any]], claimed: str
    ) -> tuple[RunScope, str]:
        """Return the run of a unit that nobody has named, and how the unit joins it; "" if it begins with the unit.

        `here` and `above` are the unit's first span and its parent, `spans` the attributes of all its spans. The run is
        named by an id that its spans carry, else by its trace. Where the unit claims another run without proof, the
        name is one that nobody else can give.
        """
        trace_id = hex_id(here.trace_id, 32)
        if claimed:
            return RunScope(f"{trace_id}-{hex_id(here.span_id, 16)}"), ""
        run_id = self._names.name_in(spans) or trace_id
        scope = self._unnamed.get(run_id)
        of_trace = run_id == trace_id
        joined = ""
        # Nobody else can be the root of its trace.
        if not (of_trace and above is None) and (scope is not None or self._is_held(run_id)):
            joined = "trace" if of_trace else "id"
        if scope is None:
            several = above is not None or not of_trace
            scope = self._unnamed[run_id] = RunScope(run_id, joined=joined, several=several)
        return scope, joined

    def _is_held(self, run_id: str) -> bool:
        return self._holds is not None and self._holds(RunKey("", run_id))
