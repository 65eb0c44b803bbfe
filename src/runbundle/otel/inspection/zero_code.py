"""What `opentelemetry-instrument` would do in this environment, as `runbundle doctor` says it."""

import os
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from runbundle.otel.zero_code import configurator
from runbundle.otel.zero_code.named import CONFIGURATOR, FILE, LOGS, NAME, TRACES, is_named, is_recorded

_HOOKS = "opentelemetry_pre_instrument"


def describe_zero_code() -> tuple[str, list[str]]:
    """Return what would be done, in one sentence, and what stands against it. Both are empty where nothing names us.

    Loads the entry points that would be loaded, and runs none.
    """
    if os.environ.get(FILE):
        return (
            f"no code: {FILE} is set, so that exporters of the file count and {TRACES} does not; an exporter sees no"
            " span begin, and bundles have the completeness unknown",
            [] if find_spec("opentelemetry.configuration") else [f"{FILE} needs opentelemetry-configuration"],
        )
    if not is_recorded():
        return "", []
    wrong = [] if find_spec("opentelemetry.instrumentation") else ["opentelemetry-instrument is not installed"]
    ours = [*filter(configurator.is_ours, (*configurator.configurators(), *entry_points(group=_HOOKS)))]
    wrong += [why for point in ours if (why := _not_loaded(point))]
    if not wrong and {point.group for point in ours} != {configurator.GROUP, _HOOKS}:
        wrong.append("the entry points of this version of runbundle are not installed; install it again")
    first = _first()
    how = "builds the providers" if first == NAME else "builds the providers, and runbundle takes them over"
    others = [name for name in _names(TRACES) if name not in (NAME, "none")]
    behind = f"; {', '.join(others)} behind the boundary" if others else ""
    logs = "log records of runs are in their bundles" if is_named(LOGS) else f"no log records, as {LOGS} says"
    return f"no code: under opentelemetry-instrument the configurator {first!r} {how}{behind}; {logs}", wrong


def _first() -> str:
    """Return the name of the configurator that is picked."""
    asked = os.environ.get(CONFIGURATOR)
    names = [point.name for point in configurator.configurators() if asked in (None, point.name)]
    return next(iter(names), "")


def _not_loaded(point: EntryPoint) -> str:
    try:
        point.load()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an installation is the finding
        return f"{point.group} {point.name} does not load: {type(error).__name__}"
    return ""


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
