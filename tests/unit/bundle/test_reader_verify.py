"""In a bundle made by hand there is nothing to find; each way to break it has a code of its own, and none raises."""

import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle import reader
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.errors import KeyNotFound, MalformedBundle, NotSealed, UnsupportedVersion
from runbundle.format.verify_report import VerifyReport
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support.handmade import FETCH, KEY, ROOT, TOOL, build, dump, events, files

NOWHERE = "9" * 16
CREDENTIAL = "ghp_" + "a1B2" * 9
FILES = sorted(files())


def codes(store: ArtifactStore) -> list[str]:
    """Return the codes that verify finds, each once."""
    return sorted({finding.code for finding in verify(store, KEY).findings})


def tampered(path: str, change: Callable[[bytes], bytes]) -> ArtifactStore:
    """Return a store whose bundle was changed after the seal."""
    store = build()
    store.put(f"{KEY}/{path}", change(store.get(f"{KEY}/{path}")), overwrite=True)
    return store


def with_events(change: Callable[[list[dict[str, Any]]], object]) -> ArtifactStore:
    """Return a bundle that was sealed with other events."""
    lines = events()
    change(lines)
    return build(lines=lines)


def with_line(change: Callable[[bytes], bytes]) -> ArtifactStore:
    """Return a bundle that was sealed with its fifth line, an event of a span, changed as bytes."""
    lines = files()["events.jsonl"].splitlines(keepends=True)
    lines[4] = change(lines[4])
    return build(content=files() | {"events.jsonl": b"".join(lines)})


def with_file(path: str, change: Callable[[dict[str, Any]], object]) -> ArtifactStore:
    """Return a bundle that was sealed with another JSON file."""
    content = files()
    value = json.loads(content[path])
    change(value)
    return build(content=content | {path: dump(value)})


@pytest.mark.parametrize("local", [False, True])
def test_in_a_bundle_made_by_hand_there_is_nothing_to_find(tmp_path: Path, local: bool) -> None:
    """In memory and on disk: every dimension passes, and every byte was read. It names no rules to derive it by."""
    store = build(LocalStore(tmp_path) if local else None)
    report = verify(store, KEY)
    assert (report.verdict, report.findings, set(report.dimensions.values())) == ("unchanged", [], {"pass"})
    assert report.files_checked == len(FILES) + 1
    assert report.bytes_checked == sum(store.size(key) for key in store.list(f"{KEY}/"))


@pytest.mark.parametrize("path", FILES)
def test_damage_after_the_seal_is_a_finding(path: str) -> None:
    """A flipped byte, a missing file and a cut in the middle, for each file."""
    assert codes(tampered(path, lambda data: bytes([data[0] ^ 1]) + data[1:])) == ["RB201"]
    assert codes(tampered(path, lambda data: data[: len(data) // 2])) == ["RB205"]
    store = build()
    store.delete(f"{KEY}/{path}")
    assert codes(store) == ["RB202"]


def test_truncated_torn_and_extra_files_have_different_codes() -> None:
    """A cut between lines, a cut within the last line, and files that run.json does not list."""
    assert codes(tampered("events.jsonl", lambda d: b"".join(d.splitlines(keepends=True)[:-1]))) == ["RB204"]
    assert codes(tampered("events.jsonl", lambda d: d[:-4])) == ["RB205"]
    for extra in ("notes.txt", "attestation.dsse.json.old", "evaluation.json"):
        store = build()
        store.put(f"{KEY}/{extra}", b"x")
        assert codes(store) == ["RB203"]


@pytest.mark.parametrize("name", ["attestation.dsse.json", "hold.json"])
def test_a_file_that_may_be_added_after_the_seal_is_not_extra(name: str) -> None:
    """The format has a place for it."""
    store = build()
    store.put(f"{KEY}/{name}", b"{}")
    assert codes(store) == []


def test_a_link_to_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    """It is listed and not opened: two findings, not an exception."""
    store = build(LocalStore(tmp_path))
    evidence = tmp_path / KEY / "evidence.json"
    evidence.unlink()
    evidence.symlink_to(tmp_path / "gone")
    assert codes(store) == ["RB202", "RB230"]


def test_no_cut_and_no_flip_of_run_json_raises() -> None:
    """Cut anywhere it is unreadable; flipped anywhere there is a report."""
    data = build().get(f"{KEY}/run.json")
    for at in range(0, len(data) - 1, 5):
        assert codes(tampered("run.json", lambda d, at=at: d[:at])) == ["RB101"]
    for at in range(0, len(data), 3):
        flipped = tampered("run.json", lambda d, at=at: d[:at] + bytes([d[at] ^ 0x84]) + d[at + 1 :])
        assert isinstance(verify(flipped, KEY), VerifyReport)


@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        (b"not json", "RB101", MalformedBundle), (b"[" * 100_000, "RB232", MalformedBundle),
        (b"\xff\xfe{}", "RB101", MalformedBundle), (b'{"schema":"other/v1"}', "RB101", MalformedBundle),
        (b'{"schema":"runbundle/run/v2"}', "RB104", UnsupportedVersion), (None, "RB105", NotSealed),
    ],
)  # fmt: skip
def test_an_unusable_index_is_a_finding_and_an_error(content: bytes | None, code: str, error: type[Exception]) -> None:
    """A finding for verify, the matching exception for a reader."""
    store = build()
    store.delete(f"{KEY}/run.json")
    if content is not None:
        store.put(f"{KEY}/run.json", content)
    assert codes(store) == [code]
    with pytest.raises(error):
        Bundle.open(store, KEY)


@pytest.mark.parametrize("path", FILES)
def test_a_file_left_out_of_the_index_is_noticed(path: str) -> None:
    """Deleting a file together with its entry does not make a bundle whole."""
    content = files()
    del content[path]
    assert codes(build(content=content)) == ["RB504" if path == "config.snapshot.json" else "RB106"]


def test_quick_looks_at_the_files_and_not_into_them() -> None:
    """Unchanged files are unchanged, whatever is in them; a changed one is found; the rest says that it was skipped."""
    report = verify(build(), KEY, quick=True)
    assert (report.verdict, report.dimensions) == (
        "unchanged",
        {"structure": "skipped", "integrity": "pass", "completeness": "pass", "redaction": "skipped",
         "references": "skipped"},
    )  # fmt: skip
    inconsistent = build(change=lambda run: run["counts"].update(errors=7))
    assert (verify(inconsistent, KEY).verdict, verify(inconsistent, KEY, quick=True).verdict) == ("failed", "unchanged")
    store = build()
    store.put(f"{KEY}/events.jsonl", b"{}\n", overwrite=True)
    assert verify(store, KEY, quick=True).dimensions["integrity"] == "fail"
    assert verify(build(), "other", quick=True).verdict == "incomplete"  # nothing is sealed under that name


def test_quick_says_what_it_left_out() -> None:
    """In notes, which text and JSON print; without its search, that too. A whole report says nothing of it."""
    *before, left_out, not_searched = verify(build(), KEY, quick=True, search=False).notes
    assert "follow from" in left_out
    assert "search" in not_searched
    assert verify(build(), KEY, quick=True).notes == [*before, left_out]
    assert verify(build(), KEY).notes == before


LEAK = "sk-abcdefghijklmnop"


@pytest.mark.parametrize("written", [LEAK, "\\u0073k-abcdefghijklmnop"], ids=["plain", "escaped"])
@pytest.mark.parametrize("path", ["events.jsonl", "tool_calls.json", "evidence.json", "config.snapshot.json"])
def test_quick_searches_for_credentials(path: str, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each file, an escaped one too, in whatever pieces it is read; not a key beside the marker of its value."""
    content = files()
    line = b'{"x":"%b","password":"[REDACTED:credential]",'
    for size in (7, 1_048_576):
        monkeypatch.setattr("runbundle.bundle.checks.integrity._CHUNK", size)
        for text, codes_found in ((written, ["RB403"]), ("none", [])):
            data = content[path].replace(b"{", line % text.encode(), 1)
            report = verify(build(content={**content, path: data}), KEY, quick=True)
            assert [finding.code for finding in report.findings] == codes_found
            assert report.dimensions["redaction"] == ("fail" if codes_found else "skipped")


def test_files_are_found_by_pointer_not_by_name() -> None:
    """A later revision keeps its files elsewhere; they are checked all the same."""
    content = {f"revisions/2/{path}" if path != "config.snapshot.json" else path: d for path, d in files().items()}

    first = build().get(f"{KEY}/run.json")

    def change(run: dict[str, Any]) -> None:
        run |= {"revision": 2, "supersedes": hashlib.sha256(first).hexdigest()}
        run["counts"]["events"] = len(events())

    store = build(content=content, change=change)
    assert codes(store) == ["RB207"]
    store.put(f"{KEY}/revisions/1/run.json", first.replace(b"50Z", b"60Z"))
    assert codes(store) == ["RB207"]
    store.put(f"{KEY}/revisions/1/run.json", first, overwrite=True)
    assert codes(store) == ["RB202"]  # of the first revision, of which only the configuration is here
    for name in set(files()) - {"config.snapshot.json"}:
        store.put(f"{KEY}/{name}", files()[name])
    assert codes(store) == []
    assert Bundle.open(store, KEY).tool_calls().calls[0].span_id == TOOL
    content["revisions/2/events.jsonl"] = b"{}\n"
    assert "RB102" in codes(build(content=content, change=change))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda e: e[4].update(seq=9), "RB103"),
        (lambda e: e.insert(2, e.pop(3)), "RB103"),
        (lambda e: e[2].update(parent_span_id=NOWHERE), "RB501"),
        (lambda e: e[4].update(span_id=NOWHERE[:-1] + "a"), "RB506"),
        (lambda e: e[5]["attributes"].update({"gen_ai.input.messages": "hello"}), "RB401"),
        (lambda e: e[5]["attributes"].clear(), "RB402"),
        (lambda e: e[4]["attributes"].update(note=CREDENTIAL), "RB403"),
        (lambda e: e[5]["attributes"].update({"runbundle.redaction": '{"n":[]}'}), "RB404"),
        (lambda e: e[4].update(type="log"), "RB305"),
        (lambda e: e[5].update(status="error"), "RB305"),
        (lambda e: e[4].update(trace_id="b" * 32), "RB506"),
    ],
    ids=["number", "order", "parent", "span", "content", "receipt", "credential", "totals", "log", "error", "trace"],
)  # fmt: skip
def test_events_that_contradict_each_other_are_a_finding(
    change: Callable[[list[dict[str, Any]]], object], code: str
) -> None:
    """Digests fit, content does not: a writer's mistake or a forger's."""
    assert code in codes(with_events(change))


@pytest.mark.parametrize("junk", [None, 5, -1, 1.5, True, "", "²", "9" * 5000, "a\nb", [], ["x"], {}, {"a": 1}])
@pytest.mark.parametrize(
    "field",
    ["seq", "time_ns", "type", "trace_id", "span_id", "parent_span_id", "name", "op", "status", "attributes",
     "error", "links", "scope", "lane", "remote_parent", "source", "duration_ns", "redactions"],
)  # fmt: skip
def test_no_value_of_any_field_raises(field: str, junk: Any) -> None:
    """Whatever type a field has on whatever line, verify returns and reading raises at most `MalformedBundle`."""
    for at in range(len(events())):
        store = with_events(lambda e, at=at: e[at].update({field: junk}))
        assert isinstance(verify(store, KEY), VerifyReport)
        with contextlib.suppress(MalformedBundle):
            list(Bundle.open(store, KEY).events())


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"name":"x"', b'"name":"\xff"'), lambda line: b"\n", lambda line: b"junk\n",
        lambda line: b"[1]\n", lambda line: line[:-9] + b"\n", lambda line: b"[" * 100_000 + b"\n",
        lambda line: line.replace(b'"span.event"', b'"span.odd"'),
    ],
    ids=["not utf-8", "blank", "not json", "not an object", "cut", "deep", "unknown type"],
)  # fmt: skip
def test_a_bad_line_is_named(change: Callable[[bytes], bytes]) -> None:
    """With its number, and without what it says."""
    found = [f for f in verify(with_line(change), KEY).findings if f.code in ("RB102", "RB232")]
    assert [(f.file, f.line) for f in found] == [("events.jsonl", 5)]


def test_a_huge_line_is_refused_and_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit is held, and the lines behind it keep their numbers."""
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 1000)
    store = with_line(lambda line: line.replace(b'"name":"x"', b'"name":"' + b"x" * 5000 + b'"'))
    assert [(f.code, f.line) for f in verify(store, KEY).findings] == [("RB231", 5)]
    with store.open(f"{KEY}/events.jsonl") as file:
        lines = list(reader.event_lines(file))
    assert [number for number, _ in lines] == list(range(1, 10))
    assert max(len(line) for _, line in lines) == 1001
    with pytest.raises(MalformedBundle, match=r"events\.jsonl:5"):
        list(Bundle.open(store, KEY).events())


def test_a_torn_last_line_is_a_finding() -> None:
    """The digest is that of the torn file, so structure says it."""
    assert "RB102" in codes(build(content=files() | {"events.jsonl": files()["events.jsonl"][:-1]}))


@pytest.mark.parametrize("path", ["config.snapshot.json", "tool_calls.json", "evidence.json"])
def test_a_credential_is_found_in_every_file(path: str) -> None:
    """As a value or as a key, however deep; a key beside a marker is no credential."""
    assert codes(with_file(path, lambda value: value.update(a=[{"b": CREDENTIAL}]))) == ["RB403"]
    assert codes(with_file(path, lambda value: value.update(a={CREDENTIAL: 1}))) == ["RB403"]
    assert codes(with_file(path, lambda value: value.update(api_key="[REDACTED:credential]"))) == []


def test_a_credential_is_found_in_the_index_and_behind_escapes() -> None:
    """run.json is scanned too, and an escaped letter is that letter to whoever reads the bundle."""
    assert codes(build(change=lambda run: run.update(session_id=CREDENTIAL))) == ["RB403"]
    escaped = b'"name":"\\u0067' + CREDENTIAL[1:].encode() + b'"'
    assert codes(with_line(lambda line: line.replace(b'"name":"x"', escaped))) == ["RB403"]


def test_many_findings_of_one_kind_do_not_hide_another() -> None:
    """After a thousand bad lines a credential is still a finding, and the report stays small and says how many."""
    data = files()["events.jsonl"] + b"junk\n" * 1000 + CREDENTIAL.encode() + b"\n"
    report = verify(build(content=files() | {"events.jsonl": data}), KEY)
    assert report.dimensions["redaction"] == "fail"
    assert len([f for f in report.findings if f.code == "RB102"]) == 51
    assert "and 951 more like these" in [f.message for f in report.findings]


def test_other_files_refer_to_what_is_there() -> None:
    """Spans of tool calls and evidence, the id of the run, the digest of the configuration."""
    assert codes(with_file("tool_calls.json", lambda v: v["calls"][0].update(span_id=NOWHERE))) == ["RB502"]
    assert codes(with_file("evidence.json", lambda v: v["retrievals"][0].update(span_id=NOWHERE))) == ["RB503"]
    assert codes(build(change=lambda run: run["config"].update(sha256="0" * 64))) == ["RB504"]
    assert codes(build(change=lambda run: run["config"].update(path="../x"))) == ["RB101"]
    assert codes(with_file("evidence.json", lambda v: v.update(run_id="another"))) == ["RB505"]
    assert codes(with_file("tool_calls.json", lambda v: v.pop("calls"))) == ["RB102"]


@pytest.mark.parametrize(
    "field",
    ["events", "spans", "logs", "tool_calls", "model_calls", "retrievals", "policy_blocks", "errors"],
)
def test_every_count_is_counted_again(field: str) -> None:
    """A number in run.json that nobody checks could say anything."""
    assert codes(build(change=lambda run: run["counts"].update({field: 77}))) == ["RB305"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"spans_expected": 9}, "RB301"), ({"open_spans": [ROOT]}, "RB302"), ({"dropped": {"queue": 1}}, "RB303"),
        ({"state": "crashed"}, "RB304"), ({"roots": 2}, "RB306"), ({"spans_expected": None}, "RB307"),
        ({"state": "lossy"}, "RB308"), ({"state": "unknown"}, "RB308"), ({"late": 3}, "RB308"),
    ],
)  # fmt: skip
def test_a_bundle_that_calls_itself_incomplete_is_never_verified(change: dict[str, Any], code: str) -> None:
    """Whatever completeness says is missing makes the verdict `incomplete`, not `failed`."""
    report = verify(build(change=lambda run: run["completeness"].update(change)), KEY)
    assert (report.verdict, [f.code for f in report.findings]) == ("incomplete", [code])


def test_traces_must_be_those_of_the_events() -> None:
    """run.json cannot name a trace that is not there."""
    assert codes(build(change=lambda run: run.update(trace_ids=["b" * 32]))) == ["RB305"]


def test_fields_of_later_versions_are_no_finding() -> None:
    """Within v1 a field may be added: in the index, in an event, in a tool call."""
    assert codes(build(change=lambda run: run.update(later={"a": 1}))) == []
    assert codes(with_events(lambda e: e[4].update(later=[1]))) == []
    assert codes(with_file("tool_calls.json", lambda v: v["calls"][0].update(later=1))) == []


def test_reading_takes_no_more_than_is_asked_for() -> None:
    """Opening reads run.json; one span is found by the beginning of its id, or is ambiguous, or is not there."""

    class Counting(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.read: list[str] = []

        def get(self, key: str) -> bytes:
            self.read.append(key)
            return super().get(key)

        def open(self, key: str) -> Any:
            self.read.append(key)
            return super().open(key)

    store = Counting()
    build(store)
    store.read.clear()
    bundle = Bundle.open(store, KEY)
    assert store.read == [f"{KEY}/run.json"]
    assert [event["type"] for event in bundle.span(FETCH)] == ["span.started", "span.event", "span.ended"]
    assert bundle.span("abc") == []
    with pytest.raises(KeyNotFound, match="more than one"):
        bundle.span("0")
    assert f"{KEY}/tool_calls.json" not in store.read
    assert bundle.config().config == {"k": 1}
    evidence = bundle.evidence()
    assert evidence is not None
    assert evidence.retrievals[0].span_id == FETCH


def test_verify_starts_without_the_sdk_and_the_command_line() -> None:
    """`verify` may run where nothing but the bundle's own dependencies is installed."""
    code = "import sys, runbundle.bundle.verify; print(sorted({'opentelemetry', 'click', 'rich'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
