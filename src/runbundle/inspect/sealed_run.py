"""One sealed run, as `open_store(...).run(...)` gives it to programs that read bundles."""

from typing import TYPE_CHECKING

from runbundle.inspect.failure import failure_of
from runbundle.inspect.recorded import SpanError
from runbundle.inspect.recorded_run import RecordedRun

if TYPE_CHECKING:
    from runbundle.format.run import RunIndex
    from runbundle.format.verify_report import VerifyReport


class SealedRun(RecordedRun):
    """A sealed run: what its bundle says. Nothing is written, and each method reads only the files that it needs.

    Made by `Store.run`. Methods raise `MalformedBundle` for files that are not what the format says, and
    `StoreUnavailable`. That the files are those that were sealed is checked by `verify` alone.
    """

    def __repr__(self) -> str:
        return f"SealedRun({self.key!r}, status={self.status!r})"

    @property
    def status(self) -> str:
        """How the run ended: `ok`, `error`, `blocked`, `cancelled`, `interrupted`, `incomplete`, …."""
        return self.index.status

    @property
    def duration_ns(self) -> int:
        """Duration of the run in nanoseconds."""
        return int(self.index.duration_ns)

    @property
    def index(self) -> "RunIndex":
        """All of run.json: counts, usage, versions, result, redaction, completeness."""
        return self._bundle.index

    def failure(self) -> SpanError | None:
        """Return the error with which the run's failure began; None if the run ended well, or waits."""
        found = failure_of(self._bundle, self.columns)
        return self._error(found) if found else None

    def verify(self, *, quick: bool = False) -> "VerifyReport":
        """Check the bundle as `runbundle verify` does and return the report; `quick`: digests and a search for
        credentials alone.
        """
        from runbundle.bundle.verify import verify

        return verify(self._bundle.store, self._bundle.key, quick=quick)
