"""The layout: a table of every file and folder that a bundle, or the store around it, may have.

For each file it says who writes it, how the seal covers it, and whether it is copied and searched. All code that
assembles, seals, copies, verifies, removes or lists bundles asks this table. A file that is not in it is a finding of
`verify`.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from runbundle.process.regex import later

RUN = "run.json"
CONFIG = "config.snapshot.json"
EVENTS = "events.jsonl"
EVIDENCE = "evidence.json"
TOOL_CALLS = "tool_calls.json"
SCORECARD = "eval/scorecard.json"
GATE = "eval/gate.json"
EARLIER = "eval/earlier"
HOLD = "hold.json"
REMOVING = "removing.json"
ATTESTATION = "attestation.dsse.json"
REVISIONS = "revisions"
SPOOL, VAULT, STATE, SCRATCH = ".spool", ".vault", ".state", ".tmp"
BASELINES = "baselines"
"""Name of the place beside a store in which its baselines are."""
QUARANTINE, LOSSES, SEGMENTS = ".quarantine", ".losses", ".segments"

JSON, LINES = "application/json", "application/x-ndjson"

Seal = Literal["commit", "listed", "chained", "outside"]


class File(NamedTuple):
    """One file, or one kind of file, that a bundle may have."""

    path: str
    """Path within the bundle. `<n>` stands for a number, `<digest>` for 16 and `<sha256>` for 64 hex digits, `<file>`
    for the name of a sealed file."""
    writer: str
    """The part of the system that writes the file."""
    what: str
    """Content of the file, in a few words."""
    media_type: str = JSON
    seal: Seal = "outside"
    """How the seal covers the file. `commit`: its presence seals the bundle, and it carries its own digest. `listed`:
    run.json has its digest. `chained`: the run.json that superseded it has its digest. `outside`: not at all."""
    copied: bool = True
    """Whether push, pull and sync copy the file."""
    replaced: bool = False
    """Whether the file is replaced as a whole by later ones, while earlier ones are kept by their digests. A copy
    replaces it at the destination if the source says that its own came later."""
    merged: bool = False
    """Whether a copy leaves a file alone that the destination already has; otherwise other bytes there are a clash."""
    searched: bool = True
    """Whether verify searches the file for credentials."""


BUNDLE = (
    File(CONFIG, "seal", "the configuration, without its secrets", seal="listed"),
    File(EVENTS, "seal", "everything that happened, in order", LINES, "listed"),
    File(EVIDENCE, "seal", "what was retrieved", seal="listed"),
    File(TOOL_CALLS, "seal", "every tool call, as its contract allows", seal="listed"),
    File(RUN, "seal, last", "index: who, when, how it went, and the digest of every other file", seal="commit"),
    File(SCORECARD, "score, after the run", "scores of the run", replaced=True),
    File(GATE, "gate, after the run", "the decision whether the run may pass", replaced=True),
    File(f"{EARLIER}/<sha256>.json", "score and gate", "an earlier scorecard or gate, under its digest"),
    File(ATTESTATION, "signers, after the run", "a signed statement about run.json"),
    File(HOLD, "hold", "the reason why the bundle must not be removed", merged=True),
    File(REMOVING, "gc", "a mark that the bundle is being removed", copied=False),
    File(f"{REVISIONS}/<n>/{RUN}", "seal", "the run.json of an earlier revision", seal="chained"),
    File(f"{REVISIONS}/<n>/<file>", "seal", "a file that revision <n> has changed", seal="listed"),
    File(f"{REVISIONS}/<n>/<digest>/<file>", "seal", "the same, if another seal had used the name", seal="listed"),
    File("parts/<sha256>.jsonl", "recorders elsewhere (to come)", "records that wait for the rest of their run", LINES),
)  # fmt: skip
"""The files in a bundle's folder. None of them is removed while hold.json is there; all are removed with the bundle."""


class Beside(NamedTuple):
    """A file or folder in the root of a store that is no bundle. Its name begins with a dot, which no key may."""

    name: str
    writer: str
    what: str
    moved_by: str = ""
    """The environment variable that moves it elsewhere."""


BESIDE = (
    Beside(SPOOL, "recorders", "journals of runs that are not sealed", "RUNBUNDLE_SPOOL"),
    Beside(f"{SPOOL}/{QUARANTINE}", "seal", "runs in which a credential was found"),
    Beside(f"{SPOOL}/{LOSSES}", "recorders", "counts of lost records, one file a process"),
    Beside(f"{SPOOL}/{SEGMENTS}", "recorders", "short runs of busy processes, before they are sealed"),
    Beside(VAULT, "debug mode", "raw prompts and answers, encrypted", "RUNBUNDLE_VAULT"),
    Beside(STATE, "run state", "checkpoints from which runs can be resumed", "RUNBUNDLE_STATE"),
    Beside(SCRATCH, "local stores, object stores", "files that are still being written"),
    Beside(f".{BASELINES}", "baseline, gate", "sets of runs to compare with, and the gates made against them"),
    Beside(".probe", "object stores", "a trial file that shows whether the server honours conditional writes"),
    Beside(".index", "seal, index; object stores only", "rows of the index; readers work without them"),
    Beside(".index.sqlite", "earlier versions", "an index that is no longer read"),
)  # fmt: skip
"""The files and folders in the root of a store. They are not copied, verified, searched, listed or removed with a
bundle; gc empties `.tmp` of a local store; `push` and `sync` carry baselines."""

SEALED = tuple(file.path for file in BUNDLE if file.seal == "listed" and "<" not in file.path)
"""Names of the files that run.json lists."""
FOLDERS = frozenset(file.path.partition("/")[0] for file in BUNDLE if "/" in file.path)
"""Names of the folders of a bundle; no run may be called so."""

_HOLES = {
    "<n>": "[1-9][0-9]{0,8}",
    "<digest>": "[0-9a-f]{16}",
    "<sha256>": "[0-9a-f]{64}",
    "<file>": "(?:" + "|".join(map(re.escape, SEALED)) + ")",
}
_HOLE = later("|".join(_HOLES))


def _pattern(path: str) -> re.Pattern[str]:
    return later("".join(_HOLES.get(piece, re.escape(piece)) for piece in re.split(f"({_HOLE.pattern})", path)))


_PATTERNS = [(_pattern(file.path), file) for file in BUNDLE]


@lru_cache(maxsize=256)
def file_at(path: str) -> File | None:
    """Return the table's entry for a path within a bundle, or None if the format has no file there."""
    return next((file for pattern, file in _PATTERNS if pattern.fullmatch(path)), None)


def name_of(path: str) -> str:
    """Return the file name in a path of any revision: `events.jsonl` for `revisions/2/events.jsonl`."""
    return path.rpartition("/")[2]


def media_type_of(path: str) -> str:
    """Return the media type of a file of a bundle. Raises `KeyError` if the format has no such file."""
    file = file_at(name_of(path))
    if file is None:
        raise KeyError(path)
    return file.media_type


def revision_of(path: str) -> int | None:
    """Return the revision in whose folder a path lies, or None for a path outside `revisions/`.

    A folder below `revisions/` whose name is not a number gives 0.
    """
    first, _, rest = path.partition("/")
    if first != REVISIONS:
        return None
    number = rest.partition("/")[0]
    return int(number) if re.fullmatch(_HOLES["<n>"], number) else 0


def earlier_run_path(number: int) -> str:
    """Return the path at which the run.json of an earlier revision is kept."""
    return f"{REVISIONS}/{number}/{RUN}"


def is_folder(path: str) -> bool:
    """Tell whether the format has a folder at a path within a bundle."""
    return any(pattern.fullmatch(path) for pattern in _FOLDER_PATTERNS)


_FOLDER_PATTERNS = [
    _pattern("/".join(steps[:depth]))
    for steps in (file.path.split("/") for file in BUNDLE)
    for depth in range(1, len(steps))
]
