"""The tripwire, and known secrets from end to end."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.journal.lines import line_of
from runbundle.otel import active
from runbundle.recording.results import FlushResult
from runbundle.recording.tripwire import search
from runbundle.signals.records import SpanRecord
from runbundle.store import LocalStore

Configured = Callable[..., runbundle.Handle]

CANARY = "ghp_" + "Zq7Xw2Vt" * 4


def run_with_a_hole(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, key: str = "gen_ai.response.id"
) -> FlushResult:
    """Record a run through a redactor that lets a credential through, as no released one may."""
    handle = configured()
    real = handle.boundary.redactor.redact_span

    def leaky(record: SpanRecord) -> SpanRecord:
        redacted = real(record)
        redacted["attributes"][key] = CANARY
        return redacted

    monkeypatch.setattr(handle.boundary.redactor, "redact_span", leaky)
    monkeypatch.setattr(handle.boundary.lines, "of", lambda raw: line_of("span", leaky(raw)))  # whichever core there is
    with runbundle.start_run("r", run_id="holed"):
        pass
    return handle.flush()


def test_a_credential_in_a_value_is_masked_in_place_and_stated(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The bundle is sealed and holds; it, the log and `flush()` say so; nothing quotes what it was."""
    with caplog.at_level(logging.CRITICAL):
        result = run_with_a_hole(configured, monkeypatch)
    assert not result
    assert (result.masked, result.failed, result.sealed) == ({"holed": 1}, {}, ["holed"])
    assert any(record.levelno == logging.CRITICAL and "RB413" in record.message for record in caplog.records)
    handle = active.get()
    assert handle is not None
    assert handle.flush()
    bundle = Bundle.open(LocalStore(tmp_path / "store"), "holed")
    assert bundle.index.redaction.masked == {"github-token": 1}
    report = verify(bundle.store, bundle.key)
    assert [finding.code for finding in report.findings] == ["RB413"]
    written = b"".join(
        p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file() and ".spool" not in p.parts
    )
    assert CANARY.encode() not in written
    assert b'"gen_ai.response.id":"[REDACTED:credential]"' in written


def test_a_revision_goes_on_saying_it(configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was masked in the first seal is no less leaked by the second."""
    run_with_a_hole(configured, monkeypatch)
    with runbundle.start_run("r", run_id="holed"):
        pass
    handle = active.get()
    assert handle is not None
    handle.flush()
    index = Bundle.open(LocalStore(tmp_path / "store"), "holed").index
    assert (index.revision, index.redaction.masked) == (2, {"github-token": 2})


def test_a_payload_keeps_its_form_when_it_is_masked(tmp_path: Path, configured: Configured) -> None:
    """Text, numbers and keys within JSON text; the list of calls is derived from the events still."""
    rules = [{"selector": "", "action": "keep"}]
    handle = configured(contracts=[{"name": "find", "data": {"rules": rules}}])
    with runbundle.start_run("r", config={"n": [71234567812345]}):
        with runbundle.start_tool(
            "find", {"q": "say teal-otter-bridge now", "n": 71234567812345, "d": {"teal-otter-bridge": 1}}
        ):
            pass
        # Known only after it was recorded.
        runbundle.register_secret("teal-otter-bridge", 71234567812345)
    result = handle.flush()
    assert result.masked == {result.sealed[0]: 3}
    bundle = Bundle.open(LocalStore(tmp_path / "store"), result.sealed[0])
    view = bundle.tool_calls().calls[0].arguments
    assert view is not None
    mask = "[REDACTED:credential]"
    assert view.view == {"q": f"say {mask} now", "n": mask, "d": {"[REDACTED:key:1]": 1}}
    event = next(e for e in bundle.events() if e["type"] == "span.ended" and e["op"] == "tool")
    assert orjson.loads(event["attributes"]["gen_ai.tool.call.arguments"]) == view.view
    assert bundle.config().config == {"n": [mask]}
    assert [finding.code for finding in verify(bundle.store, bundle.key).findings] == ["RB413"]


def test_nobody_can_stop_a_run_from_being_stored_by_a_secret_of_their_choice(configured: Configured) -> None:
    """Words of the format, parts of them, media types, dates, another's tenant: all runs are sealed and hold."""
    handle = configured()
    words = [
        "application/json", "runbundle/run/v1", "span.started", "an.start", "2026-11-27", "trace_id", "acme-tenant-1",
        "tool_calls.json", "ools.json", "complete", '"status":"ok"', "[REDACTED:content", "runbundle.redaction",
    ]  # fmt: skip
    with (
        runbundle.start_run("r", tenant_id="evil"),
        runbundle.start_tool("login", {"p": [SecretStr(w) for w in words]}),
    ):
        pass
    with runbundle.start_run("r", tenant_id="acme-tenant-1"), runbundle.start_tool("find", {"q": 1}):
        pass
    result = handle.flush()
    assert (len(result.sealed), result.failed, result.masked) == (2, {}, {})
    for key in result.sealed:
        assert verify(handle.store, key).verdict == "verified"


def test_a_credential_where_it_cannot_be_masked_keeps_the_bundle_from_the_store(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the id of another run, say: the records lie aside with a reason; the error is loud and quotes nothing."""
    with caplog.at_level(logging.CRITICAL):
        result = run_with_a_hole(configured, monkeypatch, "runbundle.parent.run.id")
    assert not result
    assert "RB407" in result.failed["holed"]
    assert any(record.levelno == logging.CRITICAL and "RB407" in record.message for record in caplog.records)
    assert CANARY not in caplog.text + str(result)
    store = tmp_path / "store"
    published = [p for p in store.rglob("*") if p.is_file() and ".spool" not in p.parts]
    assert published == []
    aside = store / ".spool" / ".quarantine" / "holed"
    reason = orjson.loads((aside / "reason.json").read_bytes())
    assert reason["code"] == "RB407"
    assert {hit["rule"] for hit in reason["hits"]} == {"github-token"}
    assert {hit["file"] for hit in reason["hits"]} == {"events.jsonl", "run.json"}
    assert CANARY not in (aside / "reason.json").read_text()
    assert len(list(aside.glob("*.jsonl"))) == 1


def test_a_second_quarantine_of_one_run_keeps_both(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing that was set aside is overwritten."""
    run_with_a_hole(configured, monkeypatch, "runbundle.parent.run.id")
    with runbundle.start_run("r", run_id="holed"):
        pass
    handle = active.get()
    assert handle is not None
    handle.flush()
    aside = tmp_path / "store" / ".spool" / ".quarantine"
    assert sorted(p.name for p in aside.iterdir()) == ["holed", "holed.2"]


def test_hits_name_places_and_rules_only() -> None:
    """File, line and rule; the line counts from 1."""
    hits = search([("a.json", [b"{}\n"]), ("events.jsonl", [b"{}\n", b"{}\n" + CANARY.encode() + b"\n"])])
    assert [tuple(hit) for hit in hits] == [("events.jsonl", 3, "github-token")]


def test_a_secret_seen_once_is_kept_out_everywhere(configured: Configured, tmp_path: Path) -> None:
    """A `SecretStr` in a configuration is known from then on: in a kept argument, as a name, in an id."""
    rules = [{"selector": "/q", "action": "keep"}]
    handle = configured(contracts=[{"name": "search", "data": {"rules": rules}}])
    secret = "violet-harbour-lamp"
    with runbundle.start_run("r", config={"key": SecretStr(secret)}):
        with runbundle.start_tool("search", {"q": f"look for {secret} please"}):
            pass
        with runbundle.start_step(secret):
            pass
    assert handle.flush()
    written = b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    assert secret.encode() not in written
    assert b"look for [REDACTED:credential] please" in written


def test_the_environment_and_register_secret_are_known(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of variables named like secrets, and what the application registers, in any kept text."""
    monkeypatch.setenv("SEARCH_API_KEY", "amber-window-quilt")
    rules = [{"selector": "/q", "action": "keep"}]
    handle = configured(contracts=[{"name": "search", "data": {"rules": rules}}])
    runbundle.register_secret("copper-meadow-song")
    with runbundle.start_run("r"), runbundle.start_tool("search", {"q": "amber-window-quilt copper-meadow-song ok"}):
        pass
    assert handle.flush()
    written = b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    assert re.search(rb"amber-window|copper-meadow", written) is None
    assert b"[REDACTED:credential] [REDACTED:credential] ok" in written
