"""Ids, numbers and metadata that a database cannot hold are refused before a backend is called."""

import math
from dataclasses import replace

import pytest

from runbundle.errors import ConfigError
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite, checks

BAD_TEXTS = ["", "a\x00b", "\ud800", "x" * 256, "ä" * 128, 5, None]
RECORD = CheckpointRecord(CheckpointKey("t", "", "1"), Payload("x", b""), slots={"a": "1"})
WRITE = StepWrite("task", 0, "c", Payload("x", b""))


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_text_that_no_key_can_hold_is_refused_and_not_repeated(text: object) -> None:
    """Empty, with NUL, not UTF-8, too long in bytes, or no text at all: the error names the kind of id only."""
    with pytest.raises(ConfigError, match="invalid thread id") as caught:
        checks.check_text(text, "thread id")
    assert not text or str(text) not in str(caught.value).replace("of at most 255", "")


def test_text_of_the_greatest_length_is_returned_as_it_is() -> None:
    """The limit counts bytes, and the empty string needs leave."""
    assert checks.check_text("ä" * 127 + "x", "name") == "ä" * 127 + "x"
    assert checks.check_text("", "name", empty=True) == ""
    assert checks.check_text("x" * 1024, "name", limit=1024) == "x" * 1024


def test_each_part_of_a_key_is_checked() -> None:
    """A thread and an id are required; a namespace may be empty, and longer."""
    key = CheckpointKey("t", "n" * 1024, "1")
    assert checks.check_key(key) is key
    for bad in (key._replace(thread_id=""), key._replace(ns="n" * 1025), key._replace(checkpoint_id="")):
        with pytest.raises(ConfigError):
            checks.check_key(bad)


def test_each_name_in_a_checkpoint_is_checked() -> None:
    """Its parent, run, engine, slots and codecs; and each new slot needs a version."""
    new = {"a": Payload("x", b"")}
    checks.check_record(RECORD, new)
    for bad in (
        replace(RECORD, parent_id=""), replace(RECORD, run_id=""), replace(RECORD, engine="\x00"),
        replace(RECORD, slots={"": "1"}), replace(RECORD, slots={"a": ""}), replace(RECORD, head=Payload("", b"")),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            checks.check_record(bad, {})
    with pytest.raises(ConfigError, match="no version"):
        checks.check_record(RECORD, {"b": Payload("x", b"")})
    with pytest.raises(ConfigError, match="codec"):
        checks.check_record(RECORD, {"a": Payload("", b"")})


def test_each_name_and_number_in_writes_and_runs_is_checked() -> None:
    """Texts as in keys; numbers have 64 bits."""
    checks.check_writes((WRITE,))
    for bad in (
        replace(WRITE, task_id=""), replace(WRITE, task_path="x" * 1025), replace(WRITE, channel=""),
        replace(WRITE, payload=Payload("", b"")), replace(WRITE, idx=2**63),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            checks.check_writes((WRITE, bad))
    checks.check_run(RunRecord("r", payload=Payload("x", b"")))
    for run in (RunRecord(""), RunRecord("r", "\x00"), RunRecord("r", status=""), RunRecord("r", revision=2**63),
                RunRecord("r", payload=Payload("", b""))):  # fmt: skip
        with pytest.raises(ConfigError):
            checks.check_run(run)


def test_numbers_have_64_bits() -> None:
    """Both ends are allowed, and nothing beyond."""
    for number in (-(2**63), 2**63 - 1):
        checks.check_number(number, "token")
    for number in (-(2**63) - 1, 2**63):
        with pytest.raises(ConfigError, match="invalid token"):
            checks.check_number(number, "token")


def test_a_lease_lasts_a_positive_finite_time() -> None:
    """Neither none, nor for ever, nor NaN."""
    checks.check_ttl(0.001)
    for ttl_s in (0, -1, math.inf, math.nan):
        with pytest.raises(ConfigError):
            checks.check_ttl(ttl_s)


def test_no_limit_is_the_greatest_integer() -> None:
    """Databases are always given a limit; a negative one, which SQLite takes for none, is refused."""
    assert checks.check_limit(None) == checks.check_limit(2**80) == 2**63 - 1
    assert (checks.check_limit(0), checks.check_limit(7)) == (0, 7)
    with pytest.raises(ConfigError):
        checks.check_limit(-1)


def test_metadata_is_json_with_sorted_keys_and_without_nul() -> None:
    """The same metadata gives the same text, whatever the order of its keys."""
    assert checks.metadata_json({"b": [1, None], "a": "ä"}) == '{"a":"ä","b":[1,null]}'
    for bad in ({"a": object()}, {"a": "\x00"}, {"a": [{"b\x00": 1}]}, {"a": "\ud800"}, {"a": 2**70},
                {"a": [math.nan]}, {"a": math.inf}):  # fmt: skip
        with pytest.raises(ConfigError, match="metadata"):
            checks.metadata_json(bad)
