"""What was lost is stated by an end, not by a start that nobody reads once there is the end."""

from collections.abc import Callable

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.format.identity import RunKey


def test_a_run_that_begins_again_does_not_take_the_count(configured: Callable[..., runbundle.Handle]) -> None:
    """A run that begins again does not take the count of what was lost with it."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        handle.recorder._runs[RunKey("", "r")].dropped = 1  # pyright: ignore[reportPrivateUsage]
        with runbundle.start_run("r", run_id="r", resumed_from="c"):
            pass
    handle.flush()
    assert Bundle.open(handle.store, "r").index.completeness.dropped["journal"] == 1
