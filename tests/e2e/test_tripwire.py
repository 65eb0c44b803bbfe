"""The tripwire, and known secrets from end to end."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

import runbundle
from runbundle.bundle.flushed import FlushResult
from runbundle.bundle.tripwire import search
from runbundle.models.records import SpanRecord
from runbundle.otel import active

Configured = Callable[..., runbundle.Handle]

CANARY = "ghp_" + "Zq7Xw2Vt" * 4


def run_with_a_hole(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> FlushResult:
    """Record a run through a redactor that lets a credential through, as no released one may."""
    handle = configured()
    real = handle.boundary.redactor.redact_span

    def leaky(record: SpanRecord) -> SpanRecord:
        redacted = real(record)
        redacted["attributes"]["gen_ai.response.id"] = CANARY
        return redacted

    monkeypatch.setattr(handle.boundary.redactor, "redact_span", leaky)
    with runbundle.start_run("r", run_id="holed"):
        pass
    return handle.flush()


def test_a_bundle_with_a_credential_is_not_published(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it reaches the store; the records lie aside with a reason; the error is loud and quotes nothing."""
    with caplog.at_level(logging.CRITICAL):
        result = run_with_a_hole(configured, monkeypatch)
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
    assert {hit["file"] for hit in reason["hits"]} == {"events.jsonl"}
    assert CANARY not in (aside / "reason.json").read_text()
    assert len(list(aside.glob("*.jsonl"))) == 1


def test_a_second_quarantine_of_one_run_keeps_both(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing that was set aside is overwritten."""
    run_with_a_hole(configured, monkeypatch)
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
