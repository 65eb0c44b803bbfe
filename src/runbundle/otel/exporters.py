"""Exporters: one that redacts in front of another, and one that writes bundles, for configuration by environment."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runbundle.bundle.recorder import Recorder
from runbundle.codec.dialects import is_agent_work
from runbundle.errors import ConfigError
from runbundle.otel.claims import RUN_ID_KEY
from runbundle.otel.spans import SpanCodec, identity
from runbundle.redaction.contracts import by_name
from runbundle.redaction.engine import Redactor
from runbundle.redaction.markers import Digester
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
                self._codec.to_span(span, self._redactor.redact_span(self._codec.to_record(span, ""))) for span in spans
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
        policy = policy_from_environment(contracts)
        self._redactor = Redactor(policy)
        artifact_store = from_url(store or store_from_environment())
        self._recorder = Recorder(artifact_store, spool_of(artifact_store))
        self._codec = SpanCodec()
        self._agent_traces: dict[int, bool] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record the spans; those of traces without agent work are none of a bundle's business."""
        for span in spans:
            if is_agent_work(span.name, span.attributes or {}):
                self._agent_traces[identity(span).trace_id] = True
        for span in sorted(spans, key=lambda s: s.end_time or 0):
            own = (span.attributes or {}).get(RUN_ID_KEY)
            run_id = own if isinstance(own, str) else format(identity(span).trace_id, "032x")
            is_root = span.parent is None or span.parent.is_remote
            if isinstance(own, str) or self._agent_traces.get(identity(span).trace_id):
                raw = self._codec.to_record(span, run_id)
                raw["attributes"][RUN_ID_KEY] = run_id
                if is_root:
                    raw["attributes"]["runbundle.redaction.policy"] = self._redactor.policy.sha256
                    raw["attributes"]["runbundle.redaction.key_id"] = self._redactor.policy.digester.key_id
                self._recorder.ended(self._redactor.redact_span(raw), is_root=is_root)
            if is_root:
                self._agent_traces.pop(identity(span).trace_id, None)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Seal what has ended."""
        self._recorder.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal what has ended; False if anything failed."""
        return bool(self._recorder.flush(timeout_millis / 1000))


def store_from_environment() -> str:
    """Return the store's URL: `RUNBUNDLE_STORE`, else `.runbundle` in the working directory."""
    return os.environ.get("RUNBUNDLE_STORE", "").strip() or DEFAULT_STORE


def key_from(given: bytes | str | Path | Callable[[], bytes] | None = None) -> bytes | None:
    """Return the digest key: given, from a file or from a callable; else that of the environment; None: draw one.

    The environment's is `RUNBUNDLE_REDACTION_KEY`, or is in the file that `RUNBUNDLE_REDACTION_KEY_FILE` names.
    Raises `ConfigError` for a file that cannot be read and for an empty key.
    """
    if given is None:
        text = os.environ.get("RUNBUNDLE_REDACTION_KEY", "")
        if text:
            return text.encode()
        given = os.environ.get("RUNBUNDLE_REDACTION_KEY_FILE", "").strip() or None
    if given is None or isinstance(given, bytes):
        key = given
    elif callable(given):
        key = given()
    else:
        try:
            key = Path(given).read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"the digest key {given} cannot be read: {error.strerror}") from None
    if key is not None and not key:
        raise ConfigError(
            "the digest key is empty", hint="`openssl rand -hex 32` makes one; leave it out for a random one"
        )
    return key


def policy_from_environment(contracts: str | Iterable[Any] | None = None, **options: Any) -> Policy:
    """Build a policy from options; contracts default to the files of `RUNBUNDLE_CONTRACTS` (`:`-separated)."""
    given: list[Any]
    if contracts is None or isinstance(contracts, str):
        given = [p for p in (contracts or os.environ.get("RUNBUNDLE_CONTRACTS", "")).split(os.pathsep) if p]
    else:
        given = list(contracts)
    key = key_from(options.pop("key", None))
    extra: Mapping[str, Any] = options
    return Policy(contracts=by_name(given), digester=Digester(key), **extra)
