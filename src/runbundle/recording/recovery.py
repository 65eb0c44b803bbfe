"""Recovery: sealing a run that its writers left behind.

1. The run's folder is locked, so that of several processes one recovers it (`sole_sealer`).
2. Its journals are locked. One that a writer holds says that the run is alive, and all is left as it is.
3. The journals are read as far as whole lines go; a torn last line is counted. Lines that another
   process wrote are redacted again.
4. With the sealed bundle, if there is one, the records are put together: spans that never ended are interrupted.
5. The bundle is searched for credentials, and sealed, or its next revision is.
6. Only then are the journals removed. Whatever is cut off before is done again by the next.

The steps are those of `publish`, which seals a live run likewise. Recovery differs in that it takes no live journal,
that it reports instead of raising, and that it is safe to repeat.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from runbundle.errors import RunbundleError, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.recording.publish import publish
from runbundle.recording.results import BegunElsewhere, Published, StillWritten
from runbundle.store import ArtifactStore


class Outcome(StrEnum):
    """How the recovery of one run came out."""

    RECOVERED = "recovered"
    """It is sealed, as far as it was recorded."""
    ALIVE = "alive"
    """A process is still writing it. Nothing was done."""
    PART = "part"
    """It was begun elsewhere, and only a part of it is here. The part is kept for its beginning."""
    FAILED = "failed"
    """It could not be sealed; `note` says why. Its records are kept."""
    GONE = "gone"
    """Nothing of it is here any more: another process has just sealed it. That is no fault."""


class Recovered(NamedTuple):
    """What became of one run in the spool."""

    run: RunKey
    outcome: Outcome
    key: str = ""
    """Where the bundle is, if it was recovered."""
    note: str = ""
    """Why not, otherwise."""
    again: bool = False
    """Whether it failed for now only: the store is away, or something is used up that others give back."""


def recover(
    store: ArtifactStore,
    spool: Path,
    run: RunKey,
    *,
    parts: bool = False,
    own: str = "",
    by: Callable[..., Published | None] | None = None,
) -> Recovered:
    """Seal a run that its writers left behind; return what became of it.

    Safe while other runs are written, to call twice, and from two processes at once. What came after a seal becomes a
    new revision. With `parts` a part of a run that was begun elsewhere is sealed by itself. `own` as for `publish`: by
    default every line is redacted again. Raises nothing but for a spool that cannot be read.
    """
    try:
        published = (by or publish)(store, spool, run, wait=True, parts=parts, own=own)
    except StillWritten as error:
        return Recovered(run, Outcome.ALIVE, note=error.message)
    except BegunElsewhere as error:
        return Recovered(run, Outcome.PART, note=error.message)
    except RunbundleError as error:
        return Recovered(run, Outcome.FAILED, note=str(error), again=isinstance(error, StoreUnavailable))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:  # a defect of the assembler
        return Recovered(run, Outcome.FAILED, note=f"its records cannot be assembled ({type(error).__name__})")
    return Recovered(run, Outcome.RECOVERED, published.key) if published else Recovered(run, Outcome.GONE)
