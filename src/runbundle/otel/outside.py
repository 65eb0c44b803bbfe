"""How much was seen that is in no run, and whose it was."""

from runbundle.bundle.mutex import Mutex
from runbundle.redaction.floor import safe_name

_MAX_SCOPES = 256
OTHER = "other"
"""Scopes without a name that may be shown, and those beyond the limit."""


class Outside:
    """Counts spans and log records outside any run, by instrumentation scope. Thread-safe."""

    def __init__(self) -> None:
        self.spans = 0
        """Spans alone."""
        self._scopes: dict[str, int] = {}
        self._lock = Mutex()

    def span(self, scope: str) -> None:
        """Count a span."""
        with self._lock:
            self.spans += 1
            self._count(scope)

    def log(self, scope: str) -> None:
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

    def after_fork(self) -> None:
        """Be usable in a forked child, whoever held the lock."""
        self._lock = Mutex()
