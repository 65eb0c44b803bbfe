"""The hook of `opentelemetry-instrument` for processes that another configurator has set up.

It runs after the configurator and before the instrumentors, in any application that has runbundle installed, so that it
imports nothing until the environment names us.
"""

import logging

from runbundle.otel.zero_code.named import LOGS, TRACES, is_named, is_recorded

_log = logging.getLogger("runbundle")


def attach() -> None:
    """Put the boundary in front of a provider that somebody else has built, where the environment names runbundle.

    Never raises: an application that cannot be recorded runs on, and one line says what to do.
    """
    if not is_recorded():
        if is_named(LOGS) and not is_named(TRACES):
            _log.warning("no bundle is written: %s names runbundle, and %s does not; set both", LOGS, TRACES)
        return
    try:
        from runbundle.otel.zero_code.takeover import take_over

        take_over()
    except Exception as error:  # noqa: BLE001 - somebody else's provider; the application must not notice
        from runbundle.otel.zero_code.building import say_not_recording

        say_not_recording(error)
