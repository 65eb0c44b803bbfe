"""The span columns say of a run what its events say, of any events, and are made anew on any doubt."""

import tracemalloc
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle.reader import Bundle
from runbundle.cli.demo_agent import record
from runbundle.errors import BundleError, MalformedBundle
from runbundle.inspect.columns import columns_from, columns_of, event_at, line_of, lines_of
from runbundle.inspect.span_columns import (
    CODES,
    ELSEWHERE,
    FORMAT,
    NEVER_ENDED,
    OTHER_COLUMNS,
    ROOT,
    SPAN_COLUMNS,
    SpanColumns,
    from_bytes,
)
from runbundle.redaction.detectors import cache
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support import handmade
from tests.support.handmade import FETCH, KEY, OUTSIDE, TOOL, dump, event

IDS = [f"{n:016x}" for n in range(1, 7)]


def bundle_of(lines: list[dict[str, Any]], store: ArtifactStore | None = None) -> Bundle:
    """Return a sealed bundle with these events."""
    return Bundle.open(handmade.build(store or MemoryStore(), lines=lines), KEY)


def say_the_same(columns: SpanColumns, bundle: Bundle) -> None:
    """Compare each number of the columns with the events of the bundle."""
    events = list(bundle.events())
    starts = [e for e in events if e["type"] == "span.started"]
    ends = {(e["trace_id"], e["span_id"]): e for e in events if e["type"] == "span.ended"}
    rows = {(e["trace_id"], e["span_id"]): row for row, e in enumerate(starts)}
    assert len(columns) == len(starts)
    for row, start in enumerate(starts):
        end = ends.get((start["trace_id"], start["span_id"]))
        said = (end or {}).get("attributes", {})
        assert (columns.span_id(row), columns.trace_id(row)) == (start["span_id"], start["trace_id"])
        assert columns.base_ns + columns.data["start_ns"][row] == int(start["time_ns"])
        ended = end is not None and end.get("status") != "interrupted"
        assert columns.duration_ns(row) == (int(end["duration_ns"]) if end and ended else None)
        assert columns.text("name", row) == start["name"]
        assert columns.text("lane", row) == start.get("lane", "")
        assert columns.text("tool", row) == str(said.get("gen_ai.tool.name", ""))
        assert columns.text("model", row) == said.get("gen_ai.request.model", said.get("gen_ai.response.model", ""))
        assert columns.op(row) == start.get("op", "")
        assert columns.status(row) == (end or {}).get("status", "")
        assert columns.data["withheld"][row] == (end or {}).get("redactions", 0)
        assert columns.data["tokens_in"][row] == said.get("gen_ai.usage.input_tokens", 0)
        assert columns.data["tokens_out"][row] == said.get("gen_ai.usage.output_tokens", 0)
        assert line_of(bundle, columns, row, end=False) == start
        assert line_of(bundle, columns, row) == end
        key = (start["trace_id"], start["span_id"])
        of_it = [e for e in events if (e["trace_id"], e["span_id"]) == key and not e["type"].startswith("run.")]
        assert lines_of(bundle, columns, row) == of_it
        parent = start.get("parent_span_id")
        above = ROOT if parent is None else rows.get((start["trace_id"], parent), ELSEWHERE)
        assert columns.data["parent"][row] == above
    other = [e for e in events if not e["type"].startswith("run.") and e["type"] not in ("span.started", "span.ended")]
    assert len(columns.data["row"]) == len(other)
    for place, one in enumerate(other):
        data = columns.data
        assert data["row"][place] == rows.get((one["trace_id"], one["span_id"]), -1)
        assert columns.header["kinds"][data["kind"][place]] == one["type"]
        assert event_at(bundle, data["at"][place], data["bytes"][place]) == one


counts = st.integers(0, 60_000)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def runs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines of a run in any order: late starts, ends before starts, missing parents, several traces, any names."""
    lines = [event(0, "run.started", IDS[0], op="run")]
    spans = draw(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from("ab")), min_size=1, unique=True))
    for number, (span, trace) in enumerate(spans):
        earlier = [other for other, within in spans[:number] if within == trace]
        above = draw(st.sampled_from([None, OUTSIDE, *earlier]))
        more: dict[str, Any] = {"trace_id": trace * 32} | ({"parent_span_id": above} if above else {})
        named = {"name": draw(texts), "op": draw(st.sampled_from(["tool", "model", "agent", "other"]))}
        lane = {"lane": draw(texts)} if draw(st.booleans()) else {}
        lines.append(event(draw(st.integers(-50, 50)), "span.started", span, **more, **named, **lane))
        if draw(st.booleans()):
            said: dict[str, Any] = {}
            for key, values in (
                ("gen_ai.tool.name", texts), ("gen_ai.request.model", texts.filter(bool)),
                ("gen_ai.usage.input_tokens", counts), ("gen_ai.usage.output_tokens", counts),
            ):  # fmt: skip
                said |= {key: draw(values)} if draw(st.booleans()) else {}
            ended = {"status": draw(st.sampled_from(["ok", "error", "interrupted", "waiting", "odd"]))}
            took = {"duration_ns": str(draw(st.integers(0, 10**18))), "redactions": draw(counts)}
            lines.append(event(60, "span.ended", span, **more, **named, **ended, **took, attributes=said))
        kinds = draw(st.lists(st.sampled_from(["span.event", "policy.decision", "score", "log", "later.kind"])))
        lines += [event(5, kind, span, trace_id=trace * 32) for kind in kinds]
    lines.append(event(5, "log", "0" * 16, trace_id="0" * 32))
    return [{**line, "seq": n} for n, line in enumerate(draw(st.permutations(lines)))]


@given(runs())
def test_the_columns_of_a_run_say_what_its_events_say(lines: list[dict[str, Any]]) -> None:
    """In whatever order the lines come; also once more from the bytes of the file."""
    bundle = bundle_of(lines)
    made = columns_from(dump(line) for line in lines)
    say_the_same(made, bundle)
    again = from_bytes(made.to_bytes())
    assert again is not None
    assert again.header == made.header
    assert {k: v.tolist() for k, v in again.data.items()} == {k: v.tolist() for k, v in made.data.items()}


def test_the_columns_of_a_recorded_run_say_what_its_events_say(tmp_path: Path) -> None:
    """Of the demo, with tools, a model, a refusal and a score; from the file of the cache too."""
    store = LocalStore(tmp_path / "runs")
    bundle = Bundle.open(store, record(store).sealed[0])
    for _ in range(2):
        columns = columns_of(bundle)
        say_the_same(columns, bundle)
    assert {columns.text("tool", row) for row in range(len(columns))} > {"find_order", "weather"}
    assert [columns.text("tool", row) for row in columns.with_status("blocked")] == ["refund"]
    assert len(list(columns.others_of_kind("score"))) == 1
    assert [columns.op(row) for row in columns.chain(len(columns) - 1)][:2] == ["run", "agent"]
    assert [columns.text("name", row) for row in columns.roots()] == ["run demo"]


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b'{"type":"span.started"}\n',
        b'{"type":7}\n',
        b"[" * 5000 + b"\n",
        dump(event(1, "span.started", TOOL, op="tool")),
        dump(event(1, "span.started", "x" * 16)),
        dump(event(1, "span.started", IDS[4], parent_span_id=7)),
        dump(event(1, "span.started", IDS[4], name=[])),
        dump(event(1, "span.started", IDS[4], time_ns="1²")),
        dump(event(1, "span.ended", IDS[4])),
        dump(event(1, "span.ended", FETCH)),
        dump(event(1, "span.ended", FETCH))[:-1],
    ],
)
def test_lines_that_are_no_events_are_an_error_that_names_the_line(line: bytes) -> None:
    """No line of a stranger's file ends in another exception."""
    lines = [dump(e) for e in handmade.events() if e["type"] != "run.ended"]
    with pytest.raises(MalformedBundle) as raised:
        columns_from([*lines, line])
    assert "events.jsonl" in raised.value.message


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    """With any bytes of it changed or cut away, no exception is raised but our own, and no chain is endless."""
    body = bytearray(b"".join(dump(e) for e in handmade.events()))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        columns = columns_from(bytes(body).splitlines(keepends=True))
    except BundleError:
        return
    for row in range(len(columns)):
        columns.chain(row)


def test_a_circle_of_parents_is_cut_at_its_first_span() -> None:
    """A span that is its own parent, and three that are each other's: walks end, and each span is below a root."""
    above = dict(zip(IDS[:5], [IDS[0], IDS[3], IDS[1], IDS[2], IDS[2]], strict=True))
    columns = columns_from(
        dump(event(n, "span.started", s, parent_span_id=p)) for n, (s, p) in enumerate(above.items())
    )
    assert list(columns.data["parent"]) == [ELSEWHERE, ELSEWHERE, 1, 2, 2]
    assert columns.chain(4) == [1, 2, 4]
    assert columns.roots() == [0, 1]


def test_numbers_beyond_a_column_are_limited_to_it() -> None:
    """Times, counts and names of any size; a span that never ended has no duration."""
    lines = [
        event(0, "span.started", TOOL, name="n" * 10_000),
        event(0, "span.started", FETCH, time_ns="9" * 20),
        event(0, "span.ended", TOOL, redactions=10**9, duration_ns="9" * 20,
              attributes={"gen_ai.usage.input_tokens": 2**60}),
    ]  # fmt: skip
    columns = columns_from(map(dump, lines))
    assert len(columns.text("name", 0)) == 512
    assert list(columns.data["withheld"]) == [2**16 - 1, 0]
    assert list(columns.data["tokens_in"]) == [2**32 - 1, 0]
    assert list(columns.data["duration_ns"]) == [NEVER_ENDED - 1, NEVER_ENDED]
    assert columns.data["start_ns"][1] == 2**63 - 1


def test_ids_are_found_whole_or_by_their_beginning() -> None:
    """Text that is no id finds nothing."""
    columns = columns_from(dump(event(0, "span.started", span)) for span in ("ab" * 8, "ab" * 7 + "cd", "cd" * 8))
    assert columns.row_of("cd" * 8) == 2
    assert list(columns.rows_of("abab")) == [0, 1]
    assert [columns.row_of(odd) for odd in ("", "x" * 16, "ab" * 9, "ef")] == [None] * 4


def test_the_payloads_are_never_in_memory_together() -> None:
    """The peak follows one line, not the file."""

    def lines() -> Iterator[bytes]:
        for number in range(60):
            span = f"{number + 1:016x}"
            yield dump(event(number, "span.started", span))
            end = dump(event(number, "span.ended", span, attributes={"payload": "PAYLOAD"}))
            yield end.replace(b"PAYLOAD", b"x" * 2_000_000)

    tracemalloc.start()
    try:
        columns = columns_from(lines())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(columns) == 60
    assert peak < 30_000_000


class Counting(MemoryStore):
    """A store that counts how often a file is opened."""

    opened = 0

    def open(self, key: str) -> Any:
        self.opened += key.endswith("events.jsonl")
        return super().open(key)


def kept_file() -> Path:
    """Return the one file of the cache's columns."""
    (path,) = (cache.folder() / "columns").iterdir()
    return path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counting:
    """A bundle whose columns are in the cache."""
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "cache"))
    store = Counting()
    columns_of(bundle_of(handmade.events(), store))
    assert store.opened == 1
    return store


def test_columns_are_made_once(counted: Counting) -> None:
    """The second reader opens no events; the file is this user's alone."""
    columns_of(Bundle.open(counted, KEY))
    assert counted.opened == 1
    assert kept_file().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("doubt", ["short", "long", "magic", "header", "format", "digest", "mode", "empty"])
def test_columns_are_made_anew_on_any_doubt(counted: Counting, doubt: str) -> None:
    """Whatever lies in the cache in their place."""
    path = kept_file()
    data = path.read_bytes()
    listed = Bundle.open(counted, KEY).index.files[1].sha256.encode()
    changed = {
        "short": data[:-8], "long": data, "magic": b"x" + data[1:], "header": data[:8] + b"\xff" * 4 + data[12:],
        "format": data.replace(b"columns/v1", b"columns/v9"), "digest": data.replace(listed, b"0" * 64),
        "mode": data, "empty": b"",
    }[doubt]  # fmt: skip
    path.write_bytes(changed)
    if doubt == "mode":
        path.chmod(0o644)
    elif doubt == "long":
        path.write_bytes(data.replace(b'"spans":3', b'"spans":9'))
    bundle = Bundle.open(counted, KEY)
    say_the_same(columns_of(bundle), bundle)
    assert counted.opened > 1
    assert path.read_bytes() == data


def test_columns_of_changed_events_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are those of the events that are there now."""
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "cache"))
    store = handmade.build()
    store.put(f"{KEY}/events.jsonl", b"".join(map(dump, handmade.events()[:3])), overwrite=True)
    assert len(columns_of(Bundle.open(store, KEY))) == 2
    assert not (cache.folder() / "columns").exists()


def test_a_line_that_is_no_longer_there_is_an_error(counted: Counting) -> None:
    """Columns from the cache do not say that other bytes are a span's."""
    bundle = Bundle.open(counted, KEY)
    columns = columns_of(bundle)
    row = columns.row_of(TOOL)
    assert row is not None
    for body in (b"", b"x" * 5000, b"".join(dump(e | {"span_id": FETCH}) for e in handmade.events())):
        counted.put(f"{KEY}/events.jsonl", body, overwrite=True)
        with pytest.raises(MalformedBundle):
            line_of(bundle, columns, row)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file lies where its folder should be."""
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "cache"))
    bundle = bundle_of(handmade.events())
    say_the_same(columns_of(bundle), bundle)


def test_few_files_are_kept(counted: Counting) -> None:
    """The oldest are deleted."""
    for number in range(60):
        lines = [e | {"name": f"n{number}"} for e in handmade.events()]
        columns_of(bundle_of(lines, MemoryStore()))
    assert len(list((cache.folder() / "columns").iterdir())) == 50


@pytest.mark.parametrize(
    ("starts", "durations", "parents"),
    [
        ([0, 5, 5, 300], [NEVER_ENDED, 0, 254, 255], [ROOT, 0, ELSEWHERE, 2]),
        ([0, 2**40, 2**41, 2**63 - 1], [2**32 - 1, 2**32, NEVER_ENDED - 1, NEVER_ENDED], [-1, 2**31 - 1, 0, 1]),
        ([0, -7, -(2**63) + 1, 4], [0, 0, 0, 0], [127, 128, 32_767, 32_768]),
        ([0, 1, 2, 3], [65_534, 65_535, 65_536, NEVER_ENDED], [0, 0, 0, 0]),
    ],
)
def test_the_file_keeps_every_number_in_the_narrowest_type(
    starts: list[int], durations: list[int], parents: list[int]
) -> None:
    """Also the largest, the smallest, those before the first span, and that a span never ended."""
    data = {name: memoryview(array(CODES[kind], [0, 1, 2, 3])) for name, kind in SPAN_COLUMNS}
    data |= {name: memoryview(array(CODES[kind])) for name, kind in OTHER_COLUMNS}
    given = {"start_ns": ("q", starts), "duration_ns": ("Q", durations), "parent": ("i", parents)}
    data |= {name: memoryview(array(code, values)) for name, (code, values) in given.items()}
    header = {"format": FORMAT, "base_ns": "0", "spans": 4, "others": 0, "strings": [""]}
    made = SpanColumns(header, data)
    again = from_bytes(made.to_bytes())
    assert again is not None
    assert {name: list(column) for name, column in again.data.items()} == {n: list(c) for n, c in data.items()}
    assert again.to_bytes() == made.to_bytes()


def test_a_span_takes_forty_six_bytes_at_most() -> None:
    """In the file of a run of some thousand spans, besides the words that are there once."""
    lines: list[dict[str, Any]] = []
    for number in range(2000):
        span = f"{number + 1:016x}"
        start = 1_800_000_000_000_000_000 + number * 3_000_000
        more = {"op": "tool", "name": "execute_tool find_order", "trace_id": "ab" * 16, "parent_span_id": None}
        lines += [
            {"type": "span.started", "time_ns": str(start), "span_id": span, **more, "attributes": {}},
            {"type": "span.ended", "time_ns": str(start + 5), "span_id": span, **more, "status": "ok",
             "duration_ns": str(10**9 * (number + 1)), "attributes": {"gen_ai.tool.name": "find_order"}},
        ]  # fmt: skip
    made = columns_from(orjson.dumps(line) + b"\n" for line in lines)
    assert len(made.to_bytes()) <= 46 * 2000 + 4000
