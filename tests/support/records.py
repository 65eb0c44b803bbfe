"""Raw records of spans, and strategies for what may be in them."""

from typing import Any

from hypothesis import strategies as st

from runbundle.contracts.files import by_name
from runbundle.signals import own
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import SpanRecord

CONTRACTS = by_name(
    [
        {
            "name": "find",
            "data": {
                "rules": [
                    {"selector": "/email", "data_class": "personal"},
                    {"selector": "/note", "action": "keep"},
                    {"selector": "/text", "target": "output", "action": "keep"},
                ]
            },
        }
    ]
)
"""Of a tool that withholds one argument, keeps another and its result."""

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=40),
    st.sampled_from(["[REDACTED:undeclared]", "h1:00000000:" + "A" * 26, '{"a": {"b": 1}}', "sk-" + "a1" * 12]),
)  # fmt: skip
names = st.one_of(st.text(max_size=12), st.sampled_from(["a", "b", "pin", "list", "x", "h", "m", "*", "**"]))
values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(names, v, max_size=4), max_leaves=20)
keys = st.one_of(st.sampled_from(sorted(SPAN_KEYS)), st.text(min_size=1, max_size=20))


def record(attributes: dict[str, Any], name: str = "x") -> SpanRecord:
    """Return a raw record with these attributes."""
    return {
        "run_id": "r", "trace_id": "0" * 32, "span_id": "0" * 16, "parent_span_id": "", "remote_parent": False,
        "trace_state": name, "name": name, "kind": 0, "start_ns": 1, "end_ns": 2, "status_code": 2,
        "status_message": name, "attributes": attributes,
        "events": [{"name": name, "time_ns": 1, "attributes": attributes, "dropped": 0}],
        "links": [{"trace_id": "0" * 32, "span_id": "0" * 16, "trace_state": name, "attributes": attributes,
                   "dropped": 0}],
        "scope": {"name": name, "version": name, "schema_url": name, "attributes": attributes},
        "resource": {"attributes": attributes, "schema_url": name}, "dropped": {},
    }  # fmt: skip


def record_of_ours(attributes: dict[str, Any]) -> SpanRecord:
    """Return a raw record of a span of our own with these attributes: what it says in our words is believed."""
    made = record(attributes)
    made["scope"]["name"] = own.SCOPE
    return made
