"""What a process and the process that seals for it say to each other: lines of JSON.

A request names runs, a store and a spool, and brings the known secrets that the other does not have yet. The answer
says for each run what `publish` returned or raised, and what was logged. A path goes as the characters of its bytes,
since a file name may be no text.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runbundle.errors import BundleQuarantined, RunbundleError, StoreUnavailable, WriteConflict
from runbundle.format.identity import RunKey
from runbundle.journal.segment import SegmentLines, SegmentWriter
from runbundle.recording.results import BegunElsewhere, Published, StillWritten, Wanted

_RAISED: dict[str, type[RunbundleError]] = {
    kind.__name__: kind
    for kind in (RunbundleError, StillWritten, BegunElsewhere, BundleQuarantined, StoreUnavailable, WriteConflict)
}
"""Errors that say all they have to say by their message and hint. Any other is met again where the work is redone."""


def _written_ns() -> int:
    try:
        return Path(__file__).stat().st_mtime_ns
    except OSError:  # loaded from an archive
        return 0


READY = b"ready %d\n" % _written_ns()
"""What the other says when it can be asked: it was loaded from the same files. They may have been upgraded since."""

Outcome = Published | RunbundleError | None
"""What `publish` returned or raised for a run."""


class Request(NamedTuple):
    """Runs to be published: one by `publish`, or several by `publish_together`."""

    store: Path
    """The root of a `LocalStore`."""
    spool: Path
    own: str
    runs: Sequence[Wanted]
    parts: bool = True
    """As for `publish`."""
    together: bool = False
    secrets: Sequence[tuple[str, bool]] = ()
    """Known secrets, each with whether it is looked for as it is only."""


class Answer(NamedTuple):
    """What became of the runs of a request. One that is not in it is to be published by whoever asked."""

    outcomes: dict[RunKey, Outcome]
    logged: Sequence[tuple[int, str]] = ()
    """Messages with their levels."""


def path_as_text(path: Path) -> str:
    """Return a path in characters that JSON can hold."""
    return os.fsencode(path).decode("latin-1")


def path_of_text(text: str) -> Path:
    """Return the path that `path_as_text` wrote down."""
    return Path(os.fsdecode(text.encode("latin-1")))


def request_line(request: Request) -> bytes:
    """Return a request as a line."""
    said = request._asdict()
    said |= {"store": path_as_text(request.store.absolute()), "spool": path_as_text(request.spool.absolute())}
    said["runs"] = [(tuple(run), wait, grace_s, _place(lines)) for run, wait, grace_s, lines in request.runs]
    return orjson.dumps(said) + b"\n"


def request_of(line: bytes) -> Request:
    """Return the request in a line that `request_line` wrote."""
    said = orjson.loads(line)
    said |= {"store": path_of_text(said["store"]), "spool": path_of_text(said["spool"])}
    said["runs"] = [Wanted(RunKey(*run), wait, grace_s, _lines(place)) for run, wait, grace_s, place in said["runs"]]
    return Request(**said)


def _place(lines: SegmentWriter | SegmentLines | None) -> Any:
    """Return where lines are, as JSON holds it: they are not sent."""
    if lines is None:
        return None
    path, parts, size_bytes = lines.place() if isinstance(lines, SegmentWriter) else lines
    return path_as_text(path.absolute()), parts, size_bytes


def _lines(place: Any) -> SegmentLines | None:
    if place is None:
        return None
    path, parts, size_bytes = place
    return SegmentLines(path_of_text(path), tuple((int(start), int(end)) for start, end in parts), int(size_bytes))


def answer_line(answer: Answer) -> bytes:
    """Return an answer as a line."""
    outcomes = [(tuple(run), *_said(outcome)) for run, outcome in answer.outcomes.items() if _can_be_said(outcome)]
    return orjson.dumps({"outcomes": outcomes, "logged": answer.logged}) + b"\n"


def answer_of(line: bytes) -> Answer:
    """Return the answer in a line. Raises `ValueError`, `TypeError` or `KeyError` if there is none in it."""
    said = orjson.loads(line)
    outcomes = {RunKey(*run): _outcome(kind, what) for run, kind, what in said["outcomes"]}
    return Answer(outcomes, [(int(level), str(text)) for level, text in said["logged"]])


def _can_be_said(outcome: Outcome) -> bool:
    return not isinstance(outcome, RunbundleError) or type(outcome).__name__ in _RAISED


def _said(outcome: Outcome) -> tuple[str, Any]:
    if isinstance(outcome, RunbundleError):
        return type(outcome).__name__, [outcome.message, outcome.hint]
    return ("published", tuple(outcome)) if outcome is not None else ("nothing", None)


def _outcome(kind: str, what: Any) -> Outcome:
    if kind == "nothing":
        return None
    if kind == "published":
        key, collided, masked = what
        return Published(str(key), {str(name): int(count) for name, count in collided.items()}, int(masked))
    message, hint = what
    return _RAISED[kind](str(message), hint=str(hint))
