"""Secrets that the process was given in its environment."""

from collections.abc import Mapping
from urllib.parse import unquote

from runbundle.redaction.detectors.credential_words import is_credential
from runbundle.redaction.detectors.known_secrets import KNOWN

_PLACES = frozenset({"PWD", "OLDPWD"})
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS")


def secrets_of_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names call them credentials, and the values of OTLP headers."""
    found = [value for name, value in environment.items() if is_environment_secret(name, value)]
    for name in _HEADERS:
        for entry in environment.get(name, "").split(","):
            value = unquote(entry.partition("=")[2].strip())
            found += [value, value.rpartition(" ")[2]]  # `Bearer x` is said in full and hides x
    return found


def register_environment(environment: Mapping[str, str]) -> None:
    """Register the secrets of an environment as known secrets."""
    KNOWN.register(*secrets_of_environment(environment))


def is_environment_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a credential, by its name and for some names by its value. `PWD` is a folder."""
    return name not in _PLACES and is_credential(name, value)
