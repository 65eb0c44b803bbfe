"""How much was seen that is in no run, and whose it was; and how many runs nobody sees."""

from runbundle.process.mutex import Mutex
from runbundle.redaction.permitted.safe_text import safe_name

_MAX_SCOPES = 256
OTHER = "other"
"""Scopes without a name that may be shown, and those beyond the limit."""


class OutsideCounts:
    """Counts spans and log records outside any run, by instrumentation scope, and unsampled runs. Thread-safe.

    Since the start of the process: a forked child begins anew.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, whoever held the lock."""
        self.spans = 0
        """Spans alone."""
        self.unsampled = 0
        """Runs that somebody else's sampler kept from being recorded."""
        self._scopes: dict[str, int] = {}
        self._lock = Mutex()

    def count_unsampled_run(self) -> bool:
        """Count a run that is not recorded; tell whether it is the first."""
        with self._lock:
            self.unsampled += 1
            return self.unsampled == 1

    def count_span(self, scope: str) -> None:
        """Count a span."""
        with self._lock:
            self.spans += 1
            self._count(scope)

    def count_log(self, scope: str) -> None:
        """Count a log record."""
        with self._lock:
            self._count(scope)

    def _count(self, scope: str) -> None:
        known = self._scopes.get(scope)
        if known is None:
            if not scope or len(self._scopes) >= _MAX_SCOPES or not safe_name(scope):
                scope = OTHER
            known = self._scopes.get(scope, 0)
        self._scopes[scope] = known + 1

    def by_scope(self) -> dict[str, int]:
        """Return the counts."""
        with self._lock:
            return dict(self._scopes)
