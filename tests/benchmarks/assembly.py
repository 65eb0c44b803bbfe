"""The stages from a run's journal to its bundle and of `verify`, in microseconds of CPU a span, one after the other.

python -m tests.benchmarks.assembly [SPANS ...]

By default a run of 31 spans, of which 200 are measured, and one of 100,000. One thread does all, so that nothing waits
for the interpreter's lock. The least of the repetitions is printed: what a machine that does other work adds is more.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.natively import assembled_natively
from runbundle.bundle.verify import verify
from runbundle.core import native
from runbundle.format.identity import RunKey
from runbundle.journal.reader import JournalReader, journal_files
from runbundle.recording.publish import publish
from runbundle.recording.tripwire import search_bundle
from runbundle.store import LocalStore
from tests.benchmarks.large import RUN, write_journal

_MEASURED_SPANS = 6_200


class Clock:
    """Takes the least CPU time of each stage."""

    def __init__(self, spans: int) -> None:
        self._spans = spans
        self.us: dict[str, float] = {}
        """Microseconds a span, by stage."""

    def take(self, stage: str, seconds: float) -> None:
        """Take note of what a stage took."""
        self.us[stage] = min(self.us.get(stage, float("inf")), seconds * 1e6 / self._spans)

    @contextlib.contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Measure what is done within."""
        begun = time.process_time()
        yield
        self.take(stage, time.process_time() - begun)


def measure(spans: int) -> dict[str, float]:
    """Return the microseconds a span of each stage, for a run of so many spans."""
    clock = Clock(spans)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / ".spool" / RUN
        write_journal(directory, spans)
        for _ in range(max(1, _MEASURED_SPANS // spans)):
            _seal(directory, clock)
        published = publish(LocalStore(folder), directory.parent, RunKey("", RUN), own="w")
        assert published is not None
        for quick in (False, True):
            for _ in range(max(1, _MEASURED_SPANS // spans)):
                with clock.stage("verify --quick" if quick else "verify"):
                    report = verify(LocalStore(folder), RUN, quick=quick)
                assert report.verdict == ("unchanged" if quick else "verified"), report
    return clock.us


def _seal(directory: Path, clock: Clock) -> None:
    """Do all of a seal but the writing of its files, which is not a span's but a run's cost."""
    reader: Callable[[], JournalReader] = lambda: JournalReader(journal_files(directory), own="w")  # noqa: E731
    with clock.stage("read the journals"):
        for _ in reader():
            pass
    whole = time.process_time()
    with contextlib.closing(GatheredRun(RunKey("", RUN), directory.parent)) as gathered:
        with clock.stage("read and gather"):
            gathered.add(reader())
        with clock.stage("assemble"):
            bundle: Assembled = assemble(gathered, sdk_versions=frozenset({"1.45.2"}))
        with contextlib.closing(bundle):
            with clock.stage("search"):
                assert not search_bundle(bundle)
            bundle.index()
    clock.take("seal, but for its files", time.process_time() - whole)
    if native.module() is not None:
        _seal_natively(directory, clock)


def _seal_natively(directory: Path, clock: Clock) -> None:
    """Do the same by the native core, but for the search, which is the same."""
    run, files = RunKey("", RUN), journal_files(directory)
    with clock.stage("native: read, gather, assemble"):
        bundle = assembled_natively(files, run, directory.parent, own="w", grace_s=None, if_new=lambda *_: True)
    if bundle is not None:  # it takes no run of more than 48 MiB
        with contextlib.closing(bundle), clock.stage("native: run.json"):
            bundle.index()


def main() -> None:
    """Print the stages of runs of the sizes that are given."""
    for spans in [int(size) for size in sys.argv[1:]] or [31, 100_000]:
        print(f"{spans} spans, us a span")
        for stage, us in measure(spans).items():
            print(f"  {stage:30} {us:8.1f}")


if __name__ == "__main__":
    main()
