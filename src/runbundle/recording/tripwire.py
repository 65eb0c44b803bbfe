"""The tripwire: the final bytes of a bundle are searched for credentials before any of them is published.

Everything in a bundle has passed the redactor. This is for the day on which that had a hole: a credential in a value is
masked where it stands, and the bundle and `flush()` say so. One that cannot be masked, since it stands in the format's
own text, as in the run's id, keeps the bundle from the store: it goes into quarantine, where it can be looked into. A
known secret does not: anybody can make one that equals a word or an id of the format.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

from runbundle.bundle.assembly.assemble import Assembled
from runbundle.errors import BundleQuarantined
from runbundle.format.identity import RunKey
from runbundle.format.layout import QUARANTINE
from runbundle.journal.spool import folder_of
from runbundle.process.disk import make_folder, write
from runbundle.redaction.detectors.detector import format_detector
from runbundle.store.regular import refuse_link

_log = logging.getLogger("runbundle")


class Hit(NamedTuple):
    """A credential in a file: where, and which rule knew it. Never what it was."""

    file: str
    line: int
    rule: str


def search(files: Iterable[tuple[str, Iterable[bytes]]]) -> list[Hit]:
    """Return what looks like a credential in the files, by public format or as a known secret.

    A file is given by its name and its content in pieces that end at ends of lines. Rules by context are not asked
    here: in JSON they would take a key beside its marker for one.
    """
    hits: list[Hit] = []
    for name, pieces in files:
        before, last = 0, b""
        for piece in pieces:
            before += last.count(b"\n")  # not of the last piece, which is the only one of most files
            text, last = piece.decode("utf-8", "replace"), piece
            hits += [Hit(name, before + text.count("\n", 0, f.start) + 1, f.rule) for f in format_detector().hits(text)]
    return hits


def state_masked(bundle: Assembled, found: Counter[str], before: Mapping[str, int] | None) -> None:
    """Let run.json say how many credentials were masked, by rule, with those of the revision `before`; log it."""
    total = found + Counter(before or {})
    if total:
        about = bundle.run_fields
        bundle.set_run_fields({**about, "redaction": {**about["redaction"], "masked": dict(sorted(total.items()))}})
    if found:
        rules = ", ".join(f"{rule}: {count}" for rule, count in sorted(found.items()))
        text = "run %s: RB413: %d credentials were masked when it was sealed (%s)"
        _log.critical(text, bundle.run.path, found.total(), rules)


def search_bundle(bundle: Assembled) -> list[Hit]:
    """Return what looks like a credential in a bundle that is not published yet."""
    return search([*((made.name, made.pieces()) for made in bundle.files), ("run.json", [bundle.index()])])


def quarantine(spool: Path, run: RunKey, hits: list[Hit]) -> BundleQuarantined:
    """Move a run's journals aside and note beside them what was found; return the error that says so.

    They go from the spool to its `.quarantine`, 0700, where no assembler looks.
    """
    directory, aside = folder_of(spool, run), folder_of(spool / QUARANTINE, run)
    for folder in (spool / QUARANTINE, aside.parent):
        make_folder(folder)
        refuse_link(folder)
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = aside.with_name(f"{directory.name}.{number}")
    directory.rename(aside)
    body = {"code": BundleQuarantined.finding, **run._asdict(), "hits": [hit._asdict() for hit in hits]}
    write(aside / "reason.json", orjson.dumps(body, option=orjson.OPT_INDENT_2))
    first = hits[0]
    return BundleQuarantined(
        f"{BundleQuarantined.finding}: {len(hits)} credentials found before publishing, the first by rule"
        f" {first.rule} in {first.file}:{first.line}; nothing was written to the store",
        hint=f"revoke what leaked; the records are in {aside}; runbundle explain {BundleQuarantined.finding}",
    )
