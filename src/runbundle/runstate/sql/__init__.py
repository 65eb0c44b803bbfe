"""Run stores in a database: every algorithm once, over what little SQLite and PostgreSQL do differently.

Three laws keep it right. A checkpoint is only stored when each of its slots is, so whatever is stored can be read. A
slot is only stored as the difference to another in the transaction that read that other, with the thread locked, so
the version that it is made from is the one that stays. And before unused slots are deleted, slots in use that are
differences to them are written whole.
"""

from runbundle.runstate.sql.checkpoints import SqlCheckpoints
from runbundle.runstate.sql.threads import SqlThreads
from runbundle.runstate.sql.tx import Tx

__all__ = ["SqlRunStore", "Tx"]


class SqlRunStore(SqlCheckpoints, SqlThreads):
    """What SQLite and PostgreSQL have in common: everything but how to connect."""
