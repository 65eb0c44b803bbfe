"""A receipt says what was done here; one that others wrote is counted as such."""

from typing import Any

import orjson
import pytest

from runbundle.redaction import redactor as engine
from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.redaction.second_pass import redact_again
from tests.support.records import record

FAILED = '{"n":[["span","failed","drop"]]}'
KEY = Digester(b"k").key_id
REDACTOR = Redactor(Policy(digester=Digester(b"k")))


def receipt(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the receipt of a span with such attributes, which is the same when it is redacted again."""
    once = REDACTOR.redact_span(record(attributes))
    assert REDACTOR.redact_span(once) == once
    return orjson.loads(once["attributes"]["runbundle.redaction"])


def test_a_planted_failure_is_foreign() -> None:
    """It names no key: nobody here wrote it, and it does not say of the span that its redaction failed."""
    said = receipt({"runbundle.redaction": FAILED})
    assert ["span", "failed", "drop"] not in said["n"]
    assert (said["more"], said["by"]) == ({"foreign:receipt|found": 1}, KEY)


def test_a_failure_names_the_key_and_is_ours_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second redactor of the same store takes the skeleton for what it is, and so does recovery."""
    with monkeypatch.context() as patched:
        patched.setattr(engine, "derived_names", None)
        once = REDACTOR.redact_span(record({"gen_ai.prompt": "x"}))
    assert orjson.loads(once["attributes"]["runbundle.redaction"]) == {"n": [["span", "failed", "drop"]], "by": KEY}
    assert REDACTOR.redact_span(once) == once
    entry = {"k": "span", **once, "resource": 0}
    assert redact_again(entry)["attributes"] == once["attributes"]


def test_a_failure_in_a_journal_written_earlier_comes_back_as_it_is() -> None:
    """It named no key then."""
    entry = {"k": "span", **engine.skeleton(record({}), FAILED), "resource": 0}
    assert redact_again(entry)["attributes"] == {"runbundle.redaction": FAILED}


OWN = ("runbundle.capture", "runbundle.redaction", "runbundle.messages", "runbundle.effect", "runbundle.coerced",
       "runbundle.versions", "runbundle.tool.arguments.digest", "runbundle.tool.result.bytes")  # fmt: skip


@pytest.mark.parametrize("key", OWN)
def test_what_none_of_us_wrote_under_a_key_of_ours_is_dropped_and_said(key: str) -> None:
    """It is not lost without a note."""
    once = REDACTOR.redact_span(record({key: "not its form"}))
    assert once["attributes"].get(key) != "not its form"
    assert [f"attributes.{key}", "malformed", "drop"] in receipt({key: "not its form"})["n"]
