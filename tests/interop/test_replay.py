"""A dump is replayed as it happened: under its ids, times and order, with what was known at each start."""

from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runbundle.otel.exporters import BundleSpanExporter
from tests.interop.dumps import Dump, in_order, load, save
from tests.interop.replay import export, replay

TRACE = "a" * 32


def _span(name: str, number: int, parent: int, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "name_at_start": name.upper(), "kind": "CLIENT", "trace_id": TRACE, "span_id": f"{number:016x}",
        "parent_span_id": f"{parent:016x}" if parent else None, "remote": False, "start_ns": start, "end_ns": end,
        "status": "UNSET", "status_message": None, "attributes": {"early": 1, "late": ["a", "b"]},
        "keys_at_start": ["early"], "events": [], "links": [], "scope": {"name": "s", "version": "1", "schema_url": ""},
        **more,
    }  # fmt: skip


def _dump() -> Dump:
    spans = [_span("root", 1, 0, 100, 900), _span("child", 2, 1, 100, 900), _span("next", 3, 1, 400, 500)]
    spans.append(_span("far", 4, 77, 300, 350, remote=True, status="ERROR", status_message="no"))
    return {"versions": {}, "expected": {}, "spans": spans, "logs": []}


class _Seen(SpanProcessor):
    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.started.append((span.name, dict(span.attributes or {})))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


def test_a_replayed_span_begins_with_what_was_known_then(configured: Any) -> None:
    """Its name and attributes are those of its start; at its end it has all of them."""
    with configured(redact="agents") as handle:
        handle.tracer_provider.add_span_processor(seen := _Seen())
        replay(_dump(), handle)
    assert seen.started == [(name, {"early": 1}) for name in ("ROOT", "CHILD", "FAR", "NEXT")]
    assert [span.name for span in seen.ended] == ["far", "next", "child", "root"]
    far = seen.ended[0]
    assert dict(far.attributes or {}) == {"early": 1, "late": ("a", "b")}
    assert (far.start_time, far.end_time, f"{far.get_span_context().span_id:016x}") == (300, 350, f"{4:016x}")
    assert far.parent is not None
    assert far.parent.is_remote
    assert far.parent.span_id == 77
    assert seen.ended[1].parent is not None
    assert not seen.ended[1].parent.is_remote


def test_an_exporter_gets_the_spans_as_they_ended_in_batches() -> None:
    """Each batch has at most so many, and ends so long after its first."""
    batches: list[list[str]] = []

    class Keep(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            batches.append([span.name for span in spans])
            return SpanExportResult.SUCCESS

    export(_dump(), Keep(), at_most=2)
    export(_dump(), Keep(), each_s=300e-9)
    assert batches == [["far", "next"], ["child", "root"], ["far", "next"], ["child", "root"]]


def test_a_dump_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Two dumps are read as one; the same dump is the same bytes."""
    save(_dump(), tmp_path / "one.json.gz")
    save(_dump(), tmp_path / "two.json.gz")
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()
    assert load(tmp_path / "one.json.gz") == _dump()
    assert len(load(tmp_path / "one.json.gz", tmp_path / "two.json.gz")["spans"]) == 8


def test_the_lines_of_a_server_lie_within_the_calls_of_its_client(tmp_path: Path) -> None:
    """A server's dump has no times and a remote parent: read with the client's, each span ends before its parent."""
    save(_dump(), tmp_path / "client.json.gz")
    line = (
        '{"name": "served", "kind": "SERVER", "trace_id": "%s", "span_id": "%016x", "parent_span_id": "%016x",'
        ' "remote": true, "attributes": {}, "status": "UNSET", "status_message": null, "scope": "s", "events": ["e"]}\n'
    )
    (tmp_path / "server.jsonl").write_text(line % (TRACE, 9, 2))
    spans = load(tmp_path / "client.json.gz", tmp_path / "server.jsonl")["spans"]
    names = [(moment, span["name"]) for moment, span in in_order(spans)]
    assert names.index(("start", "child")) < names.index(("start", "served"))
    assert names.index(("end", "served")) < names.index(("end", "child"))


def test_a_replayed_run_is_sealed(configured: Any) -> None:
    """A dump of agent work becomes a bundle under the trace's id."""
    dump = _dump()
    for span in dump["spans"]:
        span["attributes"] = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
        span["keys_at_start"] = ["gen_ai.operation.name"]
    del dump["spans"][3]
    with configured() as handle:
        replay(dump, handle)
        assert handle.flush().sealed == [TRACE]
        exported = BundleSpanExporter(store=str(Path("exported").absolute()))
        export(dump, exported)
        exported.shutdown()
    assert len(list(Path("exported").rglob("run.json"))) == 1
