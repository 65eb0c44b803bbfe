"""The two runs of a comparison: opened, checked, and refused where a difference would not be true."""

import contextlib
import hashlib
from pathlib import Path

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.compare.steps import Steps
from runbundle.errors import BundleError, NotComparable, NotSealed, NotVerified
from runbundle.format.run import RunIndex
from runbundle.process.disk import make_folder, replace
from runbundle.redaction.detectors.cache import folder
from runbundle.store import ArtifactStore

_CUT_OFF = ("crashed", "lossy")


def subject(store: ArtifactStore, key: str, *, incomplete: bool = False) -> Bundle:
    """Open a run for a comparison, once it is verified.

    The files are compared with their digests each time. That they follow from each other is checked once for each
    run.json, and remembered in the user's cache folder.

    Raises `NotVerified` if the bundle does not verify, and `NotComparable` if it is not sealed, cannot be read, or
    something of the run is missing; the last is let pass with `incomplete`.
    """
    try:
        bundle = Bundle.open(store, key)
    except NotSealed as error:
        raise NotComparable(f"{key}: {error.message}", hint=error.hint) from None
    except BundleError as error:
        raise NotVerified(f"{key}: {error.message}", hint=f"runbundle verify {key}") from None
    _check(bundle)
    said = bundle.index.completeness
    if not incomplete and (said.state in _CUT_OFF or said.open_spans):
        raise NotComparable(
            f"{key} is {said.state}: steps that are missing would look like a difference",
            hint="give --incomplete to compare what is there",
        )
    return bundle


def _check(bundle: Bundle) -> None:
    known = _known(bundle)
    report = verify(bundle.store, bundle.key, quick=known is not None and known.exists())
    if report.verdict == "failed":
        first = next(finding for finding in report.findings if finding.severity == "error")
        raise NotVerified(f"{bundle.key} does not verify: {first.code}, {first.message}", hint="runbundle verify RUN")
    if known is not None:
        with contextlib.suppress(OSError):
            make_folder(known.parent)
            replace(known, b"")


def _known(bundle: Bundle) -> Path | None:
    """Return the file that is there if this run.json was verified whole; None if the cache cannot be used."""
    try:
        return folder() / "verified" / hashlib.sha256(bundle.index_bytes).hexdigest()
    except (OSError, RuntimeError):  # there is no home
        return None


def require_one_key(a: Bundle, b: Bundle, steps_a: Steps, steps_b: Steps) -> None:
    """Raise `NotComparable` if what is known by digests only was digested under two keys."""
    one, other = a.index.redaction.key_id, b.index.redaction.key_id
    steps = steps_a.digested + steps_b.digested
    if one == other or not steps:
        return
    raise NotComparable(
        f"the digests of the two runs were made with different keys ({one} and {other}; {_why(a.index, b.index)}), so"
        f" of {steps} of {len(steps_a) + len(steps_b)} steps nobody can tell whether they are equal",
        hint="record both with one key: configure(key=...) or RUNBUNDLE_REDACTION_KEY, and one tenant",
    )


def _why(a: RunIndex, b: RunIndex) -> str:
    if a.tenant_id != b.tenant_id:
        return "they are of two tenants"
    if a.versions.runbundle != b.versions.runbundle:
        return f"recorded by versions {a.versions.runbundle} and {b.versions.runbundle}, or with two keys"
    return "recorded for two stores, or with two keys"
