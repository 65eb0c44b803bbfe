"""What a store that encrypts asks of the store behind it: to keep a sealed note of all rows beside the rows.

A row by itself says that it was written under the key, and not that it is the latest of its kind, nor that none is
missing beside it. So each line of a thread has a note of what rows it has, each run one of its latest revision;
whoever changes rows changes the note in the same transaction. A row that is rolled back or removed does not agree with
its note then.
The store behind sees no key: it asks the guard for what is to be noted.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from runbundle.runstate.records import Payload, RunRecord


class NoteName(NamedTuple):
    """What a note is of: a `line` of a thread, or a `run`."""

    kind: str
    name: str
    ns: str


class Row(NamedTuple):
    """What identifies one version of a row: where it is, and the end of its ciphertext, which authenticates it."""

    kind: str
    checkpoint_id: str
    task_id: str
    idx: int
    codec: str
    tag: bytes


class Guard(Protocol):
    """The side of the key."""

    def sealed_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload sealed; its revision and its times are those of the row."""
        ...

    def is_older(self, codec: str) -> bool:
        """Tell whether a row was written before there were notes. Raises `StateCorrupt` if it is in plain."""
        ...

    def say_older(self) -> None:
        """Say once that rows were read that no note speaks of."""
        ...

    def sum_of(self, rows: Iterable[Row]) -> int:
        """Return a keyed sum over rows, from which rows can be taken and to which they can be added, modulo 2**256."""
        ...

    def seal_note(self, name: NoteName, note: dict[str, Any]) -> Payload:
        """Return a sealed note."""
        ...

    def open_note(self, name: NoteName, payload: Payload) -> dict[str, Any]:
        """Return a note. Raises `StateCorrupt`."""
        ...


MODULUS = 2**256
