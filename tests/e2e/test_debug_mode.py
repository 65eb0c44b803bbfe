"""Debug mode: raw content in the vault, and nowhere else."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import runbundle
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.format.identity import RunKey
from runbundle.vault.files import read_vault, vault_key
from tests.conftest import all_bytes, sealed

Configured = Callable[..., runbundle.Handle]
CREDENTIAL = "ghp_" + "Zq7Xw2Vt" * 4
CONTRACT = {
    "name": "login",
    "data": {"rules": [{"selector": "/pin_code", "data_class": "credential"}, {"selector": "/user", "action": "keep"}]},
}


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment agree to debug mode."""
    monkeypatch.setenv("RUNBUNDLE_DEBUG_CONTENT", "1")
    monkeypatch.setenv("RUNBUNDLE_VAULT_KEY", "a key for tests only")


def test_code_alone_does_not_turn_it_on(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the flag in the environment and a key, and says which is missing."""
    with pytest.raises(runbundle.ConfigError, match="RUNBUNDLE_DEBUG_CONTENT"):
        configured(content_mode="debug")
    monkeypatch.setenv("RUNBUNDLE_DEBUG_CONTENT", "1")
    with pytest.raises(runbundle.ConfigError, match="RUNBUNDLE_VAULT_KEY"):
        configured(content_mode="debug")


def test_the_environment_alone_does_not_turn_it_on(configured: Configured, allowed: None, tmp_path: Path) -> None:
    """Without the option in code nothing is written."""
    handle = configured()
    with runbundle.start_run("r"), runbundle.start_model("m", "the canary prompt"):
        pass
    assert sealed(handle).index.redaction.content_mode == "digest"
    assert not (tmp_path / "store" / ".vault").exists()


def test_content_is_in_the_vault_and_nowhere_else(
    configured: Configured, allowed: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Prompts, payloads and names; not in the bundle, an exporter or a log; and run.json and a warning say so."""
    handle = configured(content_mode="debug", contracts=[CONTRACT])
    exporter = InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    with runbundle.start_run("r", run_id="debugged"):
        with runbundle.start_model("m", "the canary prompt"):
            pass
        with runbundle.start_tool("login", {"user": "ada", "pin_code": "canary-pin", "note": "canary note"}) as _:
            pass
        with runbundle.start_tool("other", {"token": "canary-token", "text": f"canary text {CREDENTIAL}"}):
            pass
        call = {"function": {"arguments": ' {"password": ["canary-nested"], "pin": 4921}'}}
        with runbundle.start_model("m", [call]):
            pass
    bundle = sealed(handle)
    assert bundle.index.redaction.content_mode == "debug"
    assert verify(bundle.store, bundle.key).verdict == "verified"
    assert any("content mode is debug" in r.message and r.levelno == logging.WARNING for r in caplog.records)
    assert "canary" not in caplog.text
    assert b"canary" not in all_bytes(tmp_path)
    assert b"canary" not in encode_spans(exporter.get_finished_spans()).SerializeToString()
    entries = list(read_vault(tmp_path / "store" / ".vault", RunKey("", "debugged"), vault_key()))
    kept = str(entries)
    assert "the canary prompt" in kept
    assert "canary note" in kept
    assert "canary text [REDACTED:credential]" in kept
    for withheld in ("canary-pin", "canary-token", "canary-nested", "4921", CREDENTIAL):
        assert withheld not in kept


def test_the_command_line_shows_and_removes(configured: Configured, allowed: None, tmp_path: Path) -> None:
    """Show prints a run or a span of it, show of the bundle warns, and purge removes."""
    handle = configured(content_mode="debug")
    with runbundle.start_run("r"), runbundle.start_model("m", "the canary prompt"):
        pass
    span = next(e["span_id"] for e in sealed(handle).events() if e["op"] == "model")
    store = ["--store", str(tmp_path / "store")]

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(group, [*arguments, *store])
        return result.exit_code, result.output

    assert "the canary prompt" in call("debug", "show", "@last")[1]
    assert "the canary prompt" in call("debug", "show", "@last", "--span", span, "--format", "json")[1]
    assert "WARNING   debug mode" in call("show", "@last")[1]
    (entries,) = (tmp_path / "store" / ".vault").rglob("*.enc")
    entries.write_bytes(entries.read_bytes()[:-1])  # as a process that was killed leaves it
    code, output = call("debug", "show", "@last")
    assert (code, "the canary prompt" in output, "is cut off" in output) == (4, True, True)
    assert call("debug", "purge") == (0, f"0 runs removed from {tmp_path / 'store' / '.vault'}\n")
    assert call("debug", "purge", "--all")[1].startswith("1 run removed")
    code, output = call("debug", "show", "@last")
    assert code == 2
    assert "holds nothing" in output


def test_a_vault_that_cannot_be_written_costs_nothing_but_itself(
    configured: Configured, allowed: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agent notices nothing, the bundle is whole, the loss is counted."""
    handle = configured(content_mode="debug")
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / ".vault").write_text("in the way")
    with runbundle.start_run("r"), runbundle.start_model("m", "p"):
        pass
    result = handle.flush()
    assert len(result.sealed) == 1
    assert result.dropped == {"boundary_vault": 2}


def test_the_vault_is_beside_the_store_wherever_the_spool_is(
    configured: Configured, allowed: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A spool elsewhere does not take the vault along: what writes it and what reads it look in one place."""
    monkeypatch.setenv("RUNBUNDLE_SPOOL", str(tmp_path / "elsewhere" / "spool"))
    handle = configured(content_mode="debug")
    with runbundle.start_run("r"), runbundle.start_model("m", "the canary prompt"):
        pass
    handle.flush()
    result = CliRunner().invoke(group, ["debug", "show", "@last", "--store", str(tmp_path / "store")])
    assert "the canary prompt" in result.output
    assert not (tmp_path / "elsewhere" / ".vault").exists()
