"""The tables over which `runbundle sql` asks: their columns, and their rows, which are read from bundles.

A row is a plain dict. Times are texts in RFC 3339; a column of type JSON holds any value. The files may come from
anybody: what has another shape than the format says gives no row.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard, cast

import orjson

from runbundle.errors import KeyNotFound, StoreUnavailable
from runbundle.format.layout import EVENTS, RUN, TOOL_CALLS
from runbundle.signals import semconv
from runbundle.store import ArtifactStore

_MOST_BYTES = 256 * 1024 * 1024
_TEXT, _COUNT, _TIME, _JSON = "VARCHAR", "BIGINT", "TIMESTAMP_NS", "JSON"


class Column(NamedTuple):
    """A column of a table."""

    kind: str
    """Its type in DuckDB."""
    about: str


_OF_RUN = {
    "run_key": Column(_TEXT, "key of the bundle, which `runbundle show` takes; it joins the tables"),
    "run_id": Column(_TEXT, "id of the run"),
    "tenant": Column(_TEXT, "id of the tenant; empty if there is none"),
}
_OF_SPAN = {
    "trace_id": Column(_TEXT, "id of the trace"),
    "span_id": Column(_TEXT, "id of the span"),
}
TABLES: dict[str, dict[str, Column]] = {
    "runs": {
        **_OF_RUN,
        "name": Column(_TEXT, "name of the run"),
        "status": Column(_TEXT, "how the run ended"),
        "started_at": Column(_TIME, "when the run began, in UTC"),
        "ended_at": Column(_TIME, "when the run ended"),
        "duration_ns": Column(_COUNT, "how long it took"),
        "completeness": Column(_TEXT, "`complete`, `lossy`, `crashed` or `unknown`"),
        "error_type": Column(_TEXT, "type of the error that ended the run"),
        "error_message": Column(_TEXT, "its message: a marker, unless a contract keeps it"),
        "parent_run": Column(_TEXT, "id of the outer run"),
        "case_id": Column(_TEXT, "id of the test case"),
        "user_id": Column(_TEXT, "id of the user, as the bundle has it"),
        "session_id": Column(_TEXT, "id of the session, as the bundle has it"),
        "spans": Column(_COUNT, "number of spans"),
        "errors": Column(_COUNT, "number of spans that ended in an error"),
        "tool_calls": Column(_COUNT, "number of tool calls"),
        "model_calls": Column(_COUNT, "number of model calls"),
        "blocked": Column(_COUNT, "number of tool calls that the policy refused"),
        "input_tokens": Column(_COUNT, "number of input tokens"),
        "output_tokens": Column(_COUNT, "number of output tokens"),
        "models": Column(_JSON, "names of the models"),
        "revision": Column(_COUNT, "number of the revision"),
        "run": Column(_JSON, "run.json, whole"),
    },
    "spans": {
        **_OF_RUN,
        **_OF_SPAN,
        "parent_span_id": Column(_TEXT, "id of the parent span"),
        "op": Column(_TEXT, "`run`, `agent`, `step`, `tool`, `model`, `retrieval` or `other`"),
        "name": Column(_TEXT, "name of the span"),
        "status": Column(_TEXT, "`ok`, `error`, `unset`, `blocked`, …"),
        "started_at": Column(_TIME, "when the span began, in UTC"),
        "duration_ns": Column(_COUNT, "how long it took"),
        "error_type": Column(_TEXT, "type of the error that ended it"),
        "error_message": Column(_TEXT, "its message: a marker, unless a contract keeps it"),
        "tool": Column(_TEXT, "name of the tool, of a tool call"),
        "model": Column(_TEXT, "name of the model, of a model call"),
        "input_tokens": Column(_COUNT, "number of input tokens"),
        "output_tokens": Column(_COUNT, "number of output tokens"),
        "redactions": Column(_COUNT, "number of redactions"),
        "attributes": Column(_JSON, "all attributes, redacted"),
    },
    "events": {
        **_OF_RUN,
        "seq": Column(_COUNT, "number of the line in events.jsonl"),
        "happened_at": Column(_TIME, "time of the event, in UTC"),
        "type": Column(_TEXT, "`span.started`, `span.ended`, `span.event`, `log`, `policy.decision`, `score`, …"),
        **_OF_SPAN,
        "op": Column(_TEXT, "kind of work that the span does"),
        "name": Column(_TEXT, "name of the span or event"),
        "status": Column(_TEXT, "status, at an end"),
        "attributes": Column(_JSON, "all attributes, redacted"),
    },
    "tool_calls": {
        **_OF_RUN,
        **_OF_SPAN,
        "call_id": Column(_TEXT, "id of the call"),
        "tool": Column(_TEXT, "name of the tool"),
        "agent": Column(_TEXT, "name of the agent that made the call"),
        "started_at": Column(_TIME, "when the call began, in UTC"),
        "duration_ns": Column(_COUNT, "how long it took"),
        "status": Column(_TEXT, "`ok`, `error`, `unset`, `blocked`, …"),
        "error_type": Column(_TEXT, "type of the error that ended it"),
        "error_message": Column(_TEXT, "its message: a marker, unless a contract keeps it"),
        "decision": Column(_TEXT, "decision of the policy: `allowed`, `blocked`, `approved` or `denied`"),
        "side_effects": Column(_TEXT, "strongest effect of the tool, by its contract"),
        "attempt": Column(_COUNT, "number of the attempt"),
        "arguments": Column(_JSON, "what the contract keeps of the arguments"),
        "result": Column(_JSON, "what the contract keeps of the result"),
        "arguments_digest": Column(_TEXT, "digest of the whole arguments"),
        "result_digest": Column(_TEXT, "digest of the whole result"),
    },
}
"""The columns of each table, by name."""


def rows_of(store: ArtifactStore, key: str, tables: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of one sealed bundle for some of the tables, each with the name of its table.

    Damaged files give no rows; `verify` reports them.
    """
    try:
        run = _parsed(store.get_range(f"{key}/{RUN}", 0, _MOST_BYTES))
    except KeyNotFound:
        return
    if not run:
        return
    of_run = {"run_key": key, "run_id": run.get("run_id"), "tenant": run.get("tenant_id") or ""}
    if "runs" in tables:
        yield "runs", of_run | _run(run)
    if "tool_calls" in tables:
        for call in _items(_parsed(_whole(store, f"{key}/{_path(run, TOOL_CALLS)}")).get("calls")):
            yield "tool_calls", of_run | _call(call)
    if tables & {"spans", "events"}:
        try:
            with store.open(f"{key}/{_path(run, EVENTS)}") as file:
                for line in file:
                    event = _parsed(line)
                    if "events" in tables and event:
                        yield "events", of_run | _event(event)
                    if "spans" in tables and event.get("type") == "span.ended":
                        yield "spans", of_run | _span(event)
        except KeyNotFound:
            return


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    counts, usage, error = (_mapping(run.get(name)) for name in ("counts", "usage", "error"))
    return {
        **{name: run.get(name) for name in ("name", "status", "started_at", "ended_at", "case_id", "user_id",
                                             "session_id", "revision")},
        "duration_ns": run.get("duration_ns"),
        "completeness": _mapping(run.get("completeness")).get("state"),
        "error_type": error.get("type"), "error_message": error.get("message"),
        "parent_run": _mapping(run.get("parent_run")).get("run_id"),
        **{name: counts.get(name) for name in ("spans", "errors", "tool_calls", "model_calls")},
        "blocked": counts.get("policy_blocks"),
        "input_tokens": usage.get("input_tokens", 0), "output_tokens": usage.get("output_tokens", 0),
        "models": _mapping(run.get("versions")).get("models"), "run": run,
    }  # fmt: skip


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    error, policy, arguments, result = (
        _mapping(call.get(name)) for name in ("error", "policy", "arguments", "result")
    )  # fmt: skip
    same = ("trace_id", "span_id", "call_id", "tool", "agent", "started_at", "duration_ns", "status", "side_effects",
            "attempt")  # fmt: skip
    return {
        **{name: call.get(name) for name in same},
        "error_type": error.get("type"), "error_message": error.get("message"), "decision": policy.get("decision"),
        "arguments": arguments.get("view"), "result": result.get("view"),
        "arguments_digest": arguments.get("digest"), "result_digest": result.get("digest"),
    }  # fmt: skip


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    same = ("seq", "type", "trace_id", "span_id", "op", "name", "status", "attributes")
    return {**{name: event.get(name) for name in same}, "happened_at": _moment(event.get("time_ns"))}


def _span(event: Mapping[str, Any]) -> dict[str, Any]:
    said, error = _mapping(event.get("attributes")), _mapping(event.get("error"))
    same = ("trace_id", "span_id", "parent_span_id", "op", "name", "status", "duration_ns", "redactions", "attributes")
    took, ended = event.get("duration_ns"), event.get("time_ns")
    began = int(ended) - int(took) if _digits(took) and _digits(ended) else None
    return {
        **{name: event.get(name) for name in same},
        "started_at": _moment(None if began is None else str(max(began, 0))),
        "error_type": error.get("type"), "error_message": error.get("message"),
        "tool": said.get(semconv.TOOL_NAME) if event.get("op") == "tool" else None,
        "model": (said.get(semconv.RESPONSE_MODEL) or said.get(semconv.REQUEST_MODEL)
                  if event.get("op") == "model" else None),
        "input_tokens": said.get(semconv.INPUT_TOKENS), "output_tokens": said.get(semconv.OUTPUT_TOKENS),
    }  # fmt: skip


def _moment(ns: Any) -> str | None:
    """Return nanoseconds since 1970 as RFC 3339."""
    from datetime import UTC, datetime

    if not _digits(ns):
        return None
    whole, part = divmod(min(int(ns), 2**63 - 1), 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{part:09d}Z"


def _digits(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit()


def _whole(store: ArtifactStore, path: str) -> bytes:
    """Return the bytes of a file; none of a missing one. Raises `StoreUnavailable` above 256 MiB."""
    try:
        data = store.get_range(path, 0, _MOST_BYTES + 1)
    except KeyNotFound:
        return b""
    if len(data) > _MOST_BYTES:
        raise StoreUnavailable(f"{path} is larger than 256 MiB", hint="leave the run out, or ask without this table")
    return data


def _path(run: Mapping[str, Any], name: str) -> str:
    for entry in _items(run.get("files")):
        path = entry.get("path")
        if isinstance(path, str) and (path == name or path.endswith("/" + name)):
            return path
    return name


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
