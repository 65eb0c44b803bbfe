"""The content that debug mode keeps: raw, but for what is a credential; and what it takes to switch it on."""

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.errors import ConfigError
from runbundle.format.contract import parse_contract
from runbundle.format.identity import RunKey
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.vault.content import DebugContent
from runbundle.vault.debug_mode import FLAG, DebugVault, debug_vault
from runbundle.vault.files import read_vault, vault_key
from tests.laws.test_redaction_laws import record

pytest.importorskip("cryptography")

RULES = [{"selector": "/pin", "data_class": "credential"}, {"selector": "/city", "action": "mask"}]
FIND = parse_contract({"name": "find", "data": {"rules": RULES}})
RUN = RunKey("", "r1")
KEY = "0123456789abcdef-for-tests-only!"


def span(**attributes: Any) -> Any:
    """Return the raw record of a call of the tool."""
    return record({"gen_ai.tool.name": "find", **attributes})


def test_content_is_raw_but_for_credentials() -> None:
    """By contract, by value, by format and by key; whatever else the contract masks is here."""
    KNOWN.register("kL9-quite-a-hidden-text")
    content = DebugContent(Policy(contracts={"find": FIND}, digester=Digester(b"k")))
    arguments = {"pin": "471199", "city": "Oslo", "note": "kL9-quite-a-hidden-text", "token": "ghp_" + "a1B2" * 9}
    raw = span(**{"gen_ai.tool.call.arguments": orjson.dumps(arguments).decode(), "api_key": "k", "prompt": "hello"})
    kept = content.of(raw)["attributes"]
    assert kept["gen_ai.tool.call.arguments"]["city"] == "Oslo"
    assert kept["prompt"] == "hello"
    for secret in ("471199", "kL9-quite", "ghp_"):
        assert secret not in str(kept)
    assert kept["api_key"] == "[REDACTED:credential]"


def test_each_key_keeps_what_is_under_it() -> None:
    """Two that are masked to one text, and one that reads as JSON."""
    content = DebugContent(Policy(digester=Digester(b"k")))
    given = orjson.dumps({"ghp_" + "a1B2" * 9: 1, "ghp_" + "b3C4" * 9: 2, "[1]": 3}).decode()
    kept = content.of(span(prompt=given, **{"{}": "x"}))["attributes"]
    assert sorted(kept["prompt"].values()) == [1, 2, 3]
    assert kept["prompt"]["[1]"] == 3
    assert kept["{}"] == "x"
    assert "ghp_" not in str(kept)


def test_debug_mode_needs_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag and a key; the error says how to give them."""
    redactor = Redactor(Policy(digester=Digester(b"k")))
    monkeypatch.delenv(FLAG, raising=False)
    with pytest.raises(ConfigError, match=f"set {FLAG}=1"):
        debug_vault(redactor, tmp_path)
    monkeypatch.setenv(FLAG, "1")
    monkeypatch.delenv("RUNBUNDLE_VAULT_KEY", raising=False)
    with pytest.raises(ConfigError, match="needs a key"):
        debug_vault(redactor, tmp_path)


def test_a_debug_vault_says_that_it_is_on_and_goes_by_new_contracts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A credential rule that a tool declares later holds from then on."""
    monkeypatch.setenv(FLAG, "1")
    monkeypatch.setenv("RUNBUNDLE_VAULT_KEY", KEY)
    redactor = Redactor(Policy(digester=Digester(b"k")))
    with caplog.at_level(logging.WARNING, "runbundle"):
        vault = debug_vault(redactor, tmp_path / "vault")
    assert isinstance(vault, DebugVault)
    assert "content mode is debug" in caplog.text
    raw = span(**{"gen_ai.tool.call.arguments": '{"pin":"word","city":"Oslo"}'})
    redactor.use_contracts({"find": FIND})
    vault.keep(RUN, raw)
    (entry,) = read_vault(vault.root, RUN, vault_key())
    assert entry["attributes"]["gen_ai.tool.call.arguments"] == {"city": "Oslo"}
