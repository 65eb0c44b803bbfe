"""`configure()`: attach to a tracer provider or build one, and start recording."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from runbundle.bundle.recorder import SPOOL_LIMIT_BYTES, Durability, Recorder
from runbundle.bundle.sealer import FlushResult
from runbundle.errors import ConfigError
from runbundle.models.contract import FieldRule, ToolContract
from runbundle.otel import active
from runbundle.otel.approval import Decider, default_decider
from runbundle.otel.boundary import BoundarySpanProcessor
from runbundle.otel.debug_mode import DEFAULT_TTL_S, debug_vault
from runbundle.otel.exporters import policy_from_environment, store_from_environment
from runbundle.otel.joining import Trust
from runbundle.otel.logs import BoundaryLogProcessor
from runbundle.otel.processors import raw_processors
from runbundle.redaction.detectors.environment import secrets_of_environment
from runbundle.redaction.detectors.known import KNOWN
from runbundle.redaction.detectors.text import default_detector
from runbundle.redaction.engine import Redactor
from runbundle.store import ArtifactStore, from_url
from runbundle.store.places import spool_of, vault_of

_log = logging.getLogger("runbundle")
_lock = threading.Lock()


class Handle:
    """A running configuration. A context manager: leaving it flushes and shuts down.

    `tracer_provider` and `logger_provider` are where instrumentations are pointed at; everything their processors
    see is redacted, if the provider is one that `configure()` built.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        tracer_provider: TracerProvider,
        logger_provider: LoggerProvider,
        boundary: BoundarySpanProcessor,
        recorder: Recorder,
        *,
        owns_provider: bool,
        decider: Decider = default_decider,
    ) -> None:
        self.tracer_provider = tracer_provider
        self.logger_provider = logger_provider
        self.owns_provider = owns_provider
        self.boundary = boundary
        self.recorder = recorder
        self.decider = decider
        self.tracer = tracer_provider.get_tracer("runbundle")
        self._arguments = arguments
        self._raw_at_start = 0 if owns_provider else len(raw_processors(tracer_provider))

    @property
    def key_given(self) -> bool:
        """Whether `configure()` was given the key of digests and tokens."""
        return self._arguments["key"] is not None

    @property
    def store(self) -> ArtifactStore:
        """Where bundles are sealed."""
        return self.recorder.store

    def configured_with(self, arguments: dict[str, Any]) -> bool:
        """Tell whether `configure()` was given the same arguments."""
        return self._arguments == arguments

    def flush(self, timeout_s: float = 30.0) -> FlushResult:
        """Wait until every run that has ended is sealed and every exporter has sent what it held; at most `timeout_s`.

        The result is true only if nothing failed, nothing is pending and nothing was lost.
        """
        deadline = time.monotonic() + timeout_s
        result = self.recorder.flush(timeout_s)
        result.outside = self.boundary.membership.outside
        if self.boundary.membership.unfollowed:
            result.dropped["live_spans"] = self.boundary.membership.unfollowed
        self._look_for_raw()
        for provider in (self.tracer_provider, self.logger_provider):
            provider.force_flush(max(1, int((deadline - time.monotonic()) * 1000)))
        return result

    def _look_for_raw(self) -> None:
        """Say so if a processor was added beside the boundary since `configure()`, where it is handed raw spans."""
        raw = [] if self.owns_provider else raw_processors(self.tracer_provider)
        if len(raw) > self._raw_at_start:
            self._raw_at_start = len(raw)
            _log.error("RB901: handed raw spans: %s; runbundle explain RB901", ", ".join(raw))

    def shutdown(self) -> None:
        """Flush, seal and stop. Safe to call twice. Decorators go on working and record nothing."""
        if active.get() is self:
            active.set_handle(None)
        try:
            self.logger_provider.shutdown()
            if self.owns_provider:
                self.tracer_provider.shutdown()
            else:
                self.boundary.shutdown()
        except Exception as error:  # noqa: BLE001 - an exporter's fault at the end must not become the agent's
            _log.error("shutdown of an exporter failed: %s", type(error).__name__)
        finally:
            self.recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.shutdown()


def configure(
    *,
    store: str | Path | ArtifactStore | None = None,
    contracts: Iterable[ToolContract | Mapping[str, Any] | str | Path] | None = None,
    tracer_provider: TracerProvider | None = None,
    otlp: bool | str = False,
    key: bytes | str | Path | Callable[[], bytes] | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: Iterable[FieldRule] = (),
    decider: Decider | None = None,
    raw_exporters: Literal["refuse", "allow"] = "refuse",
    content_mode: Literal["digest", "debug"] = "digest",
    vault_ttl_s: float = DEFAULT_TTL_S,
    spool: str | Path | None = None,
    grace_s: float = 2.0,
    durability: Durability = "os",
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
    recover: bool = True,
    resource: Mapping[str, str] | None = None,
    set_global: bool = False,
    trust_baggage: Trust = "signed",
) -> Handle:
    """Start recording runs into bundles; return a handle. Prints nothing.

    `store`: URL, path or store; default `RUNBUNDLE_STORE`, else `./.runbundle`. `contracts`: contracts, mappings, or
    paths of JSON or YAML files; default `RUNBUNDLE_CONTRACTS`. `tracer_provider`: one to attach to; by default the
    global one if the application has set an SDK provider, else one is built. An existing provider whose processors
    are handed raw spans is refused with `ConfigError`, unless `raw_exporters="allow"`: they then go on seeing them, and
    a warning says so. Wrap such exporters in `RedactingSpanExporter`, or let `configure()` build the provider.
    `otlp`: forward redacted spans and logs by OTLP, to the endpoint given or to that of `OTEL_EXPORTER_OTLP_*`;
    `OTEL_EXPORTER_OTLP_PROTOCOL` chooses `http/protobuf` (default) or `grpc`. `key`: key of the digests, or the
    path of a file that holds it, or a callable that returns it; default `RUNBUNDLE_REDACTION_KEY`, else the file of
    `RUNBUNDLE_REDACTION_KEY_FILE`, else drawn at random for this process. `safe_keys` and `safe_names`: attribute keys
    and span names of your own that may be kept. `user_id`: what happens to user ids. `result`: which fields of a run's
    result are kept. `decider`: decides about calls of tools whose contract says `require_approval`: a callable that is
    given a `ToolCall` and returns a `Decision` or a bool; by default such calls are refused. It is asked by `@tool` and
    `start_tool()` only, and one that raises denies. A contract's `deny` is final. No policy is enforced before
    `configure()`, nor after `shutdown()`: the contracts are not known then. `content_mode="debug"`, with
    `RUNBUNDLE_DEBUG_CONTENT=1` and `RUNBUNDLE_VAULT_KEY` in the environment, writes raw content to an encrypted vault
    beside the store, for `vault_ttl_s` seconds; never to a bundle nor over OTLP. `spool`: where journals lie until the
    seal. `grace_s`: how long a run whose root has ended waits for spans still open, here or in other processes.
    `durability`: what a record survives once its span's `end()` has returned: with `os` the death of the process, with
    `fsync-batch` that of the machine after a tenth of a second, with `fsync` at once. `spool_limit_bytes`: how much
    may wait for its seal before records are held up, for half a second, and then dropped and counted. `recover`: seal
    in the background the runs that dead processes have left in the spool. `resource`: attributes of a
    provider built here. `set_global`: make that one the global one. `trust_baggage`: which claims, in the headers of a
    request, of being a part of a run are believed: those `signed` by a process with the same key (`carrier()`), `any`,
    also the plain entries `runbundle.run.id` of older versions, or `never`. What is not believed is recorded as a run
    of its own that names the claim.

    Called again with the same arguments it returns the same handle; with others it raises `ConfigError`, as it does
    for a store that cannot be used. Everything later that fails is logged, counted and stated, not raised.
    """
    if durability not in get_args(Durability):
        raise ConfigError(f"durability {durability!r} is not known", hint=f"one of {', '.join(get_args(Durability))}")
    if trust_baggage not in get_args(Trust):
        raise ConfigError(f"trust_baggage {trust_baggage!r} is not known", hint=f"one of {', '.join(get_args(Trust))}")
    if decider is not None and not callable(decider):
        raise ConfigError("decider is not callable", hint="give a function that takes a ToolCall")
    arguments = {k: tuple(v) if k in ("safe_keys", "safe_names", "result") else v for k, v in locals().items()}
    arguments["contracts"] = None if contracts is None else tuple(contracts)
    with _lock:
        handle = active.get()
        if handle is not None:
            if handle.configured_with(arguments):
                return handle
            raise ConfigError("runbundle is already configured otherwise", hint="shut the first handle down before")
        artifact_store = store if isinstance(store, ArtifactStore) else from_url(str(store or store_from_environment()))
        policy = policy_from_environment(
            arguments["contracts"],
            key=key,
            safe_keys=frozenset(arguments["safe_keys"]),
            safe_names=frozenset(arguments["safe_names"]),
            user_id=user_id,
            result=arguments["result"],
        )
        KNOWN.register(*secrets_of_environment(os.environ), policy.digester.key, *policy.digester.key_texts())
        # In the background: on a machine that has not done it yet, compiling all rules takes some seconds.
        threading.Thread(target=default_detector, name="runbundle-rules", daemon=True).start()
        redactor = Redactor(policy)
        exporters = _otlp_exporters(otlp if isinstance(otlp, str) else None) if otlp else None  # may refuse
        debug = debug_vault(policy, vault_of(artifact_store), vault_ttl_s) if content_mode == "debug" else None
        recorder = Recorder(
            artifact_store,
            Path(spool) if spool else spool_of(artifact_store),
            grace_s=grace_s,
            durability=durability,
            spool_limit_bytes=spool_limit_bytes,
            recover=recover,
        )
        boundary = BoundarySpanProcessor(redactor, recorder, debug, trust_baggage=trust_baggage)
        provider = tracer_provider or _global_provider()
        owns = provider is None
        if provider is None:
            provider = TracerProvider(resource=Resource.create(dict(resource or {})), active_span_processor=boundary)
        else:
            _mind_raw_exporters(provider, allow=raw_exporters == "allow")
            provider.add_span_processor(boundary)
        logs = BoundaryLogProcessor(redactor, recorder, boundary.membership)
        logger_provider = LoggerProvider(resource=provider.resource, multi_log_record_processor=logs)
        if exporters is not None:
            span_exporter, log_exporter = exporters
            boundary.add_span_processor(BatchSpanProcessor(span_exporter))
            logs.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
        if set_global and owns:
            trace.set_tracer_provider(provider)
        handle = Handle(
            arguments,
            provider,
            logger_provider,
            boundary,
            recorder,
            owns_provider=owns,
            decider=default_decider if decider is None else decider,
        )
        active.set_handle(handle)
        return handle


def _global_provider() -> TracerProvider | None:
    """Return the global provider if the application has set one of the SDK; asking must not create one."""
    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _mind_raw_exporters(provider: TracerProvider, *, allow: bool) -> None:
    """Refuse a provider that shows raw spans to others, or warn of it."""
    raw = raw_processors(provider)
    if raw and not allow:
        raise ConfigError(
            f"RB901: the tracer provider has processors that are handed raw spans: {', '.join(raw)}",
            hint="let configure() build the provider and add them to it, wrap their exporters in"
            ' RedactingSpanExporter, or say raw_exporters="allow"',
        )
    if raw:
        _log.warning("RB901: handed raw spans, as allowed: %s; runbundle explain RB901", ", ".join(raw))


def _otlp_exporters(endpoint: str | None) -> tuple[SpanExporter, LogRecordExporter]:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").strip().lower()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans

        return GrpcSpans(endpoint=endpoint), GrpcLogs(endpoint=endpoint)
    if protocol != "http/protobuf":
        raise ConfigError(
            f"OTLP protocol {protocol!r} is not supported",
            hint="set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or grpc",
        )
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if endpoint is None:
        return OTLPSpanExporter(), OTLPLogExporter()
    base = endpoint.rstrip("/").removesuffix("/v1/traces")
    return OTLPSpanExporter(endpoint=f"{base}/v1/traces"), OTLPLogExporter(endpoint=f"{base}/v1/logs")
