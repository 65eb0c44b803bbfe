"""Tables of a run's spans, tool calls or events, for pandas and Arrow. Both packages are optional."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

import orjson

from runbundle.errors import ConfigError
from runbundle.format.tool_calls import CallEntry
from runbundle.inspect.recorded import RecordedSpan

_CALL_FIELDS = (
    "call_id", "tool", "status", "started_at", "duration_ns", "agent", "span_id", "trace_id", "parent_span_id",
    "side_effects", "attempt", "decision", "rule", "error_type", "error_message", "arguments", "result",
    "arguments_digest", "result_digest",
)  # fmt: skip
_EVENT_FIELDS = (
    "seq", "time", "type", "name", "op", "status", "duration_ns", "span_id", "trace_id", "parent_span_id", "attributes",
)  # fmt: skip
_TIMES = ("start", "started_at", "time")
_NUMBERS = ("duration_ns", "tokens_in", "tokens_out", "withheld", "attempt", "seq")
_ROWS = 10_000


class Rows(Protocol):
    """What a sealed run gives."""

    def spans(self) -> Iterator[RecordedSpan]:
        """Yield its spans."""
        ...

    def tool_calls(self) -> Iterator[CallEntry]:
        """Yield its tool calls."""
        ...

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield its events."""
        ...


def arrow_table(run: Rows, table: str) -> Any:
    """Return a `pyarrow.Table`. Rows are converted in batches of 10,000. Raises `ConfigError` without pyarrow."""
    arrow = _needed("pyarrow")
    names, rows = _rows(run, table)
    kinds = {**dict.fromkeys(_TIMES, arrow.timestamp("ns", tz="UTC")), **dict.fromkeys(_NUMBERS, arrow.int64())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in names])
    batches = [
        arrow.RecordBatch.from_pydict({name: [row[n] for row in batch] for n, name in enumerate(names)}, schema=schema)
        for batch in _batched(rows)
    ]
    return arrow.Table.from_batches(batches, schema=schema)


def data_frame(run: Rows, table: str) -> Any:
    """Return a `pandas.DataFrame`. Raises `ConfigError` without pandas and pyarrow."""
    _needed("pandas")
    return arrow_table(run, table).to_pandas()


def _needed(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise ConfigError(
            f"{package} is not installed", hint="pip install 'runbundle[pandas]' brings pandas and pyarrow"
        ) from None


def _rows(run: Rows, table: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    if table == "spans":
        names = tuple({"start_ns": "start"}.get(field.name, field.name) for field in fields(RecordedSpan))
        return names, (tuple(asdict(span).values()) for span in run.spans())
    if table == "tool_calls":
        return _CALL_FIELDS, (_call(call) for call in run.tool_calls())
    if table == "events":
        return _EVENT_FIELDS, (_event(event) for event in run.events())
    raise ConfigError("there is no such table of a run", hint="it is one of spans, tool_calls, events")


def _call(call: CallEntry) -> tuple[Any, ...]:
    arguments, result, error = call.arguments, call.result, call.error
    return (
        call.call_id, call.tool, call.status, _ns(call.started_at), _whole(call.duration_ns), call.agent, call.span_id,
        call.trace_id, call.parent_span_id, call.side_effects, call.attempt, call.policy.decision, call.policy.rule,
        error.type if error else None, error.message if error else None, _json(arguments.view if arguments else None),
        _json(result.view if result else None), arguments.digest if arguments else None,
        result.digest if result else None,
    )  # fmt: skip


def _event(event: dict[str, Any]) -> tuple[Any, ...]:
    told = (event.get(name) for name in ("op", "status"))
    ids = (event.get(name) for name in ("span_id", "trace_id", "parent_span_id"))
    seq = event.get("seq")
    return (
        seq if isinstance(seq, int) else None, _whole(event["time_ns"]), event["type"], event["name"], *told,
        _whole(event.get("duration_ns")), *ids, _json(event["attributes"]),
    )  # fmt: skip


def _whole(text: str | None) -> int | None:
    return None if text is None else min(int(text), 2**63 - 1)


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _ns(rfc3339: str) -> int:
    whole, _, fraction = rfc3339.removesuffix("Z").removesuffix("+00:00").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def _batched(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
