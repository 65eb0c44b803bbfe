"""Writes bundles from the spans and logs that exporters get: one recorder for each store of a process.

An exporter gets a span when it has ended, children before their parents, and log records in batches of their own. So
all spans of a trace that come here are one unit, as where their starts are seen (see `belonging/undecided`): they wait
until one of them begins a run, whichever ends first, and a local root that has ended decides nothing.

What waits is in memory, raw as in the SDK's own queues, bounded in number, bytes and age; a process that dies loses it.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.codec.coerce import hex_id, time_of
from runbundle.format.identity import RunKey, tenant_of
from runbundle.otel.belonging.claims import run_of_trace
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
    size_of,
    size_of_log,
)
from runbundle.otel.boundary.log_processor import raw_log
from runbundle.otel.boundary.neighbours import exporters_of, log_exporters_of
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.composition import compose, open_store, set_fallback_redactor
from runbundle.otel.handle import Handle, running
from runbundle.process import forks
from runbundle.recording.recorder import Recorder
from runbundle.signals import own
from runbundle.signals.operations import begins_run
from runbundle.store.locations import spool_of
from runbundle.store.url import canonical_url

_TRACES = 4096
_One = ReadableSpan | ReadableLogRecord


@dataclass
class _Trace:
    run: RunKey | None = None
    """The run that it is; None if nothing in it was agent work yet."""
    unnamed: bool = False
    """Whether nobody has begun that run by name."""
    of_trace: bool = True
    """Whether it is named by this trace alone."""
    joined: str = ""
    """How its local roots join a run that has begun already; "" if the next one begins it."""
    held: list[_One] = field(default_factory=list[_One])
    size: int = 0
    since: float = 0.0
    """When the first of them came, by the monotonic clock."""
    lost: Counter[tuple[bool, str]] = field(default_factory=Counter[tuple[bool, str]])
    """What was held and let go since too much was: whether it was a span, and its scope."""


class BundleSink:
    """Records the spans and logs of traces that contain agent work. Thread-safe; recording never raises.

    At most 8,192 spans and logs of 64 MiB are held, for ten minutes. Beyond that those of the oldest trace are dropped;
    they are counted as `held` if that trace becomes a run, else in `outside` as all that is none. The last 4,096 traces
    are remembered. A span that cannot be recorded is counted too.
    """

    def __init__(self, store: str | None, contracts: str | None) -> None:
        artifact_store = open_store(store)
        self.redactor = compose(artifact_store, contracts).redactor
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
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
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
                self._decide(trace_id, of_trace)
            for span in sorted(spans, key=lambda s: time_of(s.end_time) or 0):
                trace = self._trace(span_context_of(span).trace_id)
                run = _said(span) or trace.run
                if run is not None:
                    self._span(span, run, trace)
                else:
                    self._hold(trace, span, size_of(span))

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
                if trace.run is None:
                    self._hold(trace, record, size_of_log(record))
                else:
                    self._log(record, trace.run)

    def is_recorded_by(self, handle: Handle) -> bool:
        """Tell whether a configuration records all spans that come here, into the same store."""
        return self._is_beside(handle, exporters_of(handle.tracer_provider, handle.boundary))

    def stand_back(self) -> None:
        """Take note that a configuration records the spans that start from now on."""
        self._past_ns = 0

    def _is_beside(self, handle: Handle, exporters: Iterable[Any]) -> bool:
        same = canonical_url(handle.store.url) == self._url
        return same and any(getattr(exporter, "_sink", None) is self for exporter in exporters)

    def _decide(self, trace_id: int, spans: list[ReadableSpan]) -> None:
        """Take from spans what they say of their trace; record what was held for that."""
        trace = self._trace(trace_id)
        if trace.run is not None:
            return
        run = run_of_trace(trace_id) or next(filter(None, map(_said, spans)), None)
        if run is None:
            if not any(begins_run(span.name, copied_attributes(span)) for span in spans):
                return
            run = self._unnamed(trace, trace_id, spans)
        trace.run = run
        if trace.lost:
            self.recorder.count_dropped("held", trace.lost.total(), run=run)
        held, trace.held = trace.held, []
        self._held, self._bytes, trace.size = self._held - len(held), self._bytes - trace.size, 0
        for one in held:
            if isinstance(one, ReadableSpan):
                self._span(one, _said(one) or run, trace)
            else:
                self._log(one, run)

    def _unnamed(self, trace: _Trace, trace_id: int, spans: list[ReadableSpan]) -> RunKey:
        """Return the run of a trace that nobody has named, and note whether it has begun already."""
        known = [*spans, *(one for one in trace.held if isinstance(one, ReadableSpan))]
        known.sort(key=lambda span: time_of(span.start_time) or 0)
        attributes = [copied_attributes(span) for span in known]
        of_trace = hex_id(trace_id, 32)
        run_id = self._names.name_in(attributes) or of_trace
        tenant = next((said[own.TENANT_ID] for said in attributes if own.TENANT_ID in said), None)
        run = RunKey(tenant_of(tenant), run_id)
        trace.unnamed, trace.of_trace = True, run_id == of_trace
        if self.recorder.holds(run):
            trace.joined = "trace" if trace.of_trace else "id"
        return run

    def _span(self, span: ReadableSpan, run: RunKey, trace: _Trace) -> None:
        above = span.parent
        is_local_root = above is None or above.is_remote
        is_run = (span.attributes or {}).get(own.OP) == "run"
        # A run of several local roots has no one end: it is sealed when it is quiet.
        ends = is_run or (is_local_root and (not trace.unnamed or (above is None and trace.of_trace)))
        try:
            raw = self._codec.to_record(span, run)
            attributes = raw["attributes"]
            attributes[own.RUN_ID] = run.run_id
            if is_run or is_local_root:
                attributes[own.REDACTION_POLICY] = self.redactor.policy.sha256
                attributes[own.REDACTION_KEY_ID] = self.redactor.key_id(run.tenant_id)
            if is_local_root and trace.unnamed and not ends:
                self._join(attributes, trace)
            self.recorder.ended(self.redactor.redact_span(raw), is_root=ends)
        except Exception:  # noqa: BLE001 - a span of which no record can be made costs itself alone
            self.recorder.count_dropped("boundary_end", run=run)
            self.recorder.ended_unrecorded(run, is_root=ends)

    @staticmethod
    def _join(attributes: dict[str, Any], trace: _Trace) -> None:
        """Say of a local root whose run may have others that the run begins with it, or how it joins."""
        if trace.joined:
            attributes[own.JOINED] = trace.joined
        else:
            attributes[own.IMPLICIT] = True
            trace.joined = "trace" if trace.of_trace else "id"

    def _log(self, record: ReadableLogRecord, run: RunKey) -> None:
        try:
            self.recorder.logged(self.redactor.redact_log(raw_log(self._codec, record, run)))
        except Exception:  # noqa: BLE001 - as above
            self.recorder.count_dropped("boundary_log", run=run)

    # -- what waits -----------------------------------------------------------------------------------------------

    def _trace(self, trace_id: int) -> _Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace()
            if len(self._traces) > _TRACES:
                self._forget(self._traces.popitem(last=False)[1])
        elif trace.run is not None:
            self._traces.move_to_end(trace_id)
        return trace

    def _hold(self, trace: _Trace, one: _One, size: int) -> None:
        if not trace.held:
            trace.since = time.monotonic()
        trace.held.append(one)
        trace.size += size
        self._held, self._bytes = self._held + 1, self._bytes + size
        if self._held > HELD or self._bytes > HELD_BYTES:
            waiting = (other for other in self._traces.values() if other.held)
            # More than is needed: else each span that comes now would look for the oldest.
            while self._held > ROOM * HELD or self._bytes > ROOM * HELD_BYTES:
                self._let_go(next(waiting))

    def _let_go(self, trace: _Trace) -> None:
        trace.lost.update((isinstance(one, ReadableSpan), scope_name(one)) for one in trace.held)
        self._held, self._bytes = self._held - len(trace.held), self._bytes - trace.size
        trace.held.clear()
        trace.size = 0

    def _forget_old(self) -> None:
        """Forget traces in which nothing was agent work for so long. A run's trace is known by number alone."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at, before = now + LOOK_EVERY_S, now - HELD_S
        for trace_id, trace in list(self._traces.items()):
            if trace.run is not None:
                continue
            if trace.since > before:
                break
            self._forget(self._traces.pop(trace_id))

    def _forget(self, trace: _Trace) -> None:
        self._let_go(trace)
        if trace.run is not None:
            return
        for (is_span, scope), number in trace.lost.items():
            self.outside.count(number if is_span else 0, {scope: number})


def _said(span: ReadableSpan) -> RunKey | None:
    """Return the run that a span itself names."""
    attributes: Mapping[str, Any] = span.attributes or {}
    run_id = attributes.get(own.RUN_ID)
    return RunKey(tenant_of(attributes.get(own.TENANT_ID)), run_id) if isinstance(run_id, str) else None


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
    sink.recorder.close()


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
