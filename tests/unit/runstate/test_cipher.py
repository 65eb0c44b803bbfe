"""The cipher of run state: what it encrypts it alone decrypts, in the same place; stored suffixes never change."""

import logging
from dataclasses import replace

import pytest

from runbundle.errors import StateCorrupt
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite, cipher
from runbundle.runstate.cipher import Cipher
from runbundle.runstate.guard import MODULUS, Guard, NoteName, Row

KEY = b"a key for tests only"
DATA = Payload("x", b"CANARY")
RECORD = CheckpointRecord(
    CheckpointKey("t", "", "2"), DATA, parent_id="1", run_id="r", slots={"a": "1"}, metadata={"step": 1.0},
    slot_payloads={"a": DATA}, writes=(StepWrite("task", 0, "c", DATA),),
)  # fmt: skip
ROWS = [Row("write", "1", "task", n, "x+2+aesgcm", bytes([n]) * 16) for n in range(4)]


@pytest.fixture
def box() -> Cipher:
    """A cipher of one tenant."""
    return Cipher("acme", KEY, times=True)


def test_a_checkpoint_comes_back_as_it_was_encrypted(box: Cipher) -> None:
    """Head, slots and writes; none of them is readable in between, and none is encrypted twice alike."""
    first, second = box.encrypted(RECORD), box.encrypted(RECORD)
    assert box.decrypted(first) == box.decrypted(second) == RECORD
    for one in (first, second):
        assert b"CANARY" not in b"".join(
            p.data for p in (one.head, *one.slot_payloads.values(), *(w.payload for w in one.writes))
        )
    assert first.head.data != second.head.data
    assert box.encrypted_head(RECORD).slot_payloads == RECORD.slot_payloads
    slot = box.encrypted_slot(RECORD, "a", DATA)
    writes = box.encrypted_writes(RECORD.key, RECORD.writes)
    put_together = replace(box.encrypted_head(RECORD), slot_payloads={"a": slot}, writes=writes)
    assert box.decrypted(put_together) == RECORD


def test_the_suffixes_in_databases_stay_what_they_are(box: Cipher) -> None:
    """A row that was written by an earlier version must still be read as what it is."""
    encrypted = box.encrypted(RECORD)
    assert encrypted.head.codec == encrypted.writes[0].payload.codec == "x+2+aesgcm"
    assert encrypted.slot_payloads["a"].codec == "x+aesgcm"
    assert box.encrypted_run(RunRecord("r")).payload is not None
    assert getattr(box.encrypted_run(RunRecord("r")).payload, "codec", "") == "none+2+aesgcm"
    assert box.encrypt_note(NoteName("run", "r", ""), {}).codec == "json+2+aesgcm"


@pytest.mark.parametrize("other", [Cipher("acme", KEY + b"!", times=True), Cipher("other", KEY, times=True)])
def test_another_key_or_tenant_decrypts_nothing(box: Cipher, other: Cipher) -> None:
    """The error says so, and quotes nothing."""
    with pytest.raises(StateCorrupt, match="altered, or is under another key"):
        other.decrypted(box.encrypted(RECORD))
    assert other.digest(b"x") != box.digest(b"x")


def test_a_head_authenticates_every_column_of_its_row(box: Cipher) -> None:
    """Any change of another column makes the head undecryptable; 1 and 1.0 are the same number."""
    encrypted = box.encrypted(RECORD)
    for changed in (
        replace(encrypted, parent_id="0"), replace(encrypted, engine="e"), replace(encrypted, run_id="s"),
        replace(encrypted, chained=True), replace(encrypted, metadata={"step": 2}),
        replace(encrypted, key=encrypted.key._replace(checkpoint_id="3")),
    ):  # fmt: skip
        with pytest.raises(StateCorrupt):
            box.decrypted(changed)
    assert box.decrypted(replace(encrypted, metadata={"step": 1})).head == DATA


def test_a_run_authenticates_its_revision_and_its_times(box: Cipher) -> None:
    """With or without a payload; a cipher of a store that keeps no notes leaves the times out."""
    for run in (RunRecord("r", payload=DATA, revision=3, created_at=1.5, updated_at=2.5), RunRecord("r", revision=1)):
        encrypted = box.encrypted_run(run)
        assert box.decrypted_run(encrypted) == run
        for changed in (replace(encrypted, revision=9), replace(encrypted, status="done"),
                        replace(encrypted, updated_at=3.5)):  # fmt: skip
            with pytest.raises(StateCorrupt):
                box.decrypted_run(changed)
    timeless = Cipher("acme", KEY, times=False)
    moved = replace(timeless.encrypted_run(RunRecord("r")), updated_at=9.0)
    assert timeless.decrypted_run(moved).updated_at == 9.0


def test_a_codec_tells_a_row_that_predates_notes_and_one_in_plain(box: Cipher) -> None:
    """A plain row is an error, never an old one."""
    assert box.predates_notes("x+aesgcm")
    assert not box.predates_notes("x+2+aesgcm")
    with pytest.raises(StateCorrupt, match="in plain"):
        box.predates_notes("x")


def test_rows_without_notes_are_warned_of_once_a_tenant(caplog: pytest.LogCaptureFixture) -> None:
    """However often they are read."""
    cipher._said.clear()
    with caplog.at_level(logging.WARNING, "runbundle"):
        for tenant in ("a", "b", "a"):
            Cipher(tenant, KEY, times=True).warn_of_rows_without_notes()
    assert len(caplog.records) == 2


def test_a_sum_of_rows_can_be_added_to_and_subtracted_from(box: Cipher) -> None:
    """In any order; another row, tag or key gives another sum."""
    total = box.sum_of(ROWS)
    assert total == box.sum_of(reversed(ROWS)) == (box.sum_of(ROWS[:2]) + box.sum_of(ROWS[2:])) % MODULUS
    assert (total - box.sum_of(ROWS[3:])) % MODULUS == box.sum_of(ROWS[:3])
    assert box.sum_of([]) == 0
    assert box.sum_of([ROWS[0]._replace(tag=b"\1" * 16)]) != box.sum_of(ROWS[:1])
    assert Cipher("acme", KEY + b"!", times=True).sum_of(ROWS) != total


def test_a_note_is_decrypted_under_its_own_name_only(box: Cipher) -> None:
    """The cipher is the guard of the store behind; the note of a run cannot stand in for the note of a line."""
    guard: Guard = box
    note = guard.encrypt_note(NoteName("line", "t", ""), {"rows": 3})
    assert guard.decrypt_note(NoteName("line", "t", ""), note) == {"rows": 3}
    for name in (NoteName("line", "t", "sub"), NoteName("run", "t", ""), NoteName("line", "u", "")):
        with pytest.raises(StateCorrupt):
            guard.decrypt_note(name, note)
