"""The command line: exit codes, one JSON document, help with examples, and what it does not import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import runbundle
from runbundle.cli.demo_agent import record
from runbundle.cli.main import _COMMANDS, group
from runbundle.format.findings import FINDINGS
from runbundle.format.schemas import SCHEMAS
from runbundle.store import LocalStore
from tests.conftest import left_open, sealed


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """Seal a demo bundle in the default store of the test's directory."""
    return record(LocalStore(tmp_path / ".runbundle")).sealed[0]


def call(*arguments: str, **options: Any) -> Result:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False, **options)


def test_demo_prints_the_path_and_a_passing_verification(tmp_path: Path) -> None:
    """The bundle is where it says, and verified."""
    result = call("demo")
    assert result.exit_code == 0
    assert "verified" in result.output
    path = result.output.split("Its bundle: ")[1].split("\n")[0]
    assert (Path(path) / "run.json").is_file()
    assert json.loads(call("demo", "--format", "json").stdout)["verdict"] == "verified"


def test_show_tells_the_run_to_somebody_who_never_saw_it(run_id: str) -> None:
    """Header, tree, tools, evidence, what was withheld, whether anything is missing, and what to do next."""
    output = call("show", "@last").output
    for words in (
        f"run       {run_id}   ok", "tokens    ", "└─ agent: invoke_agent support", "tool: execute_tool find_order",
        "blocked", "TOOL", "evidence  2 documents in 1 retrieval", "withheld  ", "complete  yes: 8 of 8 spans",
        "next: ",
    ):  # fmt: skip
        assert words in output
    assert "mallory" not in output


def test_of_a_call_that_never_ended_nothing_is_said_that_is_not_known(configured: Any) -> None:
    """Neither that its tool has no contract, nor that policy allowed it: both are said at its end."""
    handle = configured(contracts=[{"name": "pay", "data": {}}])
    with runbundle.start_run("r"):
        left_open(lambda: runbundle.start_tool("pay", {"to": "x"}))
        with runbundle.start_tool("other"):
            pass
    bundle = sealed(handle)
    output = call("tools", bundle.key, "--store", str(bundle.store.root)).output  # type: ignore[attr-defined]
    head, *rows = output.splitlines()[:3]
    shown = {row.split()[0]: (row[head.index("CONTRACT") :].split()[:2]) for row in rows}
    assert shown == {"pay": ["-", "-"], "other": ["none", "allowed"]}


def test_show_and_verify_say_which_spans_could_not_be_read(configured: Any) -> None:
    """By the library that recorded them: those whose attributes nobody declared."""
    handle = configured()
    with runbundle.start_run("r", run_id="unread"):
        for _ in range(2):
            with handle.tracer_provider.get_tracer("acme.flows").start_as_current_span("x", attributes={"acme.a": "b"}):
                pass
    where = ("unread", "--store", str(sealed(handle).store.root))  # type: ignore[attr-defined]
    assert "unread    2 spans of acme.flows could not be read" in call("show", *where).output
    assert "could not be read" in call("verify", *where).output


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_nothing_is_wider_than_the_terminal(run_id: str, columns: int) -> None:
    """Tables and trees are cut, not wrapped."""
    for arguments in (["ls"], ["tools", run_id], ["show", run_id]):
        output = call(*arguments, env={"COLUMNS": str(columns)}).output
        assert max(len(line) for line in output.split("\n") if not line.startswith("next:")) <= columns


def test_show_span_shows_what_was_withheld_and_why(run_id: str) -> None:
    """Events, attributes and the receipt of one span; an unknown one is a usage error."""
    calls = json.loads(call("tools", run_id, "--format", "json").stdout)["calls"]
    output = call("show", run_id, "--span", calls[0]["span_id"][:12]).output
    assert "gen_ai.tool.name = find_order" in output
    assert "hash     arguments/email  (contract:find_order:/email)" in output
    assert call("show", run_id, "--span", "zz").exit_code == 2


def test_verify_exits_by_what_it_found(run_id: str, tmp_path: Path) -> None:
    """0 verified, 4 integrity, 1 other findings, 3 incomplete, 2 no such run."""
    folder = tmp_path / ".runbundle" / run_id
    assert call("verify", run_id).exit_code == 0
    assert call("verify", "nope").exit_code == 2
    data = (folder / "events.jsonl").read_bytes()
    (folder / "events.jsonl").write_bytes(data[:-1] + b" ")
    damaged = call("verify", run_id)
    assert damaged.exit_code == 4
    assert "RB201" in damaged.output
    assert "next: runbundle explain RB201" in damaged.output
    github = call("verify", run_id, "--format", "github").output
    assert github.startswith("::error title=RB201::events.jsonl")
    assert '<failure message="RB201">' in call("verify", run_id, "--format", "junit").output
    (folder / "events.jsonl").write_bytes(data)
    index = (folder / "run.json").read_bytes()
    (folder / "run.json").write_bytes(index.replace(b'"spans": 8', b'"spans": 9'))
    edited = call("verify", run_id)
    assert edited.exit_code == 4
    assert edited.output.splitlines()[-1].startswith("not proven: ")
    (folder / "run.json").write_bytes(index)
    (folder / "eval").mkdir()
    (folder / "eval" / "gate.json").write_text('{"note": "ghp_' + "a1B2" * 9 + '"}')
    assert call("verify", run_id).exit_code == 1
    (folder / "run.json").unlink()
    assert call("verify", run_id).exit_code == 3


def test_json_is_one_document_and_errors_are_json_too(run_id: str) -> None:
    """Every command that prints for people prints for programs."""
    for arguments in (
        ["ls"],
        ["show", run_id],
        ["tools", run_id],
        ["verify", run_id],
        ["explain"],
        ["explain", "RB201"],
    ):
        json.loads(call(*arguments, "--format", "json").stdout)
    failed = call("show", "nope", "--format", "json")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert json.loads(failed.stderr)["error"]["code"] == "not-found"


def test_an_empty_store_is_an_empty_list() -> None:
    """No runs is not an error, where there is a store."""
    Path(".runbundle").mkdir()
    assert json.loads(call("ls", "--format", "json").stdout) == []
    assert "runbundle demo" in call("ls").output


@pytest.mark.parametrize("command", ["", *_COMMANDS])
def test_every_command_has_help_with_an_example(command: str) -> None:
    """--help says what it does and shows how."""
    result = call(*filter(None, [command]), "--help")
    assert result.exit_code == 0
    assert "Example: runbundle" in result.output


def test_schemas_and_codes_are_all_printable() -> None:
    """Every schema and every code."""
    for name in SCHEMAS:
        assert json.loads(call("schema", name).stdout)["$schema"].endswith("2020-12/schema")
    for code in FINDINGS:
        assert "What to do:" in call("explain", code).output
    assert call("explain", "RB999").exit_code == 2


def test_the_store_is_an_option_and_a_variable(tmp_path: Path) -> None:
    """--store and RUNBUNDLE_STORE name the same."""
    store = str(tmp_path / "elsewhere")
    assert call("demo", "--store", store).exit_code == 0
    listed = call("ls", "--format", "json", env={"RUNBUNDLE_STORE": store})
    assert len(json.loads(listed.stdout)) == 1
    assert call("ls", "--store", "ftp://x").exit_code == 2


def test_an_unwritable_store_is_an_error_of_the_work(tmp_path: Path) -> None:
    """Exit code 5, with a hint."""
    (tmp_path / "file").write_text("")
    result = call("demo", "--store", str(tmp_path / "file" / "s"))
    assert result.exit_code == 5
    assert "not sealed" in result.stderr


def test_doctor_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporters that see raw spans, names that do not load, samplers that drop runs, stores that cannot be written."""
    (tmp_path / "appy.py").write_text(
        "from opentelemetry.sdk.trace import TracerProvider, sampling\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter\n"
        "import runbundle\n"
        "def good(): return runbundle.configure()\n"
        "def raw():\n"
        "    p = TracerProvider(sampler=sampling.TraceIdRatioBased(0.5))\n"
        "    p.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))\n"
        "    return runbundle.configure(tracer_provider=p, raw_exporters='allow')\n"
        "def wrapped():\n"
        "    p = TracerProvider()\n"
        "    p.add_span_processor(BatchSpanProcessor(runbundle.RedactingSpanExporter(ConsoleSpanExporter())))\n"
        "    return p\n"
        "def none(): return TracerProvider()\n"
    )

    def codes(*arguments: str, **env: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "runbundle", "doctor", "--format", "json", *arguments],
            env={**os.environ, **env}, capture_output=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        return done.returncode, [f["code"] for f in json.loads(done.stdout)["findings"]]

    assert codes() == (0, [])
    assert codes("--app", "appy:good") == (0, [])
    # Notes: nothing there writes a bundle, and it goes by its callers' flag.
    assert codes("--app", "appy:wrapped") == (0, ["RB912", "RB903"])
    assert codes("--app", "appy:raw") == (1, ["RB901", "RB903"])
    assert codes("--app", "appy:none") == (1, ["RB906", "RB903"])
    assert codes(OTEL_TRACES_EXPORTER="runbundel") == (1, ["RB902"])
    assert codes(OTEL_TRACES_EXPORTER="runbundle,otlp") == (0, [])  # behind the boundary
    assert codes(OTEL_TRACES_EXPORTER="runbundle", OTEL_LOGS_EXPORTER="runbundle") == (0, [])
    assert codes(OTEL_LOGS_EXPORTER="runbundle") == (1, ["RB912"])
    assert codes(OTEL_TRACES_EXPORTER="otlp") == (0, ["RB912"])
    assert codes(OTEL_SDK_DISABLED="true") == (1, ["RB912"])
    assert codes(OTEL_TRACES_SAMPLER="no_such", OTEL_PROPAGATORS="tracecontext,no_such")[1].count("RB902") == 2
    assert codes(OTEL_TRACES_SAMPLER="traceidratio") == (0, [])  # of everything
    assert codes(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.1") == (1, ["RB903"])
    assert codes("--store", "appy.py/x") == (1, ["RB904"])
    assert call("doctor", "--app", "no:such").exit_code == 2
    assert call("doctor", "--app", "nonsense").exit_code == 2


def imported(*arguments: str) -> set[str]:
    """Return the packages that a command line imports."""
    code = (
        "import sys\nfrom runbundle.cli.main import main\nsys.argv = ['runbundle', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_reading_bundles_needs_no_opentelemetry(run_id: str) -> None:
    """Verify and show run without the SDK, help and explain without pydantic, and importing runbundle does no work."""
    heavy = {"opentelemetry", "rich", "starlette"}
    assert not imported("verify", run_id) & heavy
    assert not imported("show", run_id) & heavy
    assert not imported("--help") & (heavy | {"pydantic"})
    assert not imported("explain", "RB201") & (heavy | {"pydantic"})
    code = "import sys, runbundle; print(*{m.split('.')[0] for m in sys.modules})"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(bare) & (heavy | {"pydantic", "orjson", "click"})


@pytest.mark.parametrize("arguments", [["--version"], ["ls", "--format", "json"], ["verify", "nothing"], ["nothing"]])
def test_python_m_runbundle_is_the_command(run_id: str, arguments: list[str]) -> None:
    """The same output and exit code as the script that an install makes; the package needs to be importable only."""
    script = Path(sys.executable).with_name("runbundle")
    done = [
        subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        for command in ([sys.executable, "-m", "runbundle"], [str(script)])
    ]
    assert (done[0].returncode, done[0].stdout) == (done[1].returncode, done[1].stdout)
    assert "Traceback" not in done[0].stderr


def test_a_reader_that_leaves_is_no_error(run_id: str) -> None:
    """`runbundle show | head -1` ends quietly."""
    for _ in range(3):
        record(LocalStore(Path(".runbundle")))
    done = subprocess.run(
        f"{sys.executable} -m runbundle ls | head -c 1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_colour_and_tables_on_a_terminal(run_id: str) -> None:
    """On a terminal rich draws the tables; the words are the same."""
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runbundle", "ls"], stdout=other, env={**os.environ, "COLUMNS": "120"}
    )
    os.close(other)
    output = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    os.close(main)
    assert process.wait() == 0
    assert run_id[:8].encode() in output
    assert b"STATUS" in output
