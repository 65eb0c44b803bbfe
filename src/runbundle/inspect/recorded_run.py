"""What programs read of a recorded run, sealed or not: spans, events, tool calls, errors, tables."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from runbundle.bundle.listings import each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.inspect.columns import SpanColumns, columns_of, line_of
from runbundle.inspect.failure import Failure, failures
from runbundle.inspect.recorded import RecordedSpan, SpanError

if TYPE_CHECKING:
    from runbundle.format.evidence import Evidence
    from runbundle.format.tool_calls import CallEntry

Table = Literal["spans", "tool_calls", "events"]
"""What can be loaded into a table."""


class RecordedRun:
    """A run that was recorded: `SealedRun` or `UnsealedRun`. Each method reads only the files that it needs.

    Methods raise `MalformedBundle` for files that are not what the format says, and `StoreUnavailable`.
    """

    _unended = "interrupted"

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @property
    def key(self) -> str:
        """Key of the bundle in its store: `<run_id>` or `<tenant_id>/<run_id>`."""
        return self._bundle.key

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._bundle.index.run_id

    @property
    def name(self) -> str | None:
        """Name of the run."""
        return self._bundle.index.name

    @property
    def started_at(self) -> str:
        """Time at which the run began: RFC 3339, UTC, with nanoseconds."""
        return self._bundle.index.started_at

    @property
    def config(self) -> Any:
        """The configuration that the run was started with, without its secrets; None if there was none."""
        return self._bundle.config().config

    @cached_property
    def columns(self) -> SpanColumns:
        """The span columns, from which `spans` and `errors` read. Made in one pass, and kept in the user's cache."""
        return columns_of(self._bundle)

    def spans(self) -> Iterator[RecordedSpan]:
        """Yield the spans in the order in which they started."""
        yield from (self._span(row) for row in range(len(self.columns)))

    def span_events(self, span_id: str) -> list[dict[str, Any]]:
        """Return all events of the span whose id begins with `span_id`, with their attributes; [] if there is none.

        Raises `KeyNotFound` if the ids of several spans begin with it.
        """
        return self._bundle.span(span_id)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events in order, as format-v1 describes them, with one in memory at a time."""
        return self._bundle.events()

    def tool_calls(self) -> "Iterator[CallEntry]":
        """Yield the tool calls in the order in which they started, with one in memory at a time."""
        return each_tool_call(self._bundle)

    def errors(self) -> Iterator[SpanError]:
        """Yield every span that failed by itself, in the order in which they started, and what was kept of why."""
        for found in failures(self._bundle, self.columns):
            yield self._error(found)

    def evidence(self) -> "Evidence | None":
        """Return what was retrieved, or None for nothing."""
        return self._bundle.evidence()

    def to_arrow(self, table: Table = "spans") -> Any:
        """Return a `pyarrow.Table` of the spans, the tool calls or the events. Needs the extra `pandas`.

        Columns of spans are the fields of `RecordedSpan`. Fields that hold objects are JSON text.
        """
        from runbundle.inspect.frames import arrow_table

        return arrow_table(self, table)

    def to_pandas(self, table: Table = "spans") -> Any:
        """Return a `pandas.DataFrame` of the spans, the tool calls or the events. Needs the extra `pandas`.

        Columns are as those of `to_arrow`; times are `datetime64[ns, UTC]`.
        """
        from runbundle.inspect.frames import data_frame

        return data_frame(self, table)

    def _span(self, row: int) -> RecordedSpan:
        columns = self.columns
        data, parent = columns.data, columns.data["parent"][row]
        trace_id = columns.trace_id(row) or (line_of(self._bundle, columns, row, end=False) or {}).get("trace_id", "")
        return RecordedSpan(
            columns.span_id(row), trace_id, columns.span_id(parent) if parent >= 0 else None,
            columns.text("name", row), columns.op(row), columns.text("lane", row), columns.text("tool", row),
            columns.text("model", row), self._status(row), columns.base_ns + data["start_ns"][row],
            columns.duration_ns(row), data["tokens_in"][row], data["tokens_out"][row], data["withheld"][row],
        )  # fmt: skip

    def _status(self, row: int) -> str:
        return self._unended if self.columns.duration_ns(row) is None else self.columns.status(row)

    def _error(self, found: Failure) -> SpanError:
        names = tuple(self.columns.text("name", row) for row in found.chain)
        return SpanError(
            self._span(found.row), names, found.type, found.message, tuple(found.frames), found.arguments, found.result,
            found.policy,
        )  # fmt: skip
