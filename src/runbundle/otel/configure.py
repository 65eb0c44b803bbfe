"""`configure()`: what it takes, and what is begun before anything else is loaded."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from runbundle import format as formats  # its models are loaded when they are asked for
from runbundle import settings
from runbundle.keyring.given_key import GivenKey, begin_to_stretch
from runbundle.otel import option_types as types  # and so are these
from runbundle.recording.writing.spool_limit import SPOOL_LIMIT_BYTES

__all__ = ["configure"]

_SEVERAL = frozenset({"contracts", "otlp", "safe_keys", "safe_names", "result", "run_id_keys"})


def configure(
    *,
    store: "str | Path | types.ArtifactStore | None" = None,
    contracts: "Iterable[formats.contract.ToolContract | Mapping[str, Any] | str | Path] | None" = None,
    tracer_provider: "types.TracerProvider | None" = None,
    otlp: "bool | str | types.Otlp | Iterable[str | types.Otlp] | None" = None,
    key: GivenKey | None = None,
    safe_keys: Iterable[str] = (),
    safe_names: Iterable[str] = (),
    user_id: Literal["keep", "hash", "drop"] = "hash",
    result: "Iterable[formats.contract.FieldRule]" = (),
    decider: "types.Decider | None" = None,
    redact: "types.Redacted" = "agents",
    raw_exporters: Literal["refuse", "allow"] = "refuse",
    content_mode: Literal["digest", "debug"] = "digest",
    vault_ttl_s: float = settings.VAULT_TTL_S,
    spool: str | Path | None = None,
    grace_s: float = 2.0,
    durability: "types.Durability" = "os",
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
    recover: bool = True,
    seal: "types.SealedBy | None" = None,
    resource: Mapping[str, str] | None = None,
    set_global: bool = True,
    trust_baggage: "types.Trust" = "signed",
    run_id_keys: Iterable[str] | None = None,
    group_by: "types.Grouping | None" = None,
) -> "types.Handle":
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
    begin_to_stretch(key)  # beside what is loaded here, which takes as long
    from runbundle.otel.attach import attach

    return attach(arguments)


def _once(value: Any) -> Any:
    """Return what can be iterated over only once, as a generator can, as what can be more often."""
    once = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return tuple(cast("Any", value)) if once else cast("Any", value)
