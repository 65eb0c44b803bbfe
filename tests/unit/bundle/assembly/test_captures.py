"""How completely values were captured, by attribute key."""

import json
from typing import Any

from runbundle.bundle.assembly.entries import capture_words, captures_of_span, stated_captures, worst_by_key
from runbundle.bundle.assembly.timeline import span_from_entry
from tests.unit.bundle.assembly.spans import entry

_CUT: dict[str, Any] = {"runbundle.capture": json.dumps({"final_result": {"w": "cut"}})}


def test_values_are_whole_unless_the_span_says_otherwise() -> None:
    """Keys that hold no values have no word."""
    assert capture_words({"final_result": "x", "gen_ai.request.model": "m"}) == {"final_result": "whole"}
    assert capture_words({"gen_ai.request.model": "m"}) == {}
    assert stated_captures({"final_result": "x"}) == {}


def test_what_cannot_be_read_says_nothing() -> None:
    """A capture attribute that no recorder wrote leaves values whole."""
    odd: dict[str, Any] = {"runbundle.capture": "not JSON", "final_result": "x"}
    assert stated_captures(odd) == {}
    assert capture_words(odd) == {"final_result": "whole"}


def test_a_span_takes_the_worst_word_of_its_own_values_and_its_events() -> None:
    """One word a key, whichever of them has it."""
    event = {"name": "e", "time_ns": 2, "attributes": {"final_result": "y"}}
    words = captures_of_span(span_from_entry(entry(attributes={"final_result": "x"}, events=[event]), ended=True))
    assert words == {"final_result": ["whole", "whole"]}
    assert worst_by_key(words) == {"final_result": "whole"}
    assert worst_by_key({"a": ["whole", "unserialisable", "cut"], "b": ["oversize"]}) == {
        "a": "unserialisable",
        "b": "oversize",
    }
