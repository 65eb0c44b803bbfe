"""A gate from runs: each verified, scored and judged; looks counted, and the gate stored where it belongs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runbundle.bundle.custody import baselines
from runbundle.bundle.custody.baselines import Kept, key_of
from runbundle.bundle.evaluations import scorecard_of, write_evaluation
from runbundle.bundle.reader import Bundle, index_bytes
from runbundle.bundle.verify import verify
from runbundle.compare.gating.checks import Sides
from runbundle.compare.gating.decide import decide
from runbundle.compare.gating.loading import Loaded
from runbundle.compare.gating.looks import counted
from runbundle.compare.gating.sets import Member
from runbundle.compare.scoring.facts import facts_of
from runbundle.compare.scoring.scorecard import scorecard
from runbundle.errors import BundleError, KeyNotFound, MalformedBundle, NotSealed, StoreUnavailable, UnsupportedVersion
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Criterion, Gate, RunEvent
from runbundle.format.verify_report import VerifyReport
from runbundle.store import ArtifactStore

Runs = Sequence[tuple[ArtifactStore, str]]
"""Runs, each as its store and its key."""


_INTEGRITY = "integrity"


class Checked(NamedTuple):
    """A bundle, and what verify says of it."""

    bundle: Bundle
    report: VerifyReport


class Unsound(Exception):
    """Bundles that do not verify: the run and what is wrong with it, one line each."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


def make_gate(loaded: Loaded, store: ArtifactStore, before: Runs | Kept, after: Runs, *, write: bool = True) -> Gate:
    """Verify the runs of both sides, judge them by a policy, and store the gate where it belongs, if `write`.

    A gate over one run lies in that run's bundle, one against a named baseline beside the baseline. If a run does not
    verify, or the baseline was edited, nothing is compared: the gate then has one criterion, `integrity`. Copies of a
    run are one run. Raises `NotSealed`, and `UnsupportedVersion`.
    """
    kept = before if isinstance(before, Kept) else None
    try:
        old = _each_once(open_checked(_runs_of(store, before) if isinstance(before, Kept) else before))
        new = _each_once(open_checked(after))
    except (Unsound, MalformedBundle) as error:
        return unsound_gate(error, loaded)
    sides = Sides([_member(one, loaded) for one in old], [_member(one, loaded) for one in new])
    gate = decide(loaded.policy, sides, ref=loaded.ref, baseline=kept.ref if kept else None)
    return _kept(store, gate, kept, new, write=write)


def is_unsound(gate: Gate) -> bool:
    """Tell whether nothing was compared, since a run or the baseline does not verify."""
    return gate.verdict == "error" and [criterion.name for criterion in gate.criteria] == [_INTEGRITY]


def named_baseline(store: ArtifactStore, name: str) -> Kept | None:
    """Return the last entry of a baseline; None if the store has no baseline of that name. Raises `MalformedBundle`."""
    try:
        known = baselines.names(store)
    except StoreUnavailable:
        return None
    return baselines.latest(store, name) if name in known else None


def open_checked(runs: Iterable[tuple[ArtifactStore, str]]) -> list[Checked]:
    """Open and verify bundles. Raises `Unsound` for those that do not verify, and `NotSealed`."""
    opened: list[Checked] = []
    problems: list[tuple[str, str]] = []
    for store, key in runs:
        try:
            bundle = Bundle.open(store, key)
        except (NotSealed, UnsupportedVersion):
            raise
        except BundleError as error:
            problems.append((key, error.message))
            continue
        report = verify(store, key)
        if report.verdict == "failed":
            first = next(finding for finding in report.findings if finding.severity == "error")
            problems.append((key, f"{first.code} {first.file or ''}: {first.message}"))
        opened.append(Checked(bundle, report))
    if problems:
        raise Unsound(problems)
    return opened


def _each_once(runs: list[Checked]) -> list[Checked]:
    """Return each run once, however many stores it was found in: a copy of it makes nothing surer."""
    found: dict[bytes, Checked] = {}
    for one in runs:
        found.setdefault(one.bundle.index_bytes, one)
    return list(found.values())


def _runs_of(store: ArtifactStore, kept: Kept) -> list[tuple[ArtifactStore, str]]:
    """Return the runs of a baseline. Raises `Unsound` if one is not there, or is not the one that was taken in."""
    problems: list[tuple[str, str]] = []
    for subject in kept.entry.subjects:
        key = key_of(subject)
        where = f"entry {kept.entry.number} of the baseline {kept.entry.name}"
        try:
            if sha256_hex(index_bytes(store, key)) != subject.run_sha256:
                problems.append((key, f"run.json is another one than {where} names"))
        except KeyNotFound:
            problems.append((key, f"is not in the store, and {where} names it"))
    if problems:
        raise Unsound(problems)
    return [(store, key_of(subject)) for subject in kept.entry.subjects]


def _member(one: Checked, loaded: Loaded) -> Member:

    facts = facts_of(one.bundle)
    stored = scorecard_of(one.bundle.store, one.bundle.key)
    card = scorecard(facts, list(loaded.policy.each_scorer()), before=stored)
    return Member(facts, card, complete=one.report.verdict == "verified", bundle=one.bundle)


def _kept(store: ArtifactStore, gate: Gate, kept: Kept | None, new: list[Checked], *, write: bool) -> Gate:
    """Count the looks and store the gate where it belongs; return it with its count."""
    if kept is None:
        gate = gate.model_copy(
            update={"notes": [*gate.notes, "looks were not counted: only a named baseline counts them"]}
        )
    else:
        earlier = [found for _, found in baselines.gates(store, kept.entry.name)]
        gate, known = counted(gate, earlier)
        if write and not known:
            baselines.keep_gate(store, kept.entry.name, gate)
    if write and len(new) == 1:
        bundle = new[0].bundle
        write_evaluation(bundle.store, bundle.key, Gate, lambda _: gate)
    return gate


def unsound_gate(error: Unsound | MalformedBundle, loaded: Loaded) -> Gate:
    """Return the gate that says that nothing was compared, since runs or a baseline do not verify."""
    problems = error.problems if isinstance(error, Unsound) else [(error.file, error.message)]
    events = [RunEvent(run_id=key, what=text) for key, text in problems]
    reason = f"{len(events)} of the bundles or baselines do not verify, so nothing was compared"
    criterion = Criterion(name=_INTEGRITY, verdict="error", reason=reason, evidence=events[:100])
    return Gate(subjects=[], verdict="error", criteria=[criterion], policy=loaded.ref)
