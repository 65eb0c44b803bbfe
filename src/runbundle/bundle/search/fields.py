"""The fields by which runs are searched and sorted: the name of each, its column, and what it may be compared with.

This table is the only place where a name that a person types becomes a piece of SQL.
"""

from typing import Literal, NamedTuple

Kind = Literal["text", "lines", "search", "number", "duration", "time"]
"""How a field is compared. `lines`: it has several values, and one of them fulfils the condition. `search`: it can only
be asked whether it contains a text."""


class Field(NamedTuple):
    """One field."""

    sql: str
    """An expression over the tables of an index. It has one mark for the name in a field such as `tool.NAME.calls`."""
    kind: Kind
    about: str
    needs_facts: bool = False
    """Whether it is known only once the bundle's files have been read, and not run.json alone."""
    column: str = ""
    """Where it has several values: what is compared, in the place of `{}`; one value that fulfils it is enough."""


FIELDS: dict[str, Field] = {
    "run": Field("runs.run_id", "text", "id of the run"),
    "state": Field("runs.state", "text", "`sealed`, `unsealed`, `unreadable`, or of a run in the spool `live`, "
                   "`waiting`, `crashed`, `quarantined`, `failed`"),
    "status": Field("runs.status", "text", "how the run ended: `ok`, `error`, `blocked`, …"),
    "completeness": Field("runs.completeness", "text", "`complete`, `lossy`, `crashed` or `unknown`"),
    "tenant": Field("runs.tenant", "text", "id of the tenant; empty if it has none"),
    "name": Field("runs.name", "text", "name of the run"),
    "parent": Field("runs.parent", "text", "id of the outer run"),
    "case": Field("runs.case_id", "text", "id of the test case"),
    "user": Field("runs.user_id", "text", "id of the user, as the bundle has it"),
    "session": Field("runs.session_id", "text", "id of the session, as the bundle has it"),
    "request": Field("runs.request_id", "text", "id of the request, as the bundle has it"),
    "trace": Field("runs.traces", "lines", "ids of the traces of the run"),
    "agent": Field("runs.agents", "lines", "names of the agents that worked in the run", needs_facts=True),
    "error": Field("(SELECT failures.text FROM failures WHERE failures.key = runs.key)", "search",
                   "types and kept messages of all errors in the run; only `~`", needs_facts=True),
    "error.type": Field("runs.error_type", "text", "type of the error that ended the run"),
    "error.message": Field("runs.error", "text", "its message, if a contract keeps it"),
    "started": Field("runs.started_at", "time", "when the run began"),
    "ended": Field("runs.ended_at", "time", "when the run ended"),
    "duration": Field("runs.duration_ns", "duration", "how long the run took"),
    "spans": Field("runs.spans", "number", "number of spans"),
    "errors": Field("runs.failed", "number", "number of spans that ended in an error"),
    "tool_calls": Field("runs.tool_calls", "number", "number of tool calls"),
    "model_calls": Field("runs.model_calls", "number", "number of model calls"),
    "blocked": Field("runs.blocked", "number", "number of tool calls that the policy refused"),
    "withheld": Field("runs.withheld", "number", "number of redactions"),
    "tokens": Field("(runs.input_tokens + runs.output_tokens)", "number", "number of tokens"),
    "tokens.input": Field("runs.input_tokens", "number", "number of input tokens"),
    "tokens.output": Field("runs.output_tokens", "number", "number of output tokens"),
    "revision": Field("runs.revision", "number", "number of the revision"),
}  # fmt: skip
"""Fields of a run, by name."""


def _acts(kind: str, value: str, *, more: str = "") -> str:
    return (
        f"(SELECT {value} FROM acts WHERE acts.key = runs.key AND acts.kind = '{kind}' AND acts.name = ?"  # noqa: S608
        f"{more})"
    )


def _of_acts(kind: str) -> dict[str, Field]:
    of = "the tool's calls" if kind == "tool" else "calls of the model"
    numbers = {
        "calls": ("coalesce(sum(acts.calls), 0)", "", f"number of {of}"),
        "errors": ("coalesce(sum(acts.calls), 0)", " AND acts.status = 'error'", f"number of {of} that failed"),
        "blocked": (
            "coalesce(sum(acts.calls), 0)",
            " AND acts.status = 'blocked'",
            f"number of {of} that were refused",
        ),
        "tokens": ("coalesce(sum(acts.input_tokens + acts.output_tokens), 0)", "", f"tokens of {of}"),
    }
    return {
        "status": Field(_acts(kind, "1", more=" AND {}"), "text", f"status of one of {of}", True, "acts.status"),
        "error": Field(_acts(kind, "1", more=" AND {}"), "text", f"error type of one of {of}", True, "acts.error"),
        **{name: Field(_acts(kind, sql, more=more), "number", about, True) for name, (sql, more, about) in
           numbers.items() if kind == "model" or name != "tokens"},
        "duration": Field(_acts(kind, "coalesce(max(acts.longest_ns), 0)"), "duration",
                          f"duration of the longest of {of}", True),
    }  # fmt: skip


NAMED: dict[str, dict[str, Field]] = {
    "tool": _of_acts("tool"),
    "model": _of_acts("model"),
    "score": {
        "": Field("(SELECT 1 FROM scores WHERE scores.key = runs.key AND scores.name = ? AND {})",
                  "number", "value of a score", True, "scores.value"),
    },
}  # fmt: skip
"""Fields of something that has a name, as in `tool.refund.status`."""

SORTS = ("started", "duration", "tokens", "errors", "tool_calls", "spans", "withheld", "name", "status", "tenant")
"""Fields to sort by."""
