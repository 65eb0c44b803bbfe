"""The table of ways to attach, in docs/guides/existing-stack.md, is what happens.

What the bundle has, and what an exporter of the team sees.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
import runbundle

way, memory, handle = sys.argv[1], InMemorySpanExporter(), None
wrapped = runbundle.RedactingSpanExporter(memory) if "wrapped" in way else memory
if "theirs" in way:
    provider = TracerProvider(sampler=ALWAYS_OFF if "off" in way else None)
    provider.add_span_processor(SimpleSpanProcessor(wrapped))
    trace.set_tracer_provider(provider)
if "environment" in way:
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator
    _OTelSDKConfigurator().configure()
if "configure" in way:
    handle = runbundle.configure(redact="all" if "all" in way else "agents")
if "theirs" not in way:
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(memory))

@runbundle.tool
def ours(text):
    return text

tracer = trace.get_tracer("library")
agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.input.messages": "theirs-4711-0815"}
url = "https://shop.example/?order=guest-4711-0815&api_key=AKIAIOSFODNN7EXAMPLE"
with tracer.start_as_current_span("GET /", attributes={"url.full": url}):
    with tracer.start_as_current_span("invoke_agent a", attributes=agent):
        ours("ours-4711-0815")
        tracer.start_span("SELECT", attributes={"db.statement": "guest-4711-0815"}).end()
(handle or trace.get_tracer_provider()).shutdown()
print(json.dumps([[span.name, str(dict(span.attributes))] for span in memory.get_finished_spans()]))
"""
RAW, MASKED, REDACTED = "raw", "masked", "redacted"


def seen(text: str, content: str) -> str:
    """Return what of some content is in a text: all of it, all but its secret, or nothing."""
    if content not in text:
        return REDACTED
    return RAW if content != "guest-4711-0815" or "AKIAIOSFODNN7EXAMPLE" in text else MASKED


@pytest.mark.parametrize(("way", "spans", "ours", "theirs", "guest"), [
    ("configure", 4, REDACTED, REDACTED, MASKED),
    ("configure all", 4, REDACTED, REDACTED, REDACTED),
    ("configure theirs", 4, REDACTED, RAW, RAW),
    ("configure theirs wrapped", 4, REDACTED, REDACTED, MASKED),
    ("theirs wrapped", 0, REDACTED, REDACTED, MASKED),
    ("environment", 4, REDACTED, RAW, RAW),
])  # fmt: skip
def test_each_row_of_the_table(way: str, spans: int, ours: str, theirs: str, guest: str, tmp_path: Path) -> None:
    """Content of our tool, of another library's agent span, and of a request; in the bundle there is none of it."""
    done = run(way)
    sent = dict(json.loads(done))
    assert seen(sent["execute_tool ours"], "ours-4711-0815") == ours
    assert seen(sent["invoke_agent a"], "theirs-4711-0815") == theirs
    request = next(text for text in sent.values() if "url.full" in text)
    assert seen(request, "guest-4711-0815") == guest
    bundles = list(tmp_path.glob(".runbundle/*/run.json"))
    assert len(bundles) == bool(spans)
    for bundle in bundles:
        assert json.loads(bundle.read_text())["counts"]["spans"] == spans
        for file in bundle.parent.glob("*"):
            assert "4711-0815" not in file.read_text()


@pytest.mark.parametrize(("way", "bundles"), [("configure theirs off", 0), ("configure", 1)])
def test_only_a_provider_of_ours_records_what_a_sampler_drops(way: str, bundles: int, tmp_path: Path) -> None:
    """The environment's sampler says no."""
    run(way, OTEL_TRACES_SAMPLER="always_off")
    assert len(list(tmp_path.glob(".runbundle/*/run.json"))) == bundles


def run(way: str, **environment: str) -> str:
    """Run the program in the test's directory; return what it printed."""
    exporters = {"OTEL_TRACES_EXPORTER": "runbundle", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, way],
        env={**os.environ, **exporters, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
