"""A damaged bundle gives the documented errors, whatever is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from opentelemetry import trace

import runbundle
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.listings import Listing
from runbundle.bundle.reader import Bundle
from runbundle.errors import MalformedBundle
from runbundle.format.tool_calls import ToolCall, ToolCalls


@pytest.mark.parametrize(
    ("key", "value"),
    [("error", "text"), ("links", 5), ("scope", "abc"), ("dropped", [1]), ("trace_id", "zz"), ("attributes", {})],
)
def test_an_event_that_is_none_is_a_malformed_bundle(
    configured: Callable[..., runbundle.Handle], tmp_path: Path, key: str, value: object
) -> None:
    """An event that is none is a malformed bundle, or read."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        trace.get_current_span().add_event("e")
    handle.flush()
    path = Path(handle.store.url.removeprefix("file://")) / "r" / "events.jsonl"
    events = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps({**event, key: value}) + b"\n" for event in events))
    if key == "attributes":
        assert list(entries_of_bundle(Bundle.open(handle.store, "r"), tmp_path))
    else:
        with pytest.raises(MalformedBundle):
            list(entries_of_bundle(Bundle.open(handle.store, "r"), tmp_path))


def test_what_only_one_parser_takes_for_json_is_malformed(tmp_path: Path) -> None:
    """What only one of two parsers takes for JSON is malformed."""
    body = b'{"calls": [], "run_id": "r", "schema": "runbundle/tool_calls/v1", "more": NaN}'
    (tmp_path / "f").write_bytes(body)
    with (tmp_path / "f").open("rb") as file, pytest.raises(MalformedBundle):
        list(Listing(file, "f", "calls", ToolCalls, ToolCall))
