"""A fault that goes on is logged once in a while: a log that repeats it for every span hides all others."""

import logging
import time

EVERY_S = 30.0
"""How long a topic stays quiet after it was logged."""

_log = logging.getLogger("runbundle")


class Complaints:
    """Logs faults by topic. Two threads at once may both be heard; neither waits for the other."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def complain(self, topic: str, message: str, *, level: int = logging.ERROR) -> None:
        """Log a message, unless the topic was logged in the last 30 seconds. Gives no traceback: it quotes values."""
        now = time.monotonic()
        if now - self._logged_at.get(topic, -EVERY_S) >= EVERY_S:
            self._logged_at[topic] = now
            _log.log(level, "%s", message)
