"""Credentials are masked in the values of records, and never in what names a run."""

from collections import Counter
from typing import Any

import orjson

from runbundle.recording.masking import masked_entries
from runbundle.redaction.detectors.known_secrets import KNOWN

TOKEN = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X"
MASK = "[REDACTED:credential]"


def entry(kind: str = "span", **fields: Any) -> dict[str, Any]:
    """Return an entry of a journal."""
    return {"k": kind, "run_id": "r", "trace_id": "a" * 32, "span_id": "b" * 16, "name": "x", **fields}


def masked(*entries: dict[str, Any]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the masked entries, and what was counted."""
    hits = Counter[str]()
    return list(masked_entries(entries, hits)), hits


def test_an_entry_without_a_credential_is_the_same_object() -> None:
    """Nothing of it is counted, and none is made anew."""
    given = entry(attributes={"a": [1, "b", None, True, 1.5]})
    made, hits = masked(given)
    assert made[0] is given
    assert hits == {}


def test_a_credential_is_masked_in_every_value_and_counted_by_rule() -> None:
    """In texts, lists, events and JSON within text, which stays JSON; around it text stays; nothing given changes."""
    given = entry(
        status_message=f"failed with {TOKEN}!",
        attributes={"a": TOKEN, "b": ["x", TOKEN], "c": orjson.dumps({"n": 1, "t": TOKEN}).decode()},
        events=[{"name": "e", "time_ns": 5, "attributes": {"m": TOKEN}}],
    )
    before = orjson.dumps(given)
    [made], hits = masked(given)
    assert made["status_message"] == f"failed with {MASK}!"
    assert made["attributes"]["a"] == MASK
    assert made["attributes"]["b"] == ["x", MASK]
    assert orjson.loads(made["attributes"]["c"]) == {"n": 1, "t": MASK}
    assert made["events"] == [{"name": "e", "time_ns": 5, "attributes": {"m": MASK}}]
    assert hits == {"github-token": 5}
    assert orjson.dumps(given) == before


def test_what_names_a_run_stays_as_it_is() -> None:
    """The run's id in its field and in its attribute: a bundle that cannot be masked is not for this to mend."""
    given = entry(run_id=TOKEN, attributes={"runbundle.run.id": TOKEN, "x": TOKEN})
    [made], hits = masked(given)
    assert made["run_id"] == made["attributes"]["runbundle.run.id"] == TOKEN
    assert made["attributes"]["x"] == MASK
    assert hits == {"github-token": 1}


def test_a_key_that_is_a_credential_gives_way_to_a_marker() -> None:
    """Its value stays with it."""
    [made], _ = masked(entry(attributes={TOKEN: "v"}))
    [(key, value)] = made["attributes"].items()
    assert TOKEN not in key
    assert key.startswith("[REDACTED:key")
    assert value == "v"


def test_a_number_that_is_a_known_secret_is_masked_in_data_alone() -> None:
    """A time that equals one is the format's."""
    KNOWN.register(71234567812345)
    [made], hits = masked(entry(start_ns=71234567812345, attributes={"pin": 71234567812345, "other": 5, "yes": True}))
    assert made["start_ns"] == 71234567812345
    assert made["attributes"] == {"pin": MASK, "other": 5, "yes": True}
    assert hits == {"known-secret": 1}


def test_what_a_start_repeats_is_counted_once() -> None:
    """At starts credentials are masked always, and counted only where there are no others."""
    start, end = entry("start", attributes={"a": TOKEN}), entry(attributes={"a": TOKEN, "b": TOKEN})
    made, hits = masked(start, end)
    assert [one["attributes"]["a"] for one in made] == [MASK, MASK]
    assert hits == {"github-token": 2}
    assert masked(start)[1] == {"github-token": 1}
