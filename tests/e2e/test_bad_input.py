"""Bad input: a clear error or a stated finding, the application unharmed, nothing recorded before lost."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry import trace

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from tests.conftest import all_bytes, sealed

Configured = Callable[..., runbundle.Handle]

B = {"selector": "/b"}


class Hostile:
    """An object whose every method raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")

    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __str__


class HostileError(Exception):
    """An exception that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("hostile")


def cycle() -> list[Any]:
    """Return a list that contains itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "size_at_most"),
    [
        (socket, 200), (cycle(), 200), (float("nan"), 200), ("x" * 50_000_000, 200), (b"\xff\x00", 200),
        ("\ud800 lone", 200), (Hostile(), 200), ({1: {2: object()}}, 200), (2**80, 200), ({"k": {1, 2}}, 200),
    ],
    ids=["socket", "cycle", "nan", "50 MB", "bytes", "surrogate", "hostile", "object", "2^80", "set"],
)  # fmt: skip
def test_unserialisable_results_are_returned_and_recorded_as_markers(
    configured: Configured, value: Any, size_at_most: int
) -> None:
    """The tool returns what it returned; the bundle is verified and says that something was there."""
    handle = configured(contracts=[{"name": "odd", "data": {"rules": [
        {"selector": "", "target": "output", "action": "keep"}]}}])  # fmt: skip

    @runbundle.tool(name="odd")
    def odd(given: Any) -> Any:
        return given

    with runbundle.start_run("r"):
        assert odd(value) is value
    bundle = sealed(handle)
    call = bundle.tool_calls().calls[0]
    assert call.result is not None
    assert len(repr(call.result.view)) <= size_at_most
    assert verify(bundle.store, bundle.key).verdict == "verified"


@pytest.mark.parametrize("error", [ValueError("no"), HostileError(), KeyboardInterrupt(), SystemExit(3)])
def test_a_raising_tool_raises_the_same_and_is_recorded(configured: Configured, error: BaseException) -> None:
    """The agent gets its own exception; the run's status says how it ended."""
    handle = configured()

    @runbundle.tool
    def failing() -> None:
        raise error

    with pytest.raises(type(error)) as caught, runbundle.start_run("r"):
        failing()
    assert caught.value is error
    bundle = sealed(handle)
    assert bundle.index.status == ("cancelled" if isinstance(error, KeyboardInterrupt) else "error")
    assert bundle.index.error is not None
    assert bundle.index.error.type == type(error).__qualname__
    assert verify(bundle.store, bundle.key).verdict == "verified"


@pytest.mark.parametrize("run_id", ["../../x", "", "/etc/passwd", "a/b", ".hidden", "x" * 129, "a b", "ä"])
def test_a_run_id_never_becomes_a_path(configured: Configured, tmp_path: Path, run_id: str) -> None:
    """start_run gives the run an id of ours and names the claim by digest; from a foreign span it is not believed."""
    handle = configured()
    with runbundle.start_run("r", run_id=run_id) as run:
        pass
    assert run.run_id != run_id
    bundle = sealed(handle)
    assert bundle.key == run.run_id
    assert bundle.index.claimed is not None
    assert bundle.index.claimed.startswith("h2:")
    assert len(run_id) < 4 or run_id.encode() not in all_bytes(tmp_path / "store")
    before = {p for p in tmp_path.parent.rglob("*") if "store" not in p.parts}
    handle.tracer_provider.get_tracer("t").start_span(
        "run r", attributes={"runbundle.op": "run", "runbundle.run.id": run_id}
    ).end()
    handle.flush()
    assert {p for p in tmp_path.parent.rglob("*") if "store" not in p.parts} == before


@pytest.mark.parametrize("tenant", ["../other", "a b", b"\xff", ["x"], object(), 1 + 2j])
def test_a_tenant_that_cannot_be_one_has_a_place_of_its_own(configured: Configured, tenant: Any) -> None:
    """Its runs come neither among those of another tenant nor among those of nobody."""
    handle = configured()
    with runbundle.start_run("r", run_id="known", tenant_id=tenant):
        pass
    place, _, run_id = sealed(handle).key.partition("/")
    assert (place[:8], len(place), run_id) == ("invalid-", 24, "known")


@pytest.mark.parametrize(
    ("contract", "where"),
    [
        ({"name": "t", "input_schema": {"properties": {"a": {}}}, "data": {"rules": [{"selector": "/b"}]}}, "/b"),
        ({"name": "t", "data": {"rules": [{"selector": "b"}]}}, "starts with"),
        ({"name": "t", "data": {"rules": [{"selector": "/b", "akshun": "keep"}]}}, "akshun"),
        ({"name": "t", "data": {"rules": [{**B, "data_class": "credential", "action": "hash"}]}}, "replayed"),
        ({"name": "t", "data": {"rules": [{**B, "data_class": "personal", "action": "keep"}]}}, "reason"),
        ({"name": "t", "data": {"undeclared": "keep"}}, "undeclared"),
        ({"nane": "t"}, "name"),
    ],
)  # fmt: skip
def test_a_wrong_contract_is_refused_where_it_is_made(configured: Configured, contract: Any, where: str) -> None:
    """A ContractError says where and why."""
    with pytest.raises(runbundle.ContractError, match=where):
        configured(contracts=[contract])


def test_contracts_load_from_json_and_yaml(tmp_path: Path) -> None:
    """A file holds one contract, a list, or a `contracts` key; errors name the file and the place."""
    (tmp_path / "a.json").write_text('{"name": "a"}')
    (tmp_path / "b.yaml").write_text("contracts:\n- name: b\n- name: c\n")
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "bad.json").write_text("[{]")
    assert [c.name for c in runbundle.load_contracts(tmp_path / "a.json")] == ["a"]
    assert [c.name for c in runbundle.load_contracts(tmp_path / "b.yaml")] == ["b", "c"]
    for name, words in (("bad.yaml", "not YAML"), ("bad.json", "not JSON"), ("none.json", "cannot be read")):
        with pytest.raises(runbundle.ContractError, match=words):
            runbundle.load_contracts(tmp_path / name)


def test_a_full_disk_under_the_journal_is_counted_and_stated(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Records that could not be journalled are counted in the bundle; the agent notices nothing; the rest is there."""
    handle = configured()
    real, full = os.posix_fallocate, False

    def allocate(fd: int, start: int, length: int) -> None:
        if full:
            real(fd, start, length // 2)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, start, length)

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    monkeypatch.setattr("runbundle.journal.mapped._FIRST_BYTES", 4096)
    with runbundle.start_run("r"):
        with runbundle.start_tool("before"):
            pass
        full = True
        for _ in range(8):  # the first may still fit into what was allocated
            with runbundle.start_tool("lost"):
                pass
        full = False
        with runbundle.start_tool("after"):
            pass
    result = handle.flush()
    bundle = Bundle.open(handle.store, result.sealed[0])
    lost = result.dropped["journal"]
    assert lost >= 4
    calls = bundle.tool_calls().calls
    # Of a call whose end was lost its start may be there, so that it is one that was interrupted.
    assert [c.tool for c in calls if c.status != "interrupted"] == ["before", *["lost"] * (8 - lost), "after"]
    cut = [c.tool for c in calls if c.status == "interrupted"]
    assert set(cut) <= {"lost"}
    assert len(cut) <= lost  # each is one of the ends that are counted
    assert bundle.index.completeness.state == "lossy"
    assert bundle.index.completeness.dropped["journal"] == lost
    assert verify(bundle.store, bundle.key).verdict == "incomplete"
    assert "No space left" in caplog.text


def test_an_unwritable_store_keeps_the_records(
    configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, flush says what failed and why, and the journal stays in the spool."""
    (tmp_path / "file").write_text("")
    handle = configured(store=tmp_path / "file" / "store", spool=tmp_path / "spool")
    with runbundle.start_run("r", run_id="kept"), runbundle.start_tool("t"):
        pass
    result = handle.flush()
    assert not result
    assert "is a file" in result.failed["kept"]
    assert b"execute_tool" in all_bytes(tmp_path / "spool" / "kept")
    assert "was not sealed" in caplog.text


def test_two_runs_with_one_id_at_once_are_stated(configured: Configured) -> None:
    """Their bundle is one, and verify says that two spans claim to be the run."""
    handle = configured()
    with runbundle.start_run("a", run_id="same"):

        def other() -> None:
            with runbundle.start_run("b", run_id="same"):
                pass

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    bundle = sealed(handle)
    assert bundle.index.completeness.roots == 2
    report = verify(bundle.store, bundle.key)
    assert (report.verdict, [f.code for f in report.findings]) == ("incomplete", ["RB306"])


def test_a_second_run_with_a_sealed_id_becomes_a_revision(configured: Configured) -> None:
    """Nothing is lost: both are in revision 2, the first is kept, and verify says that two runs share one id."""
    handle = configured()
    with runbundle.start_run("a", run_id="twice"):
        pass
    before = sealed(handle).index_bytes
    with runbundle.start_run("b", run_id="twice"), runbundle.start_tool("second"):
        pass
    bundle = sealed(handle)
    assert (bundle.index.revision, bundle.index.completeness.roots) == (2, 2)
    assert bundle.read("revisions/1/run.json") == before
    assert [call.tool for call in bundle.tool_calls().calls] == ["second"]
    assert {f.code for f in verify(bundle.store, bundle.key).findings} == {"RB306"}


def test_a_span_ended_twice_counts_once(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK warns; the bundle has one span."""
    handle = configured()
    with runbundle.start_run("r"):
        span = handle.tracer_provider.get_tracer("t").start_span("x")
        span.end()
        span.end()
    assert sealed(handle).index.counts.spans == 2


def test_a_failing_downstream_processor_does_not_reach_the_agent(configured: Configured) -> None:
    """Processors that raise cost their own copy of the span and nothing else."""
    from opentelemetry.sdk.trace import SpanProcessor

    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError

        def on_end(self, span: Any) -> None:
            raise RuntimeError

    handle = configured()
    handle.tracer_provider.add_span_processor(Broken())
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        pass
    result = handle.flush()
    assert Bundle.open(handle.store, result.sealed[0]).index.counts.spans == 2
    assert result.dropped["boundary_end"] == 2


def test_a_redactor_that_fails_leaves_a_skeleton(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail closed: ids, times and status code, and nothing of what was there."""
    from runbundle.redaction import redactor as engine

    handle = configured()

    def broken(*_: Any) -> Any:
        raise RuntimeError("quotes the secret")

    monkeypatch.setattr(engine, "derived_names", broken)
    with runbundle.start_run("r", run_id="skeleton", config={"k": "the-secret"}):
        pass
    handle.flush()
    data = all_bytes(Path(handle.recorder.store.root))  # type: ignore[attr-defined]
    assert b"the-secret" not in data
    assert b'\\"failed\\"' in data


def test_of_a_large_payload_the_large_parts_are_not_kept(configured: Configured) -> None:
    """Above 256 KiB they leave their size; what is small beside them is kept, and the digest is of the whole."""
    rules = [{"selector": "/x", "action": "keep"}, {"selector": "/y", "action": "keep"}]
    handle = configured(contracts=[{"name": "t", "data": {"rules": rules}}])
    with runbundle.start_run("r"), runbundle.start_tool("t", {"x": "y" * 300_000, "y": "small"}):
        pass
    arguments = sealed(handle).tool_calls().calls[0].arguments
    assert arguments is not None
    assert arguments.view == {"x": "[REDACTED:oversize:bytes=300000]", "y": "small"}
    assert arguments.digest is not None
    assert arguments.bytes is not None
    assert arguments.bytes > 300_000


def test_nothing_is_logged_on_a_good_day(configured: Configured, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """No log line, no output."""
    caplog.set_level(logging.DEBUG)
    handle = configured()
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        pass
    assert handle.flush()
    handle.shutdown()
    assert [r for r in caplog.records if r.name.startswith("runbundle")] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("said", ["step", None, ""])
def test_a_runs_own_span_stays_the_run_whatever_it_says_later(configured: Configured, said: str | None) -> None:
    """Nothing else in the bundle says which span is the run."""
    handle = configured()
    with runbundle.start_run("r"):
        trace.get_current_span().set_attribute("runbundle.op", cast("Any", said))
    bundle = sealed(handle)
    assert (bundle.index.status, bundle.index.completeness.state) == ("ok", "complete")
    assert verify(bundle.store, bundle.key).verdict == "verified"
