"""Tables, and statements on them, for both SQLite and PostgreSQL. `?` stands for a value, which is always bound.

Both compare text as bytes. `{json_items}` stands for the function that lists the members of a JSON object: `json_each`
in SQLite, `jsonb_each_text` in PostgreSQL. Both name its columns key and value.
"""

VERSION = 2
"""The version of the tables. A database of a later version is refused; each migration raises it by one."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        """CREATE TABLE runbundle_runs (
            tenant {text} NOT NULL, run_id {text} NOT NULL, thread_id {text} NOT NULL, status {text} NOT NULL,
            codec {text}, data {blob}, metadata {json} NOT NULL, revision {int} NOT NULL,
            created_at {real} NOT NULL, updated_at {real} NOT NULL,
            lease_owner {text}, lease_token {int} NOT NULL DEFAULT 0, lease_expires {real} NOT NULL DEFAULT 0,
            PRIMARY KEY (tenant, run_id)){strict}""",
        """CREATE TABLE runbundle_checkpoints (
            tenant {text} NOT NULL, thread_id {text} NOT NULL, ns {text} NOT NULL, checkpoint_id {text} NOT NULL,
            parent_id {text}, engine {text} NOT NULL, run_id {text}, chained {int} NOT NULL,
            codec {text} NOT NULL, data {blob} NOT NULL, slots {json} NOT NULL, metadata {json} NOT NULL,
            PRIMARY KEY (tenant, thread_id, ns, checkpoint_id)){strict}""",
        """CREATE INDEX runbundle_checkpoints_by_run ON runbundle_checkpoints (tenant, run_id)
            WHERE run_id IS NOT NULL""",
        """CREATE TABLE runbundle_slots (
            tenant {text} NOT NULL, thread_id {text} NOT NULL, ns {text} NOT NULL, name {text} NOT NULL,
            version {text} NOT NULL, base {text}, stamp {int} NOT NULL, codec {text} NOT NULL, data {blob} NOT NULL,
            PRIMARY KEY (tenant, thread_id, ns, name, version)){strict}""",
        """CREATE TABLE runbundle_writes (
            tenant {text} NOT NULL, thread_id {text} NOT NULL, ns {text} NOT NULL, checkpoint_id {text} NOT NULL,
            task_path {text} NOT NULL, task_id {text} NOT NULL, idx {int} NOT NULL, channel {text} NOT NULL,
            codec {text} NOT NULL, data {blob} NOT NULL,
            PRIMARY KEY (tenant, thread_id, ns, checkpoint_id, task_id, idx)){strict}""",
    ),
    2: (
        """CREATE TABLE runbundle_ledger (
            tenant {text} NOT NULL, kind {text} NOT NULL, name {text} NOT NULL, ns {text} NOT NULL,
            codec {text} NOT NULL, data {blob} NOT NULL, PRIMARY KEY (tenant, kind, name, ns)){strict}""",
    ),
}

# Runs

RUN = "SELECT run_id, thread_id, status, codec, data, CAST(metadata AS text), revision, created_at, updated_at"
INSERT_RUN = """INSERT INTO runbundle_runs (tenant, run_id, thread_id, status, codec, data, metadata, revision,
    created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO NOTHING"""
UPDATE_RUN = """UPDATE runbundle_runs SET thread_id = ?, status = ?, codec = ?, data = ?, metadata = ?,
    revision = revision + 1, updated_at = ? WHERE tenant = ? AND run_id = ? AND revision = ?"""
GET_RUN = RUN + " FROM runbundle_runs WHERE tenant = ? AND run_id = ?"
DELETE_RUN = "DELETE FROM runbundle_runs WHERE tenant = ? AND run_id = ?"

# Notes of what rows there are, see `runbundle.runstate.guard`

GET_NOTE = "SELECT codec, data FROM runbundle_ledger WHERE tenant = ? AND kind = ? AND name = ? AND ns = ?"
PUT_NOTE = """INSERT INTO runbundle_ledger (tenant, kind, name, ns, codec, data) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, kind, name, ns) DO UPDATE SET codec = excluded.codec, data = excluded.data"""
DELETE_NOTE = "DELETE FROM runbundle_ledger WHERE tenant = ? AND kind = ? AND name = ? AND ns = ?"
DELETE_NOTES = "DELETE FROM runbundle_ledger WHERE tenant = ? AND kind = ? AND name = ?"
_ROWS = """SELECT 'checkpoint', checkpoint_id, '', 0, codec, substr(data, length(data) - 15)
    FROM runbundle_checkpoints WHERE {where}
    UNION ALL SELECT 'write', checkpoint_id, task_id, idx, codec, substr(data, length(data) - 15)
    FROM runbundle_writes WHERE {where}"""
ROWS_OF_LINE = _ROWS.replace("{where}", "tenant = ? AND thread_id = ? AND ns = ?")
ROWS_OF_CHECKPOINT = _ROWS.replace("{where}", "tenant = ? AND thread_id = ? AND ns = ? AND checkpoint_id = ?")
LINES_OF_THREAD = """SELECT ns FROM runbundle_checkpoints WHERE tenant = ? AND thread_id = ?
    UNION SELECT ns FROM runbundle_writes WHERE tenant = ? AND thread_id = ?
    UNION SELECT ns FROM runbundle_ledger WHERE tenant = ? AND name = ? AND kind = 'line' ORDER BY ns"""
NOTED_WITHOUT_ROWS = """SELECT l.name FROM runbundle_ledger l WHERE l.tenant = ? AND l.kind = 'line' AND NOT EXISTS
    (SELECT 1 FROM runbundle_checkpoints c WHERE c.tenant = l.tenant AND c.thread_id = l.name AND c.ns = l.ns)
    AND NOT EXISTS
    (SELECT 1 FROM runbundle_writes w WHERE w.tenant = l.tenant AND w.thread_id = l.name AND w.ns = l.ns) LIMIT 1"""
NOTED_WITHOUT_RUN = """SELECT l.name FROM runbundle_ledger l WHERE l.tenant = ? AND l.kind = 'run'
    AND NOT EXISTS (SELECT 1 FROM runbundle_runs r WHERE r.tenant = l.tenant AND r.run_id = l.name) LIMIT 1"""

# Leases

LEASE = "SELECT lease_owner, lease_token, lease_expires FROM runbundle_runs WHERE tenant = ? AND run_id = ?"
SET_LEASE = """UPDATE runbundle_runs SET lease_owner = ?, lease_token = ?, lease_expires = ?
    WHERE tenant = ? AND run_id = ?"""
END_LEASE = """UPDATE runbundle_runs SET lease_owner = NULL, lease_expires = 0
    WHERE tenant = ? AND run_id = ? AND lease_token = ?"""

# Checkpoints

_THREAD = "tenant = ? AND thread_id = ?"
_LINE = _THREAD + " AND ns = ?"
CHECKPOINT = f"""SELECT checkpoint_id, parent_id, engine, run_id, chained, codec, data, CAST(slots AS text),
    CAST(metadata AS text) FROM runbundle_checkpoints WHERE {_LINE}"""
ONE_CHECKPOINT = CHECKPOINT + " AND checkpoint_id = ?"
LATEST_CHECKPOINT = CHECKPOINT + " ORDER BY checkpoint_id DESC LIMIT 1"
SLOTS_OF = """SELECT j.key, j.value, s.stamp FROM runbundle_checkpoints c CROSS JOIN {json_items}(c.slots) AS j
    JOIN runbundle_slots s ON s.tenant = c.tenant AND s.thread_id = c.thread_id AND s.ns = c.ns
        AND s.name = j.key AND s.version = j.value
    WHERE c.tenant = ? AND c.thread_id = ? AND c.ns = ? AND c.checkpoint_id = ?"""
PUT_CHECKPOINT = """INSERT INTO runbundle_checkpoints (tenant, thread_id, ns, checkpoint_id, parent_id, engine, run_id,
    chained, codec, data, slots, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, thread_id, ns, checkpoint_id) DO UPDATE SET parent_id = excluded.parent_id,
    engine = excluded.engine, run_id = excluded.run_id, chained = excluded.chained, codec = excluded.codec,
    data = excluded.data, slots = excluded.slots, metadata = excluded.metadata"""
HAS_SLOT = f"SELECT 1 FROM runbundle_slots WHERE {_LINE} AND name = ? AND version = ?"
PUT_SLOT = """INSERT INTO runbundle_slots (tenant, thread_id, ns, name, version, base, stamp, codec, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
FLATTEN_SLOT = f"UPDATE runbundle_slots SET base = NULL, data = ? WHERE {_LINE} AND name = ? AND version = ?"

# Contents are joined at the end: carried along, they would be copied at every turn. A chain of 64 leads back to itself:
# none that is written gets as long (`delta.MAX_CHAIN`).
_CHAIN = """WITH RECURSIVE chain (n, name, version, base) AS (
    SELECT 0, s.name, s.version, s.base FROM {start}
    UNION ALL
    SELECT chain.n + 1, s.name, s.version, s.base FROM chain JOIN runbundle_slots s
        ON s.tenant = ? AND s.thread_id = ? AND s.ns = ? AND s.name = chain.name AND s.version = chain.base
        WHERE chain.n < 64)
    SELECT chain.name, chain.n, chain.base, s.codec, s.data FROM chain JOIN runbundle_slots s
        ON s.tenant = ? AND s.thread_id = ? AND s.ns = ? AND s.name = chain.name AND s.version = chain.version"""
SLOT_CHAIN = _CHAIN.replace(
    "{start}",
    """runbundle_slots s WHERE s.tenant = ? AND s.thread_id = ? AND s.ns = ? AND s.name = ? AND s.version = ?""",
)
"""One slot, and below it the versions that it is a difference to, down to a whole one; in no order."""
CHECKPOINT_CHAINS = _CHAIN.replace(
    "{start}",
    """runbundle_checkpoints c CROSS JOIN {json_items}(c.slots) AS j
        JOIN runbundle_slots s ON s.tenant = c.tenant AND s.thread_id = c.thread_id AND s.ns = c.ns
            AND s.name = j.key AND s.version = j.value
        WHERE c.tenant = ? AND c.thread_id = ? AND c.ns = ? AND c.checkpoint_id = ?""",
)
"""The same for all slots of a checkpoint."""

_LIVE = """WITH live (ns, name, version) AS (SELECT DISTINCT c.ns, j.key, j.value
    FROM runbundle_checkpoints c CROSS JOIN {json_items}(c.slots) AS j WHERE c.tenant = ? AND c.thread_id = ?)"""
SLOTS_WITHOUT_BASE = (
    _LIVE
    + """ SELECT s.ns, s.name, s.version FROM runbundle_slots s
    JOIN live l ON l.ns = s.ns AND l.name = s.name AND l.version = s.version
    WHERE s.tenant = ? AND s.thread_id = ? AND s.base IS NOT NULL AND NOT EXISTS (SELECT 1 FROM live b
        WHERE b.ns = s.ns AND b.name = s.name AND b.version = s.base) ORDER BY s.ns, s.name, s.version"""
)
"""Slots in use that are differences to one that is not."""
SWEEP_SLOTS = (
    _LIVE
    + """ DELETE FROM runbundle_slots WHERE tenant = ? AND thread_id = ? AND NOT EXISTS (SELECT 1 FROM live l
    WHERE l.ns = runbundle_slots.ns AND l.name = runbundle_slots.name AND l.version = runbundle_slots.version)"""
)

_WRITE = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_WRITE = f"""INSERT INTO runbundle_writes (tenant, thread_id, ns, checkpoint_id, task_path, task_id, idx, channel,
    codec, data) VALUES {_WRITE}
    ON CONFLICT (tenant, thread_id, ns, checkpoint_id, task_id, idx) DO """
KEEP_WRITE = PUT_WRITE + "NOTHING"
REPLACE_WRITE = (
    PUT_WRITE
    + """UPDATE SET task_path = excluded.task_path, channel = excluded.channel, codec = excluded.codec,
    data = excluded.data"""
)
KEEP_AT_ONCE = 500  # rows in one statement; SQLite binds 32766 values at most


def keep_writes(count: int) -> str:
    """Return `KEEP_WRITE` for `count` rows at once."""
    return KEEP_WRITE.replace(_WRITE, ", ".join([_WRITE] * count))


WRITES = f"""SELECT task_id, idx, channel, codec, data, task_path FROM runbundle_writes
    WHERE {_LINE} AND checkpoint_id = ? ORDER BY task_path, task_id, idx"""

# Threads

FIND = "SELECT thread_id, ns, checkpoint_id FROM runbundle_checkpoints WHERE "
KEYS_OF_THREAD = FIND + _THREAD + " ORDER BY ns, checkpoint_id"
THREADS_OF_RUN = "SELECT DISTINCT thread_id FROM runbundle_checkpoints WHERE tenant = ? AND run_id = ?"
KEYS_OF_RUN = FIND + _THREAD + " AND run_id = ?"
CHAINED = f"SELECT ns, COUNT(*) FROM runbundle_checkpoints WHERE {_THREAD} AND chained = 1 GROUP BY ns"
COUNTS = f"SELECT ns, COUNT(*), MAX(checkpoint_id) FROM runbundle_checkpoints WHERE {_THREAD} GROUP BY ns"
THREAD_EXISTS = f"""SELECT 1 FROM runbundle_checkpoints WHERE {_THREAD}
    UNION ALL SELECT 1 FROM runbundle_writes WHERE {_THREAD} LIMIT 1"""
DELETE_CHECKPOINT = f"DELETE FROM runbundle_checkpoints WHERE {_LINE} AND checkpoint_id = ?"
DELETE_WRITES = f"DELETE FROM runbundle_writes WHERE {_LINE} AND checkpoint_id = ?"
DELETE_OLDER = (
    f"DELETE FROM runbundle_checkpoints WHERE {_LINE} AND checkpoint_id < ?",
    f"DELETE FROM runbundle_writes WHERE {_LINE} AND checkpoint_id < ?",
)
DELETE_THREAD = tuple(f"DELETE FROM runbundle_{table} WHERE {_THREAD}" for table in ("checkpoints", "writes", "slots"))
