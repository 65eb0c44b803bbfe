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
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from runbundle.otel.zero_code.named import CONFIGURATOR, NAME, is_recorded

GROUP = "opentelemetry_configurator"
_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"
_STEPS = ("_init_tracing", "_init_logging")
"""Names of the SDK's. They are private, and there are no others; without them the hook does what is needed."""


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
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # the SDK's own name for distros

        class Plain(_OTelSDKConfigurator):
            """A class of our own, since the SDK keeps one instance of each, which subclasses would share."""

        Plain().configure(**options)


def _denies(record: logging.LogRecord, name: str) -> bool:
    """Tell whether the loader is about to log that a configurator was not loaded, which we have loaded for it."""
    return record.msg == "Configuration of %s not loaded, %s already loaded" and record.args == (name, NAME)


@contextmanager
def _our_steps() -> Generator[None]:
    """Replace the two steps within the block; where the SDK has no such steps, replace none."""
    from opentelemetry.sdk import _configuration as sdk

    given = {step: getattr(sdk, step, None) for step in _STEPS}
    if not all(map(callable, given.values())):
        yield
        return
    from runbundle.otel.zero_code import building

    try:
        sdk._init_tracing = partial(building.init_tracing, given["_init_tracing"])
        sdk._init_logging = partial(building.init_logging, given["_init_logging"])
        yield
    finally:
        for step, function in given.items():
            setattr(sdk, step, function)
