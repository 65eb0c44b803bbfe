"""A run assembled by the native core and by Python: the bytes have to be the same, or the run is left to Python.

Every run that a test publishes in its own process is: `watched` is used by all tests. If TEST_BOTH_WAYS names a file, a
line is added there for each run: "native", or why not.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import orjson

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.natively import tried
from runbundle.bundle.catalog.rows import facts_in_files
from runbundle.format.identity import RunKey
from runbundle.journal.reader import JournalReader
from runbundle.recording import publish

_NOTED = os.environ.get("TEST_BOTH_WAYS", "")


def same(
    journals: Sequence[Path], run: RunKey, scratch: Path, *, own: str, grace_s: float | None = None, begins: bool = True
) -> str:
    """Assemble a run both ways; return why the native core left it to Python, or "". `begins`: only if it begins here.

    Raises `AssertionError` if a byte differs.
    """
    made = tried(journals, run, scratch, own=own, grace_s=grace_s, if_new=lambda _, said: said or not begins)
    if isinstance(made, str):
        return made
    with closing(made):
        compare(made, journals, run, scratch, own=own, grace_s=grace_s)
    return ""


def compare(
    made: Assembled, journals: Sequence[Path], run: RunKey, scratch: Path, *, own: str, grace_s: float | None
) -> None:
    """Raise `AssertionError` unless Python makes the same bundle of the journals."""
    with closing(GatheredRun(run, scratch)) as gathered:
        reader = JournalReader(journals, own=own)
        gathered.add(reader)
        versions = frozenset(reader.sdk_versions)
        with closing(assemble(gathered, torn=reader.torn, sdk_versions=versions, grace_s=grace_s)) as wanted:
            assert [file.name for file in made.files] == [file.name for file in wanted.files]
            for file, other in zip(made.files, wanted.files, strict=True):
                _equal(file.name, b"".join(file.pieces()), b"".join(other.pieces()))
                assert file[2:] == other[2:], file.name
            _equal("run.json", made.index(), wanted.index())
            assert (made.run, made.collided) == (wanted.run, wanted.collided)
            assert made.completeness == wanted.completeness
            if made.facts is not None:
                files = {file.name: file.body for file in wanted.files}
                assert made.facts == facts_in_files(files, orjson.loads(wanted.index()))


def _equal(name: str, data: bytes, wanted: bytes) -> None:
    if data != wanted:
        at = next((at for at, pair in enumerate(zip(data, wanted, strict=False)) if pair[0] != pair[1]), len(data))
        part = slice(max(0, at - 120), at + 120)
        raise AssertionError(f"{name}, byte {at}: native {data[part]!r}, Python {wanted[part]!r}")


@contextmanager
def watched() -> Iterator[None]:
    """Assemble both ways what is published meanwhile. Raises `AssertionError` if a byte differed."""
    differences: list[AssertionError] = []

    def made_natively(
        journals: Sequence[Path],
        run: RunKey,
        scratch: Path,
        *,
        own: str,
        grace_s: float | None,
        if_new: Callable[[RunKey, bool], bool],
    ) -> Assembled | None:
        made = tried(journals, run, scratch, own=own, grace_s=grace_s, if_new=if_new)
        if _NOTED:
            with Path(_NOTED).open("a") as file:
                file.write(f"{made if isinstance(made, str) else 'native'}\n")
        if isinstance(made, str):
            return None
        try:
            compare(made, journals, run, scratch, own=own, grace_s=grace_s)
        except AssertionError as error:  # a sealer would only log it
            differences.append(error)
        return made

    with mock.patch.object(publish, "assembled_natively", made_natively):
        yield
    if differences:
        raise differences[0]
