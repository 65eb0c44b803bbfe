"""The configurator of `opentelemetry-instrument`: that of the distro or of the SDK, with our providers where named.

The first configurator that is found wins, so this one runs in any application that has runbundle installed. It always
hands over to the configurator that would have run without it. Only where `OTEL_TRACES_EXPORTER` names runbundle are two
steps of the SDK's replaced while that one runs: those that build the providers of spans and logs. Whatever comes before
and after stays the SDK's: names, exporters, samplers, id generators, resource, metrics.
"""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from runbundle.otel.zero_code.named import CONFIGURATOR, NAME, is_recorded

GROUP = "opentelemetry_configurator"
_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"
_STEPS = ("_init_tracing", "_init_logging")
"""Functions of the SDK's. Where it has no such ones, the hook does what is needed."""


class Configurator:
    """What `OTEL_PYTHON_CONFIGURATOR=runbundle` names; `opentelemetry-instrument` calls it, and nobody else has to."""

    def configure(self, **options: Any) -> None:
        """Configure the SDK as without us, and with our providers where the environment names runbundle."""
        if is_recorded():
            with _our_steps():
                _hand_over(options)
        else:
            _hand_over(options)


def configurators() -> list[EntryPoint]:
    """Return the configurators that are installed, in the order in which `opentelemetry-instrument` finds them."""
    return list(entry_points(group=GROUP))


def is_ours(point: EntryPoint) -> bool:
    """Tell whether an entry point is of this package."""
    return point.value.startswith(f"{NAME}.")


def _hand_over(options: dict[str, Any]) -> None:
    """Run the configurator that would have run without us; alone, and asked for by nobody, run none."""
    theirs = next((point for point in configurators() if not is_ours(point)), None)
    if theirs is not None:
        theirs.load()().configure(**options)
        logging.getLogger(_LOADER).addFilter(lambda record: not _denies(record, theirs.name))
    elif is_recorded() or os.environ.get(CONFIGURATOR) == NAME:
        # A class of our own, as a distro has: the SDK keeps one instance of each, and subclasses share their parent's.
        type("SdkConfigurator", (_sdk()._OTelSDKConfigurator,), {})().configure(**options)


def _sdk() -> Any:
    """Return the module of the SDK that distros build on. All its names are private, and there are no others."""
    return import_module("opentelemetry.sdk._configuration")


def _denies(record: logging.LogRecord, name: str) -> bool:
    """Tell whether the loader is about to log that a configurator was not loaded, which we have loaded for it."""
    return record.msg == "Configuration of %s not loaded, %s already loaded" and record.args == (name, NAME)


@contextmanager
def _our_steps() -> Generator[None]:
    """Replace the two steps within the block; where the SDK has no such steps, replace none."""
    sdk = _sdk()
    given = {step: getattr(sdk, step, None) for step in _STEPS}
    if not all(map(callable, given.values())):
        yield
        return
    building = import_module("runbundle.otel.zero_code.building")  # all that records: not before it is wanted
    try:
        for step, ours in zip(_STEPS, (building.init_tracing, building.init_logging), strict=True):
            setattr(sdk, step, partial(ours, given[step]))
        yield
    finally:
        for step, function in given.items():
            setattr(sdk, step, function)
