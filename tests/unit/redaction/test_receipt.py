"""Receipts: notes, counts, and what of a receipt from outside is believed."""

import pytest

from runbundle.redaction.markers import Digester, marker
from runbundle.redaction.receipt import (
    NOTES_LIMIT,
    Note,
    Receipt,
    count_markers,
    parse_receipt,
    read_receipt,
    receipt_of,
    withhold,
)
from runbundle.signals import own

DIGEST = Digester(b"k")


def full() -> Receipt:
    """Return a receipt with more notes than are kept one by one."""
    receipt = Receipt("00000000")
    for index in range(NOTES_LIMIT + 3):
        receipt.add(f"arguments/{index}", "undeclared", "mask")
    receipt.count_more("foreign:marker", "found", 2)
    return receipt


def test_every_redaction_is_counted_whether_noted_or_not() -> None:
    """The first are noted one by one, in order; all are in the totals."""
    receipt = full()
    assert receipt.notes[0] == Note("arguments/0", "undeclared", "mask")
    assert [tuple(note) for note in receipt.notes] == receipt.each()
    assert len(receipt.each()) == NOTES_LIMIT
    assert receipt.totals() == {("undeclared", "mask"): NOTES_LIMIT + 3, ("foreign:marker", "found"): 2}
    assert receipt.count() == sum(receipt.totals().values())


def test_a_receipt_reads_back_whichever_way_it_is_read() -> None:
    """Readers that only read share one receipt for equal texts."""
    text = full().to_text()
    for read in (parse_receipt, read_receipt):
        found = read(text)
        assert found is not None
        assert (found.each(), found.totals()) == (full().each(), full().totals())
    short = Receipt()
    withhold(short, "a", "content", "content")
    assert read_receipt(short.to_text()) is read_receipt(short.to_text())


@pytest.mark.parametrize(
    "text",
    ["SECRETWORD", '{"n":[["a","SECRET WORD","mask"]]}', '{"n":[],"secret":"word"}', '{"n":[["a","b","c"]]}', None],
)
def test_nothing_else_travels_as_a_receipt(text: str | None) -> None:
    """A text that is no receipt is none, whichever way it is read."""
    assert parse_receipt(text) is None
    assert read_receipt(text) is None


def test_a_receipt_under_another_key_is_kept_and_counted() -> None:
    """A record without a receipt is new; one with ours is not, and nothing is added to it."""
    assert receipt_of(None, "aaaaaaaa")[1] is True
    ours, new = receipt_of(Receipt("aaaaaaaa").to_text(), "aaaaaaaa")
    assert (new, ours.count()) == (False, 0)
    theirs, new = receipt_of(Receipt("bbbbbbbb").to_text(), "aaaaaaaa")
    assert (new, theirs.by, theirs.totals()) == (False, "aaaaaaaa", {("foreign:receipt", "found"): 1})


def test_markers_that_no_redactor_here_wrote_are_counted() -> None:
    """A marker with our key's digest is ours; so is what the capture of values writes, as a whole value."""
    receipt = Receipt()
    ours = marker("content", digest=DIGEST("content", b"x"))
    attributes = {"a": ours, "b": marker("credential"), "c": f"said {marker('credential')}", own.HIDDEN + "a" * 12: 1}
    count_markers({**attributes, "d": [marker("personal")]}, DIGEST.key_id, receipt)
    assert receipt.totals() == {("foreign:marker", "found"): 3}


@pytest.mark.parametrize(
    "path", ["input/" + "k" * 400, "attributes.my key", "attributes.größe", "input/a\nb", "ok[0]/*"]
)
def test_whatever_the_path_the_receipt_can_be_read(path: str) -> None:
    """Keys come from data: one that no reader takes would cost the receipt, and with it what the bundle says."""
    receipt = Receipt()
    receipt.add(path, "content", "digest")
    read = parse_receipt(receipt.to_text())
    assert read is not None
    assert read.count() == 1
    assert read.each()[0][0] == ("ok[0]/*" if path == "ok[0]/*" else read.each()[0][0])
