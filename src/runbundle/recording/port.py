"""The port between sources and recorders: all that a source of records needs of a recorder, and nothing else.

Sources are the processors and exporters of the OpenTelemetry SDK; a service that takes OTLP, an import and engines come
to the same port. A source gives redacted records only: what redacts them is its own, by the plan of its policy. Behind
the port a record is journalled before the call returns, and nobody redacts it again.
"""

from typing import Protocol

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.lines import RecordLine
from runbundle.recording.results import FlushResult


class RecordPort(Protocol):
    """Takes redacted records of runs. No method raises: what cannot be kept is counted and stated."""

    def started(self, key: RunKey, line: bytes, *, is_run: bool = False) -> None:
        """Take note that a span of a run has started, so that a process that dies leaves a trace of it.

        `line` is that of a journal (`journal.lines.start_line`). `is_run`: the span is the run's own.
        """
        ...

    def ended(self, line: RecordLine, *, is_root: bool) -> None:
        """Keep the redacted record of a span that has ended. `is_root`: the run ends with it, and may be sealed."""
        ...

    def ended_unrecorded(self, key: RunKey, *, is_root: bool) -> None:
        """Take note that a span has ended of which no record could be made. The run is sealed without it."""
        ...

    def logged(self, line: RecordLine) -> None:
        """Keep the redacted record of a log record that belongs to a run."""
        ...

    def holds(self, key: RunKey) -> bool:
        """Tell whether a run is recorded here already, or in the same spool or store, as far as that is known at once.

        What begins under the key of such a run is a part of it.
        """
        ...

    def lost(self, key: RunKey) -> int:
        """Return and reset how many records of a run could not be kept. The caller states the number on a root span."""
        ...

    def count_dropped(self, reason: str, count: int = 1, *, run: RunKey = NO_RUN) -> None:
        """Count records that were lost before they came here. The next root span of the run states them."""
        ...

    def flush(self, timeout_s: float = 30.0, *, take: bool = True) -> FlushResult:
        """Wait until every run that has ended is sealed. `take`: the results are told, and will not be again."""
        ...

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Do as `flush` does, and keep no more."""
        ...
