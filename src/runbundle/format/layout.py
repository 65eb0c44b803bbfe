"""The layout: every file and folder that a bundle, and the store beside it, may have, and what each is subject to.

Whoever assembles, seals, copies, verifies, searches, holds, removes or lists asks this table. What is not in it does
not belong where it lies.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

RUN = "run.json"
CONFIG = "config.snapshot.json"
EVENTS = "events.jsonl"
EVIDENCE = "evidence.json"
TOOL_CALLS = "tool_calls.json"
HOLD = "hold.json"
REMOVING = "removing.json"
ATTESTATION = "attestation.dsse.json"
REVISIONS = "revisions"
SPOOL, VAULT, STATE, SCRATCH = ".spool", ".vault", ".state", ".tmp"
QUARANTINE, LOSSES = ".quarantine", ".losses"

JSON, LINES = "application/json", "application/x-ndjson"

Seal = Literal["commit", "listed", "chained", "outside"]


class File(NamedTuple):
    """One file that a bundle may have, or one kind of them."""

    path: str
    """Within the bundle; `<n>` is a number, `<digest>` 16 and `<sha256>` 64 hex digits, `<file>` a sealed file."""
    writer: str
    """Who writes it."""
    what: str
    """What it holds."""
    media_type: str = JSON
    seal: Seal = "outside"
    """`commit`: its presence seals the bundle, and it carries its own digest. `listed`: run.json has its digest.
    `chained`: the run.json that superseded it has. `outside`: nothing holds it to its content."""
    copied: bool = True
    """Whether push, pull and sync take it along."""
    merged: bool = False
    """Whether one that is at the destination already stays as it is; else other bytes there are a clash."""
    searched: bool = True
    """Whether verify searches it for credentials. All of them are held and removed with their bundle."""


BUNDLE = (
    File(CONFIG, "seal", "the configuration, without its secrets", seal="listed"),
    File(EVENTS, "seal", "everything that happened, in order", LINES, "listed"),
    File(EVIDENCE, "seal", "what was retrieved", seal="listed"),
    File(TOOL_CALLS, "seal", "every tool call, as its contract allows", seal="listed"),
    File(RUN, "seal, last", "index: who, when, how it went, and the digest of every other file", seal="commit"),
    File("eval/scorecard.json", "scorers, after the run", "scores"),
    File("eval/gate.json", "gates, after the run", "whether a candidate may pass"),
    File(ATTESTATION, "signers, after the run", "a signed statement about run.json"),
    File(HOLD, "hold", "why the bundle must stay", merged=True),
    File(REMOVING, "gc", "that the bundle is being removed", copied=False),
    File(f"{REVISIONS}/<n>/{RUN}", "seal", "the run.json of an earlier revision", seal="chained"),
    File(f"{REVISIONS}/<n>/<file>", "seal", "a file that revision <n> has changed", seal="listed"),
    File(f"{REVISIONS}/<n>/<digest>/<file>", "seal", "the same, where another seal had taken the name", seal="listed"),
    File("parts/<sha256>.jsonl", "recorders elsewhere (to come)", "records that wait for their run", LINES),
)  # fmt: skip
"""In a bundle's folder. All of it is held while hold.json is there, and removed with the bundle."""


class Beside(NamedTuple):
    """What lies in the root of a store and is no bundle: its name begins with a dot, so that no key leads there."""

    name: str
    writer: str
    what: str
    moved_by: str = ""
    """The variable that puts it elsewhere."""


BESIDE = (
    Beside(SPOOL, "recorders", "journals of runs that are not sealed", "RUNBUNDLE_SPOOL"),
    Beside(f"{SPOOL}/{QUARANTINE}", "seal", "runs in which a credential was found"),
    Beside(f"{SPOOL}/{LOSSES}", "recorders", "what processes have counted as lost"),
    Beside(VAULT, "debug mode", "prompts and answers, encrypted", "RUNBUNDLE_VAULT"),
    Beside(STATE, "run state", "checkpoints of runs", "RUNBUNDLE_STATE"),
    Beside(SCRATCH, "local stores, object stores", "files that are still being written"),
    Beside(".probe", "object stores", "whether the server honours conditions"),
    Beside(".index", "seal, index; object stores only", "rows of the index, that any reader can do without"),
    Beside(".index.sqlite", "earlier versions", "their index; nobody reads it any more"),
)  # fmt: skip
"""Never copied, verified, searched, listed or removed with a bundle; of a local store gc sweeps `.tmp`."""

SEALED = tuple(file.path for file in BUNDLE if file.seal == "listed" and "<" not in file.path)
"""Names of the files that run.json lists."""
FOLDERS = frozenset(file.path.partition("/")[0] for file in BUNDLE if "/" in file.path)
"""Folders of a bundle: no run of a tenant may have such a name."""

_HOLES = {
    "<n>": "[1-9][0-9]{0,8}",
    "<digest>": "[0-9a-f]{16}",
    "<sha256>": "[0-9a-f]{64}",
    "<file>": "(?:" + "|".join(map(re.escape, SEALED)) + ")",
}
_HOLE = re.compile("|".join(_HOLES))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join(_HOLES.get(piece, re.escape(piece)) for piece in re.split(f"({_HOLE.pattern})", path)))


_PATTERNS = [(_pattern(file.path), file) for file in BUNDLE]


@lru_cache(maxsize=256)
def file_at(path: str) -> File | None:
    """Return what a path within a bundle is, or None if nothing of the format lies there."""
    return next((file for pattern, file in _PATTERNS if pattern.fullmatch(path)), None)


def name_of(path: str) -> str:
    """Return the name of the sealed file that a path of any revision stands for."""
    return path.rpartition("/")[2]


def media_type_of(path: str) -> str:
    """Return the media type of a file of a bundle. Raises `KeyError` for one that is none."""
    file = file_at(name_of(path))
    if file is None:
        raise KeyError(path)
    return file.media_type


def revision_of(path: str) -> int | None:
    """Return the revision in whose folder a path lies; 0 if it is named like none, None outside them."""
    first, _, rest = path.partition("/")
    if first != REVISIONS:
        return None
    number = rest.partition("/")[0]
    return int(number) if re.fullmatch(_HOLES["<n>"], number) else 0


def earlier_run_path(number: int) -> str:
    """Return where the run.json of an earlier revision is kept."""
    return f"{REVISIONS}/{number}/{RUN}"


def is_folder(path: str) -> bool:
    """Tell whether a path within a bundle is a folder of the format."""
    return any(pattern.fullmatch(path) for pattern in _FOLDER_PATTERNS)


_FOLDER_PATTERNS = [
    _pattern("/".join(steps[:depth]))
    for steps in (file.path.split("/") for file in BUNDLE)
    for depth in range(1, len(steps))
]
