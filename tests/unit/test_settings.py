"""Options are checked where they are given, by one table, from which the page and the docstring are made."""

import inspect
import json
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace.export import SpanExportResult

import runbundle
from runbundle import settings
from runbundle.cli.main import group
from runbundle.errors import ConfigError
from runbundle.keyring.given_key import digest_key_given
from runbundle.otel.exporters import BundleSpanExporter
from runbundle.otel.zero_code.by_name import NamedSpanExporter
from runbundle.store import from_url

ROOT = Path(__file__).parents[2]


def test_the_table_is_what_configure_takes() -> None:
    """Every argument has a row, in the order of the signature, with its default; no row is of another."""
    parameters = inspect.signature(runbundle.configure).parameters
    assert list(parameters) == list(settings.ARGUMENTS)
    for name, setting in settings.ARGUMENTS.items():
        if setting.kind in ("choice", "flag", "number", "whole", "texts", "list", "callable", "mapping", "provider"):
            default = parameters[name].default
            if default is None and setting.variable:
                continue  # the variable, and without it what the table says
            assert str(default) == setting.default or float(setting.default) == default


def test_the_table_is_what_the_types_say() -> None:
    """A type checker lets through the words, flags and numbers that the table has, and no others."""
    hints = get_type_hints(runbundle.configure)
    types = {"flag": bool, "number": float, "whole": int, "texts": Iterable[str]}
    for name, setting in settings.ARGUMENTS.items():
        hint = hints[name]
        if setting.variable and type(None) in get_args(hint):  # None leaves it to the variable
            hint = next(one for one in get_args(hint) if one is not type(None))
        if setting.kind == "choice":
            assert get_args(hint) == setting.choices
        elif setting.kind in types:
            assert hint == types[setting.kind]
    assert {setting.kind for setting in settings.SETTINGS} == set(get_args(settings.Kind))


def test_the_defaults_are_not_refused() -> None:
    """Each setting takes the default that `configure()` has for it."""
    settings.check({name: p.default for name, p in inspect.signature(runbundle.configure).parameters.items()})


def test_the_docstring_of_configure_has_one_line_for_each_option() -> None:
    """As the table says it: help(), editors and the documentation site read the text in the source."""
    lines = inspect.getdoc(runbundle.configure).splitlines()
    wanted = settings.options()
    start = lines.index(wanted[0])
    assert lines[start : start + len(wanted)] == wanted
    assert lines[start + len(wanted)] == ""


def test_the_page_of_settings_has_the_table_and_says_more_of_each_argument() -> None:
    """The table as it is made from the settings, and for each argument a paragraph, in the same order."""
    page = (ROOT / "docs" / "settings.md").read_text()
    assert settings.table() in page
    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(headings)) == list(settings.ARGUMENTS)


def test_every_variable_is_read_through_the_table() -> None:
    """No other module asks the environment for one of ours, and every name in the sources is one.

    `_RUNBUNDLE_COMPLETE` is click's.
    """
    for path in sorted((ROOT / "src" / "runbundle").rglob("*.py")):
        text = path.read_text()
        assert not re.search(r"environ(?:\.get\(|\[)\s*\"RUNBUNDLE_", text), path
        named = set(re.findall(r"(?<!_)RUNBUNDLE_[A-Z_]*[A-Z]", text))
        assert named <= set(settings.VARIABLES), (path, named - set(settings.VARIABLES))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"content_mode": "full"}, "one of digest, debug"), ({"user_id": "show"}, "one of keep, hash, drop"),
        ({"durability": "fsynk"}, "did you mean 'fsync'"), ({"trust_baggage": "Signed"}, "did you mean 'signed'"),
        ({"otlp": "localhost:4317"}, "did you mean 'http://localhost:4317'"), ({"otlp": "grpc://x:1"}, "as in"),
        ({"otlp": ""}, "as in"), ({"otlp": 4317}, "as in"), ({"otlp": "http://"}, "as in"),
        ({"grace_s": "2"}, "a number from 0"), ({"grace_s": -1}, "a number"), ({"grace_s": float("nan")}, "a number"),
        ({"grace_s": float("inf")}, "a number"), ({"grace_s": True}, "a number"), ({"vault_ttl_s": None}, "a number"),
        ({"spool_limit_bytes": 0}, "from 1"), ({"spool_limit_bytes": 1.5}, "a whole number"),
        ({"spool_limit_bytes": 10**30}, "a whole number"), ({"recover": "yes"}, "True or False"),
        ({"set_global": 1}, "True or False"), ({"seal": "fork"}, "one of thread, process"),
        ({"safe_keys": "app.kind"}, "a list"), ({"safe_names": [1]}, "a list"),
        ({"contracts": "c.yaml"}, "a list"), ({"spool": 3}, "a path"), ({"store": 3}, "a path, a URL or a store"),
        ({"raw_exporters": True}, "one of refuse, allow"), ({"user_id": []}, "one of"), ({"decider": 5}, "function"),
        ({"result": "order_id"}, "a list"), ({"result": {"a": 1}}, "a list"), ({"resource": ["a"]}, "a mapping"),
        ({"store": "memory://", "tracer_provider": 5}, "span processors"), ({"key": 5}, "bytes, a path or a callable"),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_refused_with_what_is(arguments: dict[str, Any], said: str) -> None:
    """By `configure()`, before anything is made."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        runbundle.configure(**arguments)
    assert not Path(".runbundle").exists()


_ORDER: dict[str, tuple[Any, str, Callable[[runbundle.Handle], Any]]] = {
    "store": ("by-argument", "by-environment", lambda handle: handle.store.url.rpartition("/")[2]),
    "contracts": (["a.json"], "e.json", lambda handle: list(handle.redactor.policy.contracts)),
    "key": (b"a key given by the argument", "a key of the environment", lambda handle: handle.redactor.key_id("")),
    "otlp": ("http://127.0.0.1:1", "http://127.0.0.1:2", lambda handle: list(handle.flush(0).destinations)),
    "run_id_keys": (["a.id"], "e.id", lambda handle: handle.boundary.membership.names.keys),
    "group_by": ("trace", "conversation", lambda handle: handle.boundary.membership.names.group_by),
    "seal": ("thread", "process", lambda handle: handle.recorder.sealed_by),
    "spool": ("by-argument", "by-environment", lambda handle: handle.recorder.spool.name),
}
"""For each setting that is an argument and a variable: a value of each, and what comes of it."""


@pytest.mark.parametrize("name", [one.argument for one in settings.SETTINGS if one.argument and one.variable])
def test_an_argument_comes_before_the_environment_and_that_before_the_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every setting that has both; three ways to give it come to three things."""
    for file in ("a", "e"):
        Path(f"{file}.json").write_text(json.dumps([{"name": file}]))
    argument, variable, outcome = _ORDER[name]

    def comes_to(**arguments: Any) -> Any:
        with runbundle.configure(**arguments) as handle:
            return outcome(handle)

    default = comes_to()
    by_argument = comes_to(**{name: argument})
    monkeypatch.setenv(settings.ARGUMENTS[name].variable, variable)
    by_environment = comes_to()
    assert comes_to(**{name: argument}) == by_argument
    outcomes = {str(one) for one in (default, by_argument, by_environment)}
    assert len(outcomes) == min(3, len(settings.ARGUMENTS[name].choices) or 3)


def test_the_environment_comes_before_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether the file is a configuration file of OpenTelemetry's or one that a variable names."""
    exporter = NamedSpanExporter(store="by-file", contracts=["none.json"])
    assert exporter.export([]) is SpanExportResult.FAILURE  # that contract is not there
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "by-environment"))
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "a key of the environment")
    exporter = NamedSpanExporter(store="by-file")
    assert exporter.export([]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert (tmp_path / "by-environment").exists()
    assert not Path("by-file").exists()
    (tmp_path / "key").write_text("a key that stands in a file")
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", str(tmp_path / "key"))
    assert digest_key_given(None) == b"a key of the environment"
    monkeypatch.delenv("RUNBUNDLE_REDACTION_KEY")
    assert digest_key_given(None) == b"a key that stands in a file"


def test_a_secret_is_not_repeated() -> None:
    """What was given where a word belongs may be anything."""
    with pytest.raises(ConfigError) as raised:
        runbundle.configure(user_id="sk-live 1234567890abcdef\n")  # type: ignore[arg-type]
    assert "1234567890" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:/x", "did you mean s3://x"), ("s3:x", "did you mean s3://x"), ("file:/x", "did you mean file:///x"),
        ("s4://x", "did you mean s3"), ("fille:///x", "did you mean file"), ("ftp://x", "unknown kind of store"),
        ("file:///x?a=1", "no options"), ("memory://?a=1", "no options"), ("s3://b?endpiont=x", "mean endpoint"),
        ("runs.zip", "archive"), ("file:///x/runs.tar.gz", "archive"), ("", "is empty"), (" ", "is empty"),
        ("a\0b", "is empty or holds NUL"), ("s3://[x", "invalid URL"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_one_is_refused(url: str, said: str) -> None:
    """Wherever it is given."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        from_url(url)
    if url.strip() and "\0" not in url:
        result = CliRunner().invoke(group, ["ls", "--store", url])
        assert (result.exit_code, said in result.output) == (2, True)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """What is there as a folder is one, whatever it is called."""
    (tmp_path / "runs.zip").mkdir()
    assert list(from_url(str(tmp_path / "runs.zip")).list()) == []


@pytest.mark.parametrize(
    "command",
    ["ls", "ls --state sealed", "show x", "show @last", "tools x", "verify x", "gc --older-than 1h", "hold x", "index",
     "push x t", "recover --all", "debug show x"],
)  # fmt: skip
def test_a_store_that_is_not_there_is_said(command: str) -> None:
    """With exit code 5, and it is not made."""
    for name in ("none", "file"):
        Path("file").write_text("")
        result = CliRunner().invoke(group, [*command.split(), "--store", name])
        assert (result.exit_code, "the store" in result.output) == (5, True), result.output
        assert "is not there" in result.output or "is no folder" in result.output
    assert not Path("none").exists()
    assert CliRunner().invoke(group, ["sync", "none", "t"]).exit_code == 5
    assert CliRunner().invoke(group, ["pull", "x", "none", "--store", "t"]).exit_code == 5


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """By a warning of `configure()`, and by `doctor`, with the one that is nearest."""
    monkeypatch.setenv("RUNBUNDLE_STOR", "x")
    with caplog.at_level(logging.WARNING, "runbundle"):
        runbundle.configure(store="memory://")
    assert [r.message for r in caplog.records if "RB920" in r.message] == [
        "RB920: nobody reads RUNBUNDLE_STOR: did you mean RUNBUNDLE_STORE?; runbundle explain RB920"
    ]
    found = CliRunner().invoke(group, ["doctor", "--store", "s"])
    assert "RUNBUNDLE_STOR: did you mean RUNBUNDLE_STORE?" in found.output
    assert found.exit_code == 1


def test_a_flag_of_the_environment_is_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else is refused where it is read."""
    monkeypatch.setenv("RUNBUNDLE_DEBUG_CONTENT", "maybe")
    with pytest.raises(ConfigError, match="one of 1, true, yes"):
        runbundle.configure(store="s", content_mode="debug")


def test_an_unknown_keyword_of_the_exporter_is_refused() -> None:
    """It would be a setting that is not what was meant."""
    with pytest.raises(ConfigError, match="did you mean contracts"):
        BundleSpanExporter(store="memory://", contract="x")


@pytest.mark.parametrize(
    ("name", "hint"), [("contract", "did you mean contracts?"), ("stor", "did you mean store?"), ("zzz", "")]
)
def test_a_keyword_that_nobody_takes_is_refused_with_the_nearest(name: str, hint: str) -> None:
    """The error names it, and what may have been meant if there is anything like it; never what was given for it."""
    with pytest.raises(ConfigError) as raised:
        settings.refuse_unknown({name: "the value"}, ("store", "contracts"))
    assert name in str(raised.value)
    assert "the value" not in str(raised.value)
    assert raised.value.hint == hint


def test_no_keyword_is_nothing_to_refuse() -> None:
    """An empty rest of keywords passes."""
    settings.refuse_unknown({}, ("store", "contracts"))


def test_a_variable_of_ours_that_nobody_reads_is_found_with_the_nearest() -> None:
    """In the order of their names; those that are read, and those of others, are not among them."""
    environment = {
        "RUNBUNDLE_ZQXJ": "1", "RUNBUNDLE_SPOL": "x", "RUNBUNDLE_STORE": "x", "STORE": "x", "XRUNBUNDLE_STOR": "x",
    }  # fmt: skip
    found = settings.unknown_variables(environment)
    assert [name for name, _ in found] == ["RUNBUNDLE_SPOL", "RUNBUNDLE_ZQXJ"]
    assert dict(found)["RUNBUNDLE_SPOL"] == "RUNBUNDLE_SPOOL"
    assert settings.unknown_variables(dict.fromkeys(settings.VARIABLES, "x")) == []


def test_the_variables_of_the_process_are_looked_at_unless_others_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of the process says, at the time of the call."""
    monkeypatch.setenv("RUNBUNDLE_SPOL", "x")
    assert ("RUNBUNDLE_SPOL", "RUNBUNDLE_SPOOL") in settings.unknown_variables()
    assert settings.unknown_variables({}) == []
