"""run.json checked without models says what the models say, or nothing."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runbundle.bundle.assembly import plain_run
from runbundle.bundle.assembly.plain_run import Default, PlainModel, written
from runbundle.format import base, run
from runbundle.format.canonical import to_json_bytes

MODELS: list[tuple[PlainModel, type[base.Record]]] = [
    (plain_run.INDEX, run.RunIndex), (plain_run.ERROR, base.ErrorSummary), (plain_run.CONTRACT, base.ContractRef),
    (plain_run.CONFIG, run.ConfigPointer), (plain_run.PARENT, run.ParentRun), (plain_run.CHILD, run.ChildRun),
    (plain_run.ENGINE, run.Engine), (plain_run.GIT, run.Git), (plain_run.VERSIONS, run.Versions),
    (plain_run.RESULT, run.ResultSummary), (plain_run.FILE, run.FileEntry), (plain_run.COUNTS, run.Counts),
    (plain_run.TOTAL, run.ReceiptTotal), (plain_run.REDACTION, run.RedactionSummary),
    (plain_run.COMPLETENESS, run.Completeness),
]  # fmt: skip
GOLDEN = [orjson.loads(path.read_bytes()) for path in sorted((Path(__file__).parents[3] / "golden").rglob("run.json"))]
FULL: dict[str, Any] = {
    "schema": "runbundle/run/v1", "rules": 2, "run_id": "run-1", "name": "é", "attempt": 1, "case_id": "c", "repeat": 0,
    "request_id": "q", "tenant_id": "t", "user_id": "u", "session_id": "s", "claimed": "x", "resumed_from": "p",
    "parent_run": {"run_id": "outer"}, "children": [{"run_id": "inner", "span_id": "1"}],
    "started_at": "2026-11-25T04:56:00.000000001Z", "ended_at": "2026-11-25T04:56:01Z", "duration_ns": "999999999",
    "status": "error", "error": {"type": "ValueError", "message": None, "span_id": "1"},
    "config": {"path": "config.snapshot.json", "sha256": "0"},
    "versions": {"semconv": "gen-ai", "engine": {"name": "e", "version": "1"}, "git": {"commit": "c", "dirty": True},
                 "providers": {"openai": "1"}, "models": ["gpt"], "python": None},
    "result": {"kind": "text", "digest": "h2", "bytes": 3, "view": None},
    "files": [{"path": "revisions/2/events.jsonl", "bytes": 1, "sha256": "0", "media_type": "m"}],
    "counts": dict.fromkeys(plain_run.COUNTS.needed, 1) | {"embeddings": 2},
    "usage": {"input_tokens": 5}, "trace_ids": ["a"], "revision": 2, "supersedes": "0",
    "redaction": {"policy": "p", "contracts": {"tool": {"sha256": "0"}}, "key_id": "k", "masked": {"rule": 1},
                  "totals": [{"rule": "r", "action": "mask", "count": 1}]},
    "completeness": {"state": "lossy", "spans_seen": 3, "capture": {"cut": 1}, "grace_s": 2.0, "unread": {"?": 1},
                     "cut_off": ["a"], "dropped": {"torn_lines": 1}},
}  # fmt: skip
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 1.0, float("nan"), "", "1", "ok", "\udc80", "a b", "../x", "x\n", "2026-02-30T00:00:00Z",
    "2026-11-25T04:56:00Z\n", "é" * 3, b"ok", [], {}, [None], {"a": None}, {"a": 1}, {1: 1}, ("a",), "cut", {"cut": 1},
]  # fmt: skip


def by_model(index: Any) -> bytes | None:
    """Return what the model makes of a run.json; None if it refuses it, or cannot write it."""
    try:
        said = run.RunIndex.model_validate(index).model_dump(mode="json", by_alias=True, exclude_none=True)
        return to_json_bytes(said, indent=True)
    except (ValidationError, TypeError, ValueError):
        return None


@pytest.mark.parametrize(("plain", "model"), MODELS, ids=lambda each: getattr(each, "__name__", ""))
def test_each_table_has_the_fields_of_its_model(plain: PlainModel, model: type[base.Record]) -> None:
    """The same are needed, may be None, and have a default, which is the same."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    assert set(plain.needed) == {name for name, field in fields.items() if field.is_required()}
    assert set(plain.optional) == set(fields) - set(plain.needed)
    defaults = {name: check.value for name, check in plain.optional.items() if isinstance(check, Default)}
    assert defaults == {
        name: value
        for name, field in fields.items()
        if not field.is_required() and (value := field.get_default(call_default_factory=True)) is not None
    }


def test_a_model_without_a_table_is_seen() -> None:
    """Who adds a model below run.json adds its table here."""
    below: set[Any] = {run.RunIndex}
    for _ in range(4):
        for model in list(below):
            for field in model.model_fields.values():
                below |= {
                    kind for kind in _kinds_in(field.annotation)
                    if isinstance(kind, type) and issubclass(kind, base.Record)
                }  # fmt: skip
    assert below == {model for _, model in MODELS}


def _kinds_in(annotation: Any) -> list[Any]:
    return [annotation, *(kind for part in getattr(annotation, "__args__", ()) for kind in _kinds_in(part))]


def test_bundles_are_written_as_by_the_model() -> None:
    """All that earlier versions sealed, and one with every field."""
    assert len(GOLDEN) >= 4
    taken = 0
    for index in [*GOLDEN, FULL]:
        said = written(plain_run.INDEX, index)
        if said is not None:
            taken += 1
            assert to_json_bytes(said, indent=True) == by_model(index)
    assert written(plain_run.INDEX, FULL) is not None
    assert taken > 2


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in below for place in _places(item, (*at, key)))]


@given(st.data())
def test_what_is_taken_the_model_takes_and_writes_with_the_same_bytes(data: st.DataObject) -> None:
    """Whatever is changed, left out, or added, up to three times."""
    index = copy.deepcopy(data.draw(st.sampled_from([FULL, *GOLDEN])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from([place for place in _places(index) if place]))
        outer = index
        for step in place[:-1]:
            outer = outer[step]
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            outer[place[-1]] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        elif change == "remove":
            del outer[place[-1]]
        elif isinstance(outer, dict):
            name = data.draw(st.sampled_from(["schema_", "later", "view", "version", "dirty"]))
            outer[name] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    said = written(plain_run.INDEX, index)
    if said is not None:
        assert to_json_bytes(said, indent=True) == by_model(index)


def test_each_field_with_each_odd_value() -> None:
    """One at a time, all of them."""
    for place in _places(FULL):
        for odd in ODD if place else ():
            index = copy.deepcopy(FULL)
            outer = index
            for step in place[:-1]:
                outer = outer[step]
            outer[place[-1]] = odd
            said = written(plain_run.INDEX, index)
            if said is not None:
                assert to_json_bytes(said, indent=True) == by_model(index), (place, odd)


def test_a_run_is_sealed_without_models(tmp_path: Path) -> None:
    """By either core; their making would take longer than all else that a seal does."""
    program = (
        "import sys, runbundle\nwith runbundle.configure(store=sys.argv[1]) as handle:\n"
        "    with runbundle.start_run('work'):\n        pass\n    assert handle.flush(280)\n"
        "print([name for name in ('pydantic', 'pydantic_core') if name in sys.modules])\n"
    )
    for native in "01":
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / native)], capture_output=True, text=True,
            env=os.environ | {"RUNBUNDLE_NATIVE": native, "PYTHONPATH": str(Path(run.__file__).parents[2])},
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
