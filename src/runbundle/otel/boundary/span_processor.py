"""The boundary: the span processor that owns all others and gives them redacted spans only.

A redactor registered beside an exporter protects nothing, since all processors of a provider get one frozen span. The
boundary is given to `TracerProvider(active_span_processor=...)`, so that every processor added to that provider, then
or later, is behind it. Added to an existing provider, it protects the processors that are added to itself.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, SynchronousMultiSpanProcessor

from runbundle.core.spans import SpanLines
from runbundle.format.identity import NO_RUN, RunKey, valid_run_id
from runbundle.journal.lines import Begun, line_of
from runbundle.otel.belonging.joining import Trust
from runbundle.otel.belonging.member import Member
from runbundle.otel.belonging.membership import Membership, Recording
from runbundle.otel.belonging.originals import Originals, originals_in
from runbundle.otel.belonging.run_names import RunNames
from runbundle.otel.belonging.undecided import Log
from runbundle.otel.boundary.guests import is_guest, masked_span
from runbundle.otel.boundary.limits import char_limit_of, state_cut
from runbundle.otel.boundary.log_processor import raw_log
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.boundary.versions import versions_text
from runbundle.process.complaints import Complaints
from runbundle.recording.port import RecordPort
from runbundle.redaction.markers import marker
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own
from runbundle.signals.names import RUN
from runbundle.signals.records import SpanRecord
from runbundle.vault.debug_mode import DebugVault

_log = logging.getLogger("runbundle")


class BoundarySpanProcessor(SynchronousMultiSpanProcessor):
    """Redacts every ended span, records it if it is part of a run, and hands it on.

    A span that is none of an agent's is handed on unchanged but for masked secrets; in the bundle it is redacted like
    all others.

    Never raises into the application, whatever redactor, recorder or downstream processors do; a span that could not be
    processed is withheld and counted. Not guaranteed: `on_start` hands the live span downstream, which processors that
    set attributes need. A processor that exports live spans at their start is outside the boundary, and `runbundle
    doctor` cannot see it.
    """

    def __init__(
        self,
        redactor: Redactor,
        recorder: RecordPort | None = None,
        debug: DebugVault | None = None,
        *,
        carrier_keys: tuple[bytes, ...] = (),
        trust_baggage: Trust = "signed",
        redacts_all: bool = False,
        names: RunNames | None = None,
    ) -> None:
        """`carrier_keys` check the tokens of other processes; without keys no token is believed.

        `names` says how runs are named that nobody has named. Without a recorder nothing waits to be decided.
        """
        super().__init__()
        self.use_redactor(redactor)
        self.recorder = recorder
        self.debug = debug
        recording = Recording(recorder.holds, self._started, self._record_held) if recorder is not None else None
        self.membership = Membership(carrier_keys, trust_baggage, names, recording)
        self.has_seen_span = False
        """Whether a span has started."""
        self.is_closed = False
        """Whether spans are ignored; a provider that somebody else has built outlives us."""
        self.is_exiting = False
        """Whether the process is ending; spans of daemon threads are still journalled then."""
        self.outlives_provider = False
        """Whether the end of a provider is not ours, as of one that a proxy is led away from."""
        self.on_own_provider = False
        """Whether the provider was built by this library and so cuts no value."""
        self.redacts_all = redacts_all
        """Whether spans that are none of an agent's are redacted for other exporters too."""
        self.cut_to: int | None = None
        """The length to which somebody else's provider cuts attribute values; None if it is not known."""
        self._codec = SpanCodec()
        self._downstream = 0
        self._complaints = Complaints()

    def use_redactor(self, redactor: Redactor) -> None:
        """Redact by another redactor from now on."""
        self.redactor = redactor
        self.lines = SpanLines(redactor)
        """Makes lines of spans that nobody but the bundle gets."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor behind the boundary; it gets redacted spans only."""
        super().add_span_processor(span_processor)
        self._downstream += 1

    def take_out(self) -> tuple[SpanProcessor, ...]:
        """Remove all processors behind the boundary, and return them."""
        with self._lock:
            taken, self._span_processors, self._downstream = self._span_processors, (), 0
        return taken

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Find the span's run and journal its start."""
        if self.is_closed and not self.is_exiting:
            return
        self.has_seen_span = True
        try:
            member = self.membership.enter(
                span, parent_context, None if self.on_own_provider else originals_in(parent_context)
            )
            if member is not None and self.recorder is not None:
                self._started(span, member)
        except Exception:  # noqa: BLE001 - never raise into the application
            self._lost(span, parent_context)
        if self._downstream:
            self._guarded_start(span, parent_context)

    def _started(self, span: ReadableSpan, member: Member) -> None:
        """Journal the start of a span of a run. Never raises."""
        if self.recorder is None:
            return
        try:
            begun = self._begun(span, member) if member.is_run else None
            line = self._codec.start_line(span, member.lane, member.label, is_run=member.is_run, begun=begun)
            self.recorder.started(member.key, line, is_run=member.is_run)
        except Exception:  # noqa: BLE001 - never raise into the application
            self._failed("start", member.key)

    def _lost(self, span: Span, parent_context: Context | None) -> None:
        """Count a span that was lost at its start, as a loss of its run if that is known, or will be."""
        run: RunKey | None = NO_RUN
        with contextlib.suppress(Exception):  # what failed once may fail again
            run = self.membership.lost(span, parent_context)
        self._failed("start", run)

    def on_end(self, span: ReadableSpan) -> None:
        """Redact the span, record it and hand it on; spans that are none of an agent's with masked secrets only.

        A span that nobody knows yet to be of a run is handed on at once, and recorded when that is known.
        """
        unrecorded: Member | None = None
        if self.is_closed and not self.is_exiting:
            return
        try:
            member = self.membership.leave(span)
            guest = self._downstream > 0 and not self.redacts_all and is_guest(span)
            if member is None and (guest or not self._downstream):
                if guest:
                    super().on_end(self._shown(span, None))
                return
            if member is not None and member.inherited:
                member = None  # begun before a fork: it is the parent process's to end and to record
            unrecorded = member
            raw = self._raw_end(span, member)
            if not self._downstream:
                if member is not None and self.recorder is not None:
                    self.recorder.ended(self.lines.of(raw), is_root=member.ends_run)
                return
            record = self.redactor.redact_span(raw)
            if member is not None and self.recorder is not None:
                self.lines.by_python += 1
                self.recorder.ended(line_of("span", record), is_root=member.ends_run)
                unrecorded = None
            super().on_end(self._shown(span, record) if guest else self._codec.to_span(span, record))
        except Exception:  # noqa: BLE001 - never raise into the application; the span is lost, and counted
            self._failed("end", unrecorded.key if unrecorded else NO_RUN)
            if unrecorded is not None and self.recorder is not None:
                self.recorder.ended_unrecorded(unrecorded.key, is_root=unrecorded.ends_run)

    def _record_held(
        self, run: RunKey, ends: Sequence[tuple[ReadableSpan, Member] | Log], lost: Mapping[str, int]
    ) -> None:
        """Record what had ended before it was known to be of a run. What fails costs itself alone."""
        recorder = self.recorder
        if recorder is None:
            return
        for reason, count in lost.items():
            recorder.count_dropped(reason, count, run=run)
        for one in ends:
            if isinstance(one, tuple):
                self._record_ended(recorder, *one)
                continue
            try:
                recorder.logged(line_of("log", self.redactor.redact_log(raw_log(self._codec, one, run))))
            except Exception:  # noqa: BLE001 - never raise into the application; it is counted
                recorder.count_dropped("boundary_log", run=run)

    def _record_ended(self, recorder: RecordPort, span: ReadableSpan, member: Member) -> None:
        try:
            recorder.ended(self.lines.of(self._raw_end(span, member)), is_root=member.ends_run)
        except Exception:  # noqa: BLE001 - never raise into the application; the span is lost, and counted
            self._failed("end", member.key)
            recorder.ended_unrecorded(member.key, is_root=member.ends_run)

    def _raw_end(self, span: ReadableSpan, member: Member | None) -> SpanRecord:
        """Return the raw record of an ended span, with what is known of it here."""
        raw = self._raw(span, member)
        if self.debug is not None and member is not None:
            self._keep_content(self.debug, member.key, raw)
        if not self.on_own_provider:
            self._state_cuts(span, raw, member.originals if member else None)
        return raw

    def _shown(self, span: ReadableSpan, record: SpanRecord | None) -> ReadableSpan:
        """Return what sinks see of a span that is none of an agent's; where that cannot be told, the redacted one."""
        try:
            return masked_span(self._codec, span)
        except Exception:  # noqa: BLE001 - fail closed: of a span of odd types too, nothing raw goes further
            raw = self._codec.to_record(span, NO_RUN)
            return self._codec.to_span(span, record or self.redactor.redact_span(raw))

    def _begun(self, span: ReadableSpan, member: Member) -> Begun:
        """Return what is known of a run at its start, redacted."""
        raw = self._raw(span, member, ends=False)
        if not self.on_own_provider:
            self._state_cuts(span, raw, member.originals)
        return self.lines.begun(raw)

    def _raw(self, span: ReadableSpan, member: Member | None, *, ends: bool = True) -> SpanRecord:
        record = self._codec.to_record(span, member.key if member else NO_RUN, ended=ends)
        if member is not None:
            if member.originals is not None:
                member.originals.restore(record)
            attributes = record["attributes"]
            if "attributes" in record["dropped"]:
                _put_back(record, member)
            attributes[own.RUN_ID] = member.scope.run_id
            attributes[own.ORDINAL] = member.ordinal
            if member.lane:
                attributes[own.LANE] = member.lane
            effect = member.effect_key() if member.effect >= 0 else None
            if effect is not None:
                attributes[own.EFFECT] = effect
            if member.joined:
                attributes[own.JOINED] = member.joined
            # What a span says of these by itself is not believed.
            if not member.lane and own.LANE in attributes:
                del attributes[own.LANE]
            if effect is None and own.EFFECT in attributes:
                del attributes[own.EFFECT]
            if not member.joined and own.JOINED in attributes:
                del attributes[own.JOINED]
            if member.root is None:
                attributes[own.SPANS_STARTED] = member.started
                lost = self.recorder.lost(member.key) if self.recorder and ends else 0  # stated once: at an end
                if lost:
                    attributes[own.SPANS_DROPPED] = lost
                if member.unfollowed:
                    attributes[own.SPANS_UNFOLLOWED] = member.unfollowed
            if member.is_run or member.opens:
                attributes[own.REDACTION_POLICY] = self.redactor.policy.sha256
                if self.debug is not None:
                    attributes[own.REDACTION_MODE] = "debug"
                attributes[own.REDACTION_KEY_ID] = self.redactor.key_id(record["tenant_id"])
                if member.implicit:
                    attributes[own.IMPLICIT] = True
                    if member.claimed:
                        attributes[own.CLAIMED_RUN_ID] = self._claim(member.claimed)
                elif member.is_run:
                    attributes[own.OP] = RUN  # whatever it says by now: nothing else says that the run is this span
                if member.implicit or member.opens:
                    attributes[own.VERSIONS] = versions_text()
        return record

    def _claim(self, claimed: str) -> str:
        """Return what may be said of a run that somebody from outside has named: its id, if it can be one."""
        if valid_run_id(claimed):
            return claimed
        data = claimed.encode("utf-8", "replace")
        return marker("content", digest=self.redactor.policy.digester("claimed", data), size=len(data))

    def _state_cuts(self, span: ReadableSpan, raw: SpanRecord, originals: Originals | None) -> None:
        """State which values somebody else's provider has cut; what is beside the span it has not."""
        whole: Mapping[str, Any] = originals.attributes if originals is not None else {}
        events = {id(event[3]) for event in originals.events} if originals is not None else set[int]()
        state_cut(raw["attributes"], self.cut_to, but=whole)
        for event, part in zip(span.events, raw["events"], strict=False):
            if id(part["attributes"]) not in events:
                state_cut(part["attributes"], char_limit_of(event.attributes))
        for link, part in zip(span.links, raw["links"], strict=False):
            state_cut(part["attributes"], char_limit_of(link.attributes))

    def _keep_content(self, debug: DebugVault, run: RunKey, raw: SpanRecord) -> None:
        try:
            debug.keep(run, raw)
        except Exception:  # noqa: BLE001 - never raise into the application; the bundle does not depend on the vault
            self._failed("vault")

    def _guarded_start(self, span: Span, parent_context: Context | None) -> None:
        try:
            super().on_start(span, parent_context)
        except Exception:  # noqa: BLE001 - a downstream processor's fault is not the application's
            self._failed("downstream start")

    def _failed(self, where: str, run: RunKey | None = NO_RUN) -> None:
        """Count a span that was not processed, and complain. `run`: None if somebody else counts it."""
        if self.recorder is not None and run is not None:
            self.recorder.count_dropped(f"boundary_{where.replace(' ', '_')}", run=run)
        self._complaints.complain("boundary", f"a span was not processed ({where}); it is counted and withheld")

    def shutdown(self) -> None:
        """Seal the runs that have ended, then shut down everything downstream: no bundle waits for a backend."""
        if self.outlives_provider and not self.is_closed:
            return
        try:
            # Closed already, this is a thread for exporters: whoever shuts down may hold the recorder's lock.
            if self.recorder is not None and not self.is_closed:
                self.recorder.close()
            self.is_closed = True
            super().shutdown()
        except Exception as error:  # noqa: BLE001 - a downstream processor's fault is not the application's
            _log.error("the end of an exporter failed: %s", type(error).__name__)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush everything downstream and seal the runs that have ended; return False if any of it failed."""
        done = super().force_flush(timeout_millis)
        if self.recorder is None:
            return done
        return bool(self.recorder.flush(timeout_millis / 1000, take=False)) and done  # flush() has the rest to tell


def _put_back(record: SpanRecord, member: Member) -> None:
    """Put back what a span began with and limits have evicted: the oldest go first, and they say what it is."""
    attributes = record["attributes"]
    evicted = {key: value for key, value in (member.begun or {}).items() if key not in attributes}
    attributes.update(evicted)
    record["dropped"]["attributes"] -= len(evicted)
    if record["dropped"]["attributes"] <= 0:
        del record["dropped"]["attributes"]
