"""Checkpoints as rows: stored only with all of their slots, and read back whole."""

from dataclasses import replace

import pytest

from runbundle.errors import StateConflict
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, StepWrite
from runbundle.runstate.sql import SqlRunStore, statements
from runbundle.runstate.sql.checkpoints import get_record, put_record, write_rows
from runbundle.runstate.sql.slot_cache import SlotCache

RECORD = CheckpointRecord(
    CheckpointKey("t", "n", "1"), Payload("x", b"head"), engine="e", run_id="r", slots={"a": "1"}, metadata={"step": 1}
)
SLOT = Payload("x", b"slot")
WRITES = tuple(StepWrite("task", n, "c", Payload("x", b"%d" % n), "path") for n in range(3))


def test_a_record_comes_back_with_its_slots_and_writes(store: SqlRunStore) -> None:
    """By its id and as the latest; None for another line or tenant."""
    with store._writing() as tx:
        put_record(tx, SlotCache(), "default", RECORD, {"a": SLOT})
        tx.many(statements.KEEP_WRITE, write_rows("default", RECORD.key, WRITES))
        expected = replace(RECORD, slot_payloads={"a": SLOT}, writes=WRITES)
        assert get_record(tx, "default", "t", "n", None) == get_record(tx, "default", "t", "n", "1") == expected
        for tenant, thread_id, ns in (("other", "t", "n"), ("default", "u", "n"), ("default", "t", "")):
            assert get_record(tx, tenant, thread_id, ns, None) is None


def test_a_record_is_replaced_and_a_version_of_a_slot_is_not(store: SqlRunStore) -> None:
    """The first contents of a version stay; a slot that is neither stored nor given is refused."""
    with store._writing() as tx:
        put_record(tx, SlotCache(), "default", RECORD, {"a": SLOT})
        put_record(tx, SlotCache(), "default", replace(RECORD, engine="f"), {"a": Payload("x", b"other")})
        found = get_record(tx, "default", "t", "n", "1")
        assert found is not None
        assert (found.engine, found.slot_payloads["a"]) == ("f", SLOT)
        with pytest.raises(StateConflict):
            put_record(tx, SlotCache(), "default", replace(RECORD, slots={"a": "2"}), {})


@pytest.mark.parametrize("count", [1, 3, statements.KEEP_AT_ONCE])
def test_many_writes_in_one_statement_are_as_one_each(store: SqlRunStore, count: int) -> None:
    """A write in a place that is taken is ignored, the others are stored."""
    writes = [StepWrite("task", n, "c", Payload("x", b"new")) for n in range(count)]
    with store._writing() as tx:
        tx.run(statements.KEEP_WRITE, *write_rows("default", RECORD.key, WRITES[:1])[0])
        tx.run(
            statements.keep_writes(count),
            *(value for row in write_rows("default", RECORD.key, writes) for value in row),
        )
        put_record(tx, SlotCache(), "default", RECORD, {"a": SLOT})
        found = get_record(tx, "default", "t", "n", "1")
    assert found is not None
    assert sorted((w.idx, w.payload.data) for w in found.writes) == [
        (n, b"0" if n == 0 else b"new") for n in range(count)
    ]
