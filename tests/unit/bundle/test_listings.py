"""Long lists are written and read an entry at a time, and the bytes are the canonical ones."""

import json
from typing import Any

import pytest

from runbundle.bundle.entry_lines import entry_bytes, write_listing
from runbundle.bundle.listings import each_retrieval, each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.errors import MalformedBundle
from runbundle.format.canonical import to_json_bytes
from tests.support import handmade


@pytest.mark.parametrize("entries", [[], [{"b": 1, "a": "x\ny"}], [{"n": {"k": [1, {}]}}, {"z": None}]])
def test_the_pieces_are_the_canonical_bytes_of_the_whole(entries: list[dict[str, Any]]) -> None:
    """With no entry, one, or several."""
    pieces = write_listing("calls", map(entry_bytes, entries), run_id="r", schema="s")
    assert b"".join(pieces) == to_json_bytes({"calls": entries, "run_id": "r", "schema": "s"}, indent=True)


def test_an_entry_is_one_line_that_sorts() -> None:
    """Line ends within it are bytes that JSON never has."""
    assert b"\n" not in entry_bytes({"a": {"b": "c\nd"}})


@pytest.mark.parametrize("indented", [True, False])
def test_entries_are_read_from_any_layout(indented: bool) -> None:
    """The one that is written, and one that a formatter has made of it."""
    files = handmade.files()
    if indented:
        for name in ("tool_calls.json", "evidence.json"):
            files[name] = to_json_bytes(json.loads(files[name]), indent=True)
    bundle = Bundle.open(handmade.build(content=files), handmade.KEY)
    assert [call.tool for call in each_tool_call(bundle)] == ["search"]
    assert [retrieval.retriever for retrieval in each_retrieval(bundle)] == ["r"]


def test_no_evidence_is_no_retrieval() -> None:
    """Which is no error; a file that is cut off is one."""
    files = handmade.files()
    del files["evidence.json"]
    assert list(each_retrieval(Bundle.open(handmade.build(content=files), handmade.KEY))) == []
    files["tool_calls.json"] = files["tool_calls.json"][:-9]
    with pytest.raises(MalformedBundle):
        list(each_tool_call(Bundle.open(handmade.build(content=files), handmade.KEY)))
