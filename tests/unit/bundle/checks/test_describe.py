"""What a file is that somebody takes for a bundle is said in one sentence."""

import gzip
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runbundle.bundle.checks.describe import (
    describe_bytes,
    describe_file,
    describe_folder,
    is_folder_of_a_bundle,
)
from runbundle.cli.main import group
from tests.support.handmade import files

JSON = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","spanId":"b"},{"spanId":"c"}]}]}]}'


def _protobuf() -> bytes:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(3):
        provider.get_tracer("t").start_span(f"s{number}").end()
    return encode_spans(exporter.get_finished_spans()).SerializeToString()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (JSON, "OTLP in JSON (traces, 2 spans)"), (JSON + b"\n" + JSON + b"\n", "a request a line"),
        (b'{"resourceLogs":[]}', "OTLP in JSON (logs)"), (b'{"resourceMetrics":[]}', "OTLP in JSON (metrics)"),
        (gzip.compress(JSON, mtime=0), "compressed by gzip: OTLP in JSON (traces, 2 spans)"), (b"", "an empty file"),
        (b"\x1f\x8bxx", "damaged"), (b"a: b\n", "text"), (b"\x00\x01\x02\xff", "a binary file"),
        (b"[1]", "JSON of another kind"),
        (b"{not", "text that is no JSON"), (b"SQLite format 3\0...", "SQLite"),
        (b"[" * 100_000, "text that is no JSON"),
        (files()["events.jsonl"], "the events of a bundle"), (files()["tool_calls.json"], "a file of a bundle"),
    ],
)  # fmt: skip
def test_a_file_is_described_by_its_first_bytes(data: bytes, said: str) -> None:
    """By what it holds, whatever its name."""
    assert said in describe_bytes(data)


def test_otlp_in_protobuf_is_described() -> None:
    """With its spans, bare or behind a size as the Collector's file exporter writes it."""
    data = _protobuf()
    assert describe_bytes(data) == "OTLP in protobuf (traces, 3 spans)"
    assert describe_bytes(len(data).to_bytes(4, "big") + data) == "OTLP in protobuf (traces, 3 spans)"
    assert describe_bytes(gzip.compress(data)) == "compressed by gzip: OTLP in protobuf (traces, 3 spans)"


@pytest.mark.parametrize("command", ["verify", "show", "tools", "hold"])
def test_commands_describe_what_is_no_bundle(tmp_path: Path, command: str) -> None:
    """With exit code 2, whatever was given; nothing waits for a pipe."""
    (tmp_path / ".runbundle").mkdir()
    (tmp_path / "o.json").write_bytes(JSON)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("r/run.json", "{}")
        archive.writestr("s/run.json", "{}")  # a zip of one bundle is taken
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for given, said in (
        ("o.json", "OTLP in JSON"), ("b.zip", "holds 2 bundles"), ("pipe", "a pipe"),
        ("./folder", "a folder of something else"), ("", "has to be named"), ("  ", "has to be named"),
        ("a\x00b", "has to be named"), ("x" * 4000, "no run"), ("../..", "is "), ("\udcff", "has to be named"),
    ):  # fmt: skip
        result = CliRunner().invoke(group, [command, given])
        assert result.exit_code == 2, (given, result.output, result.exception)
        assert said in result.output


def test_no_bytes_make_a_description_raise(tmp_path: Path) -> None:
    """Cut or flipped anywhere, there is a sentence."""
    for data in (_protobuf(), gzip.compress(JSON), JSON):
        for at in range(len(data)):
            assert describe_bytes(data[:at])
            assert describe_bytes(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :])
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert describe_file(tmp_path / "x.zip") == "a damaged zip archive"


def test_a_folder_is_told_by_what_lies_in_it(tmp_path: Path) -> None:
    """A bundle, sealed or not; a store of bundles, also of a tenant's; or something else."""
    (tmp_path / "store" / "tenant" / "run").mkdir(parents=True)
    (tmp_path / "store" / "tenant" / "run" / "events.jsonl").write_text("")
    assert is_folder_of_a_bundle(tmp_path / "store" / "tenant" / "run")
    assert not is_folder_of_a_bundle(tmp_path / "store" / "tenant")
    assert describe_folder(tmp_path / "store") == "a store of bundles, or a part of one"
    assert describe_folder(tmp_path / "store" / "tenant" / "run") == "a folder of something else"
