"""A run assembled, and a bundle verified, by the native core and by Python: the bytes and the findings are the same.

Every run that a test publishes in its own process is assembled both ways, and every bundle that it verifies there is
checked both ways: `watched` is used by all tests. If TEST_BOTH_WAYS names a file, a line is added there for each run:
"native", or why not; and the same, behind "verify: ", for each bundle.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import orjson

from runbundle.bundle import verify
from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.natively import tried
from runbundle.bundle.catalog.rows import facts_in_files
from runbundle.bundle.checks.natively import NativeDerivation
from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.reader import Bundle
from runbundle.core import native
from runbundle.format.identity import RunKey
from runbundle.format.verify_report import VerifyReport
from runbundle.journal.reader import JournalReader
from runbundle.recording import publish
from runbundle.store import ArtifactStore

_NOTED = os.environ.get("TEST_BOTH_WAYS", "")
FAULT = "a fault of its own"
"""What the native core says where it had one, which must never be."""


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
    made: Assembled,
    journals: Sequence[Path],
    run: RunKey,
    scratch: Path,
    *,
    lines: bytes = b"",
    own: str,
    grace_s: float | None,
) -> None:
    """Raise `AssertionError` unless Python makes the same bundle of the journals and of `lines` in a segment."""
    with closing(GatheredRun(run, scratch)) as gathered:
        reader = JournalReader(journals, own=own, lines=lines)
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


def reports(store: ArtifactStore, key: str) -> tuple[VerifyReport, VerifyReport, str]:
    """Verify a bundle with the native core and without it; return both reports, and why it left the bundle to Python,
    or "".
    """
    refused: list[str] = []
    compared = NativeDerivation.compare

    def noted(derivation: NativeDerivation, unchanged: set[str]) -> set[str] | None:
        made = compared(derivation, unchanged)
        refused.append(derivation.refused)
        return made

    with mock.patch.object(NativeDerivation, "compare", noted):
        natively = verify.verify(store, key)
    with mock.patch.object(native, "module", return_value=None):
        return natively, verify.verify(store, key), (refused or ["it was not asked"])[0]


def _checked_both_ways(differences: list[AssertionError]) -> Callable[..., None]:
    contents = verify._contents  # pyright: ignore[reportPrivateUsage]

    def checked(
        bundle: Bundle, unchanged: set[str], natively: NativeDerivation | None, report: ReportBuilder, *, by_rules: bool
    ) -> None:
        before, twin = len(report.findings), ReportBuilder()
        twin.made.update(report.made)
        contents(bundle, unchanged, natively, report, by_rules=by_rules)
        if natively is None:
            return
        _note(f"verify: {natively.refused or 'native'}")
        if not natively.refused:
            contents(bundle, unchanged, None, twin, by_rules=by_rules)
            if report.findings[before:] != twin.findings:
                differences.append(AssertionError(f"{bundle.key}: {twin.findings} are not found natively"))

    return checked


def _note(what: str) -> None:
    if _NOTED:
        with Path(_NOTED).open("a") as file:
            file.write(f"{what}\n")


def _equal(name: str, data: bytes, wanted: bytes) -> None:
    if data != wanted:
        at = next((at for at, pair in enumerate(zip(data, wanted, strict=False)) if pair[0] != pair[1]), len(data))
        part = slice(max(0, at - 120), at + 120)
        raise AssertionError(f"{name}, byte {at}: native {data[part]!r}, Python {wanted[part]!r}")


@contextmanager
def watched() -> Iterator[None]:
    """Assemble both ways what is published meanwhile, and check both ways what is verified. Raises
    `AssertionError` if a byte or a finding differed.
    """
    differences: list[AssertionError] = []

    def made_natively(
        journals: Sequence[Path],
        run: RunKey,
        scratch: Path,
        *,
        lines: bytes,
        own: str,
        grace_s: float | None,
        if_new: Callable[[RunKey, bool], bool],
    ) -> Assembled | None:
        made = tried(journals, run, scratch, lines=lines, own=own, grace_s=grace_s, if_new=if_new)
        _note(made if isinstance(made, str) else "native")
        if isinstance(made, str):
            return None
        try:
            compare(made, journals, run, scratch, lines=lines, own=own, grace_s=grace_s)
        except AssertionError as error:  # a sealer would only log it
            differences.append(error)
        return made

    with (
        mock.patch.object(publish, "assembled_natively", made_natively),
        mock.patch.object(verify, "_contents", _checked_both_ways(differences)),
    ):
        yield
    if differences:
        raise differences[0]
