"""`configure()`: attach to a tracer provider or build one, and start recording."""

import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from runbundle import settings
from runbundle.contracts.approval import Decider, default_decider
from runbundle.errors import ConfigError
from runbundle.format.contract import FieldRule, ToolContract
from runbundle.keyring.given_key import GivenKey
from runbundle.otel import active, notices, switch
from runbundle.otel.belonging.joining import Trust
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.neighbours import raw_processors, value_limit_of
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.composition import Redacted, composed, opened, redacts_all
from runbundle.otel.digest_key import carrier_keys
from runbundle.otel.handle import Handle, at_exit, running
from runbundle.otel.otlp import otlp_processors
from runbundle.otel.providers import build_logger_provider, build_tracer_provider
from runbundle.recording.recorder import Durability, Recorder
from runbundle.recording.spool_limit import SPOOL_LIMIT_BYTES
from runbundle.store import ArtifactStore
from runbundle.store.places import spool_of, vault_of
from runbundle.vault.debug_mode import DEFAULT_TTL_S, debug_vault

__all__ = ["Handle", "configure"]

_log = logging.getLogger("runbundle")
_lock = threading.Lock()
_SEVERAL = frozenset({"contracts", "safe_keys", "safe_names", "result"})


def configure(
    *,
    store: str | Path | ArtifactStore | None = None,
    contracts: Iterable[ToolContract | Mapping[str, Any] | str | Path] | None = None,
    tracer_provider: TracerProvider | None = None,
    otlp: bool | str = False,
    key: GivenKey | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: Iterable[FieldRule] = (),
    decider: Decider | None = None,
    redact: Redacted = "agents",
    raw_exporters: Literal["refuse", "allow"] = "refuse",
    content_mode: Literal["digest", "debug"] = "digest",
    vault_ttl_s: float = DEFAULT_TTL_S,
    spool: str | Path | None = None,
    grace_s: float = 2.0,
    durability: Durability = "os",
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
    recover: bool = True,
    resource: Mapping[str, str] | None = None,
    set_global: bool = True,
    trust_baggage: Trust = "signed",
) -> Handle:
    """Start recording runs into bundles; return a handle. Prints nothing.

    `store`: URL, path or store; default `RUNBUNDLE_STORE`, else `./.runbundle`. `contracts`: contracts, mappings, or
    paths of JSON or YAML files; default `RUNBUNDLE_CONTRACTS`. `tracer_provider`: one to attach to; by default the
    global one if the application has set one that takes span processors, else one is built, which records every run
    whatever its sampler says, and whole, whatever the limits of the environment: both decide only what is forwarded. A
    global logger provider is joined, or built, likewise. On an existing tracer provider, what runbundle itself puts on
    spans is redacted before it is there; exporters that stand on it see the agent spans of other libraries raw, and a
    warning names them. Wrap such exporters in `RedactingSpanExporter`, or let `configure()` build the provider.
    `redact`: whose telemetry is redacted for what stands behind the boundary (exporters added to a provider that was
    built here, and `otlp`). With `agents` that of agents: spans and log records that are read as agent work, or have
    content of it. All others pass as they are, but for known secrets and what detectors find in them. With `all`
    everything is, and an existing provider whose exporters see raw spans is refused with `ConfigError`, unless
    `raw_exporters="allow"`. In bundles everything is redacted in any case. `otlp`: forward redacted spans and logs by
    OTLP, to the endpoint given or to that of `OTEL_EXPORTER_OTLP_*`; `OTEL_EXPORTER_OTLP_PROTOCOL` chooses
    `http/protobuf` (default) or `grpc`. `key`: key of the digests, of 16 bytes or more, or the path of a file that
    holds it, or a callable that returns it; default `RUNBUNDLE_REDACTION_KEY`, else the file of
    `RUNBUNDLE_REDACTION_KEY_FILE`, else one that is made on first use and kept for this user and store in
    `RUNBUNDLE_KEYS`, else `~/.config/runbundle/keys`. Digests join where it is the same. `safe_keys` and `safe_names`:
    attribute keys and span names of your own that may be kept, a `*` in them standing for anything. `user_id`: what
    happens to user ids. `result`: which fields of a run's result are kept. `decider`: decides about calls of tools
    whose contract says `require_approval`: a callable that is given a `ToolCall` and returns a `Decision` or a bool; by
    default such calls are refused. It is asked by `@tool` and `start_tool()` only, and one that raises denies. A
    contract's `deny` is final. No policy is enforced before `configure()`, nor after `shutdown()`: the contracts are
    not known then. `content_mode="debug"`, with `RUNBUNDLE_DEBUG_CONTENT=1` and `RUNBUNDLE_VAULT_KEY` in the
    environment, writes raw content to an encrypted vault beside the store, for `vault_ttl_s` seconds; never to a bundle
    nor over OTLP. `spool`: where journals lie until the seal. `grace_s`: how long a run whose root has ended waits for
    spans still open, here or in other processes. `durability`: what a record survives once its span's `end()` has
    returned: with `os` the death of the process, with `fsync-batch` that of the machine after a tenth of a second, with
    `fsync` at once. `spool_limit_bytes`: how much may wait for its seal before records are held up, for half a second,
    and then dropped and counted. `recover`: seal in the background the runs that dead processes have left in the spool.
    `resource`: attributes of a provider built here. `set_global`: make the providers built here the global ones, unless
    others were set before. A provider that is set later is refused by OpenTelemetry, which an error log then explains:
    with `False` it is not. `trust_baggage`: which claims, in the headers of a request, of being a part of a run are
    believed: those `signed` by a process with the same key (`carrier()`), `any`, also the plain entries
    `runbundle.run.id` of older versions, or `never`. What is not believed is recorded as a run of its own that names
    the claim.

    Called again with the same arguments it returns the same handle; with others it raises `ConfigError`, as it does
    for a store that cannot be used. Everything later that fails is logged, counted and stated, not raised.
    """
    arguments = {k: _once(v) if k in _SEVERAL else v for k, v in locals().items()}
    settings.check(arguments)
    everything = redacts_all(redact)
    if decider is not None and not callable(decider):
        raise ConfigError("decider is not callable", hint="give a function that takes a ToolCall")
    with _lock:
        handle = running()
        if handle is not None:
            if handle.configured_with(arguments):
                return handle
            raise ConfigError("runbundle is already configured otherwise", hint="shut the first handle down before")
        artifact_store = opened(store)
        redactor = composed(
            artifact_store,
            arguments["contracts"],
            key=key,
            safe_keys=arguments["safe_keys"],
            safe_names=arguments["safe_names"],
            user_id=user_id,
            result=arguments["result"],
        ).redactor
        policy = redactor.policy
        forwarding = otlp_processors(otlp if isinstance(otlp, str) else None) if otlp else None  # may refuse
        debug = debug_vault(redactor, vault_of(artifact_store), vault_ttl_s) if content_mode == "debug" else None
        recorder = Recorder(
            artifact_store,
            Path(spool) if spool else spool_of(artifact_store),
            grace_s=grace_s,
            durability=durability,
            spool_limit_bytes=spool_limit_bytes,
            recover=recover,
        )
        believes = "keyring" if trust_baggage == "never" else policy.key_origin  # it needs no other
        keys = carrier_keys(artifact_store.url, policy.digester, believes)
        boundary = BoundarySpanProcessor(
            redactor, recorder, debug, carrier_keys=keys, trust_baggage=trust_baggage, redacts_all=everything
        )
        logs = BoundaryLogProcessor(redactor, recorder, boundary.membership, redacts_all=everything)
        theirs = _theirs(tracer_provider)
        if theirs is None:
            provider = build_tracer_provider(boundary, resource or {})
            boundary.whole = True
        else:
            _mind_raw_exporters(theirs, refuse=everything and raw_exporters != "allow")
            notices.say_sampling(theirs)
            boundary.cut_to = value_limit_of(theirs)
            provider = theirs
            provider.add_span_processor(boundary)
        loggers, owns_loggers = _loggers(logs, provider)
        if forwarding is not None:
            boundary.add_span_processor(forwarding[0])
            logs.add_log_record_processor(forwarding[1])
        handle = Handle(
            arguments,
            provider,
            loggers,
            boundary,
            logs,
            recorder,
            owns_provider=theirs is None,
            owns_logger_provider=owns_loggers,
            forwarders=[processor.forwarder for processor in forwarding or ()],
            decider=default_decider if decider is None else decider,
        )
        if set_global and theirs is None:
            switch.take_tracing(provider)
        if set_global and owns_loggers:
            switch.take_logging(loggers)
        active.use(handle)
        notices.note_configured(at_exit)
        notices.say_unknown_variables()
        return handle


def _once(value: Any) -> Any:
    """Return what can be iterated over only once, as a generator can, as what can be more often."""
    return value if isinstance(value, str | bytes) or not isinstance(value, Iterable) else tuple(cast("Any", value))


def _theirs(given: TracerProvider | None) -> TracerProvider | None:
    """Return the provider to attach to, if somebody has built one. It is known by what it can do, as a proxy can."""
    provider: Any = trace.get_tracer_provider() if given is None else given
    if switch.nobody_traces(provider):
        return None
    if all(callable(getattr(provider, name, None)) for name in ("add_span_processor", "get_tracer", "force_flush")):
        return provider
    if given is not None:
        raise ConfigError(f"tracer_provider is a {type(given).__name__}, which takes no span processors")
    notices.say_unjoined(provider)
    return None


def _loggers(boundary: BoundaryLogProcessor, provider: TracerProvider) -> tuple[LoggerProvider, bool]:
    """Return the logger provider behind or beside which the boundary is, and whether it was built here."""
    theirs: Any = otel_logs.get_logger_provider()
    if not switch.nobody_logs(theirs) and callable(getattr(theirs, "add_log_record_processor", None)):
        theirs.add_log_record_processor(boundary)
        return theirs, False
    resource: Any = getattr(provider, "resource", None)
    return build_logger_provider(boundary, resource if isinstance(resource, Resource) else Resource.create()), True


def _mind_raw_exporters(provider: TracerProvider, *, refuse: bool) -> None:
    """Say, of a provider that shows raw spans to others, to whom; or refuse it."""
    raw = raw_processors(provider)
    if raw and refuse:
        raise ConfigError(
            f"RB901: the tracer provider has processors that are handed raw spans: {', '.join(raw)}",
            hint="let configure() build the provider and add them to it, wrap their exporters in"
            ' RedactingSpanExporter, or leave redact="all" out',
        )
    if raw:
        _log.warning(
            "RB901: handed raw spans: %s; what runbundle records itself is redacted for them, the agent spans of other"
            " libraries are not; runbundle explain RB901",
            ", ".join(raw),
        )
