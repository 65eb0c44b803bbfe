"""Run stores in a database: every algorithm once, over the little that SQLite and PostgreSQL do differently.

Three laws keep it right. A checkpoint is stored only when each of its slots is, so every stored checkpoint can be read.
A slot is stored as the difference to another only in the transaction that read that other, with the thread locked, so
its base cannot change. And before unused slots are deleted, used slots that are differences to them are rewritten
whole.
"""

from runbundle.runstate.sql.checkpoints import SqlCheckpoints
from runbundle.runstate.sql.threads import SqlThreads
from runbundle.runstate.sql.transaction import Transaction

__all__ = ["SqlRunStore", "Transaction"]


class SqlRunStore(SqlCheckpoints, SqlThreads):
    """The run store that SQLite and PostgreSQL share: everything except how to connect."""
