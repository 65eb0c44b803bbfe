"""Writes bundles from the spans and logs that exporters get: one recorder for each store of a process.

An exporter gets a span when it has ended, children before their parents, and log records in batches of their own. Spans
and logs of a trace that is not known to be agent work yet are held, raw as in the SDK's own queues, and in bounded
number.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.codec.coerce import hex_id, time_of
from runbundle.format.identity import RunKey, tenant_of
from runbundle.otel.belonging.claims import run_of_trace
from runbundle.otel.belonging.span_identity import span_context_of
from runbundle.otel.boundary.log_processor import raw_log
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.composition import compose, open_store, set_fallback_redactor
from runbundle.process import forks
from runbundle.recording.recorder import Recorder
from runbundle.signals import own
from runbundle.signals.operations import is_agent_work
from runbundle.store.locations import spool_of
from runbundle.store.url import canonical_url

_TRACES, _HELD = 4096, 8192


@dataclass
class _Trace:
    run: RunKey | None = None
    """The run that it is; None if nothing in it was agent work yet."""
    held: list[ReadableSpan | ReadableLogRecord] = field(default_factory=list[ReadableSpan | ReadableLogRecord])
    lost: int = 0
    """How many were held, and let go since too many were."""


class BundleSink:
    """Records the spans and logs of traces that contain agent work. Thread-safe; recording never raises.

    At most 8,192 spans and logs are held. Beyond that those of the oldest trace are dropped; they are counted as `held`
    if that trace becomes a run. A span that cannot be recorded is counted too.
    """

    def __init__(self, store: str | None, contracts: str | None) -> None:
        artifact_store = open_store(store)
        self.redactor = compose(artifact_store, contracts).redactor
        self.recorder = Recorder(artifact_store, spool_of(artifact_store))
        set_fallback_redactor(self.redactor)
        self.users = 0
        self._codec = SpanCodec()
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._held = 0
        self.reset()

    def reset(self) -> None:
        """Take a new lock in a forked child; another thread of the parent may have held the old one."""
        self._lock = threading.RLock()

    def add_spans(self, spans: Sequence[ReadableSpan]) -> None:
        """Record ended spans, or hold them until their trace is known to be agent work."""
        with self._lock:
            for span in spans:
                self._learn(span)
            for span in sorted(spans, key=lambda s: time_of(s.end_time) or 0):
                trace = self._trace(span_context_of(span).trace_id)
                run = _said(span) or trace.run
                if run is not None:
                    self._span(span, run)
                elif span.parent is None or span.parent.is_remote:
                    self._let_go(trace)  # it ends, and nothing in it was any of a bundle's business
                else:
                    self._hold(trace, span)

    def add_logs(self, records: Sequence[ReadableLogRecord]) -> None:
        """Record log records, or hold them likewise; those outside any trace belong to no run and are ignored."""
        with self._lock:
            for record in records:
                trace_id = record.log_record.trace_id
                if not trace_id:
                    continue
                trace = self._trace(trace_id)
                if trace.run is None:
                    trace.run = run_of_trace(trace_id)
                if trace.run is None:
                    self._hold(trace, record)
                else:
                    self._log(record, trace.run)

    def _learn(self, span: ReadableSpan) -> None:
        """Take from a span what it says of its trace; record what was held for that."""
        trace_id = span_context_of(span).trace_id
        trace = self._trace(trace_id)
        if trace.run is not None:
            return
        run = run_of_trace(trace_id) or _said(span)
        if run is None and is_agent_work(span.name, span.attributes or {}):
            run = RunKey(tenant_of((span.attributes or {}).get(own.TENANT_ID)), hex_id(trace_id, 32))
        if run is None:
            return
        trace.run = run
        if trace.lost:
            self.recorder.count_dropped("held", trace.lost, run=run)
        held, trace.held = trace.held, []
        self._held -= len(held)
        for one in held:
            if isinstance(one, ReadableSpan):
                self._span(one, _said(one) or run)
            else:
                self._log(one, run)

    def _span(self, span: ReadableSpan, run: RunKey) -> None:
        attributes = span.attributes or {}
        is_root = attributes.get(own.OP) == "run" or span.parent is None or span.parent.is_remote
        try:
            raw = self._codec.to_record(span, run)
            raw["attributes"][own.RUN_ID] = run.run_id
            if is_root:
                raw["attributes"][own.REDACTION_POLICY] = self.redactor.policy.sha256
                raw["attributes"][own.REDACTION_KEY_ID] = self.redactor.key_id(run.tenant_id)
            self.recorder.ended(self.redactor.redact_span(raw), is_root=is_root)
        except Exception:  # noqa: BLE001 - a span of which no record can be made costs itself alone
            self.recorder.count_dropped("boundary_end", run=run)
            self.recorder.ended_unrecorded(run, is_root=is_root)

    def _log(self, record: ReadableLogRecord, run: RunKey) -> None:
        try:
            self.recorder.logged(self.redactor.redact_log(raw_log(self._codec, record, run)))
        except Exception:  # noqa: BLE001 - as above
            self.recorder.count_dropped("boundary_log", run=run)

    def _trace(self, trace_id: int) -> _Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace()
            if len(self._traces) > _TRACES:
                self._let_go(self._traces.popitem(last=False)[1])
        return trace

    def _hold(self, trace: _Trace, one: ReadableSpan | ReadableLogRecord) -> None:
        if self._held >= _HELD:
            oldest = next(other for other in self._traces.values() if other.held)
            oldest.lost += len(oldest.held)
            self._let_go(oldest)
        trace.held.append(one)
        self._held += 1

    def _let_go(self, trace: _Trace) -> None:
        self._held -= len(trace.held)
        trace.held.clear()


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


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for sink in _sinks.values():
        sink.reset()


forks.in_child(forks.Stage.SINKS, _after_fork_in_child)
