"""The boundary: the processor that owns all others and shows them only redacted spans.

A redactor registered beside an exporter protects nothing: all processors of a provider are handed one frozen span.
This one is given to `TracerProvider(active_span_processor=...)`, so that every processor added to that provider, then
or later, is downstream of it. Added to a provider that already exists, it protects what is added to itself.
"""

import logging
import time

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, SynchronousMultiSpanProcessor

from runbundle.bundle.recorder import Recorder
from runbundle.models.identity import valid_run_id
from runbundle.models.records import SpanRecord
from runbundle.otel.claims import RUN_ID_KEY
from runbundle.otel.debug_mode import DebugVault
from runbundle.otel.joining import Trust, carrier_key
from runbundle.otel.membership import Member, Membership
from runbundle.otel.spans import SpanCodec, identity
from runbundle.otel.versions import versions_text
from runbundle.redaction.engine import Redactor
from runbundle.redaction.markers import marker

_log = logging.getLogger("runbundle")


class BoundarySpanProcessor(SynchronousMultiSpanProcessor):
    """Redacts every ended span, records it if it is part of a run, and hands it on.

    Never raises into the application, whatever redactor, recorder or downstream processors do. Start-time calls go
    downstream with the live span, which processors that set attributes need; one that exports live spans at their
    start is outside the boundary, and `runbundle doctor` cannot know it.
    """

    def __init__(
        self,
        redactor: Redactor,
        recorder: Recorder | None = None,
        debug: DebugVault | None = None,
        *,
        trust_baggage: Trust = "signed",
    ) -> None:
        super().__init__()
        self.redactor = redactor
        self.recorder = recorder
        self.debug = debug
        self.membership = Membership(carrier_key(redactor.policy.digester), trust_baggage)
        self._codec = SpanCodec()
        self._downstream = 0
        self._logged_at = 0.0
        self._about_root = {
            "runbundle.redaction.policy": redactor.policy.sha256,
            "runbundle.redaction.key_id": redactor.policy.digester.key_id,
            **({"runbundle.redaction.mode": "debug"} if debug is not None else {}),
        }

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Put a processor behind the boundary."""
        super().add_span_processor(span_processor)
        self._downstream += 1

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Find the span's run and journal its start."""
        try:
            member = self.membership.enter(span, parent_context)
            if member is not None and self.recorder is not None:
                context, parent = identity(span), span.parent
                self.recorder.started(
                    member.run_id,
                    format(context.trace_id, "032x"),
                    format(context.span_id, "016x"),
                    format(parent.span_id, "016x") if parent else "",
                    span.start_time or 0,
                    member.lane,
                    member.label,
                    is_run=member.is_run,
                    record=self.redactor.redact_span(self._raw(span, member, ends=False)) if member.is_run else None,
                )
        except Exception:  # noqa: BLE001 - never raise into the application
            self._failed("start")
        if self._downstream:
            self._guarded_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Redact, record, hand on."""
        try:
            context = identity(span)
            member = self.membership.leave(context.trace_id, context.span_id)
            if member is None and not self._downstream:
                return
            if member is not None and member.inherited:
                member = None  # begun before a fork: it is the parent process's to end and to record
            raw = self._raw(span, member)
            if self.debug is not None and member is not None:
                self._keep_content(self.debug, member.run_id, raw)
            record = self.redactor.redact_span(raw)
            if member is not None and self.recorder is not None:
                self.recorder.ended(record, is_root=member.is_run)
            if self._downstream:
                super().on_end(self._codec.to_span(span, record))
        except Exception:  # noqa: BLE001 - never raise into the application; the span is lost, and counted
            self._failed("end")

    def _raw(self, span: ReadableSpan, member: Member | None, *, ends: bool = True) -> SpanRecord:
        record = self._codec.to_record(span, member.run_id if member else "")
        if member is not None:
            attributes = record["attributes"]
            attributes[RUN_ID_KEY] = member.run_id
            attributes["runbundle.ordinal"] = member.ordinal
            if member.lane:
                attributes["runbundle.lane"] = member.lane
            effect = member.effect_key() if member.effect >= 0 else None
            if effect is not None:
                attributes["runbundle.effect"] = effect
            if member.joined:
                attributes["runbundle.joined"] = member.joined
            # What a span says of these by itself is not believed.
            if not member.lane and "runbundle.lane" in attributes:
                del attributes["runbundle.lane"]
            if effect is None and "runbundle.effect" in attributes:
                del attributes["runbundle.effect"]
            if not member.joined and "runbundle.joined" in attributes:
                del attributes["runbundle.joined"]
            if member.root is None:
                attributes["runbundle.spans.started"] = member.started
                lost = self.recorder.lost(member.run_id) if self.recorder and ends else 0  # stated once: at an end
                if lost:
                    attributes["runbundle.spans.dropped"] = lost
                if member.unfollowed:
                    attributes["runbundle.spans.unfollowed"] = member.unfollowed
            if member.is_run:
                attributes.update(self._about_root)
                if member.implicit:
                    attributes["runbundle.implicit"] = True
                    if member.claimed:
                        attributes["runbundle.claimed.run.id"] = self._claim(member.claimed)
                    attributes["runbundle.versions"] = versions_text()
        return record

    def _claim(self, claimed: str) -> str:
        """Return what may be said of a run that somebody from outside has named: its id, if it can be one."""
        if valid_run_id(claimed):
            return claimed
        data = claimed.encode("utf-8", "replace")
        return marker("content", digest=self.redactor.policy.digester("claimed", data), size=len(data))

    def _keep_content(self, debug: DebugVault, run_id: str, raw: SpanRecord) -> None:
        try:
            debug.keep(run_id, raw)
        except Exception:  # noqa: BLE001 - never raise into the application; the bundle does not depend on the vault
            self._failed("vault")

    def _guarded_start(self, span: Span, parent_context: Context | None) -> None:
        try:
            super().on_start(span, parent_context)
        except Exception:  # noqa: BLE001 - a downstream processor's fault is not the application's
            self._failed("downstream start")

    def _failed(self, where: str) -> None:
        if self.recorder is not None:
            self.recorder.count_dropped(f"boundary_{where.replace(' ', '_')}")
        now = time.monotonic()
        if now - self._logged_at > 30 or not self._logged_at:
            self._logged_at = now
            # No traceback: it would quote the value that could not be handled.
            _log.error("a span was not processed (%s); it is counted and withheld", where)

    def shutdown(self) -> None:
        """Shut down everything downstream, then seal what has ended."""
        try:
            super().shutdown()
        finally:
            if self.recorder is not None:
                self.recorder.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush everything downstream and seal the runs that have ended. False if any of it failed."""
        done = super().force_flush(timeout_millis)
        if self.recorder is None:
            return done
        return bool(self.recorder.flush(timeout_millis / 1000, take=False)) and done  # flush() has the rest to tell
