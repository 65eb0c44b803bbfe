"""No line of code: opentelemetry-instrument with any configurator, configuration files, the GenAI completion hook."""

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.otel.inspection.zero_code import describe_zero_code
from runbundle.store import LocalStore
from tests.conftest import Sink

AGENT = """
from opentelemetry import trace, _logs
tracer = trace.get_tracer("framework")
agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.input.messages": "raw-4711"}
tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": '"raw-4711"'}
with tracer.start_as_current_span("GET /", attributes={"url.path": "/guest"}):
    with tracer.start_as_current_span("invoke_agent a", attributes=agent):
        _logs.get_logger("framework").emit(event_name="gen_ai.choice", body="raw-4711")
        with tracer.start_as_current_span("execute_tool t", attributes=tool):
            pass
"""
INSTRUMENT = str(Path(sys.executable).parent / "opentelemetry-instrument")
PROVIDERS = "from opentelemetry import _logs, metrics, trace; import sys\n" + "".join(
    f"print(type({of}_provider()).__module__.split('.')[0])\n"
    for of in ("trace.get_tracer", "_logs.get_logger", "metrics.get_meter")
)


def instrumented(body: str, folder: Path, traces: str = "runbundle", logs: str = "runbundle", **env: str) -> Any:
    """Run a program under opentelemetry-instrument, in its folder."""
    (folder / "app.py").write_text(textwrap.dedent(body))
    command = [INSTRUMENT, "--traces_exporter", traces, "--logs_exporter", logs, sys.executable, "app.py"]
    return run(command, folder, **env)


def run(command: list[str], folder: Path, **env: str) -> Any:
    """Run a command that must succeed."""
    given = {"RUNBUNDLE_STORE": str(folder / "s"), "OTEL_METRICS_EXPORTER": "none", **env}
    done = subprocess.run(
        command, env={**os.environ, **given}, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def bundles(folder: Path) -> list[Bundle]:
    """Return the bundles of a store in that folder."""
    return [Bundle.open(LocalStore(str(folder)), path.parent.name) for path in sorted(folder.glob("*/run.json"))]


# -- opentelemetry-instrument ------------------------------------------------------------------------------------------


def test_every_entry_point_of_this_package_is_there() -> None:
    """What pyproject.toml says is what is installed, and each name leads to something."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    said = {(group, name): value for group, names in project["entry-points"].items() for name, value in names.items()}
    installed = {(p.group, p.name): p.value for p in distribution("runbundle").entry_points}
    del installed["console_scripts", "runbundle"]
    assert installed == said
    for value in (*said.values(), *project["scripts"].values()):
        module, _, name = value.partition(":")
        found = import_module(module)
        assert callable(getattr(found, name)) if name else found


@pytest.mark.parametrize("first", ["runbundle", "configurator", ""])
def test_whichever_configurator_is_found_first_a_run_is_complete_and_nobody_sees_it_raw(
    first: str, tmp_path: Path
) -> None:
    """Ours, the distro's, or whichever comes; starts were seen, logs arrive, a console stands behind the boundary."""
    chosen = {"OTEL_PYTHON_CONFIGURATOR": first} if first else {}
    done = instrumented(AGENT, tmp_path, "runbundle,console", "runbundle,console", **chosen)
    (bundle,) = bundles(tmp_path / "s")
    assert (bundle.index.completeness.state, bundle.index.counts.spans, bundle.index.counts.logs) == ("complete", 3, 1)
    assert verify(bundle.store, bundle.key).findings == []
    assert "raw-4711" not in done.stdout + done.stderr
    assert [name in done.stdout for name in ("/guest", "execute_tool t", "gen_ai.choice")] == [True, True, True]
    assert "RB901" not in done.stderr


@pytest.mark.parametrize("first", ["runbundle", "configurator"])
def test_log_records_are_recorded_only_where_they_are_asked_for(first: str, tmp_path: Path) -> None:
    """Others get them redacted all the same."""
    done = instrumented(AGENT, tmp_path, logs="console", OTEL_PYTHON_CONFIGURATOR=first)
    (bundle,) = bundles(tmp_path / "s")
    assert (bundle.index.counts.spans, bundle.index.counts.logs) == (3, 0)
    assert "gen_ai.choice" in done.stdout
    assert "raw-4711" not in done.stdout


def test_where_nothing_names_us_it_is_as_if_we_were_not_there(tmp_path: Path) -> None:
    """The SDK's providers, no module of ours that records, and no line of log that says otherwise."""
    body = PROVIDERS + "print('runbundle.otel.configure' in sys.modules, 'pydantic' in sys.modules)\n"
    done = instrumented(body, tmp_path, "console", "console", OTEL_METRICS_EXPORTER="console")
    assert done.stdout.split() == [*["opentelemetry"] * 3, "False", "False"]
    assert not (tmp_path / "s").exists()
    assert "configurator not loaded" not in done.stderr
    done = instrumented(AGENT, tmp_path, "none", "runbundle")
    assert "OTEL_LOGS_EXPORTER names runbundle, and OTEL_TRACES_EXPORTER does not" in done.stderr


def test_what_else_the_environment_names_is_loaded_too(tmp_path: Path) -> None:
    """Metrics, a sampler by name, the resource; a sampler that says no keeps nothing from the bundle."""
    body = (
        AGENT
        + PROVIDERS
        + "about = trace.get_tracer_provider().resource.attributes\n"
        + "print(about['telemetry.auto.version'], about['service.name'])\n"
    )
    settings = {"OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_off"}
    done = instrumented(body, tmp_path, "runbundle,console", OTEL_SERVICE_NAME="shop", **settings)
    assert done.stdout.split()[:3] == ["runbundle", "runbundle", "opentelemetry"]
    assert done.stdout.splitlines()[3].endswith(" shop")
    assert "execute_tool" not in done.stdout  # it is not sampled
    (bundle,) = bundles(tmp_path / "s")
    assert bundle.index.completeness.state == "complete"


@pytest.mark.parametrize("first", ["runbundle", "configurator"])
def test_a_wrong_setting_is_one_line_and_the_program_runs_on(first: str, tmp_path: Path) -> None:
    """Exporters beside us get no content of agents then, rather than all of it."""
    env = {"OTEL_PYTHON_CONFIGURATOR": first, "RUNBUNDLE_CONTRACTS": "nowhere.json"}
    done = instrumented(f"{AGENT}print('done')\n", tmp_path, "runbundle,console", **env)
    assert "done" in done.stdout
    assert "execute_tool" in done.stdout
    assert "raw-4711" not in done.stdout + done.stderr
    assert "no bundle is written: nowhere.json: cannot be read" in done.stderr
    assert bundles(tmp_path / "s") == []


def test_code_that_configures_knows_better_than_the_environment(tmp_path: Path) -> None:
    """Its store is the store; exporters that the environment names go with it."""
    body = f"import runbundle\nhandle = runbundle.configure(store='code')\n{AGENT}print(handle.flush().written)\n"
    for first in ("runbundle", "configurator"):
        done = instrumented(body, tmp_path, "runbundle,console", OTEL_PYTHON_CONFIGURATOR=first)
        assert "execute_tool t" in done.stdout
        assert "raw-4711" not in done.stdout
    assert [bundle.index.counts.spans for bundle in bundles(tmp_path / "code")] == [3, 3]
    assert bundles(tmp_path / "s") == []


def test_doctor_says_what_would_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configurator, the exporters behind the boundary, the logs; nothing where nothing names us."""
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_PYTHON_CONFIGURATOR", "OTEL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert describe_zero_code() == ("", [])
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "runbundle,console")
    monkeypatch.setenv("OTEL_PYTHON_CONFIGURATOR", "configurator")
    said, wrong = describe_zero_code()
    assert "'configurator' builds the providers, and runbundle takes them over; console behind the boundary" in said
    assert wrong == []
    monkeypatch.setenv("OTEL_CONFIG_FILE", "otel.yaml")
    assert "completeness unknown" in describe_zero_code()[0]


# -- configuration files -----------------------------------------------------------------------------------------------

FILE = """
file_format: "1.1"
tracer_provider:
  processors:
    - batch: {exporter: {runbundle: {store: file}}}
    - simple:
        exporter:
          runbundle_otlp: {endpoint: URL/v1/traces, timeout: 3000, headers: [{name: a, value: b}], compression: gzip}
logger_provider:
  processors:
    - batch: {exporter: {runbundle: {store: file}}}
    - simple: {exporter: {runbundle_otlp: {endpoint: URL/v1/logs, headers_list: "a=b"}}}
"""


def test_a_configuration_file_names_both_exporters(tmp_path: Path, sink: Sink) -> None:
    """Bundles do not know whether all is there, and say why; what is forwarded is redacted."""
    (tmp_path / "otel.yaml").write_text(FILE.replace("URL", sink.url))
    (tmp_path / "app.py").write_text(AGENT)
    run([INSTRUMENT, sys.executable, "app.py"], tmp_path, OTEL_CONFIG_FILE="otel.yaml", RUNBUNDLE_STORE="")
    (bundle,) = bundles(tmp_path / "file")
    assert (bundle.index.completeness.state, bundle.index.counts.logs) == ("unknown", 1)
    (finding,) = verify(bundle.store, bundle.key).findings
    assert finding.code == "RB307"
    assert "an exporter is handed only" in finding.message
    assert {path for path, _ in sink.bodies} == {"/v1/traces", "/v1/logs"}
    sent = b"".join(body for _, body in sink.bodies)
    assert b"raw-4711" not in sent
    assert b"/guest" in sent


def test_the_environment_overrules_the_file(tmp_path: Path) -> None:
    """As it does everywhere, and only code overrules the environment."""
    exporter = "batch: {exporter: {runbundle: {store: file}}}"
    text = f'file_format: "1.1"\ntracer_provider:\n  processors:\n    - {exporter}\n'
    (tmp_path / "otel.yaml").write_text(text)
    (tmp_path / "app.py").write_text(AGENT)
    run([INSTRUMENT, sys.executable, "app.py"], tmp_path, OTEL_CONFIG_FILE="otel.yaml")
    assert len(bundles(tmp_path / "s")) == 1
    assert not (tmp_path / "file").exists()


# -- the completion hook of GenAI instrumentations --------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_the_completion_hook_hands_content_to_the_bundle_as_digests_and_to_nobody_else(
    whose: str, tmp_path: Path
) -> None:
    """Loaded by the library that calls it; a provider of the application's sees markers too."""
    body = """
    import json, sys
    import runbundle
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.util.genai.completion_hook import load_completion_hook
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.types import InputMessage, OutputMessage, TextPart

    memory, provider = InMemorySpanExporter(), TracerProvider()
    handle = runbundle.configure(tracer_provider=provider) if sys.argv[1] == "theirs" else runbundle.configure()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(memory))
    library = TelemetryHandler(tracer_provider=handle.tracer_provider, completion_hook=load_completion_hook())
    with library.inference("openai", request_model="m") as call:
        call.input_messages = [InputMessage("user", [TextPart("raw-4711")])]
        call.output_messages = [OutputMessage("assistant", [TextPart("raw-4711")])]
        call.system_instruction = [TextPart("raw-4711")]
    handle.flush()
    print(json.dumps(dict(memory.get_finished_spans()[0].attributes)))
    """
    hook = {"OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK": "runbundle"}
    done = run([sys.executable, "-c", textwrap.dedent(body), whose], tmp_path, **hook)
    (bundle,) = bundles(tmp_path / "s")
    lines = (tmp_path / "s" / bundle.key / "events.jsonl").read_text().splitlines()
    recorded = next(line for line in map(json.loads, lines) if line["type"] == "span.ended")["attributes"]
    for attributes in (recorded, json.loads(done.stdout)):
        for key in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"):
            assert attributes[key].startswith("[REDACTED:content:h2:")
    assert "raw-4711" not in "\n".join(lines) + done.stdout


def test_the_completion_hook_does_nothing_without_a_span(configured: Any) -> None:
    """Nor to content that the instrumentation has put on the span by itself."""
    from runbundle.otel.zero_code.completion import RedactingCompletionHook

    handle: runbundle.Handle = configured()
    hook = RedactingCompletionHook()
    hook.on_completion(inputs=["x"], log_record=None)
    span: Any = handle.tracer_provider.get_tracer("t").start_span(
        "chat", attributes={"gen_ai.input.messages": "theirs"}
    )
    hook.on_completion(inputs=["x"], outputs=["y"], span=span)
    assert span.attributes["gen_ai.input.messages"] == "theirs"
    span.end()
    hook.on_completion(outputs=["z"], span=span)
