"""Every line that the native core makes in a test is made by Python, too, and has to have the same bytes; and so is the
record of every span that it reads.

So each test that records anything compares the cores, in whatever order and under whatever policy it records, and the
bundles of both have one digest, since a bundle follows from its lines.
"""

import copy
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from opentelemetry.sdk.trace import ReadableSpan

from runbundle.core.spans import SpanLines
from runbundle.format.identity import RunKey
from runbundle.journal.lines import record_line
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.payloads.taint import TaintTable, TaintTables
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own
from runbundle.signals.records import SpanRecord


class _Remembered(TaintTables):
    """What a run's table held before a span; all is forgotten afterwards."""

    def __init__(self, table: TaintTable) -> None:
        super().__init__()
        self._before = TaintTable(table.forgotten)
        for mine, its in (
            (self._before.classes, table.classes), (self._before.numbers, table.numbers),
            (self._before.words, table.words), (self._before.asked, copy.deepcopy(table.asked)),
        ):  # fmt: skip
            mine.update(its)

    def table(self, tenant_id: str, run_id: str) -> TaintTable:
        """Return that table for any run; a new one without a run, as there."""
        return self._before if run_id else TaintTable()


@contextmanager
def both_cores() -> Generator[list[str]]:
    """Compare while this is entered; yields the differences that were found."""
    different: list[str] = []
    line_of, turn = SpanLines.line, threading.RLock()

    def compared(lines: SpanLines, record: SpanRecord, resource: int) -> bytes:
        redactor: Redactor = lines._redactor  # pyright: ignore[reportPrivateUsage]
        if type(redactor) is not Redactor:
            return line_of(lines, record, resource)
        if not turn.acquire(timeout=5):  # who held it may be a thread that a fork left behind
            return line_of(lines, record, resource)
        try:
            plan, secrets, native = redactor.plan, len(KNOWN), lines.by_native
            twin: Any = copy.copy(redactor)
            twin._taint = _Remembered(redactor.taint_table(record.get("tenant_id", ""), record["run_id"]))
            given = copy.deepcopy({**record, "resource": {}, "scope": {}})
            given |= {"resource": record["resource"], "scope": record["scope"]}
            line = line_of(lines, record, resource)
            core = lines._made[1]  # pyright: ignore[reportPrivateUsage]
            is_native = type(core).__name__ == "Core"  # a test may put another in its place
            unchanged = redactor.plan is plan and len(KNOWN) == secrets
            if lines.by_native > native and is_native and unchanged:
                wanted = record_line("span", twin.redact_span(given), resource)
                if wanted != line:
                    different.append(f"{line!r}\nis not\n{wanted!r}")
            return line
        finally:
            turn.release()

    to_record = SpanCodec.to_record

    def read(codec: SpanCodec, span: ReadableSpan, run: RunKey, *, ended: bool = True) -> SpanRecord:
        found = to_record(codec, span, run, ended=ended)
        wanted = codec._read(span, run, ended=ended)  # pyright: ignore[reportPrivateUsage]
        if wanted["scope"]["name"] == own.SCOPE:
            wanted["attributes"].pop(own.DIALECT, None)
        # As text, in which 1, 1.0 and True are three; a time that was found now is another a moment later.
        if repr(found) != repr(wanted) and own.COERCED not in found["attributes"]:
            different.append(f"{found!r}\nis not\n{wanted!r}")
        return found

    with mock.patch.object(SpanLines, "line", compared), mock.patch.object(SpanCodec, "to_record", read):
        yield different
