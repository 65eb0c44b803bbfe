"""What a contract withheld in one place is withheld wherever else the run repeats it."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads import taint
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor
from runbundle.signals.records import SpanRecord
from tests.support.records import CONTRACTS


def span(run_id: str = "r", **payloads: Any) -> SpanRecord:
    """Return the raw record of a call of the tool."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}
    attributes |= {f"gen_ai.tool.call.{kind}": orjson.dumps(value).decode() for kind, value in payloads.items()}
    return {
        "run_id": run_id, "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "", "remote_parent": False,
        "trace_state": "", "name": "execute_tool find", "kind": 0, "start_ns": 1, "end_ns": 2, "status_code": 0,
        "status_message": "", "attributes": attributes, "events": [], "links": [],
        "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    }  # fmt: skip


def redactor() -> Redactor:
    """Return a redactor with the contract."""
    return Redactor(Policy(contracts=CONTRACTS, digester=Digester(b"k")))


def view(record: SpanRecord, kind: str) -> Any:
    """Return a payload as it is kept."""
    return orjson.loads(record["attributes"][f"gen_ai.tool.call.{kind}"])


def test_an_argument_that_was_hashed_is_masked_in_a_result_that_is_kept() -> None:
    """In the same call and in a later one of the run; the class of the rule stands in its place."""
    one = redactor()
    first = one.redact_span(span(arguments={"email": "ada@example.org"}, result={"text": "found ada@example.org!"}))
    assert view(first, "result") == {"text": "found [REDACTED:personal]!"}
    second = one.redact_span(span(arguments={"note": "ask ada@example.org again"}))
    assert view(second, "arguments") == {"note": "ask [REDACTED:personal] again"}
    assert '["arguments","taint","mask"]' in second["attributes"]["runbundle.redaction"]


def test_the_order_of_keys_and_payloads_does_not_matter() -> None:
    """What comes before the withheld value in the same record is masked too, and redacting again changes nothing."""
    one = redactor()
    raw = span(result={"text": "hi ada@example.org"}, arguments={"note": "ada@example.org", "email": "ada@example.org"})
    once = one.redact_span(raw)
    assert view(once, "result") == {"text": "hi [REDACTED:personal]"}
    assert view(once, "arguments")["note"] == "[REDACTED:personal]"
    assert one.redact_span(once) == once


def test_values_that_are_keys_stay_apart() -> None:
    """Of two keys that were withheld elsewhere none takes the other's place, and redacting again changes nothing."""
    table, receipt = taint.TaintTable(), Receipt()
    mails = ["ada@example.org", "bob@example.org", "eve@example.org"]
    taint.remember(table, mails, "personal")
    once = taint.scrub({mail: number for number, mail in enumerate(mails)}, table, receipt, "result")
    assert once == {"[REDACTED:personal]": 0, "[REDACTED:key:2]": 1, "[REDACTED:key:3]": 2}
    assert taint.scrub(once, table, receipt, "result") == once


def test_other_runs_are_not_searched() -> None:
    """A value is withheld in the run that withheld it: bundles do not depend on what else a process did."""
    one = redactor()
    one.redact_span(span("r1", arguments={"email": "ada@example.org"}))
    assert view(one.redact_span(span("r2", arguments={"note": "ada@example.org"})), "arguments") == {
        "note": "ada@example.org"
    }


def test_words_and_short_values_do_not_taint() -> None:
    """They would be found in ordinary text, and parts of a marker in every marker."""
    table = taint.TaintTable()
    taint.remember(table, ["short", "production", "undeclared", "credential", "x" * 600, "aaaaaaaaaa"], "personal")
    assert table.classes == {}


def test_the_tables_are_bounded() -> None:
    """So many values a run and so many runs; the run that was silent longest goes first."""
    tables = taint.TaintTables()
    taint.remember(tables.table("", "first"), [f"value-{n:05}" for n in range(2 * taint.VALUES)], "personal")
    assert len(tables.table("", "first").classes) == taint.VALUES
    for n in range(taint.RUNS):
        tables.table("", f"run-{n}")
    assert tables.table("", "first").classes == {}
    assert tables.table("", "") is not tables.table("", "")


def test_case_numbers_and_parts_of_a_name_are_known_again() -> None:
    """Words of a name as whole words, numbers as a whole, as text or not; nothing shorter and no part of a word."""
    table = taint.TaintTable()
    withheld = {"email": "Ada@Example.org", "customer_name": "Alice M. Johnson", "account": 48213377, "age": 42}
    taint.remember(table, withheld, "personal")
    view = {
        "note": "ALICE wrote from ada@example.ORG; johnson's no. 48213377, not 482133771, is 42; malice, Alicetown",
        "n": [48213377, 42],
        "alice": 1,
    }
    mask = "[REDACTED:personal]"
    assert taint.scrub(view, table, Receipt(), "arguments") == {
        "note": f"{mask} wrote from {mask}; {mask}'s no. {mask}, not 482133771, is 42; malice, Alicetown",
        "n": [mask, 42],
        mask: 1,
    }


def test_words_taint_only_where_they_are_a_persons() -> None:
    """Under a key for names, or personal data of capitalised words: not the words of other texts."""
    table = taint.TaintTable()
    taint.remember(table, {"note": "some Words here", "title": "Grand Central"}, "content")
    taint.remember(table, "Grace Hopper", "personal", "who_it_was")
    assert set(table.words) == {"grace", "hopper"}
    assert taint.scrub("some words, grand and central", table, Receipt(), "r") == "some words, grand and central"


def test_what_is_forgotten_is_counted_in_the_next_receipt() -> None:
    """Values beyond the 512th of a run, and all those of a run that was silent longest; each once."""
    tables = taint.TaintTables()
    taint.remember(tables.table("", "first"), [f"value-{n:05}" for n in range(2 * taint.VALUES)], "personal")
    receipt = Receipt()
    taint.scrub("x", tables.table("", "first"), receipt, "r")
    assert receipt.more == {"taint:forgotten|drop": taint.VALUES}
    for n in range(taint.RUNS):
        tables.table("", f"run-{n}")
    for expected in (2 * taint.VALUES, 2 * taint.VALUES):
        taint.scrub("x", tables.table("", "first"), receipt, "r")
        assert receipt.more == {"taint:forgotten|drop": expected}


def test_a_value_that_contains_itself_ends() -> None:
    """Nothing that JSON holds does, but a caller may hand over anything."""
    loop: list[Any] = ["abcd-1234"]
    loop += [loop, loop]
    table = taint.TaintTable()
    taint.remember(table, loop, "personal")
    assert set(table.classes) == {"abcd-1234"}


def test_the_longest_text_goes_first() -> None:
    """A value that begins with another leaves no tail; keys of a view are searched as well."""
    table = taint.TaintTable()
    taint.remember(table, ["abcd-1234", {"deep": ["abcd-1234-efgh"]}], "special")
    receipt = Receipt()
    assert taint.scrub({"abcd-1234-efgh": ["see abcd-1234-efgh", 5]}, table, receipt, "arguments") == {
        "[REDACTED:special]": ["see [REDACTED:special]", 5]
    }
    assert receipt.count() == 2


def test_a_tables_texts_come_longest_first_and_its_words_match_whole() -> None:
    """A text within another is masked as a part of it; a word within a longer word is none."""
    table = taint.TaintTable()
    assert table.word_pattern() is None
    taint.remember(table, ["Mail to Ada", "Mail to Ada Lovelace"], "personal")
    taint.remember(table, {"surname": "Lovelace", "account": 123456789}, "personal")
    assert [text for text, _ in table.texts_longest_first()] == ["mail to ada lovelace", "mail to ada"]
    pattern = table.word_pattern()
    assert pattern is not None
    assert [found[0] for found in pattern.finditer("lovelace, Lovelaces 123456789 1123456789")] == [
        "lovelace",
        "123456789",
    ]


def test_a_name_is_found_in_letters_that_only_a_search_without_case_takes_for_others() -> None:
    """The long `s` is one: the text is masked, and the record does not fail."""
    table, receipt = taint.TaintTable(), Receipt()
    taint.remember(table, "\u017fmith", "personal", "name")
    assert taint.scrub({"by": "J. SMITH"}, table, receipt, "p") == {"by": "J. [REDACTED:personal]"}


_PARTS = st.sampled_from([
    *"aAiKks019\"\\/\n\x00 -_.[]{}\x1f\U0001f600",
    *"\u0130\u0131\u212a\u017f\u03a3\u03c3\u03c2\u00df\u00e9\u00c9",  # Turkish, Kelvin, long s, sigma, sharp s, accents
    "anna", "M\u0130RANDA", "stra\u00dfe", "\u017fmith", "personal", "[REDACTED:", "undeclared]", "12345678", "1e+16",
    "ada@example.org", "\\u001f",
])  # fmt: skip
_TEXTS = st.lists(_PARTS, max_size=12).map("".join)
_NUMBERS = st.one_of(
    st.integers(-(2**40), 2**40), st.sampled_from([1e16, 123456.75, 12345678, -12345678, 1.5e20, True])
)


@settings(max_examples=400, deadline=None)
@given(
    withheld=st.lists(st.tuples(st.one_of(_TEXTS, _NUMBERS), st.sampled_from(["", "name"])), max_size=40),
    views=st.lists(
        st.recursive(st.one_of(_TEXTS, _NUMBERS, st.none()), lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4),
        ), max_leaves=12),
        max_size=3,
    ),
    cuts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.integers(1, 20)), max_size=3),
)  # fmt: skip
def test_the_quick_answer_that_no_value_is_in_a_view_changes_nothing(
    withheld: list[Any], views: list[Any], cuts: list[tuple[int, int, int]]
) -> None:
    """Whatever letters there are, and however much of a withheld value a text repeats, in whichever case."""
    texts = [value for value, _ in withheld if isinstance(value, str)]
    views += [
        swap + texts[at % len(texts)][start : start + length].swapcase()
        for at, start, length in (cuts if texts else ())
        for swap in ("", "x", "\n", "É")
    ]
    views += [value for value, _ in withheld]
    quick, slow = taint.TaintTable(), _Searched()
    for value, key in withheld:
        for table in (quick, slow):
            taint.remember(table, value, "personal", key)
    for one in views:
        noted = Receipt(), Receipt()
        assert taint.scrub(one, quick, noted[0], "p") == taint.scrub(one, slow, noted[1], "p")
        assert noted[0].to_text() == noted[1].to_text()


class _Searched(taint.TaintTable):
    """A table that gives no quick answer, so that each text is searched for each value."""

    def may_be_in(self, view: Any) -> bool:
        """Tell that it may."""
        return True
