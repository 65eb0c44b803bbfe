"""Where a run failed: the span in which its failure began, what led to it, and what was kept of the error."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbundle.bundle.reader import Bundle
from runbundle.inspect.columns import SpanColumns, events_of_span, line_of
from runbundle.inspect.span_columns import id_number
from runbundle.redaction.markers import MARKER
from runbundle.signals import own, semconv
from runbundle.signals.reading import text_of, written_of

FAILED = ("error", "blocked", "cancelled", "abandoned", "interrupted")
"""Statuses of spans that did not end as they should."""
_FAILED_RUNS = (*FAILED, "incomplete")


@dataclass(frozen=True)
class Failure:
    """A span that failed by itself, not because a span below it did."""

    row: int
    """The row of the span in the span columns."""
    chain: list[int]
    """Rows from the outermost span down to this one."""
    status: str
    """`error`, `blocked`, `cancelled`, `abandoned` or `interrupted`."""
    type: str
    """Name of the exception's type; empty if there was no exception."""
    message: str
    """The redacted message: a marker, unless the tool's contract keeps the message. Empty if there is none."""
    frames: list[str]
    """The stack, `file.py:line in function`, innermost last; empty if there was no exception."""
    arguments: Any
    """What the contract keeps of the tool call's arguments; None for nothing, and for other spans."""
    result: Any
    """What the contract keeps of the tool call's result, likewise."""
    policy: dict[str, str]
    """The last decision of policy about the call: `decision`, `rule`, `reason`, `tool`, as far as they were said."""

    @property
    def withheld(self) -> bool:
        """Whether the whole message was withheld."""
        return MARKER.fullmatch(self.message) is not None


def failure_of(bundle: Bundle, columns: SpanColumns) -> Failure | None:
    """Return where the run failed; None if it ended well, waits, or no span says why it did not.

    Of a run that died it is the innermost span that never ended, the last of them that began. Raises `MalformedBundle`.
    """
    index = bundle.index
    if index.status not in _FAILED_RUNS:
        return None
    if index.error is not None and index.error.span_id:
        rows = list(columns.rows_of(index.error.span_id))
        failed = [row for row in rows if columns.status(row) in FAILED] or rows
        if failed:
            return _failure(bundle, columns, failed[0])
    opened = [row for row in range(len(columns)) if columns.duration_ns(row) is None]
    above = {columns.data["parent"][row] for row in opened}
    innermost = [row for row in opened if row not in above]
    if innermost:
        return _failure(bundle, columns, innermost[-1])
    return next(failures(bundle, columns), None)


def failures(bundle: Bundle, columns: SpanColumns) -> Iterator[Failure]:
    """Yield every span that failed by itself, in the order in which they started. Reads one line for each that failed.

    A span whose error began in another span of the run is left out: that one is named. Raises `MalformedBundle`.
    """
    here = set(columns.data["span_id"])
    for row in columns.with_status(*FAILED):
        end = line_of(bundle, columns, row)
        error: Any = (end or {}).get("error")
        elsewhere = error.get("span_id") if isinstance(error, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        began = id_number(elsewhere) if isinstance(elsewhere, str) else None
        if began not in here or began == columns.data["span_id"][row]:
            yield _failure(bundle, columns, row)


def _failure(bundle: Bundle, columns: SpanColumns, row: int) -> Failure:
    end = line_of(bundle, columns, row) or {}
    attributes: dict[str, Any] = end.get("attributes") or {}
    error: dict[str, Any] = end["error"] if isinstance(end.get("error"), dict) else {}
    raised: dict[str, Any] = {}
    policy: dict[str, str] = {}
    for event in events_of_span(bundle, columns, row):
        said: dict[str, Any] = event["attributes"]
        if event["type"] == "policy.decision":
            policy = {word: text for word, key in own.POLICY.items() if (text := text_of(said, key))}
        elif event["name"] == semconv.EXCEPTION:
            raised = said
    return Failure(
        row, columns.chain(row), columns.status(row) or "interrupted",
        text_of(error, "type") or text_of(raised, semconv.EXCEPTION_TYPE) or "",
        text_of(error, "message") or text_of(raised, semconv.EXCEPTION_MESSAGE) or "",
        [line for line in (text_of(raised, semconv.EXCEPTION_STACKTRACE) or "").split("\n") if line],
        _view(attributes, semconv.ARGUMENTS), _view(attributes, semconv.RESULT), policy,
    )  # fmt: skip


def _view(attributes: dict[str, Any], key: str) -> Any:
    said = attributes.get(key)
    found = written_of(said)
    return said if found is None else found
