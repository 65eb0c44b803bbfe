"""Lines of ended spans: made by the native core if it is there and takes the span, else by the redactor in Python."""

from typing import Any, Literal

from runbundle.core.native import NativeCore, core_of
from runbundle.journal.lines import Begun, RecordLine, begun_of, line_of, numbered, record_line
from runbundle.redaction.plan import Plan
from runbundle.redaction.redactor import Redactor, claims
from runbundle.signals import own
from runbundle.signals.dialects.canonical import canonical
from runbundle.signals.reading import count_of
from runbundle.signals.records import SpanRecord, run_of


class SpanLines:
    """Redacts ended spans and writes them as lines of a journal. Thread-safe, but for its counts, which may lag.

    The lines are those of `record_line("span", redactor.redact_span(record), resource)`, whichever core made them; so
    are the values that the redactor remembers of a run.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._made: tuple[Plan | None, NativeCore | None] = None, None  # one value: no thread sees half of a change
        self.by_native = 0
        """Spans that the native core took."""
        self.by_python = 0
        """Spans that Python took: all of them where there is no native core."""

    def counted(self) -> dict[str, int]:
        """Return how many spans each core took, without those that took none."""
        counts = {"native": self.by_native, "python": self.by_python}
        return {core: count for core, count in counts.items() if count}

    def of(self, record: SpanRecord) -> RecordLine:
        """Return a raw record as what a recorder takes. Total, as the redactor is."""
        try:
            resource = numbered(self._redactor.redacted_resource(record))
        except Exception:  # noqa: BLE001 - then the redactor makes what may be said of the span
            self.by_python += 1
            return line_of("span", self._redactor.redact_span(record))
        lost = count_of(record["attributes"], own.SPANS_DROPPED)
        return RecordLine(run_of(record), record["trace_id"], resource, self.line(record, resource.number), lost)

    def line(self, record: SpanRecord, resource: int) -> bytes:
        """Return the line of a raw record, with the number of its resource. Total, as the redactor is."""
        line: bytes | None = self._natively("span_line", record, resource)
        if line is not None:
            self.by_native += 1
            return line
        self.by_python += 1
        return record_line("span", self._redactor.redact_span(record), resource)

    def begun(self, record: SpanRecord) -> Begun:
        """Return what is said of a span that has begun, redacted by either core. Total; it is not counted."""
        made = self._natively("span_begun", record)
        return Begun(*made) if made is not None else begun_of(self._redactor.redact_span(record))

    def _natively(self, make: Literal["span_line", "span_begun"], record: SpanRecord, *given: int) -> Any:
        """Return what the native core makes of a record; None if Python has to make it."""
        plan, core = self._made
        if plan is not self._redactor.plan:
            core = self._renewed()
        if core is None:
            return None
        try:
            if record["scope"]["name"] == own.SCOPE:
                return getattr(core, make)(record, *given)
            # One that says what only we may say is taken apart first: by Python.
            return None if claims(record) else getattr(core, make)(canonical(record), *given)
        except Exception:  # noqa: BLE001 - whatever went wrong there, Python makes the line
            return None

    def _renewed(self) -> NativeCore | None:
        """Make a core for the plan that holds from now on. None if it changes meanwhile: the next span tries again."""
        plan = self._redactor.plan
        try:
            core = core_of(self._redactor)
        except Exception:  # noqa: BLE001 - a plan that it does not take
            core = None
        if self._redactor.plan is not plan:
            return None
        self._made = plan, core
        return core
