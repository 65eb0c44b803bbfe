"""Where the environment names runbundle. Imports nothing: every process of `opentelemetry-instrument` asks it."""

import os

NAME = "runbundle"
TRACES, LOGS, CONFIGURATOR = "OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_PYTHON_CONFIGURATOR"
FILE, DISABLED = "OTEL_CONFIG_FILE", "OTEL_SDK_DISABLED"


def is_named(variable: str) -> bool:
    """Tell whether a variable that lists exporters names ours."""
    return NAME in (name.strip() for name in os.environ.get(variable, "").split(","))


def is_recorded() -> bool:
    """Tell whether the environment asks for bundles: `OTEL_TRACES_EXPORTER` does, and nothing overrules it."""
    return is_named(TRACES) and not os.environ.get(FILE) and not is_disabled()


def is_disabled() -> bool:
    """Tell whether OpenTelemetry is switched off."""
    return os.environ.get(DISABLED, "").strip().lower() == "true"
