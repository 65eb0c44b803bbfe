"""Scorecards and gates lie outside the seal, are replaced without loss, travel with the bundle, and are verified."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.bundle.custody.retention import remove
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.evaluations import gate_of, scorecard_of, write_evaluation
from runbundle.bundle.verify import verify
from runbundle.errors import KeyChanged, MalformedBundle, NotSealed, WriteConflict
from runbundle.format.canonical import sha256_hex, with_self_digest
from runbundle.format.evaluation import EventRef, Gate, Score, Scorecard, Subject
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support.golden import INDEX, KEY, V1
from tests.support.stores import contents

CARD, GATE = f"{KEY}/eval/scorecard.json", f"{KEY}/eval/gate.json"
SUBJECT = Subject(run_id=KEY, run_sha256=sha256_hex(INDEX))


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """Hold the golden bundle."""
    made = LocalStore(tmp_path / "s") if request.param == "local" else MemoryStore()
    copy(V1, KEY, made)
    return made


def card(value: float, *evidence: tuple[int, str]) -> Scorecard:
    """Return a scorecard with one score."""
    refs = [EventRef(seq=seq, span_id=span) for seq, span in evidence]
    return Scorecard(subject=SUBJECT, scores=[Score(name="good", value=value, evidence=refs)])


def write(store: ArtifactStore, value: float, *evidence: tuple[int, str]) -> Scorecard:
    """Write it."""
    return write_evaluation(store, KEY, Scorecard, lambda _: card(value, *evidence))


def codes(store: ArtifactStore) -> list[str]:
    """Return the codes that verify finds."""
    return sorted({finding.code for finding in verify(store, KEY).findings})


def test_a_scorecard_touches_no_sealed_file_and_verifies(store: ArtifactStore) -> None:
    """It is read back as it was written; without one there is none."""
    before = contents(store)
    assert scorecard_of(store, KEY) is None
    assert gate_of(store, KEY) is None
    first = next(iter(orjson.loads(line) for line in store.get(f"{KEY}/events.jsonl").splitlines()))
    written = write(store, 0.5, (first["seq"], first["span_id"]))
    assert scorecard_of(store, KEY) == written
    assert {key: data for key, data in contents(store).items() if "/eval/" not in key} == before
    assert codes(store) == []


def test_a_later_one_replaces_it_and_the_earlier_is_kept_by_its_digest(store: ArtifactStore) -> None:
    """A chain; the same content again writes nothing."""
    write(store, 0.5)
    first = store.get(CARD)
    second = write(store, 0.75)
    assert second.supersedes == sha256_hex(first)
    assert store.get(f"{KEY}/eval/earlier/{sha256_hex(first)}.json") == first
    before = contents(store)
    write(store, 0.75)
    assert contents(store) == before
    assert codes(store) == []


def test_the_loser_of_two_writers_begins_anew_from_what_the_winner_wrote(store: ArtifactStore) -> None:
    """Nothing that was written is lost; after five defeats the writer says so."""
    write(store, 0.1)
    seen: list[float | None] = []

    def slow(before: Scorecard | None) -> Scorecard:
        assert before is not None
        seen.append(before.scores[0].value)
        if len(seen) == 1:
            write(store, 0.2)  # another process, meanwhile
        return card(0.3)

    assert write_evaluation(store, KEY, Scorecard, slow).scores[0].value == 0.3
    assert seen == [0.1, 0.2]
    assert len(list(store.list(f"{KEY}/eval/earlier/"))) == 2
    assert codes(store) == []


def test_who_is_always_slower_is_told(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five tries."""
    write(store, 0.1)

    def refuse(*_: Any, **__: Any) -> None:
        raise KeyChanged("meanwhile")

    monkeypatch.setattr(type(store), "replace", refuse)
    with pytest.raises(WriteConflict):
        write(store, 0.2)


def test_nothing_is_left_beside_a_bundle_that_is_not_there(store: ArtifactStore) -> None:
    """As when it is removed at the same moment."""

    def late(_: Scorecard | None) -> Scorecard:
        remove(store, KEY)
        return card(1)

    with pytest.raises(NotSealed):
        write_evaluation(store, KEY, Scorecard, late)
    assert list(store.list(f"{KEY}/")) == []


def rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """Return what changes the fields of a file and brings its own digest up to date."""

    def apply(data: bytes) -> bytes:
        fields = orjson.loads(data)
        change(fields)
        return with_self_digest({name: value for name, value in fields.items() if name != "self_sha256"})

    return apply


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: b"{", "RB107"),
        (lambda data: b'{"schema":"runbundle/scorecard/v2"}', "RB107"),
        (lambda data: data.replace(b"0.5", b"NaN"), "RB107"),
        (lambda data: data.replace(b"0.5", b"0.9"), "RB216"),
        (lambda data: data + b"\n", "RB216"),
        (rewritten(lambda fields: fields["subject"].update(run_id="other")), "RB217"),
        (rewritten(lambda fields: fields["subject"].update(run_sha256="0" * 64)), "RB217"),
        (rewritten(lambda fields: fields.update(supersedes="0" * 64)), "RB218"),
        (rewritten(lambda f: f["scores"][0].update(evidence=[{"seq": 0, "span_id": "f" * 16}])), "RB507"),
        (rewritten(lambda f: f["scores"][0].update(evidence=[{"seq": 10**6, "span_id": "f" * 16}])), "RB507"),
    ],
    ids=["no JSON", "later format", "NaN", "edited", "longer", "other run", "other run.json", "no earlier one", "span",
         "no such event"],
)  # fmt: skip
def test_each_edit_has_its_finding(store: ArtifactStore, change: Callable[[bytes], bytes], code: str) -> None:
    """And nothing is written over a file that was edited."""
    write(store, 0.5)
    store.put(CARD, change(store.get(CARD)), overwrite=True)
    assert codes(store) == [code]
    if code in ("RB107", "RB216"):
        with pytest.raises(MalformedBundle):
            write(store, 0.6)


def test_an_earlier_one_that_was_altered_is_found(store: ArtifactStore) -> None:
    """Its name is its digest."""
    write(store, 0.5)
    write(store, 0.6)
    [earlier] = store.list(f"{KEY}/eval/earlier/")
    store.put(earlier, b"{}", overwrite=True)
    assert codes(store) == ["RB218"]


def test_one_about_an_earlier_revision_is_a_remark(store: ArtifactStore) -> None:
    """The run got late records since: the score is no fault, and no score of this revision."""
    write(store, 0.5)
    fields = orjson.loads(INDEX)
    fields.pop("self_sha256", None)
    store.put(f"{KEY}/revisions/1/run.json", INDEX)
    revised = {**fields, "revision": 2, "supersedes": sha256_hex(INDEX)}
    store.replace(f"{KEY}/run.json", with_self_digest(revised) if "rules" in fields else orjson.dumps(revised),
                  expected=INDEX)  # fmt: skip
    report = verify(store, KEY)
    assert not {"RB216", "RB217"} & {finding.code for finding in report.findings}
    assert "eval/scorecard.json is about an earlier revision of the run" in report.notes


def test_a_gate_names_the_bundle_among_its_subjects(store: ArtifactStore) -> None:
    """Else it is another's."""
    gate = Gate(subjects=[SUBJECT], verdict="pass", criteria=[])
    write_evaluation(store, KEY, Gate, lambda _: gate)
    assert codes(store) == []
    other = Gate(subjects=[SUBJECT.model_copy(update={"run_sha256": "0" * 64})], verdict="pass", criteria=[])
    write_evaluation(store, KEY, Gate, lambda _: other)
    assert codes(store) == ["RB217"]


def test_a_copy_carries_them_and_the_later_one_wins(store: ArtifactStore) -> None:
    """Forwards the file is replaced, backwards left alone; two that know nothing of each other are a clash."""
    target = MemoryStore()
    write(store, 0.1)
    assert copy(store, KEY, target).outcome == "copied"
    write(store, 0.2)
    result = copy(store, KEY, target)
    assert (result.outcome, result.files) == ("copied", 2)
    assert contents(target) == contents(store)
    write(store, 0.3)
    assert copy(target, KEY, store).outcome == "present"
    assert scorecard_of(store, KEY) != scorecard_of(target, KEY)
    write(target, 0.4)
    before = contents(target)
    assert copy(store, KEY, target).problems == ["eval/scorecard.json: other bytes are there"]
    assert {k: v for k, v in contents(target).items() if "/earlier/" not in k} == {
        k: v for k, v in before.items() if "/earlier/" not in k
    }
