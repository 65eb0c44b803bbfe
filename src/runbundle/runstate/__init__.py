"""Run state: the raw data from which a run can go on. It is kept in SQLite or PostgreSQL and never enters a bundle."""

from runbundle.runstate.base import RunStore, list_checkpoints
from runbundle.runstate.encrypted import EncryptedRunStore
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite
from runbundle.runstate.sql.postgres import PostgresRunStore
from runbundle.runstate.sql.sqlite import SqliteRunStore
from runbundle.runstate.state import RunState
from runbundle.runstate.url import from_url

__all__ = [
    "CheckpointKey",
    "CheckpointRecord",
    "EncryptedRunStore",
    "Lease",
    "Payload",
    "PostgresRunStore",
    "RunRecord",
    "RunState",
    "RunStore",
    "SqliteRunStore",
    "StepWrite",
    "from_url",
    "list_checkpoints",
]
