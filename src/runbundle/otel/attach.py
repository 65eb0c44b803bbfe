"""Attaching a configuration: its parts are built, and put in front of the providers of the application or of new ones.

This loads all that records. What few configurations need, forwarding and bundles of exporters, is not loaded for the
others.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from runbundle import settings
from runbundle.contracts.approval import default_decider
from runbundle.errors import ConfigError
from runbundle.otel import active, notices, switch
from runbundle.otel.belonging.run_names import run_names
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.neighbours import raw_processors, value_limit_of
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.composition import compose, open_store, redacts_all, warm_up
from runbundle.otel.digest_key import carrier_keys
from runbundle.otel.handle import Handle, running, shut_down_at_exit
from runbundle.otel.providers import build_logger_provider, build_tracer_provider
from runbundle.recording.recorder import Recorder
from runbundle.recording.sealing.publisher import sealed_by
from runbundle.store.locations import spool_of, vault_of

if TYPE_CHECKING:
    from runbundle.otel.forwarding.destination import Destination
    from runbundle.redaction.redactor import Redactor
    from runbundle.store import ArtifactStore
    from runbundle.vault.debug_mode import DebugVault

_log = logging.getLogger("runbundle")
_lock = threading.Lock()
_SINKS = "runbundle.otel.bundle_sink"


def attach(given: dict[str, Any]) -> Handle:
    """Start recording under the arguments of `configure()`, which are all there and checked; return the handle.

    Raises `ConfigError` as `configure()` does.
    """
    everything = redacts_all(given["redact"])
    with _lock:
        handle = running()
        if handle is not None and not handle.by_environment:
            if handle.has_arguments(given):
                return handle
            raise ConfigError("runbundle is already configured otherwise", hint="shut the first handle down before")
        artifact_store = open_store(given["store"])
        redactor = compose(
            artifact_store,
            given["contracts"],
            key=given["key"],
            safe_keys=given["safe_keys"],
            safe_names=given["safe_names"],
            user_id=given["user_id"],
            result=given["result"],
            warm=False,
        ).redactor
        policy = redactor.policy
        names = run_names(policy.digester, given["run_id_keys"], given["group_by"])
        destinations, seals = _destinations(given["otlp"]), sealed_by(given["seal"])  # may refuse
        debug = _debug(redactor, artifact_store, given["vault_ttl_s"]) if given["content_mode"] == "debug" else None
        theirs = _theirs(given["tracer_provider"])
        if theirs is not None:
            _mind_raw_exporters(theirs, refuse=everything and given["raw_exporters"] != "allow")
        behind = ((), ()) if handle is None else handle.give_way()  # code knows better than the environment
        recorder = Recorder(  # the first that makes a folder: what is refused is refused before
            artifact_store,
            Path(given["spool"]) if given["spool"] else spool_of(artifact_store),
            grace_s=given["grace_s"],
            durability=given["durability"],
            spool_limit_bytes=given["spool_limit_bytes"],
            recover=given["recover"],
            seal=seals,
        )
        believes = "keyring" if given["trust_baggage"] == "never" else policy.key_origin  # it needs no other
        keys = carrier_keys(artifact_store.url, policy.digester, believes)
        boundary = BoundarySpanProcessor(
            redactor,
            recorder,
            debug,
            carrier_keys=keys,
            trust_baggage=given["trust_baggage"],
            redacts_all=everything,
            names=names,
        )
        logs = BoundaryLogProcessor(redactor, recorder, boundary.membership, redacts_all=everything)
        if theirs is None:
            provider = build_tracer_provider(boundary, given["resource"] or {})
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
            given,
            provider,
            loggers,
            boundary,
            logs,
            recorder,
            owns_provider=theirs is None,
            owns_logger_provider=owns_loggers,
            destinations=destinations,
            decider=default_decider if given["decider"] is None else given["decider"],
        )
        if given["set_global"] and theirs is None:
            switch.take_over_tracing(provider, handle.join)
        if given["set_global"] and owns_loggers:
            switch.take_over_logging(loggers, handle.join_logs)
        handle.follow()
        active.activate(handle)
        _have_sinks_stand_back(handle)
        for destination in destinations:
            destination.begin()
        notices.note_configured(shut_down_at_exit)
        notices.say_unknown_variables()
        warm_up()  # last: the two would wait for each other
        return handle


def _destinations(option: Any) -> "Sequence[Destination]":
    """Return the destinations that `otlp=` or the variable names. Raises `ConfigError` for what cannot be used."""
    if option is False or (option is None and not settings.variable("RUNBUNDLE_OTLP")):
        return ()
    from runbundle.otel.forwarding.destination import build

    return build(option)


def _debug(redactor: "Redactor", store: "ArtifactStore", ttl_s: float) -> "DebugVault":
    from runbundle.vault.debug_mode import debug_vault  # nobody else needs it

    return debug_vault(redactor, vault_of(store), ttl_s)


def _have_sinks_stand_back(handle: Handle) -> None:
    """Have exporters that the configuration makes needless write nothing. There is none if their module is not loaded.

    A module that another thread is loading has none yet either.
    """
    note: Any = getattr(sys.modules.get(_SINKS), "note_configured", None)
    if note is not None:
        note(handle)


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
