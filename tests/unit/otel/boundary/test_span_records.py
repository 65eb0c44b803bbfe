"""Records of spans that the native core reads: those of plain types, as Python reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from runbundle.core import native
from runbundle.format.identity import RunKey
from runbundle.journal.lines import Begun
from runbundle.otel.boundary.span_records import SpanCodec

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")
RUN = RunKey("acme", "r")


class _Text(str):
    """A text of another class."""

    __slots__ = ()


def _context(trace_id: int, span_id: int, state: TraceState | None = None, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, remote, TraceFlags(1), state or TraceState())


def _list(*items: Any, dropped: int = 0) -> Any:
    made: BoundedList[Any] = BoundedList(10)
    made.extend(items)
    made.dropped = dropped
    return made


def span(**fields: Any) -> ReadableSpan:
    """Return an ended span, a plain one but for these fields."""
    plain: dict[str, Any] = {
        "name": "chat", "context": _context(2**127 + 1, 2**63 + 1), "parent": _context(1, 7, remote=True),
        "attributes": BoundedAttributes(attributes={"a": 1, "b": "ü", "c": (1.5 < 2), "d": 0.5, "e": ["x", "y"]}),
        "events": _list(), "links": _list(), "kind": SpanKind.CLIENT, "status": Status(StatusCode.ERROR, "no"),
        "start_time": 5, "end_time": 9, "resource": None, "instrumentation_scope": None,
    }  # fmt: skip
    return ReadableSpan(**{**plain, **fields})


def both(one: ReadableSpan) -> tuple[Any, Any]:
    """Return the record as the native core reads it, None if it does not, and as Python reads it."""
    codec = SpanCodec()
    scope, resource = codec.scope_record(one.instrumentation_scope), codec.resource_record(one.resource)
    found = codec._reader.record(one, RUN.run_id, RUN.tenant_id, scope, resource)
    return found, codec._read(one, RUN, ended=True)


def test_a_plain_span_is_read_as_python_reads_it() -> None:
    """With its fields in their order, and values of their types."""
    for one in (span(), span(parent=None, status=Status(), kind=SpanKind.INTERNAL, attributes=BoundedAttributes())):
        found, wanted = both(one)
        assert repr(found) == repr(wanted)


def test_attributes_are_copied() -> None:
    """What is changed in a record is not changed in its span."""
    one = span()
    both(one)[0]["attributes"]["a"] = 2
    assert one.attributes is not None
    assert one.attributes["a"] == 1


_ODD = [
    {"name": "ü"}, {"name": _Text("x")}, {"name": 3}, {"start_time": 5.0}, {"end_time": None}, {"end_time": 2**63},
    {"start_time": -1}, {"start_time": True}, {"context": None}, {"context": _context(1, 2, TraceState([("a", "b")]))},
    {"kind": 3}, {"kind": None}, {"attributes": {"a": 1}}, {"attributes": None},
    {"attributes": BoundedAttributes(attributes={"a": {"b": 1}})},
    {"attributes": BoundedAttributes(attributes={"a": b"x"})},
    {"attributes": BoundedAttributes(attributes={"a": 2**63})},
    {"attributes": BoundedAttributes(attributes={"a": float("nan")})},
    {"attributes": BoundedAttributes(1, {"a": 1, "b": 2})}, {"attributes": BoundedAttributes(attributes={"a": ["ü"]})},
    {"attributes": BoundedAttributes(attributes={"a": "\ud800"})}, {"events": _list(Event("e", timestamp=6))},
    {"events": _list(dropped=1)}, {"links": _list(Link(_context(3, 4)))}, {"events": ()},
    {"status": Status(StatusCode.ERROR, "ü")},
]  # fmt: skip


@pytest.mark.parametrize("fields", _ODD, ids=[f"{next(iter(fields))}-{number}" for number, fields in enumerate(_ODD)])
def test_what_is_not_plain_is_left_to_python(fields: dict[str, Any]) -> None:
    """A type of its own, a value that has to be changed, a part that was discarded."""
    assert both(span(**fields))[0] is None


def test_a_class_that_inherits_is_left_to_python() -> None:
    """It may say anything."""

    class Other(ReadableSpan):
        """A span of somebody else's."""

    one = span()
    other = Other("x", one.context)
    assert both(other)[0] is None


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text(max_size=5), st.binary(max_size=3),
    st.lists(st.text(max_size=3), max_size=3), st.lists(st.integers(0, 3), max_size=3),
)  # fmt: skip


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), _VALUES, max_size=4),
    st.text(max_size=4),
    st.integers(0, 2**128),
    st.integers(0, 2**64),
    st.sampled_from(list(SpanKind)),
    st.sampled_from(list(StatusCode)),
)
def test_what_is_read_natively_is_what_python_reads(
    attributes: Any, name: str, trace_id: int, span_id: int, kind: SpanKind, code: StatusCode
) -> None:
    """Or nothing is."""
    made = BoundedAttributes(attributes=attributes)
    found, wanted = both(
        span(name=name, context=_context(trace_id, span_id), attributes=made, kind=kind, status=Status(code))
    )
    assert found is None or repr(found) == repr(wanted)


# -- spans that have started -------------------------------------------------------------------------------------------

_TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("t")


def _live(attributes: Any = None, parent: SpanContext | None = None, **fields: Any) -> Any:
    """Return a span that its tracer has just started; `fields` are changed in it."""
    above = set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
    one = _TRACER.start_span("chat", context=above, kind=SpanKind.CLIENT, attributes=attributes, start_time=5)
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def _lines(one: Any, *said: Any, **more: Any) -> tuple[Any, bytes]:
    """Return the line of a span's start as the native core writes it, None if it does not, and as Python writes it."""
    codec, python = SpanCodec(), SpanCodec()
    python.__dict__["_reader"] = None
    found = codec._reader.start_line(one, *said, more.get("is_run", False), more.get("begun"))
    wanted = python.start_line(one, *said, **more)
    assert codec.start_line(one, *said, **more) == wanted
    return found, wanted


def test_a_span_that_has_just_started_is_read_as_python_reads_it() -> None:
    """It has no end yet; one that has ended since has."""
    ended = _live({"a": 1})
    ended.end(9)
    for one in (_live({"a": 1, "b": ["x"]}), _live(parent=_context(1, 7, remote=True)), ended):
        codec = SpanCodec()
        scope, resource = codec.scope_record(one.instrumentation_scope), codec.resource_record(one.resource)
        found = codec._reader.record(one, RUN.run_id, RUN.tenant_id, scope, resource)
        assert repr(found) == repr(codec._read(one, RUN, ended=one.end_time is not None))


def test_of_a_live_span_that_is_taken_for_an_ended_one_it_is_said_that_it_has_no_end() -> None:
    """An exporter may be given one."""
    assert SpanCodec().to_record(_live(), RUN)["attributes"]["runbundle.coerced"] == ["end_ns:replaced"]
    assert "runbundle.coerced" not in SpanCodec().to_record(_live(), RUN, ended=False)["attributes"]


@given(st.text(max_size=9), st.text(max_size=9), st.booleans(), st.booleans())
def test_both_cores_write_the_same_line_of_a_start(lane: str, label: str, is_run: bool, is_below: bool) -> None:
    """With what the run's own span says, and without; a text that is no text is written by Python."""
    one = _live(parent=_context(2**127, 1) if is_below else None)
    begun = Begun('"ü"'.encode(), b'{"a":1}') if is_run else None
    found, wanted = _lines(one, lane, label, is_run=is_run, begun=begun)
    assert found == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"_start_time": 5.0}, {"_start_time": 2**63}, {"_start_time": -1}, {"_context": _context(1, 2)[:2]},
        {"_parent": (1, 2)},
    ],
    ids=repr,
)  # fmt: skip
def test_the_start_of_an_odd_span_is_left_to_python(fields: dict[str, Any]) -> None:
    """A time or an id of another type."""
    codec, one = SpanCodec(), _live(**fields)
    assert codec._reader.start_line(one, "", "", False, None) is None


def test_the_start_of_a_lone_surrogate_is_left_to_python() -> None:
    """JSON cannot hold it."""
    found, wanted = _lines(_live(), "\ud800", "tool:t")
    assert found is None
    assert b'"lane":"?"' in wanted
