"""What a bundle says is derived from its events, not believed: any edit is found, but for what the table guards."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import orjson
import pytest
from opentelemetry import trace
from pydantic import BaseModel

import runbundle
from runbundle.bundle.checks.derived import DERIVED, GUARDED
from runbundle.bundle.verify import verify
from runbundle.cli.demo_agent import record
from runbundle.format.canonical import sha256_hex, to_json_bytes, with_self_digest
from runbundle.format.evidence import Evidence
from runbundle.format.findings import FINDINGS
from runbundle.format.layout import EVIDENCE, RUN, TOOL_CALLS
from runbundle.format.run import RunIndex
from runbundle.format.tool_calls import ToolCalls
from runbundle.format.words import RULES
from runbundle.store import ArtifactStore, MemoryStore

VALUES: tuple[Any, ...] = (None, "", "x", "ok", "error", 0, 1, 2, -1, 10**18, 0.5, True, [], ["x"], {}, {"x": 1},
                           "0" * 64, "2026-11-25T00:00:00Z", "complete", "digest")  # fmt: skip


def rich(store: ArtifactStore) -> str:
    """Seal a run that has most of what run.json can say, and one within it; return its key."""
    with runbundle.configure(store=store, key=b"a key for tests only") as handle:
        with runbundle.start_run(
            "outer", run_id="rich", tenant_id="acme", session_id="s", user_id="u", request_id="q", attempt=2,
            config={"a": 1}, case_id="case", repeat=1,
        ) as run:  # fmt: skip
            with runbundle.start_agent("helper"), runbundle.start_model("m-1"):
                for name in ("input_tokens", "output_tokens"):
                    trace.get_current_span().set_attribute(f"gen_ai.usage.{name}", 3)
            with runbundle.start_retriever("shelf", "what?") as found:
                found.add_evidence([{"id": "doc-1", "content": "text", "score": 0.5}])
            with runbundle.start_run("inner", run_id="within"), runbundle.start_step("s"):
                pass
            with pytest.raises(ValueError, match="no"), runbundle.start_tool("fails", {"n": 1}):
                raise ValueError("no")
            run.set_result({"answer": 42})
        handle.flush()
    return "acme/rich"


def inner(store: ArtifactStore) -> str:
    """Seal the same; return the key of the run within."""
    rich(store)
    return "acme/within"


@pytest.fixture
def demo() -> tuple[ArtifactStore, str]:
    """Return a store in memory with the demo's bundle, and its key."""
    store = MemoryStore()
    return store, record(store).sealed[0]


def edited(store: ArtifactStore, key: str, name: str, data: bytes) -> MemoryStore:
    """Return a copy of a bundle in which a file is another, and run.json made to fit it, its own digest too."""
    copy = MemoryStore()
    for path in store.list(f"{key}/"):
        copy.put(path, store.get(path))
    copy.put(f"{key}/{name}", data, overwrite=True)
    if name != RUN:
        index = orjson.loads(store.get(f"{key}/{RUN}"))
        for entry in index["files"]:
            if entry["path"] == name:
                entry |= {"bytes": len(data), "sha256": sha256_hex(data)}
        if index["config"]["path"] == name:
            index["config"]["sha256"] = sha256_hex(data)
        index.pop("self_sha256")
        copy.put(f"{key}/{RUN}", with_self_digest(index), overwrite=True)
    return copy


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a JSON value something stands: each field, and each first element of a list."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with something else in one place."""
    copy = orjson.loads(orjson.dumps(value))
    here = copy
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = new
    return copy


def named(path: tuple[Any, ...]) -> str:
    """Return the name under which the table has a place."""
    return ".".join(step for step in path if isinstance(step, str))


def verdict(store: ArtifactStore, key: str) -> str:
    """Return what verify says; its findings are of the catalogue."""
    report = verify(store, key)
    assert all(finding.code in FINDINGS for finding in report.findings)
    return report.verdict


def test_one_bit_anywhere_in_a_sealed_file_is_found() -> None:
    """Every byte of every file, also of run.json, which carries a digest of itself."""
    store = MemoryStore()
    with runbundle.configure(store=store, key=b"a key for tests only") as handle:
        with runbundle.start_run("r", run_id="r"):
            pass
        handle.flush()
    assert verdict(store, "r") == "verified"
    for path in list(store.list("r/")):
        whole = store.get(path)
        for at in range(len(whole)):
            bad = whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
            store.put(path, bad, overwrite=True)
            assert verify(store, "r", quick=True).verdict == "failed", (path, at)
        store.put(path, whole, overwrite=True)


@pytest.mark.parametrize("make", [rich, inner])
def test_an_edited_field_of_run_json_is_found_unless_it_is_guarded(make: Callable[[ArtifactStore], str]) -> None:
    """With its own digest made again: whatever is put in the place of a field, added beside it, or taken away."""
    store = MemoryStore()
    key = make(store)
    assert verdict(store, key) == "verified"
    index = orjson.loads(store.get(f"{key}/{RUN}"))
    index.pop("self_sha256")

    def passes(said: dict[str, Any]) -> bool:
        return said != index and verdict(edited(store, key, RUN, with_self_digest(said)), key) == "verified"

    passed = {named(path) for path in places(index) for new in VALUES if passes(changed(index, path, new))}
    absent = {field.alias or name for name, field in RunIndex.model_fields.items()} - {*index, "self_sha256"}
    passed |= {name for name in (*absent, "unknown") for new in VALUES[1:] if passes({**index, name: new})}
    passed |= {name for name in index if passes({k: v for k, v in index.items() if k != name})}
    for name in ("grace_s", "cut_off", "unknown"):
        said = changed(index, ("completeness", name), [])
        passed |= {f"completeness.{name}" for new in VALUES if passes(changed(said, ("completeness", name), new))}
    for dropped in ({"torn_lines": 0}, {"torn_lines": 1}, {"collided": -1}, {"other": 1}):
        assert not passes(changed(index, ("completeness", "dropped"), dropped))
    assert passed <= set(GUARDED[RUN]), passed - set(GUARDED[RUN])


def test_a_bundle_without_rules_and_digest_is_older_than_the_check() -> None:
    """Without digest and rules it is unchanged and not verified, whatever it says now; without one of them it fails."""
    store = MemoryStore()
    key = rich(store)
    index = orjson.loads(store.get(f"{key}/{RUN}"))
    for names, expected in ((("rules", "self_sha256"), "unchanged"), (("self_sha256",), "failed")):
        left = {k: v for k, v in index.items() if k not in names}
        data = to_json_bytes({**left, "name": "another", "status": "error"}, indent=True)
        report = verify(edited(store, key, RUN, data), key)
        assert (report.verdict, bool(report.notes)) == (expected, expected == "unchanged")
        assert report.limits
    later = verify(edited(store, key, RUN, with_self_digest({**index, "rules": RULES + 1})), key)
    assert (later.verdict, [f.code for f in later.findings]) == ("incomplete", ["RB213"])


@pytest.mark.parametrize("name", [TOOL_CALLS, EVIDENCE, "config.snapshot.json"])
def test_an_edited_field_of_another_file_is_found(demo: tuple[ArtifactStore, str], name: str) -> None:
    """With every digest made again: the events say otherwise, and the finding names the field and not its value."""
    store, key = demo
    said = orjson.loads(store.get(f"{key}/{name}"))
    for path in places(said):
        for new in ("x", 7, None, []):
            if changed(said, path, new) == said:
                continue
            report = verify(edited(store, key, name, to_json_bytes(changed(said, path, new), indent=True)), key)
            assert report.verdict == "failed", (path, new)
            assert [f.file for f in report.findings if f.code == "RB212"][:1] in ([name], [])
    for key_of_list in ("calls", "retrievals"):
        if key_of_list in said:
            shorter = {**said, key_of_list: said[key_of_list][1:]}
            assert verdict(edited(store, key, name, to_json_bytes(shorter, indent=True)), key) == "failed"


def test_evidence_that_is_taken_away_is_missed(demo: tuple[ArtifactStore, str]) -> None:
    """The file, its entry and the count: the events go on showing it."""
    store, key = demo
    index = orjson.loads(store.get(f"{key}/{RUN}"))
    index["files"] = [entry for entry in index["files"] if entry["path"] != EVIDENCE]
    index["counts"]["retrievals"] = 0
    index.pop("self_sha256")
    store.delete(f"{key}/{EVIDENCE}")
    assert verdict(edited(store, key, RUN, with_self_digest(index)), key) == "failed"


def test_other_bytes_of_the_same_content_are_found(demo: tuple[ArtifactStore, str]) -> None:
    """Layout, order of keys, a key twice: in every JSON file, and in a line of the events."""
    store, key = demo
    for name in ("config.snapshot.json", "events.jsonl", TOOL_CALLS, EVIDENCE, RUN):
        data = store.get(f"{key}/{name}")
        at = data.index(b'":') + 2
        report = verify(edited(store, key, name, data[:at] + b"  " + data[at:]), key)
        assert "RB211" in [finding.code for finding in report.findings], name


def test_what_an_event_says_of_its_span_must_agree(demo: tuple[ArtifactStore, str]) -> None:
    """Duration, number of redactions, words of capture, the run's end: with every digest made again."""
    store, key = demo
    data = store.get(f"{key}/events.jsonl")
    for old, new in (
        (b'"duration_ns":"', b'"duration_ns":"1'), (b'"redactions":', b'"redactions":1'),
        (b'"capture":{"', b'"capture":{"x":"cut","'), (b'"status":"unset"', b'"status":"error"'),
    ):  # fmt: skip
        assert old in data
        assert verdict(edited(store, key, "events.jsonl", data.replace(old, new, 1)), key) == "failed", old


def test_every_field_of_the_derived_files_is_in_the_table() -> None:
    """Each leaf of the models is derived or guarded, none is both, and the table names nothing else."""

    def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            inner, pending = [], [field.annotation]
            while pending:
                one = pending.pop()
                if isinstance(one, type) and issubclass(one, BaseModel):
                    inner.append(one)
                pending += get_args(one)
            place = path + (field.alias or name)
            if inner:
                yield from leaves(inner[0], f"{place}.")
            else:
                yield place

    for name, model in ((RUN, RunIndex), (TOOL_CALLS, ToolCalls), (EVIDENCE, Evidence)):
        named = set(leaves(model))
        guarded = {path for path in GUARDED[name] if not path.startswith("completeness.dropped.")}
        assert DERIVED[name] | guarded == named
        assert not DERIVED[name] & set(GUARDED[name])
        assert all(why for why, _ in GUARDED[name].values())
