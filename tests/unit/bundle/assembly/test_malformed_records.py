"""A record that no recorder writes costs itself alone: its run is sealed, and says what it cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import pytest

import runbundle
from runbundle.bundle.assembly import assemble
from runbundle.bundle.assembly.timeline import Span
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal import writer as journal
from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.journal.writer import JournalWriter
from runbundle.recording import publish
from runbundle.recording.recovery import recover
from runbundle.store import LocalStore
from tests.conftest import left_open, sealed

SPAN = {
    "k": "span", "run_id": "r", "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "c" * 16, "start_ns": 5,
    "end_ns": 6, "name": "x", "attributes": {}, "events": [], "links": [], "scope": {}, "status_code": 0,
    "status_message": "", "remote_parent": False, "dropped": {}, "kind": 0, "trace_state": "", "resource": 0,
}  # fmt: skip
BROKEN: tuple[dict[str, Any], ...] = (
    {"trace_id": "A" * 32}, {"trace_id": "a" * 31}, {"span_id": None}, {"span_id": "b" * 15 + " "}, {"start_ns": 5.0},
    {"start_ns": -1}, {"end_ns": 2**63}, {"end_ns": "6"}, {"end_ns": True}, {"name": None}, {"attributes": []},
    {"events": {}}, {"events": [5]}, {"events": [{"name": "e", "time_ns": 1.5, "attributes": {}}]}, {"links": [{}]},
    {"scope": None}, {"status_code": "ok"}, {"status_message": {}}, {"dropped": [1]}, {"dropped": {"a": "b"}},
    {"parent_span_id": "x"}, {"parent_span_id": 5}, {"remote_parent": "no"}, {"k": 5}, {"k": "other"},
)  # fmt: skip


def line(entry: dict[str, Any]) -> bytes:
    """Return a whole line of a journal, whatever it holds."""
    body = orjson.dumps(entry)
    return b"%08x %b\n" % (crc32(body), body)


def cut_off(configured: Callable[..., runbundle.Handle], run_id: str) -> tuple[runbundle.Handle, Path]:
    """Return a handle, and the journal of a run that its writer has left."""
    handle = configured(recover=False)
    with runbundle.start_run("r", run_id=run_id), runbundle.start_step("s"):
        pass
    return handle, handle.recorder.spool / run_id


@pytest.mark.parametrize("fault", BROKEN, ids=str)
def test_a_record_that_does_not_fit_is_no_entry(fault: dict[str, Any]) -> None:
    """Each field is needed, in its type and range."""
    assert is_entry(SPAN)
    assert not is_entry(SPAN | fault)
    field = next(iter(fault))
    assert not is_entry({key: value for key, value in SPAN.items() if key != field})


def test_a_whole_line_that_is_no_record_costs_that_line(tmp_path: Path) -> None:
    """The run is recovered with all its records; that there were others is counted, in later revisions too."""
    root = SPAN | {"parent_span_id": "", "attributes": {"runbundle.op": "run", "runbundle.redaction": '{"n":[]}'}}
    folder = tmp_path / ".spool" / "r"
    folder.mkdir(parents=True)
    others = [SPAN | {"span_id": "d" * 16} | fault for fault in BROKEN]
    resource = [{"k": "resource"}, {"k": "resource", "value": 5}, {"k": "resource", "value": {"attributes": []}}]
    (folder / "w.jsonl").write_bytes(b"".join(map(line, [root, *others, *resource])))
    store = LocalStore(tmp_path)
    assert recover(store, folder.parent, RunKey("", "r")).outcome == "recovered"
    completeness = Bundle.open(store, "r").index.completeness
    assert (completeness.spans_seen, completeness.dropped) == (1, {"malformed_records": len(BROKEN)})
    assert verify(store, "r").verdict == "incomplete"
    folder.mkdir()
    more = SPAN | {"span_id": "e" * 16, "parent_span_id": "b" * 16, "attributes": {"runbundle.redaction": '{"n":[]}'}}
    (folder / "w.jsonl").write_bytes(line(more))
    assert recover(store, folder.parent, RunKey("", "r")).outcome == "recovered"
    index = Bundle.open(store, "r").index
    assert (index.revision, index.completeness.dropped) == (2, {"malformed_records": len(BROKEN)})


def test_every_record_of_a_recorder_is_an_entry(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans, logs and starts of all kinds pass; nothing of a run is taken for malformed."""
    written: list[bytes] = []
    append = journal.MappedFile.append
    monkeypatch.setattr(journal.MappedFile, "append", lambda self, data: (written.append(data), append(self, data))[1])
    handle = configured()
    with runbundle.start_run("r", config={"a": 1}):
        with runbundle.start_tool("t", {"q": 1}):
            runbundle.current_run().add_evidence([{"id": "d"}], query="q")
        handle.logger_provider.get_logger("l").emit(body="x", event_name="e")
        left_open(lambda: runbundle.start_step("open"))
    handle.shutdown()
    entries = [parse_line(data) for data in written if data != b"\n"]
    kinds = [entry["k"] for entry in entries if entry and entry["k"] != "resource"]
    assert {"span", "log", "start"} == set(kinds)
    assert all(is_entry(entry) for entry in entries if entry and entry["k"] != "resource")


def test_a_span_that_cannot_be_assembled_keeps_its_place_and_no_content(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours in one span costs what that span says; ids and times stay, so that the rest holds together."""
    retrieval = assemble.retrieval

    def fails(span: Span) -> dict[str, Any] | None:
        if span.attributes.get("gen_ai.tool.name") == "bad":
            raise ZeroDivisionError
        return retrieval(span)

    monkeypatch.setattr(assemble, "retrieval", fails)
    monkeypatch.setattr(publish, "assembled_natively", lambda *_, **__: None)  # it has defects of its own
    handle = configured()
    with runbundle.start_run("r"), runbundle.start_tool("bad", {"q": 1}), runbundle.start_step("below"):
        pass
    bundle = sealed(handle)
    assert bundle.index.completeness.dropped == {"malformed_records": 1}
    assert [call.tool for call in bundle.tool_calls().calls] == ["[REDACTED:name]"]
    report = verify(bundle.store, bundle.key)
    assert (report.verdict, {finding.code for finding in report.findings}) == ("incomplete", {"RB303"})


def test_a_folder_that_goes_while_it_is_found_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being found and being looked at, another process may have sealed the run and removed its folder."""
    mkdir, tries = Path.mkdir, iter([FileExistsError()])

    def found(self: Path, *args: Any, **options: Any) -> None:
        for error in tries:
            raise error
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", found)
    JournalWriter.open_in(tmp_path / "run", "w").close()
