"""Settings of object stores, read from their URLs, and the clients made from them.

A URL never contains a credential.
"""

import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from runbundle.errors import ConfigError
from runbundle.settings import nearest

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

PROVIDERS = {"s3": "AWS_*", "gs": "GOOGLE_*", "az": "AZURE_*"}
"""The schemes, and the environment variables that hold each provider's credentials and defaults."""

_OPTIONS = {"endpoint", "region", "account", "prefix", "tenant", "timeout_s", "retries"}
_ONLY_FOR = {"region": "s3", "account": "az"}
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SECRET_NAME = re.compile(r"(?i)key|secret|token|passw|credential|sig$|signature|sas|auth")
_SECRET_VALUE = re.compile(r"(AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|ya29\.|-----BEGIN")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class Settings:
    """The address of an object store, and the options of its connection."""

    scheme: str
    """`s3`, `gs` or `az`."""
    bucket: str
    """The bucket or container."""
    prefix: str = ""
    """The beginning of the names of all objects, without a slash at its end."""
    endpoint: str = ""
    """The URL of the server; empty for the provider's own."""
    region: str = ""
    """The region, for S3 only; if empty, `AWS_REGION`."""
    account: str = ""
    """The account, for Azure only; if empty, `AZURE_STORAGE_ACCOUNT_NAME`."""
    timeout_s: float = 30.0
    """The most seconds that one request may take."""
    retries: int = 3
    """The most times that a request is tried again."""

    @property
    def url(self) -> str:
        """The URL from which `settings_of` makes these settings again."""
        said = {
            "endpoint": self.endpoint, "region": self.region, "account": self.account,
            "timeout_s": "" if self.timeout_s == Settings.timeout_s else f"{self.timeout_s:g}",
            "retries": "" if self.retries == Settings.retries else str(self.retries),
        }  # fmt: skip
        query = urlencode({name: value for name, value in said.items() if value}, safe=":/")
        path = f"/{quote(self.prefix)}" if self.prefix else ""
        return f"{self.scheme}://{self.bucket}{path}{f'?{query}' if query else ''}"

    @property
    def canonical_url(self) -> str:
        """The URL without options of the connection: the same for all settings of one store."""
        return Settings(self.scheme, self.bucket, self.prefix, self.endpoint, account=self.account).url

    def below(self, name: str) -> "Settings":
        """Return the settings of a store within this one, below the name `name`."""
        return replace(self, prefix=f"{self.prefix}/{name}" if self.prefix else name)

    def client(self, *, retries: int) -> "Client":
        """Return an obstore client that tries each request up to `retries` times again.

        It finds credentials in the environment, as the provider's own tools do. Raises `ConfigError` if obstore is not
        installed.
        """
        try:
            import obstore.exceptions
            import obstore.store
        except ImportError:
            raise ConfigError(
                f"{self.scheme}:// needs the package obstore", hint="pip install 'runbundle[objects]'"
            ) from None
        options: dict[str, Any] = {
            "prefix": self.prefix or None,
            "client_options": {
                "timeout": timedelta(seconds=self.timeout_s),
                "connect_timeout": timedelta(seconds=min(5.0, self.timeout_s)),
                "allow_http": self._plain_http(),
            },
            "retry_config": {
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=self.timeout_s * (retries + 1)),
                "backoff": {"max_backoff": timedelta(seconds=5)},
            },
        }
        try:
            return self._made(obstore.store, options)
        except obstore.exceptions.BaseError as error:  # its text is for developers of obstore, and may quote settings
            account = self.scheme == "az" and "ccount" in str(error)
            raise ConfigError(
                f"{self.scheme}:// cannot be used: {'no account is named' if account else 'its settings do not fit'}",
                hint=f"give {'account= in the URL, or ' if account else ''}{PROVIDERS[self.scheme]} variables",
            ) from None

    def _made(self, clients: Any, options: dict[str, Any]) -> Any:
        # Only what the URL says is passed on; an option that is given, if only as None, hides the environment's.
        if self.scheme == "s3":
            said = {"endpoint": self.endpoint, "region": self.region}
            return clients.S3Store(
                self.bucket, copy_if_not_exists="multipart", **options, **{k: v for k, v in said.items() if v}
            )
        if self.scheme == "gs":
            return clients.GCSStore(self.bucket, **options, **({"base_url": self.endpoint} if self.endpoint else {}))
        said = {"endpoint": self.endpoint, "account_name": self.account}
        return clients.AzureStore(self.bucket, **options, **{k: v for k, v in said.items() if v})

    def _plain_http(self) -> bool:
        named = self.endpoint or next(
            (os.environ[n] for n in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if os.environ.get(n)),
            os.environ.get("AZURE_STORAGE_ENDPOINT", "") if self.scheme == "az" else "",
        )
        return named.startswith("http://")


def settings_of(url: str) -> Settings:
    """Return the settings in a URL such as `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&timeout_s=10`.

    Raises `ConfigError` for an unknown or invalid option, and for anything like a credential. The error repeats no
    value, because it may be one.
    """
    parts = urlsplit(url)
    where = f"put it into {PROVIDERS[parts.scheme]} variables, or wherever the provider's own tools look"
    if "@" in parts.netloc:
        raise ConfigError("invalid URL of a store: it contains a user or password", hint=where)
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
                raise ConfigError(
                    "invalid URL of a store: it contains a credential, and URLs are shown in output", hint=where
                )
            known = ", ".join(sorted(o for o in _OPTIONS if _ONLY_FOR.get(o, parts.scheme) == parts.scheme))
            shown = name if re.fullmatch(r"[\w-]{1,40}", name) else "an option"
            near = nearest(name, known.split(", "))
            meant = f"did you mean {near}? " if near else ""
            raise ConfigError(f"unknown option of {parts.scheme}:// URLs: {shown}", hint=f"{meant}there are {known}")
        if _ONLY_FOR.get(name, parts.scheme) != parts.scheme:
            raise ConfigError(f"{name} is an option of {_ONLY_FOR[name]}:// URLs only")
        if name in options:
            raise ConfigError(f"{name} is given twice")
        options[name] = value
    if _SECRET_VALUE.search(unquote(parts.path)) or any(_SECRET_VALUE.search(v) for v in options.values()):
        raise ConfigError("invalid URL of a store: a part of it looks like a credential", hint=where)
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise ConfigError(
            f"invalid {parts.scheme}:// URL: it names no bucket", hint=f"as in {parts.scheme}://bucket/prefix"
        )
    return Settings(
        parts.scheme,
        parts.netloc,
        prefix=_prefix([unquote(parts.path), options.get("prefix", ""), options.get("tenant", "")]),
        endpoint=_endpoint(options.get("endpoint", ""), where),
        region=_plain(options, "region"),
        account=_plain(options, "account"),
        timeout_s=_number(options, "timeout_s", Settings.timeout_s, 0.1, 3600),
        retries=int(_number(options, "retries", Settings.retries, 0, 20)),
    )


def _prefix(given: list[str]) -> str:
    segments = [segment for part in given for segment in part.split("/") if segment]
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ConfigError("invalid prefix of keys", hint="segments are letters, digits, '.', '_', '-', not '.' first")
    return "/".join(segments)


def _endpoint(text: str, where: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    if "@" in parts.netloc or parts.query:
        raise ConfigError("invalid endpoint: it contains a user, password or signature", hint=where)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ConfigError(
            "invalid endpoint: it is not the URL of a server", hint="as in endpoint=https://s3.example.com"
        )
    return text.rstrip("/")


def _plain(options: dict[str, str], name: str) -> str:
    value = options.get(name, "")
    if value and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", value):
        raise ConfigError(f"invalid {name}: it is not a name")
    return value


def _number(options: dict[str, str], name: str, default: float, least: float, most: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    whole = isinstance(default, int)
    if re.fullmatch(r"\d{1,5}" if whole else r"\d{1,5}(\.\d{1,3})?", text) and least <= float(text) <= most:
        return float(text)
    raise ConfigError(f"invalid {name}: it is not a number from {least:g} to {most:g}")
