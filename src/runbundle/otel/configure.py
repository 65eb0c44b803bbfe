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

from runbundle import format as formats  # its models are loaded when they are asked for
from runbundle import settings
from runbundle.contracts.approval import Decider, default_decider
from runbundle.errors import ConfigError
from runbundle.keyring.given_key import GivenKey
from runbundle.otel import active, notices, switch
from runbundle.otel.belonging.joining import Trust
from runbundle.otel.belonging.run_names import Grouping, run_names
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.neighbours import raw_processors, value_limit_of
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.bundle_sink import note_configured
from runbundle.otel.composition import Redacted, compose, open_store, redacts_all
from runbundle.otel.digest_key import carrier_keys
from runbundle.otel.forwarding.destination import build
from runbundle.otel.forwarding.option import Otlp
from runbundle.otel.handle import Handle, running, shut_down_at_exit
from runbundle.otel.providers import build_logger_provider, build_tracer_provider
from runbundle.recording.recorder import Durability, Recorder
from runbundle.recording.sealing.publisher import SealedBy, sealed_by
from runbundle.recording.spool_limit import SPOOL_LIMIT_BYTES
from runbundle.store import ArtifactStore
from runbundle.store.locations import spool_of, vault_of
from runbundle.vault.debug_mode import DEFAULT_TTL_S, debug_vault

__all__ = ["Handle", "configure"]

_log = logging.getLogger("runbundle")
_lock = threading.Lock()
_SEVERAL = frozenset({"contracts", "otlp", "safe_keys", "safe_names", "result", "run_id_keys"})


def configure(
    *,
    store: str | Path | ArtifactStore | None = None,
    contracts: "Iterable[formats.contract.ToolContract | Mapping[str, Any] | str | Path] | None" = None,
    tracer_provider: TracerProvider | None = None,
    otlp: bool | str | Otlp | Iterable[str | Otlp] | None = None,
    key: GivenKey | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: "Iterable[formats.contract.FieldRule]" = (),
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
    seal: SealedBy | None = None,
    resource: Mapping[str, str] | None = None,
    set_global: bool = True,
    trust_baggage: Trust = "signed",
    run_id_keys: Iterable[str] | None = None,
    group_by: Grouping | None = None,
) -> Handle:
    """Start recording runs into bundles; return a handle. Prints nothing.

    Attaches to the tracer provider of the application, or builds one. docs/settings.md says more of each option:

    - `store`: Where bundles go: a path, a URL, or a store.
    - `contracts`: Tool contracts, or the files that hold them; in the variable joined by `:`.
    - `tracer_provider`: The tracer provider to attach to; else the global one, or one that is built.
    - `otlp`: Forward redacted spans and logs by OTLP: True, a URL, an `Otlp`, or a list; in the variable yes, or URLs.
    - `key`: The key of the digests: its bytes, the path of a file, or a callable that returns it.
    - `safe_keys`: Attribute keys of your own whose values may be kept; `*` stands for anything.
    - `safe_names`: Span and event names of your own that may be kept; `*` stands for anything.
    - `user_id`: What becomes of user ids. One of `keep`, `hash`, `drop`.
    - `result`: The rules that keep fields of a run's result; by default none is kept.
    - `decider`: Who decides about calls that need approval; by default they are refused.
    - `redact`: Whose telemetry is redacted for other sinks than bundles. One of `agents`, `all`.
    - `raw_exporters`: Whether `redact="all"` allows exporters that see raw spans. One of `refuse`, `allow`.
    - `content_mode`: Whether raw content is kept in an encrypted vault. One of `digest`, `debug`.
    - `vault_ttl_s`: How long the vault keeps what it has, in seconds.
    - `spool`: Where journals lie until the seal.
    - `grace_s`: How long an ended run waits for open spans, in seconds.
    - `durability`: What a record survives: the end of the process; that of the machine, after 0.1 s; that of the
      machine, at once. One of `os`, `fsync-batch`, `fsync`.
    - `spool_limit_bytes`: How much may wait for its seal, in bytes.
    - `recover`: Whether runs that dead processes left are sealed in the background.
    - `seal`: Who seals runs: a thread of the agent's process, or a process of ours that takes no time from the agent's
      threads. One of `thread`, `process`.
    - `resource`: Resource attributes of a provider that is built here.
    - `set_global`: Whether providers built here become the global ones.
    - `trust_baggage`: Which claims in requests, of being a part of a run, are believed. One of `signed`, `any`,
      `never`.
    - `run_id_keys`: Attributes in which spans carry the id of a run that nobody has named; in the variable joined by
      `,`.
    - `group_by`: What makes one run of spans that nobody began a run for. One of `trace`, `conversation`.

    Called again with the same arguments it returns the same handle; with others it raises `ConfigError`, as it does
    for a store that cannot be used. Everything later that fails is logged, counted and stated, not raised.
    """
    arguments = {k: _once(v) if k in _SEVERAL else v for k, v in locals().items()}
    settings.check(arguments)
    everything = redacts_all(redact)
    with _lock:
        handle = running()
        if handle is not None and not handle.by_environment:
            if handle.has_arguments(arguments):
                return handle
            raise ConfigError("runbundle is already configured otherwise", hint="shut the first handle down before")
        artifact_store = open_store(store)
        redactor = compose(
            artifact_store,
            arguments["contracts"],
            key=key,
            safe_keys=arguments["safe_keys"],
            safe_names=arguments["safe_names"],
            user_id=user_id,
            result=arguments["result"],
        ).redactor
        policy = redactor.policy
        names = run_names(policy.digester, arguments["run_id_keys"], group_by)
        destinations, seals = build(arguments["otlp"]), sealed_by(seal)  # may refuse
        debug = debug_vault(redactor, vault_of(artifact_store), vault_ttl_s) if content_mode == "debug" else None
        theirs = _theirs(tracer_provider)
        if theirs is not None:
            _mind_raw_exporters(theirs, refuse=everything and raw_exporters != "allow")
        behind = ((), ()) if handle is None else handle.give_way()  # code knows better than the environment
        recorder = Recorder(  # the first that makes a folder: what is refused is refused before
            artifact_store,
            Path(spool) if spool else spool_of(artifact_store),
            grace_s=grace_s,
            durability=durability,
            spool_limit_bytes=spool_limit_bytes,
            recover=recover,
            seal=seals,
        )
        believes = "keyring" if trust_baggage == "never" else policy.key_origin  # it needs no other
        keys = carrier_keys(artifact_store.url, policy.digester, believes)
        boundary = BoundarySpanProcessor(
            redactor,
            recorder,
            debug,
            carrier_keys=keys,
            trust_baggage=trust_baggage,
            redacts_all=everything,
            names=names,
        )
        logs = BoundaryLogProcessor(redactor, recorder, boundary.membership, redacts_all=everything)
        if theirs is None:
            provider = build_tracer_provider(boundary, resource or {})
            boundary.on_own_provider = True
        else:
            notices.say_sampling(theirs)
            boundary.cut_to = value_limit_of(theirs)
            provider = theirs
            provider.add_span_processor(boundary)
        loggers, owns_loggers = _loggers(logs, provider)
        for processor in behind[0]:
            boundary.add_span_processor(processor)
        for processor in behind[1]:
            logs.add_log_record_processor(processor)
        for destination in destinations:
            boundary.add_span_processor(destination.span_processor)
            logs.add_log_record_processor(destination.log_processor)
        handle = Handle(
            arguments,
            provider,
            loggers,
            boundary,
            logs,
            recorder,
            owns_provider=theirs is None,
            owns_logger_provider=owns_loggers,
            destinations=destinations,
            decider=default_decider if decider is None else decider,
        )
        if set_global and theirs is None:
            switch.take_over_tracing(provider, handle.join)
        if set_global and owns_loggers:
            switch.take_over_logging(loggers, handle.join_logs)
        handle.follow()
        active.activate(handle)
        note_configured(handle)
        for destination in destinations:
            destination.begin()
        notices.note_configured(shut_down_at_exit)
        notices.say_unknown_variables()
        return handle


def _once(value: Any) -> Any:
    """Return what can be iterated over only once, as a generator can, as what can be more often."""
    once = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return tuple(cast("Any", value)) if once else cast("Any", value)


def _theirs(given: TracerProvider | None) -> TracerProvider | None:
    """Return the provider to attach to, if somebody has built one. It is known by what it can do, as a proxy can."""
    provider: Any = trace.get_tracer_provider() if given is None else given
    if switch.is_unset_tracing(provider):
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
    if not switch.is_unset_logging(theirs) and callable(getattr(theirs, "add_log_record_processor", None)):
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
