"""What an exporter has seen of one trace, and what each of its spans and logs says of whose it is.

A request of another tenant may have the same trace id, and its spans come in any order with those of the first. So as
soon as a span has named a tenant, one that says nothing is in the run of its trace by that alone in one case: a local
root, where the run is no tenant's. All others wait for the span above them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.codec.coerce import hex_id, time_of
from runbundle.format.identity import RunKey, tenant_of
from runbundle.otel.belonging.claims import has_several_runs
from runbundle.otel.belonging.run_names import RunNames
from runbundle.otel.belonging.span_identity import copied_attributes, span_context_of
from runbundle.otel.belonging.undecided import size_of, size_of_log
from runbundle.signals import own
from runbundle.signals.operations import begins_run

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
    begins: bool = False
    """Whether a span that waits begins a run, of which it is not known yet whose it is."""
    above: dict[int, RunKey | None] = field(default_factory=dict[int, RunKey | None])
    """The runs of what is right beneath spans that have not come yet, by their ids; None if these are several."""
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

    def decided_by(self, spans: Sequence[ReadableSpan], *, tenants: bool) -> bool:
        """Tell whether these spans make a run of it that nobody has named.

        Where spans name `tenants`, one that begins a run waits until it is known whose: from a span beside it, or not
        before its local root has ended.
        """
        self.begins = self.begins or any(begins_run(span.name, copied_attributes(span)) for span in spans)
        return self.begins and (not tenants or bool(self.tenants) or any(map(is_local_root, spans)))

    def begin(self, spans: Sequence[ReadableSpan], names: RunNames) -> RunKey:
        """Return the run that nobody has named, of these spans and those that wait; and note that nobody has."""
        known = [*spans, *(one for one in self.held if isinstance(one, ReadableSpan))]
        known.sort(key=lambda span: time_of(span.start_time) or 0)
        attributes = [copied_attributes(span) for span in known]
        of_trace = hex_id(self.trace_id, 32)
        run_id = names.name_in(attributes) or of_trace
        tenant = next((said[own.TENANT_ID] for said in attributes if own.TENANT_ID in said), None)
        self.unnamed, self.of_trace, self.name = True, run_id == of_trace, run_id
        return RunKey(tenant_of(tenant), run_id)

    def note(self, run: RunKey, said: Sequence[RunKey], *, began_here: bool) -> None:
        """Take note of its first run, and whether there are more than that and those that are within it."""
        self.name = self.name or hex_id(self.trace_id, 32)
        self.several = (
            self.several
            or has_several_runs(self.trace_id)
            or len(self.tenants | ({run.tenant_id} - {""})) > 1
            # Which runs are within others is known of those that began here.
            or (not began_here and any(other != run for other in said))
        )

    def run_of(self, one: One, *, tenants: bool) -> RunKey | None:
        """Return the run of what names none and is beneath nothing that came yet; None if that is not known.

        Where spans name `tenants`, what comes may be another tenant's than the run of the trace. Then it is in that run
        if it names the same tenant, or is right above some of the run, or is a local root and the run no tenant's.
        """
        if (tenants or self.several) and isinstance(one, ReadableSpan):
            run = self.above.get(id_of(one))
            if run is not None:
                return run
        if self.several or self.run is None or not (tenants or self.run.tenant_id):
            return None if self.several else self.run
        if self.run.tenant_id:
            return self.run if tenant_named(one) == self.run.tenant_id else None
        return self.run if is_local_root(one) else None

    def is_above(self, span: ReadableSpan, run: RunKey) -> None:
        """Take note that the parent of a span is of its run, unless that run begins with the span by name."""
        if run_named(span) is None and not is_local_root(span):
            self.above[above(span)] = run if self.above.get(above(span), run) == run else None

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
