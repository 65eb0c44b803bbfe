"""Values that no writer gives: too large, too deep, no times, no counts. They are findings, and stop nothing else."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle import reader
from runbundle.bundle.reader import Bundle, parse_index, too_deep
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.errors import BundleError, MalformedBundle
from runbundle.store import LocalStore, MemoryStore
from tests.support.handmade import KEY, build

JUNK: list[bytes] = [
    b"-1", b"1e999", b"NaN", b"9" * 400, b"18446744073709551616", b'"x"', b'"' + b"9" * 5000 + b'"', b"null", b"[]",
    b"{}", b'"9999-99-99T99:99:99Z"', b'"2026-02-30T00:00:00Z"', b'"0000-00-00T00:00:00Z"', b'"2026-01-01T00:00:00"',
    b'"292277026596-12-04T15:30:08Z"', b'"1000000000000000000"', b'"-5"', b"true", b'"\\ud800"', b'"\\u0000"',
    b"[" * 200 + b"]" * 200, b"[" * 5000 + b"]" * 5000, b'{"a":' * 120 + b"1" + b"}" * 120,
]  # fmt: skip
COMMANDS = ("ls", "index --rebuild", f"verify {KEY}", f"show {KEY}", f"tools {KEY}", "gc --older-than 0h --dry-run",
            "doctor", "ls --tool x", "show other", "ls --format json", f"show {KEY} --format json")  # fmt: skip


def _fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _fields(child, (*path, key))


FIELDS = list(_fields(orjson.loads(build().get(f"{KEY}/run.json"))))


def _put(value: Any, path: tuple[Any, ...], junk: bytes) -> bytes:
    """Return the JSON with that text in the place of one field."""
    *above, last = path
    inner = value
    for key in above:
        inner = inner[key]
    inner[last] = "@@@"
    return orjson.dumps(value).replace(b'"@@@"', junk)


@pytest.mark.parametrize("junk", JUNK, ids=[str(number) for number in range(len(JUNK))])
def test_no_value_of_any_field_of_the_index_raises(junk: bytes) -> None:
    """It is read, or it is a `BundleError` and a finding."""
    for path in FIELDS:
        store = build()
        data = _put(orjson.loads(store.get(f"{KEY}/run.json")), path, junk)
        store.put(f"{KEY}/run.json", data, overwrite=True)
        try:
            parse_index(data)
        except BundleError:
            assert verify(store, KEY).verdict == "failed", path
        else:
            verify(store, KEY)


@pytest.mark.parametrize("junk", JUNK, ids=[str(number) for number in range(len(JUNK))])
@pytest.mark.parametrize(
    "field", ["started_at", "ended_at", "duration_ns", "counts", "files", "revision", "completeness", "usage"]
)
def test_every_command_answers_whatever_a_field_holds(tmp_path: Path, field: str, junk: bytes) -> None:
    """Whatever stands in a field that is computed with: an exit code, and the bundle beside it is served."""
    store = build(LocalStore(tmp_path / "s"))
    shutil.copytree(tmp_path / "s" / KEY, tmp_path / "s" / "other")
    other = tmp_path / "s" / "other" / "run.json"
    other.write_bytes(other.read_bytes().replace(KEY.encode(), b"other"))
    data = _put(orjson.loads(store.get(f"{KEY}/run.json")), (field,), junk)
    (tmp_path / "s" / KEY / "run.json").write_bytes(data)
    for command in COMMANDS if field == "started_at" else COMMANDS[:6]:
        result = CliRunner().invoke(group, [*command.split(), "--store", str(tmp_path / "s")])
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
    listed = CliRunner().invoke(group, ["ls", "--store", str(tmp_path / "s")])
    assert re.search(r"^other ", listed.output, re.MULTILINE)
    copied = CliRunner().invoke(group, ["sync", str(tmp_path / "s"), str(tmp_path / "t")])
    assert (tmp_path / "t" / "other" / "run.json").exists(), copied.output


_JSON = st.recursive(
    st.none() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=40,
)


@given(_JSON, st.integers(0, 110))
def test_depth_is_told_exactly(value: Any, around: int) -> None:
    """However JSON is written, brackets within text do not count."""
    for number in range(around):
        value = [value] if number % 2 else {'"[{\\': value, "b": "]}"}
    assert too_deep(orjson.dumps(value)) == (_depth(value) > reader.MAX_DEPTH)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [x for item in level for x in (item.values() if isinstance(item, dict) else item)]
    return depth


def test_a_large_index_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end."""
    store = build()
    monkeypatch.setattr(reader, "MAX_INDEX_BYTES", 100)
    assert [f.code for f in verify(store, KEY).findings] == ["RB231"]
    with pytest.raises(MalformedBundle, match="16 MiB"):
        Bundle.open(store, KEY)


@pytest.mark.parametrize("name", ["tool_calls.json", "config.snapshot.json", "evidence.json"])
def test_a_large_or_deep_file_is_a_finding(name: str) -> None:
    """Within its digest, so that nothing else is wrong with it."""
    from tests.support.handmade import files

    deep = orjson.loads(files()[name])
    deep["deep"] = "@@@"
    data = orjson.dumps(deep).replace(b'"@@@"', b"[" * 150 + b"]" * 150)
    assert "RB232" in [f.code for f in verify(build(content=files() | {name: data}), KEY).findings]


def test_a_deep_event_is_a_finding() -> None:
    """At the line where it is, and reading raises no more than `MalformedBundle`."""
    from tests.support.handmade import files

    lines = files()["events.jsonl"].splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"attributes":{', b'"attributes":{"a":' + b"[" * 300 + b"]" * 300 + b",", 1)
    store = build(content=files() | {"events.jsonl": b"".join(lines)})
    assert ("RB232", 3) in [(f.code, f.line) for f in verify(store, KEY).findings]
    with pytest.raises(MalformedBundle, match="deep"):
        list(Bundle.open(store, KEY).events())


def test_a_memory_store_is_read_by_the_same_rules() -> None:
    """The bounds are the reader's, not a backend's."""
    store = MemoryStore()
    store.put("r/run.json", b" " * 20_000_000)
    assert [f.code for f in verify(store, "r").findings] == ["RB231"]
