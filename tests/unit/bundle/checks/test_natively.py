"""Bundles that the native core derives while their digests are taken: when it does, and what it leaves to Python."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest

import runbundle
from runbundle.bundle.checks import natively
from runbundle.bundle.verify import verify
from runbundle.core import native
from runbundle.format.canonical import with_self_digest
from runbundle.format.verify_report import VerifyReport
from runbundle.store import LocalStore, MemoryStore
from tests.support.both_ways import reports

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")
RECEIPT = "runbundle.redaction"
Change = Callable[[list[dict[str, Any]]], Any]


@pytest.fixture
def store(configured: Callable[..., runbundle.Handle]) -> LocalStore:
    """Return a store with the bundle `r`: agents, calls, an error, evidence, and a run within."""
    handle = configured()
    with runbundle.start_run("r", run_id="r") as run, runbundle.start_agent("desk"):
        for number in range(3):
            tool = runbundle.start_tool("find", {"n": number})
            with tool:
                tool.set_output({"found": "a\nb"})
        with runbundle.start_model("m", [{"role": "user", "content": "hi"}]):
            run.usage(input_tokens=5)
        with runbundle.start_retriever("shelf", "what?") as found:
            found.add_evidence([{"id": "doc-1", "content": "text", "score": 0.5}])
        with pytest.raises(ValueError, match="no"), runbundle.start_tool("fails", {"n": 1}):
            raise ValueError("no")
        with runbundle.start_run("inner", run_id="within"):
            pass
    handle.flush()
    assert isinstance(handle.store, LocalStore)
    return handle.store


def why(store: LocalStore) -> tuple[str, VerifyReport]:
    """Return why the native core left the bundle to Python, and the report, which is the same both ways."""
    natively, wanted, refused = reports(store, "r")
    assert natively == wanted
    return refused, natively


def changed(store: LocalStore, change: Change) -> None:
    """Change the events of the bundle, and let all digests fit."""
    folder = Path(str(store.folder)) / "r"
    events = [orjson.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    made = change(events)
    events = events if made is None else made
    lines = [
        event if isinstance(event, bytes) else orjson.dumps(event, option=orjson.OPT_SORT_KEYS) for event in events
    ]
    data = b"".join(line + b"\n" for line in lines)
    (folder / "events.jsonl").write_bytes(data)
    index = orjson.loads((folder / "run.json").read_bytes())
    entry = next(entry for entry in index["files"] if entry["path"] == "events.jsonl")
    entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    del index["self_sha256"]
    (folder / "run.json").write_bytes(with_self_digest(index))


def test_a_bundle_is_derived_without_python(store: LocalStore) -> None:
    """Each file is read once, and no line is parsed there."""
    opened: list[str] = []
    reading = store.open

    def noted(key: str) -> Any:
        opened.append(key)
        return reading(key)

    with mock.patch.object(store, "open", noted):
        refused, report = why(store)
    assert (refused, report.verdict, report.findings) == ("", "verified", [])
    files = ("run.json", "config.snapshot.json", "events.jsonl", "evidence.json", "tool_calls.json")
    assert opened[:5] == [f"r/{name}" for name in files]


def test_a_bundle_need_not_be_on_disk(store: LocalStore) -> None:
    """What is read is handed over in pieces, whichever store it comes from."""
    copy = MemoryStore()
    for key in store.list("r/"):
        copy.put(key, store.get(key))
    assert reports(copy, "r")[2] == ""


def test_pieces_of_any_size_come_to_the_same(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, or an entry, may begin in one and end in another."""
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr("runbundle.bundle.checks.integrity._CHUNK", size)
        assert why(store)[0] == ""


def _of(events: list[dict[str, Any]], kind: str, op: str) -> dict[str, Any]:
    return next(event for event in events if event["type"] == kind and event.get("op") == op)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda events: _of(events, "span.ended", "tool").update(name="x"), "a line is not what follows"),
        (lambda events: _of(events, "span.started", "tool").update(op="model"), "a line is not what follows"),
        (lambda events: _of(events, "span.ended", "model").update(duration_ns="1"), "a line is not what follows"),
        (lambda events: _of(events, "span.ended", "retrieval").update(redactions=99), "a line is not what follows"),
        (lambda events: events[2].update(seq=9), "the lines are in another order"),
        (lambda events: events[:-1], "the run's own lines are not what follows"),
        (lambda events: [*events[:3], *events[4:]], "the lines are in another order"),
        (lambda events: [b"[" * 100_000], "a line holds odd JSON"),
        (lambda events: [*events[:2], b"\xff"], "a line is no text"),
        (lambda events: [*events, b'{"seq":NaN}'], "a line holds odd JSON"),
        (lambda events: [*events, b'{"a":1,"a":2}'], "a line holds odd JSON"),
        (lambda events: [*events, b'{"a":"\\ud800"}'], "a line holds odd JSON"),
        (lambda events: [*events, b'{"a":' + b"9" * 5000 + b"}"], "a line holds odd JSON"),
        (lambda events: events[1].update(trace_id="0" * 32), "the lines are in another order"),
        (lambda events: events[0].update(time_ns="99999999999999999999"), "a time is no number"),
        (lambda events: events[0].update(time_ns="-1"), "a time is no number"),
        (lambda events: _of(events, "span.ended", "tool")["attributes"].update({RECEIPT: 1}), "a span has no receipt"),
        (lambda events: _of(events, "span.ended", "tool").update(status="interrupted"), "a span is open"),
        (lambda events: [*events[:1], *events], "the lines are in another order"),
        (lambda events: [], "a span is open, or does not begin"),
    ],
    ids=map(str, range(20)),
)  # fmt: skip
def test_whatever_does_not_follow_is_left_to_python(store: LocalStore, change: Change, reason: str) -> None:
    """Which says what is wrong with it."""
    changed(store, change)
    refused, report = why(store)
    assert (refused, report.verdict) == (reason, "failed")


def test_a_credential_is_left_to_python(store: LocalStore) -> None:
    """Which names the line."""
    leak = {"app.x": "sk-abcdefghijklmnop"}
    changed(store, lambda events: _of(events, "span.ended", "tool")["attributes"].update(leak))
    refused, report = why(store)
    assert refused == "something looks like a credential"
    assert "RB403" in {finding.code for finding in report.findings}


def test_a_fault_is_left_to_python(store: LocalStore) -> None:
    """Whatever the core raises, or what it asks: nothing comes out of `verify`."""
    with mock.patch.object(natively, "read_receipt", side_effect=KeyError):
        assert verify(store, "r").verdict == "verified"
