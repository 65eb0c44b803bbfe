"""What `flush()` says: what was sealed, and what was not."""

from collections import Counter, deque
from dataclasses import dataclass, field

from runbundle.format.identity import RunKey

_SEALED_TOLD = 1000
"""How many keys of bundles a flush tells of."""


@dataclass
class Delivery:
    """What became of the spans and logs that one destination of `configure(otlp=...)` was to get, in this process."""

    delivered: int = 0
    """How many its receiver took."""
    resent: int = 0
    """How many of those had waited on disk, also those that an earlier process left there."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """How many are lost to it, by reason. They are in their bundles."""
    unsent: int = 0
    """How many wait in memory."""
    queued: int = 0
    """How many wait on disk, those of other processes too."""
    sees_rejected: bool = True
    """Whether a partial success is seen. False over gRPC: what the receiver took only in part counts as delivered."""


@dataclass
class FlushResult:
    """What `flush()` found."""

    sealed: list[str] = field(default_factory=list[str])
    """Keys of the bundles sealed since the last flush, oldest first (the last 1,000 of them)."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Key of the run, `<run_id>` or `<tenant_id>/<run_id>`, to reason. Their records stay in the spool."""
    pending: int = 0
    """Runs that have not ended, or were not sealed in time."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Records lost since the start of the process, by reason."""
    written: int = 0
    """Spans and logs written to journals since the start of the process."""
    outside: int = 0
    """Spans that were in no run: of a server, say, or of a thread that was not given the context. No loss by itself."""
    outside_scopes: dict[str, int] = field(default_factory=dict[str, int])
    """The same, and log records outside any run, by instrumentation scope."""
    unsampled: int = 0
    """Runs that somebody else's sampler kept from being recorded, since the start of the process."""
    collided: dict[str, int] = field(default_factory=dict[str, int])
    """Claims to an identity that another has, by kind: `run_begun_twice`, `span_id`. Since the start of the process."""
    masked: dict[str, int] = field(default_factory=dict[str, int])
    """Key of a bundle to credentials that were found in it when it was sealed, and masked: the redactor has a hole."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """Spans and logs that an exporter which we built could not deliver, by reason. They are in their bundles."""
    destinations: dict[str, Delivery] = field(default_factory=dict[str, Delivery])
    """The same for each destination of `configure(otlp=...)`, by its host and port."""

    def __bool__(self) -> bool:
        """Whether nothing failed, is pending, waits, was lost, unsampled, refused, masked at the seal, or collides."""
        bad = self.failed, self.pending, self.dropped, self.unsampled, self.collided, self.refused, self.masked
        return not any(bad) and not any(delivery.queued for delivery in self.destinations.values())


class Results:
    """What became of the runs of a process: `sealed`, `failed` and `masked` since a flush took them, `collided` ever.

    The sealer's threads write it, an entry at a time; `told` is called under its lock.
    """

    def __init__(self) -> None:
        self.sealed: deque[str] = deque(maxlen=_SEALED_TOLD)
        self.failed: dict[RunKey, str] = {}
        """Why a run was not sealed. An entry goes when it is."""
        self.collided: dict[RunKey, dict[str, int]] = {}
        """The latest count of each run, by kind."""
        self.masked: dict[str, int] = {}

    def collisions(self) -> Counter[str]:
        """Return the claims of all runs to an identity that another has, by kind."""
        total: Counter[str] = Counter()
        for kinds in list(self.collided.values()):
            total.update(kinds)
        return total

    def told(self, pending: int, *, take: bool) -> FlushResult:
        """Return what a flush says, and forget it if it is taken: the next flush tells of what came after."""
        failed = {key.path: reason for key, reason in self.failed.items()}
        result = FlushResult(list(self.sealed), failed, pending)
        result.collided, result.masked = dict(self.collisions()), dict(self.masked)
        if take:
            self.masked.clear()
            self.sealed.clear()
            self.failed.clear()
        return result
