"""Whose run a record is: tenants, attempts, runs within runs, and ids that somebody else has too."""

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey, tenant_of, valid_run_id
from runbundle.otel.exporters import BundleSpanExporter
from runbundle.store.local import LocalStore
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]
KEEP_Q: list[Any] = [{"name": "t", "data": {"rules": [{"selector": "/q", "action": "keep"}]}}]


def views(bundle: Bundle) -> list[Any]:
    """Return what is kept of the arguments of each call."""
    return [call.arguments.view for call in bundle.tool_calls().calls if call.arguments]


def test_one_run_id_of_two_tenants_names_two_runs(configured: Configured) -> None:
    """At the same time, each with its own spans and nothing of the other's."""
    handle = configured(contracts=KEEP_Q)
    both = threading.Barrier(2)

    def work(tenant: str) -> None:
        with runbundle.start_run("r", run_id="req-1", tenant_id=tenant):
            both.wait()
            with runbundle.start_tool("t", {"q": f"of {tenant}"}):
                both.wait()

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in ("acme", "bolt")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = handle.flush()
    assert result
    assert sorted(result.sealed) == ["acme/req-1", "bolt/req-1"]
    for tenant in ("acme", "bolt"):
        bundle = Bundle.open(handle.store, f"{tenant}/req-1")
        assert (bundle.index.tenant_id, bundle.index.counts.spans) == (tenant, 2)
        assert views(bundle) == [{"q": f"of {tenant}"}]
        assert verify(handle.store, bundle.key).verdict == "verified"


def test_a_late_record_goes_to_its_own_tenant(configured: Configured) -> None:
    """What comes after the seal makes a revision of the run it is of, not of a namesake."""
    handle = configured(contracts=KEEP_Q, grace_s=0.1)
    late: dict[str, Any] = {}
    for tenant in ("acme", "bolt"):
        with runbundle.start_run("r", run_id="req-9", tenant_id=tenant):
            late[tenant] = runbundle.in_context(_call)
        handle.flush()
    late["bolt"]("bolt")
    handle.flush()
    assert Bundle.open(handle.store, "acme/req-9").index.revision == 1
    bolt = Bundle.open(handle.store, "bolt/req-9")
    assert bolt.index.revision == 2
    assert views(bolt) == [{"q": "bolt"}]


def _call(q: str) -> None:
    with runbundle.start_tool("t", {"q": q}):
        pass


def test_a_tenant_that_can_be_no_folder_shares_none() -> None:
    """What comes in such a name is mixed neither with the runs of nobody nor with another's."""
    assert tenant_of(None) == tenant_of("") == ""
    odd = ["../acme", "a/b", "CON", "x" * 200, 7, b"acme", "Grüße"]
    names = [tenant_of(claim) for claim in odd]
    assert all(valid_run_id(name) and name.startswith("invalid-") for name in names)
    assert len(set(names)) == len(odd)


@pytest.mark.parametrize("name", ["CON", "nul.txt", "ends.", "com1", "LPT9.log", "eval", "revisions", "..", ".x", ""])
def test_ids_that_a_file_system_or_a_bundle_reserves_are_refused(name: str) -> None:
    """For a new run or tenant; names that only resemble them are fine."""
    assert not valid_run_id(name)
    assert valid_run_id(f"x{name.strip('.')}x")
    assert not RunKey(name or ".", "r").valid


def test_a_run_id_begun_twice_is_said(configured: Configured) -> None:
    """It is never one run that is fine: the bundle has a finding, is not `ok`, and flush() is false."""
    handle = configured(grace_s=0.1)
    for _ in range(2):
        with runbundle.start_run("r", run_id="same"):
            pass
        result = handle.flush()
    assert not result
    assert result.collided == {"run_begun_twice": 1}
    index = Bundle.open(handle.store, "same").index
    assert (index.status, index.completeness.roots, index.completeness.state) == ("incomplete", 2, "lossy")
    assert "RB306" in {finding.code for finding in verify(handle.store, "same").findings}


def test_a_run_id_begun_by_two_processes_is_said(configured: Configured, tmp_path: Path) -> None:
    """As by one."""
    handle = configured(grace_s=0.1)
    code = (
        "import runbundle, sys\n"
        "with runbundle.configure(store=sys.argv[1], key=b'a key for tests only'):\n"
        "    with runbundle.start_run('r', run_id='x'): pass\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=True, timeout=60)
    assert Bundle.open(handle.store, "x").index.completeness.roots == 2


def test_attempts_are_one_run(configured: Configured) -> None:
    """Of attempts under one id run.json says how the last ended, and which it was; nothing is amiss."""
    handle = configured(grace_s=0.1)
    with pytest.raises(ValueError, match="no"), runbundle.start_run("r", run_id="again", attempt=1):
        raise ValueError("no")
    handle.flush()
    with runbundle.start_run("r", run_id="again", attempt=2):
        pass
    assert handle.flush()
    index = Bundle.open(handle.store, "again").index
    assert (index.status, index.attempt, index.completeness.roots) == ("ok", 2, 1)
    assert verify(handle.store, "again").verdict == "verified"


def test_two_spans_of_one_identity_are_a_collision(configured: Configured) -> None:
    """On somebody else's provider ids come from the application's dice. What was taken for seen already is said."""
    provider = TracerProvider()
    handle = configured(tracer_provider=provider, grace_s=0.1)
    tracer = provider.get_tracer("theirs")
    for name in ("one", "two", "three"):
        random.seed(42)
        work = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with tracer.start_as_current_span("invoke_agent", attributes=work):
            pass
    result = handle.flush()
    assert not result
    assert result.collided == {"span_id": 2}
    (key,) = result.sealed[-1:]
    assert Bundle.open(handle.store, key).index.completeness.dropped["collided"] == 2
    assert "RB309" in {finding.code for finding in verify(handle.store, key).findings}


def test_a_live_span_keeps_its_run_when_another_claims_its_ids(configured: Configured) -> None:
    """Two spans of the same ids are open at once: each ends in the run in which it began."""
    provider = TracerProvider()
    handle = configured(tracer_provider=provider, grace_s=0.1)
    tracer = provider.get_tracer("theirs")
    spans = []
    for run_id in ("a", "b"):
        random.seed(7)
        spans.append(tracer.start_span("run", attributes={"runbundle.op": "run", "runbundle.run.id": run_id}))
    for span in spans:
        span.end()
    handle.flush()
    for run_id in ("a", "b"):
        assert Bundle.open(handle.store, run_id).index.completeness.state == "complete"


def test_a_run_within_a_run_is_its_child(configured: Configured) -> None:
    """The child inherits tenant and session, the parent lists it."""
    handle = configured()
    with runbundle.start_run("foreman", run_id="outer", tenant_id="acme", session_id="shift-1"):
        with runbundle.start_agent("planner"), runbundle.start_run("miner", run_id="inner"):
            pass
        with runbundle.start_run("clerk", run_id="other", session_id="own"):
            pass
    assert handle.flush()
    outer, inner, other = (Bundle.open(handle.store, f"acme/{name}").index for name in ("outer", "inner", "other"))
    assert [(child.run_id, child.name) for child in outer.children or ()] == [("inner", "miner"), ("other", "clerk")]
    assert inner.parent_run is not None
    assert inner.parent_run.run_id == "outer"
    assert (inner.tenant_id, inner.session_id, other.session_id) == ("acme", "shift-1", "own")


def test_a_run_says_its_name_its_case_and_its_repetition(configured: Configured) -> None:
    """By case and repetition a candidate is paired with its baseline."""
    handle = configured()
    with runbundle.start_run("triage", case_id="case-17", repeat=3):
        pass
    index = sealed(handle).index
    assert (index.name, index.case_id, index.repeat) == ("triage", "case-17", 3)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C024BE91L:1355517523.000005", True),
        ("conv-7", True),
        ("tenant/42/thread/7", True),
        ("+4915112345678", False),
        ("whatsapp:+4915112345678", False),
        ("4111111111111111", False),
        ("<CAF=x9@mail.example.org>", False),
        ("19:meeting_abc@thread.v2", False),
        ("Grüße an Ada", False),
        ("x" * 400, False),
    ],
)
def test_ids_of_sessions_and_requests_are_free_text(configured: Configured, given: str, kept: bool) -> None:
    """Opaque ones are kept; what may name a person is a digest, so that equal ids stay equal."""
    handle = configured()
    found = []
    for _ in range(2):
        with runbundle.start_run("r", session_id=given, request_id=given, user_id=given):
            pass
        found.append(sealed(handle).index)
    first, second = found
    assert (first.session_id, first.request_id) == (second.session_id, second.request_id)
    for value in (first.session_id, first.request_id):
        assert value is not None
        assert (value == given) == kept, value
    assert first.user_id not in (None, given)


@pytest.mark.parametrize("entrance", ["configure", "exporter"])
def test_a_runs_own_span_cannot_say_that_it_was_translated(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entrance: str
) -> None:
    """It would be no run's span for who derives the bundle again."""
    store = LocalStore(tmp_path / "store")
    if entrance == "configure":
        handle = configured()
        with runbundle.start_run("agent"):
            trace.get_current_span().set_attribute("runbundle.dialect", "openinference")
        handle.flush()
    else:
        monkeypatch.setenv("RUNBUNDLE_STORE", str(store.root))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter()))
        said = {"runbundle.op": "run", "runbundle.run.id": "r", "runbundle.dialect": "openinference"}
        provider.get_tracer("runbundle").start_span("run agent", attributes=said).end()
        provider.shutdown()
    (key,) = store.list_dirs()
    assert "runbundle.dialect" not in (store.root / key / "events.jsonl").read_text()
    assert not [finding.code for finding in verify(store, key).findings if finding.code.startswith("RB2")]
