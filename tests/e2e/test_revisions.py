"""What comes after the seal: a new revision, made of the bundle itself, and nothing that was sealed is edited."""

import contextvars
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

import runbundle
from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.errors import KeyChanged, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.recording.publish import publish
from runbundle.store import LocalStore, MemoryStore
from tests.conftest import all_bytes, sealed
from tests.support.bundles import again

Configured = Callable[..., runbundle.Handle]


def rich_run(handle: runbundle.Handle) -> Bundle:
    """Record a run with everything in it that a bundle can show."""
    logger = handle.logger_provider.get_logger("t")
    with runbundle.start_run("rich", config={"a": 1}, session_id="s", user_id="u", tenant_id="acme") as run:
        with runbundle.start_agent("helper"), runbundle.start_retriever("shelf", "what?") as found:
            found.add_evidence([{"id": "doc-1", "content": "text", "score": 0.5}])

        @runbundle.tool
        def fails(n: int) -> None:
            logger.emit(event_name="said", body="hello", attributes={"n": n})
            raise ValueError("no")

        for n in range(3):
            with pytest.raises(ValueError, match="no"):
                fails(n)
        link = trace.Link(trace.get_current_span().get_span_context(), {"why": "x"})
        with handle.tracer.start_as_current_span("other", links=[link]) as span:
            span.set_status(trace.StatusCode.ERROR, "described")
            span.set_attribute("gen_ai.usage.input_tokens", 5)
        run.score("good", 1.0)
        run.set_result({"answer": 42})
    return sealed(handle)


def test_a_bundle_assembles_to_itself(configured: Configured, tmp_path: Path) -> None:
    """Read back and assembled again, every file has the same bytes, run.json included."""
    bundle = rich_run(configured())
    files = again(bundle, tmp_path)
    assert set(files) == {"run.json"} | {entry.path for entry in bundle.index.files}
    for name, data in files.items():
        assert data == bundle.read(name), name


_ids = st.integers(1, 9).map(lambda n: f"{n:016x}")
_texts = st.text(max_size=12)
_attributes = st.dictionaries(
    st.sampled_from(["gen_ai.agent.name", "gen_ai.tool.name", "runbundle.lane", "x", "seq", "gen_ai.usage.input_tokens",
                     "runbundle.status", "error.type", "gen_ai.operation.name", "runbundle.spans.started"]),
    st.one_of(st.integers(0, 5), st.sampled_from(["execute_tool", "chat", "blocked", "retrieval", "ada"])), max_size=5,
)  # fmt: skip


@st.composite
def _entry(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.integers(0, 20))
    common = {"trace_id": "0" * 31 + draw(st.sampled_from("12")), "span_id": draw(_ids),
              "parent_span_id": draw(st.one_of(st.just(""), _ids)), "start_ns": start}  # fmt: skip
    kind = draw(st.sampled_from(["span", "span", "span", "start", "log"]))
    if kind == "start":
        return {"k": "start", **common, "lane": draw(st.sampled_from(["", "/a#0"])), "is_run": draw(st.booleans())}
    if kind == "log":
        return {"k": "log", "trace_id": common["trace_id"], "span_id": common["span_id"], "time_ns": start,
                "event_name": draw(_texts), "attributes": {}, "body": draw(st.one_of(st.none(), _texts)),
                "severity": 9}  # fmt: skip
    attributes = {k: v for k, v in draw(_attributes).items() if isinstance(v, int) == (k in _NUMBERS)}
    events = [
        {"name": draw(st.sampled_from(["exception", "e", "gen_ai.evaluation.result"])),
         "time_ns": draw(st.integers(0, 30)),
         "attributes": {"exception.message": draw(_texts)}, "dropped": draw(st.integers(0, 2))}
        for _ in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    return {
        "k": "span", **common, "end_ns": start + draw(st.integers(0, 9)), "name": draw(_texts), "events": events,
        "attributes": attributes, "links": [], "status_code": draw(st.integers(0, 2)),
        "status_message": draw(_texts), "scope": {"name": "s", "version": ""}, "dropped": draw(
            st.sampled_from([{}, {"events": 2}])), "remote_parent": draw(st.booleans()),
    }  # fmt: skip


_NUMBERS = {"gen_ai.usage.input_tokens", "runbundle.spans.started", "x", "seq"}


@given(st.lists(_entry(), max_size=12), st.integers(0, 12))
def test_late_or_not_the_same_records_give_the_same_files(entries: list[dict[str, Any]], split: int) -> None:
    """Law: a run sealed in two steps has the files that it has when sealed in one, whatever the records are.

    But for a span of which two ends or two starts say different things: the one that was sealed holds.
    """
    spans: dict[tuple[str, str], dict[str, Any]] = {}
    starts: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        if entry["k"] != "log":
            (spans if entry["k"] == "span" else starts).setdefault((entry["trace_id"], entry["span_id"]), entry)
    records = [e for e in entries if e["k"] == "log" or e in (*spans.values(), *starts.values())]
    scratch = Path.cwd()

    def files(gathered: GatheredRun) -> dict[str, Any]:
        made = assemble(gathered)
        return {file.name: file.body for file in made.files} | {"run.json": made.index({}, completeness=calm(made))}

    def calm(made: Any) -> dict[str, Any]:
        return made.completeness | {"late": 0}

    whole = GatheredRun(RunKey("", "r"), scratch)
    whole.add(records)
    store = MemoryStore()
    first = GatheredRun(RunKey("", "r"), scratch)
    first.add(records[:split])
    made = assemble(first)
    store.put_all({f"r/{file.name}": file.body for file in made.files})
    store.put("r/run.json", made.index())
    second = GatheredRun(RunKey("", "r"), scratch)
    second.add(records[split:])
    second.add(entries_of_bundle(Bundle.open(store, "r"), scratch), sealed=True)
    assert files(second) == files(whole)


def late_span(handle: runbundle.Handle) -> tuple[threading.Event, threading.Thread]:
    """Begin a span in a thread, which ends when the event is set."""
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        with runbundle.start_tool("slow", {"n": 1}):
            begun.set()
            go.wait(30)

    thread = threading.Thread(target=runbundle.in_context(work))
    thread.start()
    begun.wait(30)
    return go, thread


def test_a_span_that_ends_after_the_seal_makes_revision_2(configured: Configured) -> None:
    """Revision 1 says what was open and how long was waited; 2 has it all, names 1, and both verify."""
    handle = configured(grace_s=0.05)
    with runbundle.start_run("r", run_id="late"):
        go, thread = late_span(handle)
    first = sealed(handle)
    said = first.index.completeness
    assert (said.state, len(said.open_spans), said.grace_s) == ("lossy", 1, 0.05)
    assert verify(first.store, "late").verdict == "incomplete"
    go.set()
    thread.join()
    second = sealed(handle)
    assert second.index.revision == 2
    assert second.index.supersedes == hashlib.sha256(first.index_bytes).hexdigest()
    assert second.read("revisions/1/run.json") == first.index_bytes
    assert (second.index.completeness.state, second.index.completeness.late) == ("complete", 1)
    assert [call.status for call in second.tool_calls().calls] == ["unset"]
    assert second.index.config == first.index.config  # unchanged: not written again
    assert verify(second.store, "late").verdict == "verified"
    assert {entry.path for entry in first.index.files} <= {k.removeprefix("late/") for k in second.store.list("late/")}


def test_late_data_of_a_tenant_finds_its_run(configured: Configured) -> None:
    """A part does not know whose run it is; its revision lands in the tenant's bundle all the same."""
    handle = configured(grace_s=0.05)
    with runbundle.start_run("r", run_id="late", tenant_id="acme"):
        go, thread = late_span(handle)
    assert handle.flush().sealed == ["acme/late"]
    go.set()
    thread.join()
    assert handle.flush().sealed == ["acme/late"]
    assert Bundle.open(handle.store, "acme/late").index.revision == 2
    assert list(handle.store.list_dirs()) == ["acme"]


def test_records_that_are_sealed_already_change_nothing(configured: Configured, tmp_path: Path) -> None:
    """A process that dies between the seal and the removal of its journal leaves records that are no news."""
    handle = configured(recover=False)
    with runbundle.start_run("r", run_id="once"):
        handle.logger_provider.get_logger("t").emit(event_name="said", body="x")
        spool = tmp_path / "store" / ".spool" / "once"
        saved = {p.name: p.read_bytes().rstrip(b"\0") for p in spool.glob("*.jsonl")}
        with runbundle.start_tool("t"):
            pass
        saved = {p.name: p.read_bytes().rstrip(b"\0") for p in spool.glob("*.jsonl")}
    before = sealed(handle)
    spool.mkdir()
    for name, data in saved.items():
        (spool / name).write_bytes(data)
    assert publish(handle.store, spool.parent, RunKey("", "once")) == ("once", {}, 0)
    assert Bundle.open(handle.store, "once").index_bytes == before.index_bytes
    assert spooled_runs(spool.parent) == []


def test_a_seal_that_loses_the_race_starts_over(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine makes a revision in between: ours becomes the next one, made from theirs."""
    store = MemoryStore()
    handle = configured(store=store, grace_s=0.05)
    with runbundle.start_run("r", run_id="race"):
        go, thread = late_span(handle)
    handle.flush()
    real, lost = store.replace, []

    def beaten(key: str, data: bytes, *, expected: bytes) -> None:
        if not lost:
            lost.append(key)
            raise KeyChanged("somebody was faster")
        real(key, data, expected=expected)

    monkeypatch.setattr(store, "replace", beaten)
    go.set()
    thread.join()
    assert handle.flush().sealed == ["race"]
    assert lost == ["race/run.json"]
    assert verify(store, "race").verdict == "verified"


def test_a_store_that_cannot_replace_keeps_late_data_in_the_spool(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The failure says why; nothing sealed has changed and nothing late is lost."""
    handle = configured(grace_s=0.05)
    with runbundle.start_run("r", run_id="stuck"):
        go, thread = late_span(handle)
    before = sealed(handle).index_bytes

    def cannot(self: LocalStore, key: str, data: bytes, *, expected: bytes) -> None:
        raise StoreUnavailable("this store cannot replace")

    monkeypatch.setattr(LocalStore, "replace", cannot)
    go.set()
    thread.join()
    assert "cannot replace" in handle.flush().failed["stuck"]
    assert handle.store.get("stuck/run.json") == before
    assert b"slow" in all_bytes(tmp_path / "store" / ".spool" / "stuck")


def test_a_resumed_run_is_one_run(configured: Configured, tmp_path: Path) -> None:
    """Cut off, recovered, resumed under its id: one bundle with both halves, that says from where it went on."""
    handle = configured()

    def first_half() -> None:
        runbundle.start_run("r", run_id="job", config={"half": 1}, tenant_id="acme").__enter__()
        with runbundle.start_tool("first"):
            pass

    contextvars.copy_context().run(first_half)
    handle.shutdown()
    first = Bundle.open(handle.store, "acme/job").index
    assert (first.completeness.state, first.status) == ("crashed", "interrupted")
    handle = configured()
    with runbundle.start_run("r", run_id="job", tenant_id="acme", resumed_from="checkpoint-7") as run:
        with runbundle.start_tool("second"):
            pass
        run.set_result("done")
    bundle = sealed(handle)
    index = bundle.index
    assert (index.revision, index.status, index.resumed_from) == (2, "ok", "checkpoint-7")
    assert index.started_at == first.started_at
    said = index.completeness
    assert (said.state, said.roots, said.open_spans, len(said.cut_off or [])) == ("complete", 1, [], 1)
    assert [call.tool for call in bundle.tool_calls().calls] == ["first", "second"]
    assert bundle.config().config == {"half": 1}
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_resuming_without_the_id_of_the_run_begins_a_new_one(configured: Configured) -> None:
    """What it should resume cannot be known; the run is recorded as the one that it is."""
    handle = configured()
    with runbundle.start_run("r", resumed_from="c"):
        pass
    bundle = sealed(handle)
    assert (bundle.index.resumed_from, bundle.index.completeness.roots) == (None, 1)
    assert verify(bundle.store, bundle.key).verdict == "verified"


@pytest.mark.parametrize("grace_s", [0.0, 0.1])
def test_what_is_late_and_still_open_at_a_shutdown_leaves_nothing_in_the_spool(
    configured: Configured, caplog: pytest.LogCaptureFixture, grace_s: float
) -> None:
    """What has ended beside it is in the bundle; that this process is writing it again is no failure meanwhile."""
    handle = configured(grace_s=grace_s)
    with runbundle.start_run("agent", run_id="r"):
        late = handle.tracer.start_span("late")
    assert handle.flush().sealed == ["r"]
    beneath = trace.set_span_in_context(late)
    handle.tracer.start_span("has ended", beneath).end()
    handle.tracer.start_span("is open", beneath)
    assert handle.flush().failed == {}
    spool = handle.recorder.spool
    handle.shutdown()
    assert list(spooled_runs(spool)) == []
    found = Bundle.open(handle.store, "r").index
    assert (found.counts.spans, len(found.completeness.open_spans), found.completeness.late) == (4, 2, 1)
    assert "not sealed" not in caplog.text
