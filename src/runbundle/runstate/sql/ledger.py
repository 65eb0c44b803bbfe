"""Notes of which rows exist, for a store that encrypts in front: see `runbundle.runstate.guard`.

Without a guard, nothing here sends a statement. Not detected: a thread, or a whole database, that was put back together
with its notes.
"""

import contextlib
from collections.abc import Generator, Iterable
from typing import Any

from runbundle.errors import StateCorrupt
from runbundle.runstate.guard import MODULUS, Guard, NoteName, Row
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Payload
from runbundle.runstate.sql import statements
from runbundle.runstate.sql.rows import DATA, INTEGER, TEXT, checked
from runbundle.runstate.sql.transaction import Transaction

LINE, RUN = "line", "run"
_TAG_BYTES = 16
_MAX_VERIFIED = 8

VerifiedLines = dict[NoteName, tuple[bytes, set[Row]]]
"""The note and the rows of lines that were found to agree. A reader of many checkpoints checks each line once."""


class Ledger:
    """The notes of one tenant, within one transaction. Without a guard every method does nothing."""

    def __init__(self, tx: Transaction, guard: Guard | None, tenant: str, verified: VerifiedLines) -> None:
        self._tx, self._guard, self._tenant, self._verified = tx, guard, tenant, verified

    # Lines of threads

    @contextlib.contextmanager
    def changing(self, key: CheckpointKey) -> Generator[None]:
        """Return a context in which one checkpoint and the writes to it may be changed; its note follows at the end.

        The caller holds the lock of the thread. Raises `StateCorrupt` if rows without a note should have one.
        """
        guard = self._guard
        if guard is None:
            yield
            return
        line = NoteName(LINE, key.thread_id, key.ns)
        note = self._note(guard, line)
        if note is None:
            self._rows_of(guard, line)
            yield
            self._settle(guard, line)
            return
        before = self._scan(statements.ROWS_OF_CHECKPOINT, *key)
        yield
        after = self._scan(statements.ROWS_OF_CHECKPOINT, *key)
        total = int(note["sum"], 16) + guard.sum_of(after - before) - guard.sum_of(before - after)
        self._write(guard, line, {"rows": note["rows"] + len(after) - len(before), "sum": f"{total % MODULUS:x}"})

    @contextlib.contextmanager
    def rewriting(self, thread_ids: Iterable[str]) -> Generator[None]:
        """Return a context in which whole threads may be changed; their notes follow at the end.

        The caller holds the locks of the threads. Raises `StateCorrupt` at the start if a thread disagrees with its
        notes.
        """
        guard = self._guard
        if guard is None:
            yield
            return
        threads = list(thread_ids)
        before = [line for thread_id in threads for line in self._lines_of(thread_id)]
        for line in before:
            self._rows_of(guard, line)
        yield
        for line in {*before, *(line for thread_id in threads for line in self._lines_of(thread_id))}:
            self._settle(guard, line)

    def check_checkpoint(self, thread_id: str, ns: str, asked: str | None, record: CheckpointRecord | None) -> None:
        """Raise `StateCorrupt` unless `record` is the checkpoint that a read must find.

        `asked` is the id that was asked for, None for the latest; `record` is None if none was found.
        """
        guard = self._guard
        if guard is None:
            return
        rows = self._verified_rows(guard, NoteName(LINE, thread_id, ns))
        latest = max((row.checkpoint_id for row in rows if row.kind == "checkpoint"), default=None)
        wanted = latest if asked is None else asked
        expected = {row for row in rows if row.checkpoint_id == wanted}
        if record is None:
            if any(row.kind == "checkpoint" for row in expected):
                raise _altered("a checkpoint is missing")
            return
        for payload in (record.head, *(write.payload for write in record.writes)):
            guard.predates_notes(payload.codec)
        found = {_row("checkpoint", record.key, "", 0, record.head)}
        found.update(_row("write", record.key, w.task_id, w.idx, w.payload) for w in record.writes)
        if found != expected:
            raise _altered("a checkpoint is not the one that was written last")

    def check_keys(self, keys: Iterable[CheckpointKey]) -> None:
        """Raise `StateCorrupt` if a row of the lines of these keys is missing or was put back."""
        guard = self._guard
        if guard is not None:
            for line in dict.fromkeys(NoteName(LINE, key.thread_id, key.ns) for key in keys):
                self._rows_of(guard, line)

    def check_thread(self, thread_id: str | None) -> None:
        """Raise `StateCorrupt` if a row of a thread is missing or was put back; for None, if all rows of a line are."""
        guard = self._guard
        if guard is None:
            return
        if thread_id is not None:
            for line in self._lines_of(thread_id):
                self._rows_of(guard, line)
        elif self._tx.rows(statements.NOTED_WITHOUT_ROWS, self._tenant):
            raise _altered("a thread is missing")

    def _lines_of(self, thread_id: str) -> list[NoteName]:
        thread = (self._tenant, thread_id)
        found = self._tx.rows(statements.LINES_OF_THREAD, *thread, *thread, *thread)
        return [NoteName(LINE, thread_id, row[0]) for row in found]

    def _verified_rows(self, guard: Guard, line: NoteName) -> set[Row]:
        known, payload = self._verified.get(line), self._payload(line)
        if known is not None and payload is not None and known[0] == payload.data:
            return known[1]
        rows = self._rows_of(guard, line)
        if payload is not None:
            if len(self._verified) >= _MAX_VERIFIED:
                self._verified.clear()
            self._verified[line] = payload.data, rows
        return rows

    def _rows_of(self, guard: Guard, line: NoteName) -> set[Row]:
        """Return the rows of a line. Raises `StateCorrupt` if they disagree with the note."""
        rows = self._scan(statements.ROWS_OF_LINE, line.name, line.ns)
        note = self._note(guard, line)
        older = [guard.predates_notes(row.codec) for row in rows]
        if note is None:
            if not all(older):
                raise _altered("the note of a thread is missing")
            if rows:
                guard.warn_of_rows_without_notes()
        elif (note["rows"], note["sum"]) != (len(rows), f"{guard.sum_of(rows):x}"):
            raise _altered("rows of a thread are missing, or older than the latest")
        return rows

    def _settle(self, guard: Guard, line: NoteName) -> None:
        rows = self._scan(statements.ROWS_OF_LINE, line.name, line.ns)
        if rows:
            self._write(guard, line, {"rows": len(rows), "sum": f"{guard.sum_of(rows):x}"})
        else:
            self._tx.run(statements.DELETE_NOTE, self._tenant, *line)

    def _scan(self, statement: str, *names: str) -> set[Row]:
        where = (self._tenant, *names)
        return {
            Row(*checked(row, TEXT, TEXT, TEXT, INTEGER, TEXT, DATA))
            for row in self._tx.rows(statement, *where, *where)
        }

    # Runs

    def check_run(self, run_id: str, payload: Payload | None, *, there: bool) -> None:
        """Raise `StateCorrupt` unless a run is as it was written last.

        `there` says whether the row was found; then `payload` is its encrypted payload.
        """
        guard = self._guard
        if guard is None:
            return
        older = payload is None or guard.predates_notes(payload.codec)
        note = self._note(guard, NoteName(RUN, run_id, ""))
        if note is None:
            if there and not older:
                raise _altered("the note of a run is missing")
            if there:
                guard.warn_of_rows_without_notes()
        elif not there:
            raise _altered("a run is missing")
        elif payload is None or note["tag"] != payload.data[-_TAG_BYTES:].hex():
            raise _altered("a run is older than what was written last")

    def check_runs(self) -> None:
        """Raise `StateCorrupt` if a run that has a note is missing."""
        if self._guard is not None and self._tx.rows(statements.NOTED_WITHOUT_RUN, self._tenant):
            raise _altered("a run is missing")

    def note_run(self, run_id: str, payload: Payload | None) -> None:
        """Write the note of the latest row of a run, whose encrypted payload is given."""
        if self._guard is not None and payload is not None:
            self._write(self._guard, NoteName(RUN, run_id, ""), {"tag": payload.data[-_TAG_BYTES:].hex()})

    # Notes

    def _note(self, guard: Guard, name: NoteName) -> dict[str, Any] | None:
        payload = self._payload(name)
        return None if payload is None else guard.decrypt_note(name, payload)

    def _payload(self, name: NoteName) -> Payload | None:
        rows = self._tx.rows(statements.GET_NOTE, self._tenant, *name)
        return Payload(*checked(rows[0], TEXT, DATA)) if rows else None

    def _write(self, guard: Guard, name: NoteName, note: dict[str, Any]) -> None:
        self._tx.run(statements.PUT_NOTE, self._tenant, *name, *guard.encrypt_note(name, note))


def _row(kind: str, key: CheckpointKey, task_id: str, idx: int, payload: Payload) -> Row:
    return Row(kind, key.checkpoint_id, task_id, idx, payload.codec, payload.data[-_TAG_BYTES:])


def _altered(what: str) -> StateCorrupt:
    return StateCorrupt(f"run state was altered in the database: {what}")
