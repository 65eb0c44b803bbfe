"""Exporters: one that redacts in front of another, and one that writes bundles, for configuration by environment."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runbundle.bundle.recorder import Recorder
from runbundle.codec.coerce import hex_id, time_of
from runbundle.codec.dialects import is_agent_work
from runbundle.models.identity import NO_RUN, RunKey, tenant_of
from runbundle.models.records import SpanRecord
from runbundle.otel.claims import RUN_ID_KEY, TENANT_ID_KEY
from runbundle.otel.digest_key import digest_key
from runbundle.otel.spans import SpanCodec, identity
from runbundle.redaction.contracts import by_name
from runbundle.redaction.engine import Redactor
from runbundle.redaction.given_key import GivenKey
from runbundle.redaction.policy import Policy
from runbundle.store import from_url
from runbundle.store.places import DEFAULT_STORE, spool_of


class RedactingSpanExporter(SpanExporter):
    """Redacts spans in front of another exporter: for providers whose processors are not ours to wrap.

    Raw spans wait in the batch processor's queue before they reach it; what `inner` sends is redacted.
    """

    def __init__(self, inner: SpanExporter, redactor: Redactor | None = None) -> None:
        self._inner = inner
        self._redactor = redactor or Redactor(policy_from_environment())
        self._codec = SpanCodec()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Redact and pass on. A batch that cannot be redacted is not sent."""
        try:
            redacted = [
                self._codec.to_span(span, self._redactor.redact_span(self._codec.to_record(span, NO_RUN)))
                for span in spans
            ]
        except Exception:  # noqa: BLE001 - fail closed
            return SpanExportResult.FAILURE
        return self._inner.export(redacted)

    def shutdown(self) -> None:
        """Shut the inner exporter down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner exporter."""
        return self._inner.force_flush(timeout_millis)


class RedactingSpanProcessor(SpanProcessor):
    """Redacts spans in front of another processor."""

    def __init__(self, inner: SpanProcessor, redactor: Redactor | None = None) -> None:
        from runbundle.otel.boundary import BoundarySpanProcessor

        self._boundary = BoundarySpanProcessor(redactor or Redactor(policy_from_environment()))
        self._boundary.add_span_processor(inner)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Pass the start on."""
        self._boundary.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass the redacted span on."""
        self._boundary.on_end(span)

    def shutdown(self) -> None:
        """Shut the inner processor down."""
        self._boundary.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner processor."""
        return self._boundary.force_flush(timeout_millis)


class BundleSpanExporter(SpanExporter):
    """Writes bundles from exported spans: `OTEL_TRACES_EXPORTER=runbundle`, and no code at all.

    A span belongs to the run in its `runbundle.run.id`, else to the run its trace is: agent work makes a run of its
    trace, which ends with the trace's local root. An exporter sees spans only when they have ended and as many as the
    batch processor kept; `configure()` sees more, and is to be preferred.
    """

    def __init__(self, store: str | None = None, contracts: str | None = None, **_: Any) -> None:
        artifact_store = from_url(store or store_from_environment())
        self._redactor = Redactor(policy_from_environment(contracts, store=artifact_store.url))
        self._recorder = Recorder(artifact_store, spool_of(artifact_store))
        self._codec = SpanCodec()
        self._agent_traces: dict[int, bool] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record the spans; those of traces without agent work are none of a bundle's business."""
        for span in spans:
            if is_agent_work(span.name, span.attributes or {}):
                self._agent_traces[identity(span).trace_id] = True
        for span in sorted(spans, key=lambda s: time_of(s.end_time) or 0):
            own = (span.attributes or {}).get(RUN_ID_KEY)
            run_id = own if isinstance(own, str) else hex_id(identity(span).trace_id, 32)
            tenant = tenant_of((span.attributes or {}).get(TENANT_ID_KEY))
            is_root = span.parent is None or span.parent.is_remote
            if isinstance(own, str) or self._agent_traces.get(identity(span).trace_id):
                run = RunKey(tenant, run_id)
                try:
                    self._recorder.ended(self._redacted(span, run, is_root=is_root), is_root=is_root)
                except Exception:  # noqa: BLE001 - a span of which no record can be made costs itself alone
                    self._recorder.count_dropped("boundary_end", run=run)
                    self._recorder.ended_unrecorded(run, is_root=is_root)
            if is_root:
                self._agent_traces.pop(identity(span).trace_id, None)
        return SpanExportResult.SUCCESS

    def _redacted(self, span: ReadableSpan, run: RunKey, *, is_root: bool) -> SpanRecord:
        raw = self._codec.to_record(span, run)
        raw["attributes"][RUN_ID_KEY] = run.run_id
        if is_root:
            raw["attributes"]["runbundle.redaction.policy"] = self._redactor.policy.sha256
            raw["attributes"]["runbundle.redaction.key_id"] = self._redactor.key_id(run.tenant_id)
        return self._redactor.redact_span(raw)

    def shutdown(self) -> None:
        """Seal what has ended."""
        self._recorder.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal what has ended; False if anything failed."""
        return bool(self._recorder.flush(timeout_millis / 1000))


def store_from_environment() -> str:
    """Return the store's URL: `RUNBUNDLE_STORE`, else `.runbundle` in the working directory."""
    return os.environ.get("RUNBUNDLE_STORE", "").strip() or DEFAULT_STORE


def policy_from_environment(
    contracts: str | Iterable[Any] | None = None,
    *,
    store: str | None = None,
    key: GivenKey | None = None,
    **options: Any,
) -> Policy:
    """Build a policy from options; contracts default to the files of `RUNBUNDLE_CONTRACTS` (`:`-separated).

    `store` is the URL of the store whose digests are to join; by default the environment's. Raises `ConfigError` for a
    key that must not be used.
    """
    given: list[Any]
    if contracts is None or isinstance(contracts, str):
        given = [p for p in (contracts or os.environ.get("RUNBUNDLE_CONTRACTS", "")).split(os.pathsep) if p]
    else:
        given = list(contracts)
    digester, origin, path = digest_key(store or store_from_environment(), key)
    extra: Mapping[str, Any] = options
    return Policy(contracts=by_name(given), digester=digester, key_origin=origin, key_path=path, **extra)
