"""The interface between a store that encrypts and the store behind it, which keeps an encrypted note of its rows.

A row proves that it was written under the key. It does not prove that it is the latest of its kind, or that no other
row was removed. So each line of a thread has a note of its rows, and each run a note of its latest revision. Whoever
changes rows changes the note in the same transaction; a row that is rolled back or removed then disagrees with its
note.

The store behind never sees the key: it calls the guard to encrypt, decrypt and add up.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from runbundle.runstate.records import Payload, RunRecord


class NoteName(NamedTuple):
    """The name of a note: that of a `line` of a thread, or of a `run`."""

    kind: str
    name: str
    ns: str


class Row(NamedTuple):
    """Identifies one version of a row: its place, and the authentication tag at the end of its ciphertext."""

    kind: str
    checkpoint_id: str
    task_id: str
    idx: int
    codec: str
    tag: bytes


class Guard(Protocol):
    """The part of encryption that holds the key; `runbundle.runstate.cipher.Cipher` implements it."""

    def encrypted_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload encrypted. Its revision and times are those of the row to be stored."""
        ...

    def predates_notes(self, codec: str) -> bool:
        """Tell, from the codec of a row, whether it was written before notes were kept.

        Raises `StateCorrupt` if the row is not encrypted.
        """
        ...

    def warn_of_rows_without_notes(self) -> None:
        """Log, once for each tenant, that rows were read whose rollback would go unnoticed: they have no note."""
        ...

    def sum_of(self, rows: Iterable[Row]) -> int:
        """Return the sum of the keyed digests of rows, modulo `MODULUS`."""
        ...

    def encrypt_note(self, name: NoteName, note: dict[str, Any]) -> Payload:
        """Return a note as an encrypted payload."""
        ...

    def decrypt_note(self, name: NoteName, payload: Payload) -> dict[str, Any]:
        """Return the note in an encrypted payload. Raises `StateCorrupt`."""
        ...


MODULUS = 2**256
