"""Who publishes runs: the thread that asks, or a process of ours which that thread waits for (`sealing.process`).

All decisions stay with the thread: what is due, what is together, what is said of it. The process is only asked to do
what `publish` and `publish_together` do, with things that can be given to it by value. Whatever goes wrong with it, the
thread does the work itself, and that is logged once.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from runbundle import settings
from runbundle.errors import RunbundleError, StoreError, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.format.layout import EVENTS, RUN
from runbundle.journal.reader import journal_files
from runbundle.journal.spool import folder_of
from runbundle.process import forks
from runbundle.recording.results import Published, Wanted
from runbundle.store import ArtifactStore, LocalStore

if TYPE_CHECKING:
    from runbundle.recording.sealing.process import SealProcess
    from runbundle.recording.sealing.words import Answer

SealedBy = Literal["thread", "process"]
"""Where runs are assembled and sealed: on a thread of the agent's process, or in a process of ours."""

_log = logging.getLogger("runbundle")
_WAIT_S = 120.0
"""How long the process may take for a run, or for some short ones; nobody waits longer for it."""
_WAIT_S_A_BYTE = 1e-5
"""And for each byte of a run's journals and of its bundle: it takes a hundredth of that."""


def sealed_by(given: SealedBy | None = None) -> SealedBy:
    """Return who is to seal: what was given, else what the variable says. Raises `ConfigError` for another word."""
    return given or cast("SealedBy", settings.variable("RUNBUNDLE_SEAL")) or "thread"


class Publisher:
    """Publishes runs for one sealer, in one of two ways. Thread-safe."""

    def __init__(self, by: SealedBy = "thread") -> None:
        self.by: SealedBy = by
        """Who publishes, if it can."""
        self.counts: Counter[SealedBy] = Counter()
        """How many runs each has published."""
        self._process: SealProcess | None = None
        self._said = False
        self._perhaps: set[RunKey] = set()  # published by a process that died before it said so
        if by == "process":
            from runbundle.recording.sealing.process import SEAL_PROCESS  # most agents need none

            self._process = SEAL_PROCESS
            self._process.join()

    def counted(self) -> dict[str, int]:
        """Return the counts, without those that are zero."""
        return {by: count for by, count in self.counts.items() if count}

    def close(self) -> None:
        """End the process, if nobody else of this one needs it. From now on the thread that asks does the work."""
        process, self._process = self._process, None
        if process is not None:
            process.leave()

    def publish(
        self,
        store: ArtifactStore,
        spool: Path,
        run: RunKey,
        *,
        wait: bool = False,
        parts: bool = True,
        grace_s: float | None = None,
        own: str = "",
    ) -> Published | None:
        """Do as `publish.publish` does, and raise what it raises."""
        answer = None
        if self._process is not None:
            wanted, within_s = [Wanted(run, wait, grace_s)], _WAIT_S + _WAIT_S_A_BYTE * _bytes_of(store, spool, run)
            answer = self._asked(store, spool, wanted, within_s, parts=parts, own=own)
        if answer is not None and run in answer.outcomes:
            outcome = answer.outcomes[run]
            if isinstance(outcome, RunbundleError):
                raise outcome
            self.counts["process"] += outcome is not None
            return outcome
        with forks.loading():  # configure() waits for none of it
            from runbundle.recording.publish import publish

        published = publish(store, spool, run, wait=wait, parts=parts, grace_s=grace_s, own=own)
        self.counts["thread"] += published is not None
        if published is None and run in self._perhaps and store.exists(f"{run.path}/{RUN}"):
            published = Published(run.path, {})
        self._perhaps.discard(run)
        return published

    def publish_together(
        self, store: ArtifactStore, spool: Path, wanted: Sequence[Wanted], *, own: str
    ) -> dict[RunKey, Published | StoreUnavailable]:
        """Do as `publish.publish_together` does."""
        if not wanted:
            return {}
        if self._process is not None:
            answer = self._asked(store, spool, wanted, _WAIT_S, together=True, own=own)
            if answer is not None:
                done = {run: it for run, it in answer.outcomes.items() if isinstance(it, Published | StoreUnavailable)}
                self.counts["process"] += sum(isinstance(it, Published) for it in done.values())
                return done
            if self._perhaps:
                return {}  # one after another, since some may be published
        with forks.loading():
            from runbundle.recording.publish import publish_together

        done = publish_together(store, spool, wanted, own=own)
        self.counts["thread"] += sum(isinstance(it, Published) for it in done.values())
        return done

    def _asked(
        self,
        store: ArtifactStore,
        spool: Path,
        runs: Sequence[Wanted],
        within_s: float,
        *,
        own: str,
        parts: bool = True,
        together: bool = False,
    ) -> "Answer | None":
        """Have the process do it; return its answer, or None: it was not asked, or failed."""
        from runbundle.recording.sealing.process import Failed, NotAsked
        from runbundle.recording.sealing.words import Request

        process = self._process
        if process is None or type(store) is not LocalStore:  # a store of anybody's own is here only
            return None
        try:
            answer = process.ask(Request(store.root, spool, own, runs, parts, together), within_s)
        except NotAsked:
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread does the work
            if not self._said:
                self._said = True
                why = str(error) if isinstance(error, Failed) else f"cannot be asked ({type(error).__name__})"
                _log.warning("the process that seals %s; its work is done by a thread of this process", why)
            self._perhaps.update(one.run for one in runs)
            return None
        for level, text in answer.logged:
            _log.log(level, "%s", text)
        return answer


def _bytes_of(store: ArtifactStore, spool: Path, run: RunKey) -> int:
    """Return how many bytes a run has in the spool and in the store, about."""
    total = 0
    for path in journal_files(folder_of(spool, run)):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    try:
        return total + store.size(f"{run.path}/{EVENTS}")
    except (StoreError, OSError):
        return total
