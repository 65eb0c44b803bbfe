"""The exporters that the environment and configuration files name: `runbundle`, and `runbundle_otlp`.

A configuration file gives an exporter its options as arguments. A variable of the environment overrules the file, as
everywhere; only what code says is stronger, and no code makes these.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from runbundle import settings
from runbundle.errors import ConfigError, RunbundleError
from runbundle.otel.exporters import BundleLogExporter, BundleSpanExporter, RedactingLogExporter, RedactingSpanExporter

_log = logging.getLogger("runbundle")


class NamedSpanExporter(BundleSpanExporter):
    """The span exporter `runbundle`. One that cannot write, as with a wrong contract, says so and takes nothing."""

    def __init__(self, store: str | None = None, contracts: str | Iterable[str] | None = None, **unknown: Any) -> None:
        self._sink = None
        _or_say(lambda: super(NamedSpanExporter, self).__init__(*_overruled(store, contracts), **unknown))


class NamedLogExporter(BundleLogExporter):
    """The log exporter `runbundle`, to be named beside the span exporter."""

    def __init__(self, store: str | None = None, contracts: str | Iterable[str] | None = None, **unknown: Any) -> None:
        self._sink = None
        _or_say(lambda: super(NamedLogExporter, self).__init__(*_overruled(store, contracts), **unknown))


class OtlpSpanExporter(RedactingSpanExporter):
    """The span exporter `runbundle_otlp`: OTLP over HTTP, with spans of agents redacted.

    It takes the options of the SDK's `otlp_http`: `endpoint`, `headers`, `headers_list`, `timeout` in milliseconds and
    `compression`; and `redact`, as `configure()` does. Raises `ConfigError` for others.
    """

    def __init__(self, *, redact: Any = "agents", **options: Any) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        super().__init__(OTLPSpanExporter(**_otlp(options)), redact=redact)


class OtlpLogExporter(RedactingLogExporter):
    """The log exporter `runbundle_otlp`, with the options of the span exporter."""

    def __init__(self, *, redact: Any = "agents", **options: Any) -> None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        super().__init__(OTLPLogExporter(**_otlp(options)), redact=redact)


def _overruled(store: str | None, contracts: str | Iterable[str] | None) -> tuple[str | None, str | None]:
    """Return what a file says of store and contracts, unless the environment says something."""
    joined = contracts if isinstance(contracts, str | None) else os.pathsep.join(contracts)
    return settings.variable("RUNBUNDLE_STORE") or store, settings.variable("RUNBUNDLE_CONTRACTS") or joined


def _or_say(make: Callable[[], None]) -> None:
    try:
        make()
    except RunbundleError as error:
        _log.error("no bundle is written: the exporter runbundle refuses its settings: %s", error)


_OPTIONS = ("endpoint", "headers", "headers_list", "timeout", "compression", "redact")


def _otlp(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the SDK's exporter for the options of a configuration file."""
    settings.refuse_unknown({name: value for name, value in options.items() if name not in _OPTIONS}, _OPTIONS)
    headers = _headers(options.get("headers_list")) | _headers(options.get("headers"))
    timeout, compression = options.get("timeout"), options.get("compression")
    if timeout is not None and (not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout < 0):
        raise ConfigError("timeout of runbundle_otlp is no number", hint="it is in milliseconds, such as 10000")
    return {
        "endpoint": options.get("endpoint"),
        "headers": headers or None,  # None leaves them to the environment
        "timeout": None if timeout is None else timeout / 1000,
        "compression": _compression(compression),
    }


def _headers(given: Any) -> dict[str, str]:
    """Return headers given as `a=b,c=d`, as a mapping, or as a list of `{name: a, value: b}`."""
    if isinstance(given, str):
        pairs = [part.partition("=") for part in given.split(",") if "=" in part]
        return {name.strip(): value.strip() for name, _, value in pairs}
    if isinstance(given, Mapping):
        return {str(name): str(value) for name, value in cast("Mapping[Any, Any]", given).items()}
    listed = cast("list[Any]", given or [])
    if not all(isinstance(pair, Mapping) and "name" in pair for pair in listed):
        raise ConfigError("headers of runbundle_otlp have another form", hint="a list of {name: ..., value: ...}")
    return {str(pair["name"]): str(pair.get("value") or "") for pair in listed}


def _compression(word: Any) -> Any:
    from opentelemetry.exporter.otlp.proto.http import Compression

    known = {kind.value: kind for kind in Compression}
    if word is None:
        return None
    if word not in known:
        raise ConfigError("compression of runbundle_otlp is another word", hint=f"it is one of {', '.join(known)}")
    return known[word]
