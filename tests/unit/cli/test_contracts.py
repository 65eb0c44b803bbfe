"""`runbundle contracts`: lint, explain, init."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runbundle.cli.main import group
from runbundle.contracts.files import load_contracts

CANARY = "canary-7f3a-value"
KEEP = {"action": "keep"}
SOUND = {"name": "find", "data": {"rules": [{"selector": "/id", **KEEP}]}}
LAX = {"name": "lax", "data": {"rules": [{"selector": "", **KEEP}]}}


def call(*arguments: str, **options: Any) -> Result:
    """Run a subcommand."""
    return CliRunner().invoke(group, ["contracts", *arguments], catch_exceptions=False, **options)


def written(name: str, data: Any) -> str:
    """Write JSON, or text as it is, in the test's directory; return the path."""
    Path(name).write_text(data if isinstance(data, str) else json.dumps(data))
    return name


@pytest.mark.parametrize("name", ["lint", "explain", "init"])
def test_every_subcommand_has_help_with_an_example(name: str) -> None:
    """--help says what it does, its exit codes, and shows how."""
    result = call(name, "--help")
    assert result.exit_code == 0
    assert f"Example: runbundle contracts {name}" in result.output
    assert "Exit codes" in result.output


def test_lint_exits_with_1_for_warnings_only() -> None:
    """A table and hints for people; information is no warning."""
    schema = {"properties": {"id": {}, "note": {}}}
    sound = written("sound.json", {**SOUND, "input_schema": schema})
    fine = call("lint", sound)
    assert fine.exit_code == 0
    assert "RC106" in fine.output
    assert "1 contract, 0 warnings" in fine.output
    bad = call("lint", sound, written("lax.json", [LAX]))
    assert bad.exit_code == 1
    assert "RC103  lax" in bad.output
    assert "2 contracts, 1 warning" in bad.output


def test_lint_prints_json() -> None:
    """One document with file, tool and severity of each finding."""
    result = call("lint", written("lax.json", LAX), "--format", "json")
    body = json.loads(result.stdout)
    assert (result.exit_code, body["contracts"], body["warnings"]) == (1, 1, 1)
    (found,) = body["findings"]
    assert (found["file"], found["tool"], found["code"], found["path"]) == ("lax.json", "lax", "RC103", "data.rules[0]")
    assert found["severity"] == "warning"
    assert json.loads(call("lint", written("sound.json", SOUND), "--format", "json").stdout)["findings"] == []


def test_explain_prints_who_decides_and_what_is_left() -> None:
    """From a file and from standard input, with contracts from the option or the environment."""
    contracts = written("contracts.json", [SOUND, LAX])
    payload = {"id": "A-1", "mail": CANARY}
    result = call("explain", "find", written("payload.json", payload), "--contracts", contracts)
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.split("\n")]
    assert ["/id", "keep", "internal", "/id:", "a", "rule", "names", "it"] in lines
    assert '"id": "A-1"' in result.output
    assert CANARY not in result.output
    env = {"RUNBUNDLE_CONTRACTS": os.pathsep.join([contracts, written("more.json", {"name": "more"})])}
    for tool in ("find", "more"):
        assert call("explain", tool, "-", input=json.dumps(payload), env=env).exit_code == 0


def test_explain_prints_json_for_each_target() -> None:
    """One document with the values and the redacted payload."""
    contracts = written("c.json", {"name": "t", "data": {"rules": [{"selector": "/x", "target": "output", **KEEP}]}})
    for target, action in (("input", "mask"), ("output", "keep"), ("error", "mask")):
        result = call(
            "explain", "t", "-", "--contracts", contracts, "--target", target, "--format", "json", input='{"x": "v"}'
        )
        body = json.loads(result.stdout)
        assert [value["action"] for value in body["values"]] == [action]
        assert ('"v"' in json.dumps(body["redacted"])) == (action == "keep")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lint", "nowhere.json"], "nowhere.json: cannot be read"),
        (["lint", "broken.json"], "broken.json: is not JSON at line 2"),
        (["lint", "payload.json"], "payload.json[0]"),
        (["lint", "twice.json"], "twice.json: has one key twice, at line 3"),
        (["lint", "twice.yaml"], "twice.yaml: has one key twice, at line 3"),
        (["explain", "find", "twice.json", "--contracts", "c.json"], "twice.json has one key twice, at line 3"),
        (["explain", "find", "payload.json"], "no contracts are given"),
        (["explain", "other", "payload.json", "--contracts", "c.json"], "there is no contract for 'other'"),
        (["explain", "find", "nowhere.json", "--contracts", "c.json"], "nowhere.json cannot be read"),
        (["explain", "find", "broken.json", "--contracts", "c.json"], "broken.json is not JSON at line 2"),
        (["explain", "find", "-", "--contracts", "c.json"], "standard input is not JSON at line 1"),
        (["init", "--from", "nowhere.json"], "nowhere.json cannot be read"),
        (["init", "--from", "broken.json"], "broken.json is not JSON at line 1"),
        (["init", "--from", "payload.json"], "tools[0].name"),
        (["init", "--from", "-"], "standard input is empty"),
        (["init", "--from", "payload.json", "--tool", "bad name"], "name"),
    ],
)
def test_errors_say_what_is_wrong_and_exit_with_2(arguments: list[str], message: str) -> None:
    """For people on standard error, for programs as JSON; never a value."""
    written("c.json", [SOUND, LAX])
    written("payload.json", {"id": CANARY})
    written("twice.json", '{"name": "t",\n "data": {"rules": []},\n "data": {}}')
    written("twice.yaml", "name: t\ndata: {rules: []}\ndata: {}\n")
    written("broken.json", f'{{"id": "{CANARY}",\n oops')
    plain = call(*arguments)
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert message in plain.stderr
    body = json.loads(call(*arguments, "--format", "json").stderr)
    assert message in body["error"]["message"]
    assert CANARY not in plain.stderr + json.dumps(body)


def test_an_unknown_tool_is_answered_with_the_known_ones() -> None:
    """So that a typing error is seen at once."""
    contracts = written("c.json", [SOUND, LAX])
    assert "known: find, lax" in call("explain", "fnid", "-", "--contracts", contracts, input="{}").stderr


def test_init_reads_definitions_of_tools() -> None:
    """As JSON and as JSON lines; the result loads, and lint has no warning for it."""
    schema = {"type": "object", "properties": {"api_key": {"type": "string"}, "pin": {"writeOnly": True}, "q": {}}}
    tools = [
        {"type": "function", "function": {"name": "one", "parameters": schema}},
        {"name": "two", "input_schema": schema},
        {"tools": [{"name": "three", "inputSchema": schema, "annotations": {"destructiveHint": True}}]},
    ]
    whole = call("init", "--from", written("tools.json", tools))
    lines = call("init", input="\n".join(json.dumps(tool) for tool in tools) + "\n")
    assert whole.exit_code == 0
    assert whole.stdout == lines.stdout
    contracts = load_contracts(written("contracts.json", whole.stdout))
    assert [contract.name for contract in contracts] == ["one", "two", "three"]
    for contract in contracts:
        assert sorted((rule.selector, rule.data_class) for rule in contract.data.rules) == [
            ("/api_key", "credential"),
            ("/pin", "credential"),
        ]
    assert contracts[2].side_effects == "destructive"
    assert call("lint", "contracts.json").exit_code == 0


def test_init_reads_observed_payloads_without_showing_them() -> None:
    """Names and types, no value; the result loads and explains the payload."""
    seen = written("seen.jsonl", f'{{"q": "{CANARY}", "token": "{CANARY}"}}\n\n{{"n": [1]}}\n')
    result = call("init", "--from", seen, "--tool", "find")
    assert (result.exit_code, CANARY in result.output) == (0, False)
    (contract,) = load_contracts(written("contracts.json", result.stdout))
    assert sorted(contract.input_schema["properties"]) == ["n", "q", "token"]
    assert [rule.selector for rule in contract.data.rules] == ["/token"]
    linted = call("lint", "contracts.json")
    assert (linted.exit_code, CANARY in linted.output) == (0, False)
    explained = call("explain", "find", "-", "--contracts", "contracts.json", input=json.dumps({"q": CANARY}))
    assert (explained.exit_code, CANARY in explained.output) == (0, False)
