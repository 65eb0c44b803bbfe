"""Writes bundles from the spans and logs that exporters get: one recorder for each store of a process.

An exporter gets a span when it has ended, children before their parents, and log records in batches of their own. So
all spans of a trace that come here are one unit, as where their starts are seen (see `belonging/undecided`): they wait
until one of them begins a run, whichever ends first, and a local root that has ended decides nothing.

A trace may have several runs, of several tenants. Then a span is of the run that it names, of its parent's, or of what
is right beneath it: it waits for its parent (see `exported`). One that none of these places is in no run that anybody
named (see `_settle`). Where tenants are named, so it is before a second one has come. Only what had to be let go before
its parent came, since too much waited or for too long, is then in the only run of its trace.

What waits is in memory, raw as in the SDK's own queues, bounded in number, bytes and age; a process that dies loses it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.codec.coerce import hex_id, time_of
from runbundle.core.spans import SpanLines
from runbundle.format.identity import RunKey
from runbundle.journal.lines import line_of
from runbundle.otel.belonging.claims import has_several_runs, run_of_span, run_of_trace
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.otel.belonging.run_names import run_names
from runbundle.otel.belonging.span_identity import copied_attributes, span_context_of
from runbundle.otel.belonging.undecided import (
    HELD,
    HELD_BYTES,
    HELD_S,
    LOOK_EVERY_S,
    ROOM,
    scope_name,
)
from runbundle.otel.boundary.limits import state_cuts
from runbundle.otel.boundary.log_processor import raw_log
from runbundle.otel.boundary.neighbours import exporters_of, log_exporters_of
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.composition import compose, open_store, set_fallback_redactor
from runbundle.otel.exported import (
    One,
    SeenTrace,
    above,
    ended_ns,
    id_of,
    is_local_root,
    run_named,
    size_of_one,
    tenant_named,
)
from runbundle.otel.handle import Handle, running
from runbundle.process import forks
from runbundle.recording.recorder import Recorder
from runbundle.signals import own
from runbundle.signals.operations import begins_run
from runbundle.store.locations import spool_of
from runbundle.store.url import canonical_url

_TRACES = 4096
_PLACES = 16_384


class BundleSink:
    """Records the spans and logs of traces that contain agent work. Thread-safe; recording never raises.

    At most 8,192 spans and logs of 64 MiB are held, for ten minutes. Beyond that those of the oldest trace are dropped;
    they are counted as `held` if that trace becomes a run, else in `outside` as all that is none. The last 4,096 traces
    are remembered, and the runs of the last 16,384 spans. A span that cannot be recorded is counted too.
    """

    def __init__(self, store: str | None, contracts: str | None) -> None:
        artifact_store = open_store(store)
        self.redactor = compose(artifact_store, contracts).redactor
        self._lines = SpanLines(self.redactor)
        self._names = run_names(self.redactor.policy.digester)
        self.recorder = Recorder(artifact_store, spool_of(artifact_store))
        set_fallback_redactor(self.redactor)
        self.users = 0
        self.outside = OutsideCounts()
        """Counts of spans and logs that were forgotten, since nothing in their traces was agent work."""
        self._url = canonical_url(artifact_store.url)
        self._past_ns = -1
        """Spans that have started before are another's; 0 while all are."""
        self._codec = SpanCodec()
        self._traces: OrderedDict[int, SeenTrace] = OrderedDict()
        self._places: dict[tuple[int, int], RunKey] = {}
        """The runs of spans, by the ids of their traces and their own."""
        self._has_tenants = False
        """Whether a span has named a tenant."""
        self._held, self._bytes, self._look_at = 0, 0, 0.0
        self.reset()

    def reset(self) -> None:
        """Take a new lock in a forked child; another thread of the parent may have held the old one."""
        self._lock = threading.RLock()
        self.outside.reset()

    def add_spans(self, spans: Sequence[ReadableSpan]) -> None:
        """Record ended spans, or hold them until their trace is known to be agent work.

        Those of a provider that `configure()` has joined for the same store are recorded there.
        """
        with self._lock:
            handle = running()
            if handle is not None and self.is_recorded_by(handle):
                self._past_ns = 0
                return
            if self._past_ns == 0:  # the configuration has just ended: what it saw begin was its own
                self._past_ns = time.time_ns()
            spans = [span for span in spans if (time_of(span.start_time) or 0) >= self._past_ns]
            self._forget_old()
            together: dict[int, list[ReadableSpan]] = {}
            for span in spans:
                together.setdefault(span_context_of(span).trace_id, []).append(span)
            for trace_id, of_trace in together.items():
                self._decide(self._trace(trace_id), of_trace)
            for span in sorted(spans, key=lambda s: time_of(s.end_time) or 0):
                self._place(self._trace(span_context_of(span).trace_id), span)

    def add_logs(self, records: Sequence[ReadableLogRecord]) -> None:
        """Record log records, or hold them likewise; those outside any trace belong to no run and are ignored."""
        with self._lock:
            handle = running()
            if handle is not None and self._is_beside(handle, log_exporters_of(handle.logger_provider)):
                return
            for record in records:
                trace_id = record.log_record.trace_id
                if not trace_id:
                    continue
                trace = self._trace(trace_id)
                if trace.run is None:
                    trace.run = run_of_trace(trace_id)
                trace.several = trace.several or has_several_runs(trace_id)
                self._place(trace, record)

    def close(self) -> None:
        """Record what waits for a span that never came, and seal the runs."""
        with self._lock:
            for trace in self._traces.values():
                self._give_up(trace)
        self.recorder.close()

    def is_recorded_by(self, handle: Handle) -> bool:
        """Tell whether a configuration records all spans that come here, into the same store."""
        return self._is_beside(handle, exporters_of(handle.tracer_provider, handle.boundary))

    def stand_back(self) -> None:
        """Take note that a configuration records the spans that start from now on."""
        self._past_ns = 0

    def _is_beside(self, handle: Handle, exporters: Iterable[Any]) -> bool:
        same = canonical_url(handle.store.url) == self._url
        return same and any(getattr(exporter, "_sink", None) is self for exporter in exporters)

    def _decide(self, trace: SeenTrace, spans: list[ReadableSpan], *, at_once: bool = False) -> None:
        """Take from spans what they say of their trace; place what was held for that.

        `at_once`: nobody will say any more whose a run is.
        """
        said = [run for run in map(run_named, spans) if run is not None]
        begun = run_of_trace(trace.trace_id)
        for tenant in filter(None, map(tenant_named, spans)):
            self._has_tenants = True
            if len(trace.tenants) < 2:
                trace.tenants.add(tenant)
        run = trace.run or begun or next(iter(said), None)
        unnamed = run is None
        if run is None:
            if not trace.decided_by(spans, tenants=self._has_tenants and not at_once):
                return
            run = trace.begin(spans, self._names)
        trace.note(run, said, began_here=begun is not None)
        if trace.run is not None:
            return
        trace.run = run
        if unnamed and not trace.several and self.recorder.holds(run):
            trace.joined.add(run)
        if trace.lost:
            self.recorder.count_dropped("held", trace.lost.total(), run=run)
        for one in self._taken(trace):
            self._place(trace, one)

    # -- where spans belong ----------------------------------------------------------------------------------------

    def _place(self, trace: SeenTrace, one: One) -> None:
        """Record a span or a log in its run, with what waited for that; or hold it until its run is known."""
        span_id, run = above(one), run_named(one)
        if run is None:
            run = self._run_of(trace, span_id) or trace.run_of(one, tenants=self._has_tenants)
            tenant = tenant_named(one)
            if tenant and trace.several and run is not None and run.tenant_id != tenant:
                run = RunKey(tenant, trace.name)
        if run is not None:
            self._record(trace, [(one, run), *self._beneath(trace, one, run)])
        elif trace.run is None and not trace.several:
            self._hold(trace, one)
        else:
            self._hold(trace, one, span_id)
            if is_local_root(one):
                self._settle(trace, [span_id])

    def _run_of(self, trace: SeenTrace, span_id: int) -> RunKey | None:
        return self._places.get((trace.trace_id, span_id)) or run_of_span(trace.trace_id, span_id)

    def _beneath(self, trace: SeenTrace, one: One, run: RunKey | None) -> list[tuple[One, RunKey | None]]:
        found = trace.beneath(one, run)
        for each, _ in found:
            self._let_out(trace, each)
        return found

    def _settle(self, trace: SeenTrace, above: list[int], run_of_rest: RunKey | None = None) -> None:
        """Record what waits for spans that do not say whose it is.

        What names a tenant is in a run of that tenant, called by the trace, and so is all beneath it. The rest, if no
        run is given for it, is a run of no tenant if it has agent work, and else it is outside any run: it may be
        anybody's.
        """
        found: list[tuple[One, RunKey | None]] = []
        ids = {id_of(one) for ones in trace.below.values() for one in ones if isinstance(one, ReadableSpan)}
        for span_id in sorted(above, key=ids.__contains__):  # what stands above all others first
            for one in trace.below.pop(span_id, ()):
                self._let_out(trace, one)
                tenant = tenant_named(one)
                run = RunKey(tenant, trace.name) if tenant else run_of_rest
                found += [(one, run), *self._beneath(trace, one, run)]
        rest = [one for one, run in found if run is None]
        if any(isinstance(one, ReadableSpan) and begins_run(one.name, copied_attributes(one)) for one in rest):
            nobodys = RunKey("", hex_id(trace.trace_id, 32))
            found = [(one, run or nobodys) for one, run in found]
        else:
            for one in rest:
                self.outside.count(isinstance(one, ReadableSpan), {scope_name(one): 1})
        self._record(trace, found)

    def _record(self, trace: SeenTrace, found: list[tuple[One, RunKey | None]]) -> None:
        for one, run in found:
            if isinstance(one, ReadableSpan) and run is not None:
                if len(self._places) >= _PLACES:
                    self._places.pop(next(iter(self._places)))
                self._places[trace.trace_id, id_of(one)] = run
                trace.above.pop(id_of(one), None)
                if (trace.trace_id, above(one)) not in self._places:
                    trace.is_above(one, run)
        found.reverse()  # children before parents, and the run's own span last
        for one, run in sorted(found, key=ended_ns) if len(found) > 1 else found:
            if run is None:
                continue
            if isinstance(one, ReadableSpan):
                self._span(one, run, trace)
            else:
                self._log(one, run)

    def _span(self, span: ReadableSpan, run: RunKey, trace: SeenTrace) -> None:
        parent, is_root = span.parent, is_local_root(span)
        is_run = (span.attributes or {}).get(own.OP) == "run"
        # A run of several local roots has no one end: it is sealed when it is quiet.
        ends = is_run or (is_root and (not trace.unnamed or (parent is None and trace.of_trace)))
        unnamed = trace.unnamed
        if trace.several or run != trace.run:
            ends, unnamed = is_run, not is_run and run.run_id in (trace.name, hex_id(trace.trace_id, 32))
            is_root = is_root or (unnamed and parent is not None and self._run_of(trace, parent.span_id) != run)
        try:
            raw = self._codec.to_record(span, run)
            state_cuts(span, raw)
            attributes = raw["attributes"]
            attributes[own.RUN_ID] = run.run_id
            if is_run or is_root:
                attributes[own.REDACTION_POLICY] = self.redactor.policy.sha256
                attributes[own.REDACTION_KEY_ID] = self.redactor.key_id(run.tenant_id)
            if is_root and unnamed and not ends:
                trace.join(attributes, run)
            self.recorder.ended(self._lines.of(raw), is_root=ends)
        except Exception:  # noqa: BLE001 - a span of which no record can be made costs itself alone
            self.recorder.count_dropped("boundary_end", run=run)
            self.recorder.ended_unrecorded(run, is_root=ends)

    def _log(self, record: ReadableLogRecord, run: RunKey) -> None:
        try:
            self.recorder.logged(line_of("log", self.redactor.redact_log(raw_log(self._codec, record, run))))
        except Exception:  # noqa: BLE001 - as above
            self.recorder.count_dropped("boundary_log", run=run)

    # -- what waits -----------------------------------------------------------------------------------------------

    def _trace(self, trace_id: int) -> SeenTrace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = SeenTrace(trace_id)
            if len(self._traces) > _TRACES:
                self._forget(self._traces.popitem(last=False)[1])
        elif trace.run is not None:
            self._traces.move_to_end(trace_id)
        return trace

    def _hold(self, trace: SeenTrace, one: One, above: int | None = None) -> None:
        """Hold what waits for its trace to be a run; or for the run of the span `above`."""
        if not trace.size:
            trace.since = time.monotonic()
        (trace.held if above is None else trace.below.setdefault(above, [])).append(one)
        trace.size += (size := size_of_one(one))
        self._held, self._bytes = self._held + 1, self._bytes + size
        if self._held > HELD or self._bytes > HELD_BYTES:
            waiting = (other for other in list(self._traces.values()) if other.size)
            # More than is needed: else each span that comes now would look for the oldest.
            while self._held > ROOM * HELD or self._bytes > ROOM * HELD_BYTES:
                self._let_go(next(waiting))

    def _let_out(self, trace: SeenTrace, one: One) -> None:
        size = size_of_one(one)
        trace.size -= size
        self._held, self._bytes = self._held - 1, self._bytes - size

    def _taken(self, trace: SeenTrace) -> list[One]:
        held, trace.held = trace.held, []
        for one in held:
            self._let_out(trace, one)
        return held

    def _let_go(self, trace: SeenTrace) -> None:
        """Drop what a trace holds, but for what need not wait."""
        self._give_up(trace)
        trace.lost.update((isinstance(one, ReadableSpan), scope_name(one)) for one in self._taken(trace))

    def _give_up(self, trace: SeenTrace) -> None:
        """Record what waits only to know whose it is: if there is one run in its trace, in that."""
        if trace.begins and trace.run is None:
            self._decide(trace, [], at_once=True)
        self._settle(trace, list(trace.below), None if trace.several else trace.run)

    def _forget_old(self) -> None:
        """Forget traces in which nothing was agent work for so long. A run's trace is known by number alone."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at, before = now + LOOK_EVERY_S, now - HELD_S
        for trace_id, trace in list(self._traces.items()):
            if trace.run is not None:
                if trace.below and trace.since <= before:
                    self._give_up(trace)
                continue
            if trace.since > before:
                break
            self._forget(self._traces.pop(trace_id))

    def _forget(self, trace: SeenTrace) -> None:
        self._let_go(trace)
        if trace.run is not None:
            return
        for (is_span, scope), number in trace.lost.items():
            self.outside.count(number if is_span else 0, {scope: number})


_lock = threading.Lock()
_sinks: dict[tuple[str, str | None], BundleSink] = {}


def shared_sink(store: str | None, contracts: str | None) -> BundleSink:
    """Return the sink of a store: one for all exporters of this process with the same store and contracts."""
    url = canonical_url(open_store(store).url)
    with _lock:
        sink = _sinks.get((url, contracts))
        if sink is None:
            sink = _sinks[url, contracts] = BundleSink(store, contracts)
        sink.users += 1
        return sink


def release_sink(sink: BundleSink) -> None:
    """Note that an exporter has stopped using a sink; the last one closes it, which seals its runs."""
    with _lock:
        sink.users -= 1
        if sink.users:
            return
        for key in [key for key, other in _sinks.items() if other is sink]:
            del _sinks[key]
    sink.close()


def note_configured(handle: Handle) -> None:
    """Have the exporters that a new configuration makes needless write nothing, while it lasts."""
    with _lock:
        sinks = list(_sinks.values())
    for sink in sinks:
        if sink.is_recorded_by(handle):
            sink.stand_back()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for sink in _sinks.values():
        sink.reset()


forks.in_child(forks.Stage.SINKS, _after_fork_in_child)
