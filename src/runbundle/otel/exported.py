"""What an exporter has seen of one trace, and what each of its spans and logs says of whose it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.codec.coerce import hex_id, time_of
from runbundle.format.identity import RunKey, tenant_of
from runbundle.otel.belonging.run_names import RunNames
from runbundle.otel.belonging.span_identity import copied_attributes, span_context_of
from runbundle.otel.belonging.undecided import size_of, size_of_log
from runbundle.signals import own

One = ReadableSpan | ReadableLogRecord


@dataclass
class SeenTrace:
    """What waits of one trace, and what is known of it."""

    trace_id: int
    run: RunKey | None = None
    """The run that it is, or its first; None if nothing in it was agent work yet."""
    several: bool = False
    """Whether it has other runs that are not within that one, or are not of one tenant."""
    tenants: set[str] = field(default_factory=set[str])
    """Tenants that its spans name, at most two."""
    name: str = ""
    """What runs of it are called that nobody has named."""
    unnamed: bool = False
    """Whether nobody has begun that run by name."""
    of_trace: bool = True
    """Whether it is named by this trace alone."""
    joined: set[RunKey] = field(default_factory=set[RunKey])
    """Its runs without a name that have begun already: further local roots join them."""
    held: list[One] = field(default_factory=list[One])
    """What waits until the trace is a run."""
    below: dict[int, list[One]] = field(default_factory=dict[int, list[One]])
    """What waits, in a trace of several runs, for the run of a span, by the id of that."""
    size: int = 0
    since: float = 0.0
    """When the first of them came, by the monotonic clock."""
    lost: Counter[tuple[bool, str]] = field(default_factory=Counter[tuple[bool, str]])
    """What was held and let go since too much was: whether it was a span, and its scope."""

    def named_by_nobody(self, spans: Sequence[ReadableSpan], names: RunNames) -> RunKey:
        """Return the run of a trace that nobody has named, and note that nobody has."""
        known = [*spans, *(one for one in self.held if isinstance(one, ReadableSpan))]
        known.sort(key=lambda span: time_of(span.start_time) or 0)
        attributes = [copied_attributes(span) for span in known]
        of_trace = hex_id(self.trace_id, 32)
        run_id = names.name_in(attributes) or of_trace
        tenant = next((said[own.TENANT_ID] for said in attributes if own.TENANT_ID in said), None)
        self.unnamed, self.of_trace, self.name = True, run_id == of_trace, run_id
        return RunKey(tenant_of(tenant), run_id)

    def beneath(self, one: One, run: RunKey | None) -> list[tuple[One, RunKey | None]]:
        """Take out what waits beneath a span of a run, or of none, and return it with its runs, parents first.

        What names another tenant than the run above it is in a run of that tenant, called by the trace.
        """
        found: list[tuple[One, RunKey | None]] = []
        todo = [(one, run)]
        while todo:
            one, run = todo.pop()
            for each in self.below.pop(id_of(one), ()) if isinstance(one, ReadableSpan) else ():
                tenant = tenant_named(each)
                of_each = RunKey(tenant, self.name) if tenant and (run is None or run.tenant_id != tenant) else run
                found.append((each, of_each))
                todo.append((each, of_each))
        return found

    def join(self, attributes: dict[str, Any], run: RunKey) -> None:
        """Say of a local root whose run may have others that the run begins with it, or how it joins."""
        if run in self.joined:
            attributes[own.JOINED] = "trace" if self.of_trace else "id"
        else:
            attributes[own.IMPLICIT] = True
            self.joined.add(run)


def run_named(one: One) -> RunKey | None:
    """Return the run that a span itself names."""
    if not isinstance(one, ReadableSpan):
        return None
    attributes: Mapping[str, Any] = one.attributes or {}
    run_id = attributes.get(own.RUN_ID)
    return RunKey(tenant_of(attributes.get(own.TENANT_ID)), run_id) if isinstance(run_id, str) else None


def tenant_named(one: One) -> str:
    """Return the tenant that a span itself names; "" for none."""
    return tenant_of((one.attributes or {}).get(own.TENANT_ID)) if isinstance(one, ReadableSpan) else ""


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    return span_context_of(span).span_id


def above(one: One) -> int:
    """Return the id of the span that a span or a log is beneath; 0 if it is beneath none."""
    if isinstance(one, ReadableSpan):
        return one.parent.span_id if one.parent is not None else 0
    return one.log_record.span_id or 0


def is_local_root(one: One) -> bool:
    """Tell whether nothing of this process is above a span or a log."""
    if isinstance(one, ReadableSpan):
        return one.parent is None or one.parent.is_remote
    return not one.log_record.span_id


def ended_ns(found: tuple[One, RunKey | None]) -> int:
    """Return when a span ended or a log record was made, of a pair of it and its run."""
    one = found[0]
    return time_of(one.end_time if isinstance(one, ReadableSpan) else one.log_record.timestamp) or 0


def size_of_one(one: One) -> int:
    """Return about how many bytes a span or a log record takes."""
    return size_of(one) if isinstance(one, ReadableSpan) else size_of_log(one)
