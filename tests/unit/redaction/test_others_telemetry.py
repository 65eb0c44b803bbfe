"""Telemetry of others: told from an agent's by its keys, and masked without being changed otherwise."""

import pytest

from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import marker
from runbundle.redaction.others_telemetry import has_agent_key, is_agent_key, mask_attributes, mask_text, mask_value

SECRET = "kL9-quite-a-hidden-text"


@pytest.mark.parametrize(
    "key", ["gen_ai.prompt", "runbundle.lane", "llm.model_name", "tool_name", "input.value", "fastmcp.server.name"]
)
def test_a_key_of_an_agent_is_known_by_its_family(key: str) -> None:
    """One such key makes the span an agent's."""
    assert is_agent_key(key)
    assert has_agent_key(["http.route", key])


@pytest.mark.parametrize(
    "key",
    ["http.route", "db.statement", "url.full", "exception.message", "order.id", "logfire.msg_template", "enduser.id",
     "client.address"],
)  # fmt: skip
def test_keys_of_servers_and_databases_are_others(key: str) -> None:
    """Though some of them hold content."""
    assert not is_agent_key(key)
    assert not has_agent_key([key, 7, None])


def test_attributes_without_a_secret_are_the_same_object() -> None:
    """Others' telemetry costs no copy where there is nothing to mask."""
    attributes = {"http.route": "/orders", "sizes": (1, 2), "flag": True}
    assert mask_attributes(attributes) is attributes


def test_secrets_are_masked_by_value_by_format_and_by_key() -> None:
    """Everything else of the attributes stays as it was; the given mapping is not modified."""
    KNOWN.register(SECRET)
    given = {"db.statement": f"select '{SECRET}'", "api_key": "k", "port": 80, "password_set": True, SECRET: 1}
    before = dict(given)
    masked = mask_attributes(given)
    assert masked == {
        "db.statement": f"select '{marker('credential')}'", "api_key": marker("credential"), "port": 80,
        "password_set": True, marker("key", index=5): 1,
    }  # fmt: skip
    assert given == before


def test_a_text_and_a_body_are_masked_alike() -> None:
    """Also within a mapping or a list, and in bytes, which go whole."""
    KNOWN.register(SECRET)
    mask = marker("credential")
    assert mask_text(f"a {SECRET} b") == f"a {mask} b"
    assert mask_text("nothing here") == "nothing here"
    assert mask_value({"a": [f"x {SECRET}"], "password": "p4ssw0rd", "n": 1}) == {
        "a": (f"x {mask}",), "password": mask, "n": 1,
    }  # fmt: skip
    assert mask_value(SECRET.encode()) == mask
    assert mask_value(b"plain") == b"plain"
