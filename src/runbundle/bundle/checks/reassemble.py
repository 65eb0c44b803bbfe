"""Assembling a bundle again from its own events, to compare the result with its files.

The assembler is the one that sealed the bundle, so there is one implementation of the rules. `derived` lists the fields
that this protects, and those that it cannot.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import orjson

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.parts import NewFile, batches, digest_only, make_file
from runbundle.bundle.assembly.reread import EventsBySpan, log_entry
from runbundle.bundle.assembly.timeline import event_line
from runbundle.bundle.checks.derived import COLLIDED, DERIVED, GUARDED, MALFORMED, TORN
from runbundle.bundle.checks.events import holds_credential, suspicious
from runbundle.bundle.reader import MAX_LINE_BYTES, Bundle, event_lines
from runbundle.errors import StoreUnavailable
from runbundle.format.canonical import SELF
from runbundle.format.events import Event
from runbundle.format.identity import RunKey
from runbundle.format.layout import EVENTS, RUN, name_of
from runbundle.format.run import FileEntry
from runbundle.format.words import RULES

Add = Callable[..., None]
_MOST_NAMED = 8  # fields, in one finding
_FIELD_NAMES = frozenset(Event.model_fields).union(
    word for fields in (*DERIVED.values(), *GUARDED.values()) for path in fields for word in path.split(".")
)


class Reassembly:
    """A bundle that is assembled again while its events are read. Close it after use.

    Call `event` for each line of events.jsonl, then `compare`. Methods raise `StoreUnavailable` if the folder for
    temporary files cannot be written.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._held = contextlib.ExitStack()
        scratch = scratch_folder()
        self._of_spans = self._held.enter_context(contextlib.closing(EventsBySpan(scratch)))
        run = RunKey("", bundle.index.run_id)
        self._gathered = self._held.enter_context(contextlib.closing(GatheredRun(run, scratch)))
        self._maker = SearchingMaker()

    def close(self) -> None:
        """Free memory and disk."""
        self._held.close()

    def event(self, event: dict[str, Any], line: bytes) -> None:
        """Add the next event, which fits its model. `line`: its bytes, with the line end."""
        try:
            if event["type"] == "log":
                self._gathered.add([log_entry(event)])
            else:
                self._of_spans.add(event, line[:-1])
        except OSError as error:
            raise _no_scratch(error) from error

    def compare(self, unchanged: set[str], add: Add) -> set[str]:
        """Add a finding for each file that contradicts the events; return the names of the files that agree.

        `unchanged`: paths of files whose digests are right; other files have findings already and are not compared.
        """
        try:
            return self._derived(unchanged, add)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - of events that fit their models and are hostile all the same
            add("RB212", f"nothing can be derived from its events ({type(error).__name__})", file=RUN)
            return set()

    def _derived(self, unchanged: set[str], add: Add) -> set[str]:
        index = self._bundle.index
        dropped = index.completeness.dropped
        with _scratch_errors():
            self._gathered.add(self._of_spans.entries(index.versions.semconv))
            self._gathered.malformed += max(0, dropped.get(MALFORMED, 0))
            self._gathered.collided = max(0, dropped.get(COLLIDED, 0))
            made = assemble(
                self._gathered,
                torn=max(0, dropped.get(TORN, 0)),
                sdk_versions=frozenset({index.versions.otel_sdk or ""} - {""}),
                grace_s=index.completeness.grace_s,
                make=self._maker.make,
                rules=index.rules or RULES,
            )
            with contextlib.closing(made):
                return self._compared(made, unchanged, add)

    def _compared(self, made: Assembled, unchanged: set[str], add: Add) -> set[str]:
        index = self._bundle.index
        listed = {name_of(entry.path): entry for entry in index.files}
        same: set[str] = set()
        for number, again in enumerate(made.files):
            entry = listed.get(again.name)
            if entry is None:
                continue  # run.json does not list it, which shows below
            if (again.size, again.sha256) == (entry.bytes, entry.sha256):
                same.add(again.name)
                if again.name in self._maker.leaking:
                    add("RB403", "something looks like a credential", file=entry.path)
            else:
                if entry.path in unchanged:
                    self._differs(again, entry, add)
                made.files[number] = again._replace(size=entry.bytes, sha256=entry.sha256)
        found = contradictions(made, self._bundle)
        if found:
            add("RB212", f"the events say otherwise of {_named(found)}", file=RUN)
        return same

    def _differs(self, again: NewFile, entry: FileEntry, add: Add) -> None:
        with self._bundle.store.open(f"{self._bundle.key}/{entry.path}") as file:
            if again.name == EVENTS:
                made = (event_line(line, seq) for seq, line in enumerate(self._gathered.timeline()))
                stored = (line for _, line in event_lines(file))
                for number, (ours, theirs) in enumerate(zip_longest(made, stored, fillvalue=b""), 1):
                    if ours != theirs:
                        add(*_difference(theirs, ours), file=entry.path, line=number)
                        return
            elif max(again.size, entry.bytes) > MAX_LINE_BYTES:
                add("RB212", "the events say otherwise", file=entry.path)
            else:
                add(*_difference(file.read(), b"".join(again.pieces())), file=entry.path)


class SearchingMaker:
    """Makes files again and searches them for credentials."""

    def __init__(self) -> None:
        self.leaking: set[str] = set()
        """Names of files in which something looks like a credential."""

    def make(self, name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:
        """Make a file again. Keep no copy of events.jsonl, which is searched where it is read."""
        return (
            digest_only(name, pieces, scratch)
            if name == EVENTS
            else make_file(name, self._searched(name, pieces), scratch)
        )

    def _searched(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for block in batches(pieces, len):
            suspect = name not in self.leaking and suspicious(block)
            for piece in block:
                if name not in self.leaking and (suspect or b"\\" in piece):
                    # An escape may hide one; and a key beside its marker may look like one: each text by itself.
                    with contextlib.suppress(ValueError):  # what stands around a list is no JSON, and of our making
                        if holds_credential(orjson.loads(piece.lstrip(b",\n "))):
                            self.leaking.add(name)
                yield piece


def contradictions(made: Assembled, bundle: Bundle) -> list[str]:
    """Return the paths of the fields in which run.json differs from that of the bundle as it was assembled again.

    The size and digest of each file that run.json lists must be set in `made` to what run.json says.
    """
    index = bundle.index
    late = max(0, index.completeness.late) if index.revision > 1 else 0
    said: dict[str, Any] = {"completeness": {**made.completeness, "late": late}, "revision": index.revision}
    if index.supersedes is not None and index.revision > 1:
        said["supersedes"] = index.supersedes
    if index.redaction.masked is not None:
        made.set_run_fields(
            {**made.run_fields, "redaction": {**made.run_fields["redaction"], "masked": index.redaction.masked}}
        )
    stored = orjson.loads(bundle.index_bytes)
    again = orjson.loads(made.index({name_of(entry.path): entry.path for entry in index.files}, **said))
    return [path for path in differences(stored, again) if path != SELF]


def _difference(theirs: bytes, ours: bytes) -> tuple[str, str]:
    """Return code and message of the finding for bytes that differ from the file that was made again."""
    try:
        said, made = orjson.loads(theirs), orjson.loads(ours)
    except orjson.JSONDecodeError:
        return "RB212", "the other lines come to another end of it"
    found = differences(said, made)
    if not found:
        return "RB211", "the same content has other bytes than the canonical ones"
    return "RB212", f"the events say otherwise of {_named(found)}"


def differences(said: Any, made: Any, path: str = "") -> list[str]:
    """Return the paths at which two JSON values differ, such as `files.0.bytes`.

    For lists of different lengths it is the path of the list. `path` is put before each.
    """
    if type(said) is not type(made):
        return [path]
    if isinstance(said, dict):
        one, other = cast("dict[str, Any]", said), cast("dict[str, Any]", made)
        below = [(name, one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in sorted({*one, *other})]
    elif isinstance(said, list):
        first, second = cast("list[Any]", said), cast("list[Any]", made)
        if len(first) != len(second):
            return [path]
        below = [(str(n), *pair) for n, pair in enumerate(zip(first, second, strict=True))]
    else:
        return [] if said == made else [path]
    return [where for name, a, b in below for where in differences(a, b, f"{path}.{name}" if path else name)]


_ABSENT = object()


def _named(found: list[str]) -> str:
    """Return the first 8 paths as text, with `?` for words that are not names of fields and may hold content."""
    words = [".".join(word if word in _FIELD_NAMES or word.isdigit() else "?" for word in p.split(".")) for p in found]
    more = len(words) - _MOST_NAMED
    return ", ".join(words[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def scratch_folder() -> Path:
    """Return the folder for the lines of a long run. A short run is kept in memory, so the folder may be unusable."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # none can be written, which is said when it is needed
        return Path(os.devnull)


@contextlib.contextmanager
def _scratch_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _no_scratch(error) from error


def _no_scratch(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"cannot work in {scratch_folder()}: {error.strerror or error}", hint="TMPDIR names another folder"
    )
