"""A key that was a marker before it came here, and one that becomes a marker here, stay two keys."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from runbundle.contracts.explain import explain
from runbundle.format.contract import ToolContract, parse_contract
from runbundle.recording.masking import masked_entries
from runbundle.redaction.markers import Digester
from runbundle.redaction.others_telemetry import mask_attributes, mask_value
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.payloads.taint import TaintTable, remember, scrub
from runbundle.redaction.receipt import Receipt

FIRST, SECOND = "[REDACTED:key:1]", "[REDACTED:key:2]"
TOKEN, OTHER = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X", "ghp_" + "Xq7Zw2Vt" * 4 + "Xq7Z"


def contract(*rules: dict[str, Any]) -> ToolContract:
    """Return a contract with these rules."""
    return parse_contract({"name": "t", "data": {"rules": list(rules)}})


NONE = contract({"selector": "/named", "action": "keep"})
ALL = contract({"selector": "", "action": "keep"})
LIMITED = contract({"selector": "", "action": "keep"}, {"selector": "/a/b", "action": "mask"})


def by(found: ToolContract) -> Callable[[Any], Any]:
    """Return what redacts a payload under a contract."""
    rules = compile_payload_rules(found, "input")
    return lambda value: redact_payload(value, rules, Digester(b"k"), Receipt(), "arguments")


def entries_masked(value: Any) -> Any:
    """Return attributes as they are in a journal's entry after its credentials were masked."""
    (made,) = masked_entries([{"k": "log", "attributes": value}], Counter())
    return made["attributes"]


REDACT: dict[str, Callable[[Any], Any]] = {
    "under a contract that names other keys": by(NONE),
    "under a contract that keeps all": by(ALL),
    "under a contract with a rule further down": by(LIMITED),
    "a configuration": lambda value: redact_configuration(value, Receipt()),
    "attributes of others": mask_attributes,
    "a body of others": mask_value,
    "at the seal": entries_masked,
}


@pytest.mark.parametrize("redact", REDACT.values(), ids=REDACT)
@pytest.mark.parametrize("given", [
    {FIRST: "one", TOKEN: "two"}, {TOKEN: "two", FIRST: "one"}, {FIRST: 1, SECOND: 2, TOKEN: 3, OTHER: 4},
    {TOKEN: 3, SECOND: 2, OTHER: 4},
])  # fmt: skip
def test_no_key_takes_the_place_of_another(redact: Callable[[Any], Any], given: dict[str, Any]) -> None:
    """As many keys come out as went in, the markers among them are where they were, and twice is as once."""
    kept = redact(given)
    assert len(kept) == len(given)
    assert all(kept[key] == redact({key: given[key]})[key] for key in given if key in (FIRST, SECOND))
    assert TOKEN not in kept
    assert redact(kept) == kept


def test_values_withheld_elsewhere_take_no_marker_that_is_there() -> None:
    """Nor does the marker of a class that was a key before."""
    table = TaintTable()
    for who in ("ada@example.org", "bob@example.org"):
        remember(table, who, "personal")
    given = {"ada@example.org": 1, "bob@example.org": 2, SECOND: 3, "[REDACTED:personal]": 4}
    kept = scrub(given, table, Receipt(), "arguments")
    assert (sorted(kept.values()), kept[SECOND]) == ([1, 2, 3, 4], 3)


def test_an_explanation_counts_keys_as_the_redactor_does() -> None:
    """It names the key that will stand there."""
    paths = [said.path for said in explain(NONE, {FIRST: "one", "other": "two"})]
    assert paths == ["/" + FIRST, "/" + SECOND]
