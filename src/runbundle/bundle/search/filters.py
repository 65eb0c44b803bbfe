"""Which runs are wanted: one record of conditions, and the one place that turns it into SQL.

Every list of runs goes by it: `ls`, `stats`, `sql`, `tail`, `gc`. All values are bound to marks.
"""

import dataclasses

from runbundle.bundle.search.fields import FIELDS
from runbundle.bundle.search.where import Sql, condition

STATUSES = ("ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting")
"""How a run may have ended."""
STATES = ("sealed", "unsealed", "unreadable", "live", "waiting", "crashed", "quarantined", "failed")
"""Where a run may be: sealed in the store or not, or in one of the states of a spool."""


@dataclasses.dataclass(frozen=True)
class RunFilter:
    """Conditions for runs, all of which must hold; an empty one matches every run."""

    status: str = ""
    """Status of the run, of `STATUSES`; or `unsealed`."""
    state: str = ""
    """State of the run, of `STATES`."""
    since: str = ""
    """An RFC 3339 time in UTC, or its beginning: only runs that started then or later."""
    until: str = ""
    """The same: only runs that started earlier."""
    tenant: str | None = None
    """Id of the tenant; empty for runs without one."""
    name: str = ""
    """Part of the run's name; case is ignored."""
    trace: str = ""
    """Id of a trace, or its beginning."""
    parent: str = ""
    """Id of the outer run, or its beginning."""
    tool: str = ""
    """Name of a tool: only runs that called it."""
    tool_error: str = ""
    """Name of a tool: only runs in which a call of it failed; `*` for any."""
    model: str = ""
    """Name of a model: only runs that called it."""
    agent: str = ""
    """Name of an agent: only runs in which it worked."""
    error: str = ""
    """Part of the type or kept message of any error in the run; case is ignored."""
    users: tuple[str, ...] = ()
    """Ids of the user as bundles may have it: raw, and the digests of each key. One of them is enough."""
    sessions: tuple[str, ...] = ()
    """Ids of the session, likewise."""
    min_duration_ns: int = 0
    """Only runs that took so long or longer."""
    scores: tuple[str, ...] = ()
    """Conditions on scores, such as `helpfulness < 0.5`."""
    where: tuple[str, ...] = ()
    """Conditions in the language of `where`."""
    text: str = ""
    """Part of an id, a status, an error type, or the name of a run, model, tool or agent; case is ignored."""
    after: str = ""
    """Key of the last run of the previous page: only runs after it."""
    sealed: bool = False
    """Whether to leave out bundles without a readable run.json."""


def sql_of(wanted: RunFilter) -> Sql:
    """Return the condition on the rows of an index, for behind WHERE. `after` is left to the index.

    A plus before a column keeps SQLite from going through what a search found, be it much, instead of through the runs
    in the order of time until there are enough: 1.7 s instead of 0.2 s, where all of 100,000 runs match.

    Raises `ConfigError` for a condition in `where` or `scores` that is none.
    """
    parts = _plain(wanted)
    if wanted.tool:
        parts.append(_has("tool", "acts.name = ?", wanted.tool))
    if wanted.model:
        parts.append(_has("model", "acts.name = ?", wanted.model))
    if wanted.tool_error == "*":
        parts.append(_has("tool", "acts.status = 'error'"))
    elif wanted.tool_error:
        parts.append(_has("tool", "acts.status = 'error' AND acts.name = ?", wanted.tool_error))
    if wanted.error:
        found = "+runs.key IN (SELECT failures.key FROM failures WHERE instr(failures.text, ?))"
        parts.append(Sql(found, (wanted.error.lower(),), needs_facts=True))
    if wanted.agent:
        parts.append(Sql("instr(runs.agents, ?)", (f"\n{wanted.agent}\n",), needs_facts=True))
    if wanted.text:
        parts.append(Sql("instr(runs.text, ?)", (wanted.text.lower(),), needs_facts=True))
    parts += [condition(f"score.{text}") for text in wanted.scores]
    parts += [condition(text) for text in wanted.where]
    return Sql(
        " AND ".join(part.text for part in parts) or "1",
        tuple(value for part in parts for value in part.values),
        any(part.needs_facts for part in parts),
    )


def _plain(wanted: RunFilter) -> list[Sql]:
    """Return the conditions on what run.json says."""
    parts: list[Sql] = []
    if wanted.status == "unsealed":
        parts.append(Sql("runs.problem = 'unsealed'"))
    elif wanted.status:
        parts.append(Sql("runs.status = ?", (wanted.status,)))
    for column, sign, value in (
        ("state", "=", wanted.state), ("started_at", ">=", wanted.since), ("started_at", "<", wanted.until),
    ):  # fmt: skip
        parts += [Sql(f"runs.{column} {sign} ?", (value,))] if value else []
    if wanted.until:
        parts.append(Sql("runs.started_at != ''"))
    if wanted.tenant is not None:
        parts.append(Sql("runs.tenant = ?", (wanted.tenant,)))
    if wanted.name:
        parts.append(Sql("instr(lower(runs.name), ?)", (wanted.name.lower(),)))
    if wanted.trace:
        parts.append(Sql("instr(runs.traces, ?)", (f"\n{wanted.trace.lower()}",)))
    if wanted.parent:
        parts.append(Sql("substr(runs.parent, 1, ?) = ?", (len(wanted.parent), wanted.parent)))
    for column, ids in (("user_id", wanted.users), ("session_id", wanted.sessions)):
        parts += [Sql(f"runs.{column} IN ({', '.join('?' * len(ids))})", ids)] if ids else []
    if wanted.min_duration_ns:
        parts.append(Sql("runs.duration_ns >= ?", (wanted.min_duration_ns,)))
    if wanted.sealed:
        parts.append(Sql("runs.problem = ''"))
    return parts


def _has(kind: str, which: str, *values: str) -> Sql:
    found = f"+runs.key IN (SELECT acts.key FROM acts WHERE acts.kind = '{kind}' AND {which})"  # noqa: S608
    return Sql(found, values, needs_facts=True)


def order_of(sort: str) -> str:
    """Return the SQL by which runs are ordered: by the field `sort`, largest first; with `-` before it, smallest first.

    Without `sort`: what has not begun first, then the newest first.
    """
    if not sort:
        return "runs.started_at = '' DESC, runs.started_at DESC, runs.key DESC"
    name = sort.removeprefix("-")
    return f"{FIELDS[name].sql} {'ASC' if sort.startswith('-') else 'DESC'}, runs.started_at DESC, runs.key DESC"
