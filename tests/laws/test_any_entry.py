"""Whatever stands in a line of a journal: it is refused, or its run is sealed, and the bundle verifies."""

import copy
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.seal import seal
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal.entries import is_entry
from runbundle.signals.records import LATEST_NS
from runbundle.store import MemoryStore

TRACE, ROOT, OWN, LATER = "a" * 32, "1" * 16, "2" * 16, "3" * 16
RECEIPT = '{"n":[["arguments","no-contract","digest"],["name","undeclared","mask"]],"more":{"content|digest":2}}'
TIMES = {"start_ns": 1_800_000_000_000_000_000, "end_ns": 1_800_000_000_000_000_009}
RUN: dict[str, Any] = {
    "k": "span", "run_id": "r", "trace_id": TRACE, "span_id": ROOT, "parent_span_id": "", "name": "run", **TIMES,
    "attributes": {
        "runbundle.op": "run", "runbundle.spans.started": 2, "runbundle.run.id": "r", "runbundle.run.attempt": 1,
        "runbundle.config": '{"a":1}', "runbundle.versions": '{"python":"3"}', "runbundle.redaction": RECEIPT,
        "runbundle.redaction.policy": "b" * 64, "runbundle.redaction.key_id": "0" * 8, "runbundle.result": "[1]",
    },
    "events": [], "links": [], "scope": {}, "status_code": 0, "status_message": "", "remote_parent": False,
    "dropped": {}, "kind": 0, "trace_state": "", "resource": 0,
}  # fmt: skip
TOOL: dict[str, Any] = {
    **RUN, "span_id": OWN, "parent_span_id": ROOT, "name": "execute_tool t", "status_code": 2,
    "attributes": {
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": '{"q":1}',
        "gen_ai.tool.call.result": "[REDACTED:undeclared:bytes=70]", "runbundle.contract.sha256": "c" * 64,
        "runbundle.contract.version": "1", "runbundle.tool.arguments.bytes": 63, "runbundle.redaction": RECEIPT,
        "runbundle.capture": '{"gen_ai.tool.call.result":{"word":"cut"}}', "runbundle.attempt": 2,
    },
    "events": [
        {
            "name": "runbundle.evidence", "time_ns": TIMES["start_ns"], "dropped": 1,
            "attributes": {
                "runbundle.document.id": "d", "runbundle.document.score": 0.5, "runbundle.query": "[REDACTED:content]",
            },
        },
        {"name": "exception", "time_ns": TIMES["end_ns"], "attributes": {"exception.type": "E"}, "dropped": 0},
    ],
    "links": [{"trace_id": TRACE, "span_id": ROOT, "attributes": {"a": 1}, "dropped": 1}],
    "scope": {"name": "s", "version": "1", "schema_url": "https://s/1", "attributes": {}},
    "status_message": "[REDACTED:error]", "dropped": {"attributes": 1},
}  # fmt: skip
LOG: dict[str, Any] = {
    "k": "log", "run_id": "r", "trace_id": TRACE, "span_id": OWN, "time_ns": TIMES["start_ns"], "event_name": "e",
    "attributes": {"a": 1, "runbundle.redaction": RECEIPT}, "body": "[REDACTED:content]", "severity": 9,
    "severity_text": "INFO", "scope": {}, "dropped": 0, "resource": 0,
}  # fmt: skip
_START = {"k": "start", "trace_id": TRACE, "parent_span_id": ROOT, "start_ns": TIMES["start_ns"], "lane": "a"}
START: dict[str, Any] = {**_START, "span_id": OWN, "label": "tool:t", "is_run": False}
BEGINNING: dict[str, Any] = {
    **_START, "span_id": ROOT, "parent_span_id": "", "label": "run", "is_run": True, "name": "run",
    "attributes": RUN["attributes"],
}  # fmt: skip
REREAD: dict[str, Any] = {**START, "name": "t", "attributes": TOOL["attributes"], "scope": {"schema_url": ""}}
UNKNOWN = (
    "events",
    "links",
    "scope",
    "dropped",
    "status_code",
    "status_message",
    "remote_parent",
    "end_ns",
    "name",
    "x",
)
"""Fields that a line may have though no recorder writes them there."""
REDACTION = ("RB401", "RB402", "RB403")
"""Findings about what is in a journal: redaction saw to that before, and does once more in recovery."""
ENTRIES = {"span": TOOL, "run": RUN, "log": LOG, "start": START, "beginning": BEGINNING, "reread": REREAD}

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 5, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 0.5, 1e300, "", "x", "a|b", "ü\n", "a" * 16,
    "0" * 32, "blocked", "run", "[REDACTED:name]", [], [1], ["a"], [["a", ["b"], "mask"]], {}, {"x": -1}, {"x": 2**63},
    {"x": 1}, {"": None}, {"name": 5}, {"schema_url": [1]}, {"schema_url": 5}, {"version": {}},
    [{"name": "e", "time_ns": 7, "attributes": {}, "dropped": -1}], [{"name": "e", "time_ns": 7, "attributes": {}}],
    [{"name": "e", "time_ns": 7, "attributes": {}, "dropped": LATEST_NS}] * 3,
    [{"trace_id": TRACE, "span_id": OWN, "attributes": {}, "dropped": 1}], [{"trace_id": TRACE, "span_id": OWN}],
)  # fmt: skip
RECEIPTS = (
    "5", "[]", "{}", '{"n":5}', '{"n":[5]}', '{"n":[["a",5,"mask"]]}', '{"n":[["a",["b"],"mask"]]}',
    '{"n":[["a",null,"mask"]]}', '{"n":[["a","b",{}]]}', '{"n":[["a","b","c"]]}', '{"n":[[5,"b","mask"]]}',
    '{"n":[["ü?","b","mask"]]}', '{"n":[["a","b c","mask"]]}', '{"n":[],"by":5}', '{"n":[],"by":"x"}',
    '{"n":[],"x":1}', '{"n":[],"more":[]}', '{"n":[],"more":{"a|mask":-5}}', '{"n":[],"more":{"a|mask":"7"}}',
    '{"n":[],"more":{"a|mask":true}}', '{"n":[],"more":{"a|mask":1e300}}', '{"n":[],"more":{"a":1}}',
    '{"n":[],"more":{"a|mask":18446744073709551615}}', '{"n":[],"more":{"a|b":1}}', '{"n":["abc"]}',
    json.dumps({"n": [["a", "b", "mask"]] * 200}), '{ "n": [] }',
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values within a JSON value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def spoilt(entry: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any, dict[str, Any]]]:
    """Yield an entry with each value at each place, and with each place gone; and which they were."""
    for path in [*places(entry), *((name,) for name in UNKNOWN if name not in entry)]:
        for value in (*VALUES, *(RECEIPTS if path[-1] == "runbundle.redaction" else ())):
            copied = copy.deepcopy(entry)
            place: Any = copied
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            yield path, value, copied


def faults(entry: dict[str, Any], scratch: Path) -> set[str]:
    """Seal a run with an entry between others; return what verify finds, but for what is known to be missing."""
    own = entry.get("span_id")
    others = [other for other in (RUN, {**TOOL, "span_id": LATER}) if own != other["span_id"]]
    store = MemoryStore()
    with closing(GatheredRun(RunKey("", "r"), scratch)) as gathered:
        gathered.add([*others, entry])
        with closing(assemble(gathered)) as made:
            seal(store, made)
        key = made.key
    found = verify(store, key).findings
    return {f"{f.code} {f.message}" for f in found if not f.code.startswith("RB3") and f.code not in REDACTION}


@pytest.mark.parametrize("name", ENTRIES)
def test_any_value_at_any_place_of_an_entry_is_refused_or_holds(name: str, tmp_path: Path) -> None:
    """A record costs itself alone, whatever JSON stands where in it."""
    assert is_entry(ENTRIES[name])
    assert not faults(ENTRIES[name], tmp_path)
    bad: list[Any] = []
    for path, value, entry in spoilt(ENTRIES[name]):
        read = orjson.loads(orjson.dumps(entry))
        if not is_entry(read):
            continue
        try:
            found = faults(read, tmp_path)
        except Exception as error:
            found = {repr(error)[:200]}
        if found:
            bad.append((path, value, found))
    assert not bad, "\n".join(map(str, [len(bad), *bad[:60]]))
