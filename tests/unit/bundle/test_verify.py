"""Each kind of damage has a finding of its own."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

import runbundle
from runbundle.bundle.catalog.locate import list_runs, resolve
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.demo_agent import record
from runbundle.format.canonical import sha256_hex, to_json_bytes, with_self_digest
from runbundle.format.findings import FINDINGS
from runbundle.store import LocalStore


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the folder of a sealed demo bundle."""
    store = LocalStore(tmp_path / "store")
    return store.root / record(store).sealed[0]


def codes(folder: Path) -> list[str]:
    """Return the codes that verify finds, each once."""
    report = verify(LocalStore(folder.parent), folder.name)
    assert all(f.code in FINDINGS for f in report.findings)
    return sorted({f.code for f in report.findings})


def reseal(folder: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """Change run.json by a function and bring its digests up to date, its own too, as a faulty writer would."""
    index = orjson.loads((folder / "run.json").read_bytes())
    for entry in index["files"]:
        data = (folder / entry["path"]).read_bytes()
        entry |= {"bytes": len(data), "sha256": sha256_hex(data)}
        if entry["path"] == "config.snapshot.json":
            index["config"]["sha256"] = entry["sha256"]
    change(index)
    index.pop("self_sha256", None)
    (folder / "run.json").write_bytes(with_self_digest(index))


def edit_events(folder: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in events.jsonl and seal that."""
    path = folder / "events.jsonl"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    reseal(folder, lambda index: None)


def test_an_untouched_bundle_is_verified(bundle: Path) -> None:
    """Nothing is found, every dimension passes, all files were read."""
    report = verify(LocalStore(bundle.parent), bundle.name)
    assert report.verdict == "verified"
    assert set(report.dimensions.values()) == {"pass"}
    assert report.files_checked == 5


@pytest.mark.parametrize("name", ["events.jsonl", "tool_calls.json", "evidence.json", "config.snapshot.json"])
def test_any_flipped_byte_is_modified(bundle: Path, name: str) -> None:
    """At the start, in the middle and at the end of every file."""
    data = (bundle / name).read_bytes()
    for position in (0, len(data) // 2, len(data) - 1):
        (bundle / name).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert codes(bundle) == ["RB201"]


def test_missing_extra_truncated_torn_and_grown_are_told_apart(bundle: Path) -> None:
    """Five kinds of damage, five codes."""
    path = bundle / "events.jsonl"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for damaged, code in (
        (b"".join(lines[:-1]), "RB204"),
        (b"", "RB204"),
        (data[:-5], "RB205"),
        (data + b"{}\n", "RB206"),
    ):
        path.write_bytes(damaged)
        assert codes(bundle) == [code]
    path.unlink()
    assert codes(bundle) == ["RB202"]
    path.write_bytes(data)
    (bundle / "notes.txt").write_text("x")
    assert codes(bundle) == ["RB203"]


@pytest.mark.parametrize("path", ["../other/run.json", "/etc/passwd", "a b.txt", ".hidden", ""])
def test_a_path_that_is_no_key_is_a_finding(bundle: Path, path: str) -> None:
    """A tampered index cannot make verify read elsewhere, nor make it fail; not even if such a file lies there."""
    (bundle / "a b.txt").write_text("x")
    index = orjson.loads((bundle / "run.json").read_bytes())
    index["files"][0]["path"] = path
    (bundle / "run.json").write_bytes(to_json_bytes(index, indent=True))
    assert "RB101" in codes(bundle)


def test_files_outside_the_seal_may_be_added(bundle: Path) -> None:
    """What the format allows after the seal is not extra."""
    (bundle / "attestation.dsse.json").write_text("{}")
    (bundle / "hold.json").write_text("{}")
    assert codes(bundle) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "RB101"), (b"{", "RB101"), (b"[]", "RB101"), (b"\xff\xfe", "RB101"), (b'{"schema": 5}', "RB101"),
        (b'{"schema": "runbundle/run/v2"}', "RB104"),
    ],
)  # fmt: skip
def test_a_bad_index_is_a_finding(bundle: Path, content: bytes, code: str) -> None:
    """run.json that is empty, torn, of another shape or of a later version."""
    (bundle / "run.json").write_bytes(content)
    assert codes(bundle) == [code]


def test_an_unsealed_bundle_is_incomplete(bundle: Path) -> None:
    """Without run.json there is nothing to hold against the files."""
    (bundle / "run.json").unlink()
    report = verify(LocalStore(bundle.parent), bundle.name)
    assert (report.verdict, [f.code for f in report.findings]) == ("incomplete", ["RB105"])
    with pytest.raises(runbundle.NotSealed):
        Bundle.open(LocalStore(bundle.parent), bundle.name)


def test_a_fault_of_the_writer_is_a_finding(bundle: Path) -> None:
    """Digests that fit do not hide content that does not."""
    for old, new, code in (
        (b'"seq":3', b'"seq":9', "RB103"),
        (b'"type":"span.event"', b'"type":"span.odd"', ""),
        (b'"parent_span_id":"', b'"parent_span_id":"0', "RB501"),
        (b'"gen_ai.input.messages":"[REDACTED', b'"gen_ai.input.messages":"hello [', "RB401"),
        (b'"gen_ai.request.model":"demo-model-1"', b'"gen_ai.request.model":"ghp_' + b"a1B2" * 9 + b'"', "RB403"),
        (b'"runbundle.redaction"', b'"runbundle.other"', "RB402"),
    ):
        saved = {p: p.read_bytes() for p in bundle.iterdir() if p.is_file()}
        edit_events(bundle, old, new)
        assert code == "" or code in codes(bundle)
        for path, data in saved.items():
            path.write_bytes(data)


def test_numbers_and_references_must_agree(bundle: Path) -> None:
    """Counts, totals, ids of other runs and dangling spans are found."""
    reseal(bundle, lambda index: index["counts"].update(spans=99))
    assert codes(bundle) == ["RB212", "RB305"]
    reseal(bundle, lambda index: index["counts"].update(spans=8))
    reseal(bundle, lambda index: index["redaction"]["totals"][0].update(count=99))
    assert codes(bundle) == ["RB212", "RB404"]
    calls = (bundle / "tool_calls.json").read_bytes()
    (bundle / "tool_calls.json").write_bytes(calls.replace(b'"span_id": "', b'"span_id": "0', 1))
    reseal(bundle, lambda index: index["config"].update(sha256="0" * 64))
    assert {"RB212", "RB504"} <= set(codes(bundle))
    bundle.rename(bundle.parent / "renamed")
    assert "RB505" in codes(bundle.parent / "renamed")


def test_what_is_said_to_be_missing_has_a_finding_each(bundle: Path) -> None:
    """Each loss that the bundle states; one that its events contradict fails it besides."""
    for change, code in (
        ({"spans_expected": 99}, "RB301"), ({"open_spans": ["a"]}, "RB302"), ({"dropped": {"x": 1}}, "RB303"),
        ({"state": "crashed"}, "RB304"), ({"roots": 2}, "RB306"), ({"spans_expected": None}, "RB307"),
    ):  # fmt: skip
        saved = (bundle / "run.json").read_bytes()
        reseal(bundle, lambda index, change=change: index["completeness"].update(change))  # type: ignore[misc]
        report = verify(LocalStore(bundle.parent), bundle.name)
        assert (report.verdict, [f.code for f in report.findings]) == ("failed", [code, "RB212"])
        (bundle / "run.json").write_bytes(saved)


def test_runs_are_found_by_every_name(bundle: Path) -> None:
    """Path, path of run.json, id, prefix and @last; what is missing or ambiguous is said."""
    store = LocalStore(bundle.parent)
    for name in (str(bundle), str(bundle / "run.json"), bundle.name, bundle.name[:6], "@last"):
        found, key = resolve(store, name)
        assert isinstance(found, LocalStore)
        assert (found.root, key) == (bundle.parent, bundle.name)
    assert [entry.key for entry in list_runs(store)] == [bundle.name]
    with pytest.raises(runbundle.KeyNotFound, match="no run nope"):
        resolve(store, "nope")
    store.put("zz1/run.json", b"")
    store.put("zz2/run.json", b"")
    with pytest.raises(runbundle.KeyNotFound, match="2 runs begin with zz"):
        resolve(store, "zz")
    (bundle.parent / "empty").mkdir()
    with pytest.raises(runbundle.KeyNotFound, match="no sealed run"):
        resolve(LocalStore(bundle.parent / "empty"), "@last")


def test_one_span_is_read_by_the_beginning_of_its_id(bundle: Path) -> None:
    """All its events come back; an unknown id gives none."""
    opened = Bundle.open(LocalStore(bundle.parent), bundle.name)
    span = opened.tool_calls().calls[0].span_id
    assert [e["type"] for e in opened.span(span[:10])] == ["span.started", "span.ended"]
    assert opened.span("zz") == []
