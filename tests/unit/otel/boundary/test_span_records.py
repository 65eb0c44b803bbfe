"""Records of spans that the native core reads: those of plain types, as Python reads them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from runbundle.core import native
from runbundle.format.identity import RunKey
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


@pytest.mark.parametrize("fields", _ODD, ids=lambda fields: repr(fields)[:60])
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
