"""Faults that go on are logged every 30 seconds: a log that repeats one for every span hides all others."""

import logging
import time

EVERY_S = 30.0
"""Seconds for which a topic is quiet after it was logged."""

_log = logging.getLogger("runbundle")


class Complaints:
    """Logs faults by topic, each at most every 30 seconds. Two threads at once may both log; neither waits."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def complain(self, topic: str, message: str, *, level: int = logging.ERROR) -> None:
        """Log `message`, unless `topic` was logged in the last 30 seconds. Logs no traceback, since it would quote
        values.
        """
        now = time.monotonic()
        if now - self._logged_at.get(topic, -EVERY_S) >= EVERY_S:
            self._logged_at[topic] = now
            _log.log(level, "%s", message)
