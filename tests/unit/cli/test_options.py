"""Options, errors and output that all commands share."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from runbundle.bundle.custody.transfer import CopyResult
from runbundle.bundle.listings import each_tool_call
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.commands.doctor_spool import spool_findings
from runbundle.cli.commands.show_unsealed import show_unsealed
from runbundle.cli.commands.tools import print_calls
from runbundle.cli.commands.transfers import Progress, report
from runbundle.cli.commands.verify import exit_code, print_report
from runbundle.cli.demo_agent import ask_model, find_order, record, search_handbook, weather
from runbundle.cli.main import group
from runbundle.cli.options import call_app, format_option, open_store, print_json, read_store, reports_errors
from runbundle.errors import ConfigError, ContractError, KeyNotFound, MalformedBundle, StoreUnavailable
from runbundle.store import LocalStore


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("m", hint="h"), 2), (KeyNotFound("m", hint="h"), 2), (ContractError("m", path="p", hint="h"), 2),
     (StoreUnavailable("m", hint="h"), 5), (MalformedBundle("m", file="f"), 5), (OSError(28, "m"), 5)],
)  # fmt: skip
@pytest.mark.parametrize("format_", ["human", "json"])
def test_errors_have_an_exit_code_and_no_trace(error: Exception, code: int, format_: str) -> None:
    """2 for what the user can correct, 5 for what could not be done; in JSON if JSON was asked for."""

    @click.command()
    @format_option()
    @reports_errors
    def fails(format_: str) -> None:
        raise error

    result = CliRunner().invoke(fails, ["--format", format_])
    assert (result.exit_code, result.stdout) == (code, "")
    assert "m" in result.stderr
    if format_ == "json" and not isinstance(error, OSError):
        assert json.loads(result.stderr)["error"]["message"]


def test_a_format_that_a_command_does_not_have_is_a_usage_error() -> None:
    """Each command names its own."""

    @click.command()
    @format_option("junit")
    def command(format_: str) -> None:
        click.echo(format_)

    assert CliRunner().invoke(command, ["--format", "junit"]).output == "junit\n"
    assert CliRunner().invoke(command, ["--format", "xml"]).exit_code == 2


def test_a_store_to_read_must_be_there(tmp_path: Path) -> None:
    """One to write need not, and is not made before something is written."""
    assert open_store(str(tmp_path / "none")).url.endswith("none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(StoreUnavailable):
        read_store(str(tmp_path / "none"))
    (tmp_path / "none").mkdir()
    assert read_store(str(tmp_path / "none")).url == open_store(str(tmp_path / "none")).url


def test_json_is_one_document_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Its value is the same."""
    print_json({"a": "\x1b[31m\x07"})
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert json.loads(printed) == {"a": "\x1b[31m\x07"}


def test_an_app_is_imported_from_the_working_directory_and_called(tmp_path: Path, monkeypatch: Any) -> None:
    """What cannot be imported is a usage error."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "an_app_of_a_test.py").write_text("def setup():\n    return 5\n")
    assert call_app("an_app_of_a_test:setup") == 5
    for name in ("an_app_of_a_test", "an_app_of_a_test:other", "no_module_of_this_name:setup"):
        with pytest.raises(ConfigError):
            call_app(name)


@pytest.mark.parametrize(
    ("outcome", "many", "code"),
    [("copied", False, 0), ("present", True, 0), ("unsealed", False, 3), ("unsealed", True, 0), ("clash", False, 1),
     ("damaged", True, 4)],
)  # fmt: skip
def test_a_copy_ends_with_the_exit_code_of_its_worst_result(
    outcome: Any, many: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And short work prints no progress."""
    progress = Progress()
    progress("r", 1, 2)
    with pytest.raises(click.exceptions.Exit) as stopped:
        report([CopyResult("r", outcome)], progress, "human", many=many)
    assert stopped.value.exit_code == code
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out


def test_a_spool_that_is_not_there_has_no_findings_and_is_not_made(tmp_path: Path) -> None:
    """Nor has it runs to show."""
    store = tmp_path / "store"
    assert [found.code for found in spool_findings(str(store), writable=True) if found.code != "RB911"] == []
    assert show_unsealed(LocalStore(store), "run", str(store), as_json=False) is False
    assert not store.exists()


def test_reports_and_calls_are_printed_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict with every dimension; each call in a line."""
    store = LocalStore(tmp_path / "store")
    key = record(store).sealed[0]
    made = verify(store, key)
    print_report(made)
    print_calls(list(each_tool_call(Bundle.open(store, key))))
    printed = capsys.readouterr().out
    assert exit_code(made) == 0
    assert all(word in printed for word in ("verified", *made.dimensions, "find_order", "weather", "refund"))
    wrong = made.model_copy(update={"verdict": "failed", "dimensions": {**made.dimensions, "integrity": "fail"}})
    assert exit_code(wrong) == 4
    assert exit_code(made.model_copy(update={"verdict": "failed"})) == 1
    assert exit_code(made.model_copy(update={"verdict": "incomplete"})) == 3


def test_the_demo_agent_works_without_a_recorder() -> None:
    """Decorated functions are what they were; nothing is configured here."""
    assert find_order(order_id="A", email="e")["status"] == "shipped"
    assert weather("Bremen") == "rain in Bremen"
    assert len(search_handbook("q")) == 2
    assert "shipped" in ask_model([{"role": "user", "content": "q"}])


def test_debug_purge_removes_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    """And says how much."""
    result = CliRunner().invoke(group, ["debug", "purge", "--all", "--store", str(tmp_path / "store")])
    assert result.exit_code == 0
    assert result.output.startswith("0 runs removed from ")
