"""Counts spans and log records that belong to no run, and runs that a sampler kept from being recorded."""

from collections.abc import Mapping

from runbundle.process.mutex import Mutex
from runbundle.redaction.permitted.safe_text import safe_name

_MAX_SCOPES = 256
OTHER = "other"
"""The name for scopes whose own name may not be shown, and for those beyond the first 256."""


class OutsideCounts:
    """Counts since the start of the process, by instrumentation scope. Thread-safe. A forked child starts at zero."""

    def __init__(self, lock: Mutex | None = None) -> None:
        """`lock`: one that the owner holds when it counts many at once; by default one of its own."""
        self.reset(lock)

    def reset(self, lock: Mutex | None = None) -> None:
        """Start at zero with a new lock."""
        self.spans = 0
        """Spans, without log records."""
        self.unsampled = 0
        """Runs that the application's own sampler kept from being recorded."""
        self._scopes: dict[str, int] = {}
        self._lock = lock or Mutex()

    def count_unsampled_run(self) -> bool:
        """Count a run that is not recorded; return whether it is the first."""
        with self._lock:
            self.unsampled += 1
            return self.unsampled == 1

    def count_span(self, scope: str) -> None:
        """Count a span of an instrumentation scope."""
        with self._lock:
            self.spans += 1
            self._count(scope)

    def count(self, spans: int, scopes: Mapping[str, int]) -> None:
        """Count spans, and spans and log records by their scopes. The caller holds the lock."""
        self.spans += spans
        for scope, number in scopes.items():
            self._count(scope, number)

    def count_log(self, scope: str) -> None:
        """Count a log record of an instrumentation scope."""
        with self._lock:
            self._count(scope)

    def _count(self, scope: str, number: int = 1) -> None:
        known = self._scopes.get(scope)
        if known is None:
            if not scope or len(self._scopes) >= _MAX_SCOPES or not safe_name(scope):
                scope = OTHER
            known = self._scopes.get(scope, 0)
        self._scopes[scope] = known + number

    def by_scope(self) -> dict[str, int]:
        """Return the counts of spans and log records, by the name of the scope."""
        with self._lock:
            return dict(self._scopes)
