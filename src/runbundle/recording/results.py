"""What became of runs: of one that was to be published, and of all of them, which `flush()` says.

Nothing that assembles or reads bundles is loaded for it.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from runbundle.errors import RunbundleError
from runbundle.format.identity import RunKey
from runbundle.journal.segment import SegmentLines, SegmentWriter

_SEALED_TOLD = 1000
"""How many keys of bundles a flush tells of."""
MOST_TOGETHER = 32
"""Runs that are published at once. Each holds open its folder, its journals, and a file while it is written."""


class StillWritten(RunbundleError):
    """A process still holds a journal of the run."""

    code = "still-written"


class BegunElsewhere(RunbundleError):
    """The run's own span is neither in these journals nor in a bundle of this store."""

    code = "begun-elsewhere"


class Published(NamedTuple):
    """A run that is in the store now."""

    key: str
    """Where its bundle is."""
    collided: dict[str, int]
    """Claims to an identity that another has, by kind, as `FlushResult.collided` has them."""
    masked: int = 0
    """Credentials that the tripwire found in its values and masked."""


class Wanted(NamedTuple):
    """A run to be published together with others."""

    run: RunKey
    wait: bool
    """Whether to leave it if a process still holds a journal of it."""
    grace_s: float | None
    """As for `publish`."""
    lines: SegmentWriter | SegmentLines | None = None
    """Its lines, if they are in a segment of the process that wants it and not in journals."""


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
    redacted_by: dict[str, int] = field(default_factory=dict[str, int])
    """Spans of runs that each core redacted, `native` and `python`, since `configure()`. No bundle depends on it."""
    sealed_by: dict[str, int] = field(default_factory=dict[str, int])
    """Bundles that were sealed by each, `thread` and `process`, since `configure()`. No bundle depends on it."""
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

    def add(self, run: RunKey, published: Published) -> None:
        """Keep what is to be told of a run that is in the store now."""
        self.sealed.append(published.key)
        if published.masked:
            self.masked[published.key] = published.masked
        if published.collided:
            self.collided[run] = published.collided

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
