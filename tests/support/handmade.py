"""A v1 bundle written by hand: no recorder, no assembler, so that reader and writer cannot share a mistake."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from runbundle.store import ArtifactStore, MemoryStore

TRACE = "0" * 31 + "a"
ROOT, TOOL, FETCH = "0" * 15 + "1", "0" * 15 + "2", "0" * 15 + "3"
KEY = "hand-1"
RECEIPT = '{"n":[["attributes.x","undeclared","drop"]]}'
OUTSIDE = "f" * 16


def dump(value: Any) -> bytes:
    """Return one line of JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def event(time: int, type_: str, span: str, **more: Any) -> dict[str, Any]:
    """Return one event without its `seq`."""
    return {
        "time_ns": str(1_800_000_000_000_000_000 + time),
        "type": type_,
        "trace_id": TRACE,
        "span_id": span,
        "name": "x",
        "attributes": {},
    } | more


def ended(time: int, span: str, op: str, took: int) -> dict[str, Any]:
    """Return the end of a span, with a receipt for one redaction."""
    return event(
        time,
        "span.ended",
        span,
        op=op,
        status="ok",
        duration_ns=str(took),
        redactions=1,
        attributes={"runbundle.redaction": RECEIPT},
    )


def events() -> list[dict[str, Any]]:
    """Return a run under a remote parent, with a tool call and a retrieval that overlap."""
    lines = [
        event(0, "run.started", ROOT, op="run"),
        event(0, "span.started", ROOT, op="run", parent_span_id=OUTSIDE, remote_parent=True),
        event(10, "span.started", TOOL, op="tool", parent_span_id=ROOT),
        event(20, "span.started", FETCH, op="retrieval", parent_span_id=ROOT),
        event(25, "span.event", FETCH, op="retrieval", source="span_event"),
        ended(30, FETCH, "retrieval", 10),
        ended(40, TOOL, "tool", 30),
        ended(50, ROOT, "run", 50),
        event(50, "run.ended", ROOT, op="run", status="ok"),
    ]
    return [line | {"seq": n} for n, line in enumerate(lines)]


def files() -> dict[str, bytes]:
    """Return the files of the bundle without run.json."""
    calls = {
        "schema": "runbundle/tool_calls/v1",
        "run_id": KEY,
        "calls": [
            {
                "call_id": "c1",
                "tool": "search",
                "contract": None,
                "trace_id": TRACE,
                "span_id": TOOL,
                "parent_span_id": ROOT,
                "started_at": "2027-01-15T08:00:00.000000010Z",
                "duration_ns": "30",
                "status": "ok",
                "policy": {"decision": "allowed"},
                "side_effects": "unknown",
                "attempt": 1,
            }
        ],
    }
    evidence = {
        "schema": "runbundle/evidence/v1",
        "run_id": KEY,
        "retrievals": [{"trace_id": TRACE, "span_id": FETCH, "retriever": "r", "documents": []}],
    }
    return {
        "config.snapshot.json": dump({"schema": "runbundle/config/v1", "config": {"k": 1}}),
        "events.jsonl": b"".join(map(dump, events())),
        "evidence.json": dump(evidence),
        "tool_calls.json": dump(calls),
    }


def index(content: dict[str, bytes]) -> dict[str, Any]:
    """Return a run.json whose digests are those of `content`."""
    entries = [
        {
            "path": p,
            "bytes": len(d),
            "sha256": hashlib.sha256(d).hexdigest(),
            "media_type": "application/x-ndjson" if p.endswith("l") else "application/json",
        }
        for p, d in sorted(content.items())
    ]
    return {
        "schema": "runbundle/run/v1",
        "run_id": KEY,
        "started_at": "2027-01-15T08:00:00.000000000Z",
        "ended_at": "2027-01-15T08:00:00.000000050Z",
        "duration_ns": "50",
        "status": "ok",
        "config": {
            "path": "config.snapshot.json",
            "sha256": hashlib.sha256(content.get("config.snapshot.json", b"")).hexdigest(),
        },
        "versions": {"semconv": "gen-ai"},
        "files": entries,
        "counts": {
            "events": content.get("events.jsonl", b"").count(b"\n"),
            "spans": 3,
            "logs": 0,
            "tool_calls": 1,
            "model_calls": 0,
            "retrievals": 1,
            "policy_blocks": 0,
            "errors": 0,
        },
        "trace_ids": [TRACE],
        "redaction": {"totals": [{"rule": "undeclared", "action": "drop", "count": 3}]},
        "completeness": {"state": "complete", "spans_expected": 3, "spans_seen": 3},
        "revision": 1,
    }


def build(
    store: ArtifactStore | None = None,
    *,
    content: dict[str, bytes] | None = None,
    lines: list[dict[str, Any]] | None = None,
    change: Callable[[dict[str, Any]], object] | None = None,
) -> ArtifactStore:
    """Seal a bundle in a store: other files, other events, or run.json as `change` leaves it."""
    store = store or MemoryStore()
    content = files() if content is None else content
    if lines is not None:
        content["events.jsonl"] = b"".join(map(dump, lines))
    run = index(content)
    if change is not None:
        change(run)
    for path, data in content.items():
        store.put(f"{KEY}/{path}", data)
    store.put(f"{KEY}/run.json", dump(run))
    return store
