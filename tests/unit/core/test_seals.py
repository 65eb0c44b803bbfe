"""Bundles that the native core makes: when it is asked, and what it leaves to Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from zlib import crc32

import orjson
import pytest

import runbundle
from runbundle.bundle.assembly import natively
from runbundle.bundle.assembly.assemble import Assembled
from runbundle.bundle.assembly.natively import tried
from runbundle.bundle.facts import Facts
from runbundle.bundle.verify import verify
from runbundle.core import native
from runbundle.format.identity import RunKey
from runbundle.recording import publish
from tests.conftest import sealed
from tests.support.both_ways import same
from tests.unit.bundle.assembly.spans import entry

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")
RUN = RunKey("", "r")
ROOT: dict[str, Any] = {"runbundle.op": "run", "runbundle.spans.started": 1}


def journal(folder: Path, *entries: dict[str, Any], name: str = "w.jsonl") -> list[Path]:
    """Write a journal; return its path, alone."""
    bodies = map(orjson.dumps, entries)
    (folder / name).write_bytes(b"".join(b"%08x %b\n" % (crc32(body), body) for body in bodies))
    return [folder / name]


def why(files: list[Path], folder: Path, own: str = "w") -> str:
    """Return why a run is left to Python."""
    made = tried(files, RUN, folder, own=own, grace_s=None, if_new=lambda run, begins: begins)
    assert isinstance(made, str), made
    return made


def test_a_run_is_assembled_without_python(configured: Callable[..., runbundle.Handle]) -> None:
    """Nothing is gathered, and the bundle follows from its events, as Python derives them."""
    handle = configured()
    with mock.patch.object(publish, "assemble", side_effect=AssertionError):
        with runbundle.start_run("r"):
            tool = runbundle.start_tool("find", {"a": 1})
            with tool:
                tool.set_output([2])
        bundle = sealed(handle)
    assert verify(handle.store, bundle.key).verdict == "verified"


def test_a_revision_is_made_by_python(configured: Callable[..., runbundle.Handle]) -> None:
    """A run that has a bundle already is not for the native core: nothing of that bundle is lost."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        pass
    first = sealed(handle)
    with mock.patch.object(natively, "index_of", side_effect=AssertionError):
        with runbundle.start_run("r", run_id="r"):
            pass
        second = sealed(handle)
    assert (first.index.revision, second.index.revision) == (1, 2)
    assert second.index.counts.spans == 2


def test_journals_of_another_process_are_left_to_python(tmp_path: Path) -> None:
    """Python redacts them again; and so are all, if nobody says which are ours."""
    files = journal(tmp_path, entry(attributes=ROOT))
    assert same(files, RUN, tmp_path, own="w") == ""
    assert why(files, tmp_path, own="x") == why(files, tmp_path, own="") == "another process wrote a journal of it"


def test_a_part_of_a_run_is_left_to_python(tmp_path: Path) -> None:
    """Who publishes it is asked with what the journals say."""
    files = journal(tmp_path, entry(2, 1, attributes={"runbundle.spans.started": 1}))
    assert why(files, tmp_path) == "it has a bundle, or is a part of a run"


def test_a_long_run_is_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its journals would be in memory."""
    monkeypatch.setattr(natively, "MOST_BYTES", 100)
    assert why(journal(tmp_path, entry(attributes=ROOT)), tmp_path) == "its journals are long"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"k": "span", "label": "x"}, "a span has another form"),
        ({"links": [{"attributes": {}}]}, "a link has another form"),
        ({"events": [{"name": "e", "time_ns": -1, "attributes": {}}]}, "a time is out of range"),
        ({"trace_id": "A" * 32}, "an id has another form"),
        ({"attributes": {**ROOT, "runbundle.redaction": "x"}}, "a receipt has another form"),
        ({"attributes": {**ROOT, "runbundle.op": 3}}, "a value that is read as text is none"),
        ({"attributes": {**ROOT, "a": [[[]]] * 3}}, ""),
        ({"parent_span_id": "0" * 15 + "1"}, "a span is its own ancestor"),
    ],
)
def test_what_no_recorder_writes_is_left_to_python(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """With all of its run."""
    assert same(journal(tmp_path, entry(attributes=ROOT) | change), RUN, tmp_path, own="w", begins=False) == reason


def test_a_hostile_journal_costs_no_stack(tmp_path: Path) -> None:
    """Neither what is nested deep in a line, nor in the text of a payload."""
    body = b'{"k":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (tmp_path / "w.jsonl").write_bytes(b"%08x %b\n" % (crc32(body), body))
    assert why([tmp_path / "w.jsonl"], tmp_path) == "a line holds odd JSON"
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": "[" * 9000 + "]" * 9000}
    files = journal(tmp_path, entry(attributes=ROOT), entry(2, 1, attributes=said))
    assert why(files, tmp_path) == "a payload holds odd JSON"


def test_errors_that_follow_each_other_through_many_spans_are_followed_once(tmp_path: Path) -> None:
    """Each began in the innermost; the way down is not gone again from every span."""
    failed = {"status_code": 2, "end_ns": 9}
    deep = [entry(number, number - 1, attributes={"error.type": "E"}, **failed) for number in range(2, 400)]
    assert same(journal(tmp_path, entry(attributes=ROOT, **failed), *deep), RUN, tmp_path, own="w") == ""


def test_whatever_goes_wrong_python_assembles_the_run(tmp_path: Path) -> None:
    """A file that is gone, a fault in what is asked of Python: nothing is raised."""
    assert why([tmp_path / "w.jsonl"], tmp_path) == "an error (FileNotFoundError)"
    with mock.patch.object(natively, "RunTotals", side_effect=KeyError):
        assert why(journal(tmp_path, entry(attributes=ROOT)), tmp_path) == "an error (KeyError)"


def test_what_an_index_needs_is_known_of_runs_that_went_well(tmp_path: Path) -> None:
    """Of a model within a model the inner one counts; a score, or an error, leaves the files to be read."""
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m" * 300, "gen_ai.usage.input_tokens": 7}
    spans = [
        entry(attributes=ROOT | {"runbundle.spans.started": 5}),
        entry(2, 1, attributes={"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent demo"),
        entry(3, 2, attributes={"gen_ai.operation.name": "chat", "gen_ai.response.model": "outer"}),
        entry(4, 3, attributes=chat | {"gen_ai.response.model": ["odd"]}, status_code=1),
        entry(5, 2, attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}),
    ]

    def made(*more: dict[str, Any]) -> Facts | None:
        files = journal(tmp_path, *spans, *more)
        assert same(files, RUN, tmp_path, own="w") == ""
        found = tried(files, RUN, tmp_path, own="w", grace_s=None, if_new=lambda run, begins: begins)
        assert isinstance(found, Assembled)
        return found.facts

    found = made()
    assert found is not None
    assert [act[:3] for act in found.acts] == [("model", "m" * 256, "ok"), ("tool", "find", "ok")]
    assert (found.acts[0].input_tokens, found.agents) == (7, ["demo"])
    score = {"name": "gen_ai.evaluation.result", "time_ns": 5, "attributes": {}, "dropped": 0}
    assert made(entry(6, 1, events=[score])) is None
    assert made(entry(6, 1, status_code=2)) is None
