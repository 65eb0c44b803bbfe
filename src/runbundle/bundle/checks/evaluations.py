"""The checks of verify on scorecards and gates: their form, their own digest, their subject, and their evidence."""

from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.evaluations import is_intact
from runbundle.bundle.reader import event_lines, index_bytes, listed_path, parse_event_line, parse_model, whole_file
from runbundle.errors import KeyNotFound, MalformedBundle
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Gate, Scorecard, Subject
from runbundle.format.layout import EARLIER, EVENTS, GATE, SCORECARD, earlier_run_path, name_of
from runbundle.format.run import RunIndex
from runbundle.store import ArtifactStore


def check_evaluations(
    store: ArtifactStore, key: str, index: RunIndex, data: bytes, present: set[str], report: ReportBuilder
) -> None:
    """Check eval/scorecard.json, eval/gate.json and the earlier ones. `data`: bytes of run.json.

    A bundle without them gets no finding. One that is about an earlier revision of the run is a remark, no fault.
    """
    for path in sorted(present):
        if path.startswith(f"{EARLIER}/") and name_of(path) != f"{_digest(store, key, path)}.json":
            report.add("RB218", "has another SHA-256 than its name says", file=path)
    for path in (SCORECARD, GATE):
        if path not in present:
            continue
        try:
            content = whole_file(store, key, path)
            found = parse_model(content, Scorecard if path == SCORECARD else Gate, path)
        except KeyNotFound:  # it has a finding, or is gone
            continue
        except MalformedBundle as error:
            report.add(error.finding or "RB107", error.message, file=path)
            continue
        if not is_intact(content):
            report.add("RB216", "is not what the digest that it carries says", file=path)
        if found.supersedes is not None and f"{EARLIER}/{found.supersedes}.json" not in present:
            report.add("RB218", "replaced a file that is not there", file=path)
        subjects = [found.subject] if isinstance(found, Scorecard) else found.subjects
        _subject(store, key, index, data, path, subjects, report)
        if isinstance(found, Scorecard) and found.subject.run_sha256 == sha256_hex(data):
            _evidence(store, key, index, found, report)


def _subject(
    store: ArtifactStore,
    key: str,
    index: RunIndex,
    data: bytes,
    path: str,
    subjects: list[Subject],
    report: ReportBuilder,
) -> None:
    own = {s.run_sha256 for s in subjects if (s.tenant_id, s.run_id) == (index.tenant_id, index.run_id)}
    if sha256_hex(data) in own:
        return
    before = range(1, index.revision) if own else range(0)
    if own & {_digest(store, key, earlier_run_path(number)) for number in before}:
        report.notes.append(f"{path} is about an earlier revision of the run")
    else:
        report.add("RB217", "is not about this run.json, nor about an earlier one of this run", file=path)


def _evidence(store: ArtifactStore, key: str, index: RunIndex, card: Scorecard, report: ReportBuilder) -> None:
    """Check that the events that scores name are there. Only their lines are parsed."""
    wanted = {(ref.seq, ref.span_id) for score in card.scores for ref in score.evidence}
    path = listed_path(index, EVENTS)
    if not wanted or path is None:
        return
    numbers = {seq for seq, _ in wanted}
    there: set[tuple[int, str]] = set()
    try:
        with store.open(f"{key}/{path}") as file:
            for number, line in event_lines(file):
                if number - 1 in numbers:
                    there.add((number - 1, parse_event_line(line, path, number)["span_id"]))
    except (KeyNotFound, MalformedBundle):
        return  # it has a finding for that
    for seq, span_id in sorted(wanted - there):
        report.add("RB507", f"names event {seq} of span {span_id}, which is not there", file=SCORECARD)


def _digest(store: ArtifactStore, key: str, path: str) -> str:
    """Return the SHA-256 of a file of a bundle, or an empty text if it cannot be read."""
    try:
        return sha256_hex(whole_file(store, key, path) if path.startswith(EARLIER) else index_bytes(store, key, path))
    except (KeyNotFound, MalformedBundle):
        return ""
