"""Which runs wait for their seal: when each is to be tried, and until when others are waited for."""

from dataclasses import dataclass

from runbundle.format.identity import RunKey


@dataclass
class Due:
    """A run that waits for its seal. Times are of the monotonic clock."""

    at: float
    """When to try."""
    last: float
    """When to seal it, whoever is still writing it."""
    settled: bool = False
    """No span of it is open in this process."""
    tries: int = 0
    """In vain: its bundle is not there yet, if it is a part, or the store was not."""
    part: bool = False
    """The run began elsewhere. Its records here may extend an existing bundle, never create one."""
    records: int = 0
    """How many records of it this process has written, and nobody has sealed yet that it knows of."""
    trace_id: str = ""
    """The trace of the last span of it."""


class DueRuns:
    """The runs that wait, each once. Not thread-safe: its owner holds its lock."""

    def __init__(self) -> None:
        self._due: dict[RunKey, Due] = {}

    def __len__(self) -> int:
        return len(self._due)

    def expect(self, key: RunKey, due: Due) -> None:
        """Add a run. One that waits already, as more than a part, is tried as early as either says."""
        known = self._replaced_by(key, due)
        if known is not None and due.settled:
            known.settled, known.at = True, min(known.at, due.at)
            known.records, known.trace_id = known.records + due.records, due.trace_id

    def put_back(self, key: RunKey, again: Due) -> None:
        """Add a run that could not be sealed yet. What was said of it meanwhile holds."""
        known = self._replaced_by(key, again)
        if known is not None:
            known.records += again.records

    def _replaced_by(self, key: RunKey, due: Due) -> Due | None:
        """Let an entry take the place of none, or of a part; return the one that stays instead."""
        known = self._due.get(key)
        if known is not None and not known.part:
            return known
        due.records += known.records if known else 0
        self._due[key] = due
        return None

    def take(self, now: float) -> tuple[RunKey, Due] | None:
        """Return a run whose time has come, which waits no more; None if there is none."""
        for key, due in self._due.items():
            if due.at <= now:
                del self._due[key]
                return key, due
        return None

    def take_records(self, key: RunKey) -> int:
        """Return how many records of a run wait, which are from now on in the hands of the caller."""
        records = 0
        if due := self._due.get(key):
            records, due.records = due.records, 0
        return records

    def hurry(self, now: float) -> None:
        """Have what was put off tried now: parts, what was tried in vain, and what waits for others that end."""
        for due in list(self._due.values()):  # a signal's handler may add to them
            if due.part or due.tries or due.settled:
                due.at, due.tries = now, 0

    def first_at(self) -> float:
        """Return when the first is to be tried; infinite if none waits."""
        return min((due.at for due in list(self._due.values())), default=float("inf"))

    def keys(self) -> list[RunKey]:
        """Return all that wait."""
        return list(self._due)

    def untried(self) -> list[RunKey]:
        """Return those that were not tried in vain yet."""
        return [key for key, due in list(self._due.items()) if not due.tries]
