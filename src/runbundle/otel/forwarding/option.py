"""The option `otlp=` of `configure()`: what one destination may be, and which destinations the option names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike, environ
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from runbundle import settings
from runbundle.errors import ConfigError

Protocol = Literal["http/protobuf", "grpc"]

QUEUE_LIMIT_BYTES = 268_435_456
"""How much waits in a queue on disk by default: 256 MiB."""
_PROTOCOLS = ("http/protobuf", "grpc")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, repr=False)
class Otlp:
    """A destination to which redacted spans and logs are forwarded by OTLP.

        local = runbundle.Otlp("http://localhost:4318")
        vendor = runbundle.Otlp("https://otlp.example.com", headers={"x-api-key": key}, timeout_s=5, queue="./outage")
        runbundle.configure(otlp=[local, vendor])

    Raises `ConfigError` for what cannot be used. Headers, and a user, password or query in the URL, are secrets: the
    `repr` does not show them. The variables `OTEL_EXPORTER_OTLP_HEADERS` are not sent to such a destination.
    """

    endpoint: str
    """Base URL, such as `http://localhost:4318`; `/v1/traces` and `/v1/logs` are added for HTTP."""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, kw_only=True)
    """Headers of each request, such as an API key."""
    timeout_s: float | None = field(default=None, kw_only=True)
    """Seconds for a batch, with its retries; by default `OTEL_EXPORTER_OTLP_TIMEOUT`, or 10."""
    protocol: Protocol | None = field(default=None, kw_only=True)
    """By default `OTEL_EXPORTER_OTLP_PROTOCOL`, or `http/protobuf`."""
    queue: str | PathLike[str] | None = field(default=None, kw_only=True)
    """A folder where batches wait during an outage; without one they are lost, and counted. HTTP only."""
    queue_limit_bytes: int = field(default=QUEUE_LIMIT_BYTES, kw_only=True)
    """How much may wait there, in bytes; the oldest batches are dropped beyond it, and counted."""

    def __post_init__(self) -> None:
        settings.require_endpoint("the endpoint of Otlp", self.endpoint)
        object.__setattr__(self, "headers", MappingProxyType(_checked_headers(self.headers)))
        _require_number("timeout_s", self.timeout_s, optional=True)
        if self.protocol is not None and self.protocol not in _PROTOCOLS:
            raise ConfigError("the protocol of Otlp is not supported", hint="it is http/protobuf or grpc")
        queue: Any = self.queue
        if queue is not None and (not isinstance(queue, str | PathLike) or not str(cast("Any", queue)).strip("\0 ")):
            raise ConfigError("the queue of Otlp is no path", hint="name a folder on a local disk")
        _require_number("queue_limit_bytes", self.queue_limit_bytes, whole=True)

    def __repr__(self) -> str:
        """Return scheme, host and port, and what is no secret."""
        said = [repr(f"{urlsplit(self.endpoint).scheme}://{place_of(self.endpoint)}")]
        said += ["headers=…"] if self.headers else []
        for name in ("timeout_s", "protocol"):
            said += [f"{name}={getattr(self, name)!r}"] if getattr(self, name) is not None else []
        said += [f"queue={str(self.queue)!r}"] if self.queue is not None else []
        return f"Otlp({', '.join(said)})"

    @property
    def secrets(self) -> list[str]:
        """What must be shown nowhere: the values of headers, `Bearer x` also as x, and what is secret in the URL."""
        parts = urlsplit(self.endpoint)
        found = [value for given in self.headers.values() for value in (given, given.rpartition(" ")[2])]
        found += [unquote(text) for text in (parts.password, parts.username) if text]
        return found + [unquote(pair.partition("=")[2]) for pair in parts.query.split("&") if "=" in pair]


def destinations_of(option: Any) -> list[Otlp | str | None]:
    """Return the destinations that `otlp=` names, checked already: records, one URL, or None for the environment's.

    The variables `OTEL_EXPORTER_OTLP_HEADERS` are for None and for one URL that stands alone. In a list each
    destination has its own: a key of the one must not go to the other. Raises `ConfigError` for one that is named
    twice.
    """
    if option is None:
        option = of_variable()
    if isinstance(option, bool):
        return [None] if option else []
    if isinstance(option, str | Otlp):
        return [option]
    found = [Otlp(one) if isinstance(one, str) else one for one in cast("Iterable[str | Otlp]", option)]
    for number, one in enumerate(found):
        if any(_same(one, other) for other in found[:number]):
            text = f"otlp names {place_of(one.endpoint)} twice"
            raise ConfigError(text, hint="each destination is named once: what is sent twice is shown twice")
    return list[Otlp | str | None](found)


def of_variable() -> bool | str | list[str]:
    """Return what `RUNBUNDLE_OTLP` says: yes, no, a URL, or several. Raises `ConfigError`."""
    words = settings.variable("RUNBUNDLE_OTLP").split()
    if len(words) < 2 and "".join(words).lower() in ("", *settings.YES, *settings.NO):
        return "".join(words).lower() in settings.YES
    for word in words:
        settings.require_endpoint("RUNBUNDLE_OTLP", word)
    return words[0] if len(words) == 1 else words


def protocol_of(wanted: Protocol | None) -> Protocol:
    """Return the protocol to speak: the wanted one, else that of the environment. Raises `ConfigError`."""
    protocol = wanted or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip().lower() or _PROTOCOLS[0]
    if protocol not in _PROTOCOLS:
        raise ConfigError(
            f"OTLP protocol {protocol!r} is not supported",
            hint="set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or grpc",
        )
    return protocol


def place_of(endpoint: str | None, *, grpc: bool = False) -> str:
    """Return the host and port of an endpoint, by which a destination is called; of the environment's for None."""
    if endpoint is None:
        local = f"http://localhost:{4317 if grpc else 4318}"
        endpoint = next(filter(None, (environ.get(name, "").strip() for name in _ENDPOINTS)), local)
        endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        parts = urlsplit(endpoint)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port}" if parts.port else host or "environment"
    except ValueError:
        return "environment"


def url_of(endpoint: str, signal: Literal["traces", "logs"]) -> str:
    """Return the URL of one signal below the base URL of an endpoint; a query of the base stays."""
    parts = urlsplit(endpoint)
    base = parts.path.rstrip("/")
    for known in ("/v1/traces", "/v1/logs"):
        base = base.removesuffix(known)
    return urlunsplit(parts._replace(path=f"{base}/v1/{signal}", fragment=""))


def without_secrets(endpoint: str) -> str:
    """Return an endpoint without user, password and query, to tell one from another on disk."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{place_of(endpoint)}{parts.path.rstrip('/')}"


def _same(one: Otlp, other: Otlp) -> bool:
    return url_of(one.endpoint, "traces") == url_of(other.endpoint, "traces") and one.headers == other.headers


def _checked_headers(headers: Any) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigError("headers of Otlp are no mapping", hint='as in headers={"x-api-key": key}')
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[Any, Any]", headers).items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ConfigError("a header of Otlp has a name that is none", hint="letters, digits and dashes")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ConfigError(
                f"the header {name[:40]} of Otlp has a value that is none", hint="text of ASCII, one line"
            )
        checked[name.lower()] = value
    return checked


def _require_number(name: str, value: Any, *, whole: bool = False, optional: bool = False) -> None:
    if optional and value is None:
        return
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not 0 < value <= 2**63 - 1:
        raise ConfigError(f"{name} of Otlp is none", hint=f"a {'whole ' if whole else ''}number above 0")


def path_of(queue: str | PathLike[str]) -> Path:
    """Return the folder of a queue, as an absolute path: a process may change its directory."""
    return Path(queue).expanduser().absolute()
