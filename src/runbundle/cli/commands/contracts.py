"""`runbundle contracts`: check, explain and propose tool contracts."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from runbundle.cli.options import format_option, print_json, reports_errors
from runbundle.cli.printing import say
from runbundle.process.printable import printable_json

if TYPE_CHECKING:
    from runbundle.contracts.explain import Explained
    from runbundle.format.contract import ToolContract
    from runbundle.format.words import Target

_HINT = "give JSON, or JSON lines"


@click.group("contracts", epilog="Example: runbundle contracts lint contracts.json")
def command() -> None:
    """Check, explain and propose tool contracts."""


@command.command("lint", epilog="Example: runbundle contracts lint contracts.json")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@format_option()
@reports_errors
def lint(files: tuple[str, ...], format_: str) -> None:
    """Find mistakes in contract files: rules that keep too much, repeat another rule, or match nothing.

    Findings have the codes RC101 to RC107; runbundle explain CODE describes each. RC106 lists properties without a
    rule and is no warning.

    Exit codes: 0 no warnings; 1 warnings; 2 a file is missing or has no contracts.
    """
    from runbundle.cli.render import plural, table
    from runbundle.contracts.files import load_contracts
    from runbundle.contracts.lint import INFORMATION
    from runbundle.contracts.lint import lint as look

    contracts = [(file, contract) for file in files for contract in load_contracts(file)]
    found = [
        {"file": file, "tool": contract.name, **item._asdict(), "severity": _severity(item.code, INFORMATION)}
        for file, contract in contracts
        for item in look(contract)
    ]
    warnings = sum(item["severity"] == "warning" for item in found)
    if format_ == "json":
        print_json({"contracts": len(contracts), "warnings": warnings, "findings": found})
    else:
        if found:
            table(
                ["CODE", "TOOL", "PATH", "MESSAGE"],
                [[item["code"], item["tool"], item["path"], item["message"]] for item in found],
            )
            say()
        for code, count in sorted(Counter(item["code"] for item in found).items()):
            hint = next(item["hint"] for item in found if item["code"] == code)
            say(f"{code} ({count}): {hint}")
        say(f"{plural(len(contracts), 'contract')}, {plural(warnings, 'warning')}")
    if warnings:
        raise click.exceptions.Exit(1)


@command.command(
    "explain", epilog="Example: runbundle contracts explain find_order payload.json --contracts contracts.json"
)
@click.argument("tool", metavar="TOOL")
@click.argument("payload", metavar="PAYLOAD")
@click.option(
    "--contracts", "files", multiple=True, type=click.Path(), envvar="RUNBUNDLE_CONTRACTS", show_envvar=True,
    metavar="FILE", help="A contract file; may be given more than once.",
)  # fmt: skip
@click.option(
    "--target", type=click.Choice(["input", "output", "error"]), default="input", show_default=True,
    help="The kind of payload: the arguments, the result, or the error message.",
)  # fmt: skip
@format_option()
@reports_errors
def explain(tool: str, payload: str, files: tuple[str, ...], target: "Target", format_: str) -> None:
    """Show which rule decides each value of a payload, and what a bundle would keep of the payload.

    TOOL is the name of a tool. PAYLOAD is a file with one JSON value, or - for standard input. Withheld values are not
    printed. Names of fields are printed, unless a name is itself a credential. Digests are made with a temporary key.

    Exit codes: 0 done; 2 the tool is unknown, or a file is missing or not JSON.
    """
    import orjson

    from runbundle.cli.render import table
    from runbundle.contracts.explain import explain as explained
    from runbundle.redaction.markers import Digester
    from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
    from runbundle.redaction.receipt import Receipt

    contract = _contract_of(tool, files)
    value = _parse_one(_read(payload), payload)
    rows = explained(contract, value, target, named=True)
    rules = compile_payload_rules(contract, target)
    redacted = redact_payload(value, rules, Digester(), Receipt(), {"input": "arguments"}.get(target, target))
    if format_ == "json":
        print_json({"tool": tool, "target": target, "values": [row._asdict() for row in rows], "redacted": redacted})
        return
    table(
        ["PATH", "ACTION", "CLASS", "DECIDED BY"],
        [[row.path or "(whole)", row.action, row.data_class, _decided_by(row)] for row in rows],
    )
    say()
    say("A bundle keeps:")
    click.echo(printable_json(orjson.dumps(redacted, option=orjson.OPT_INDENT_2).decode()))


@command.command("init", epilog="Example: runbundle contracts init --from tools.json > contracts.json")
@click.option(
    "--from", "source", default="-", show_default=True, metavar="FILE", help="File to read; - is standard input."
)
@click.option("--tool", metavar="NAME", help="FILE contains arguments of calls of this tool.")
@format_option()
@reports_errors
def init(source: str, tool: str | None, format_: str) -> None:
    """Propose contracts and print them as a file that configure() and the other commands read.

    FILE is JSON or JSON lines: tool definitions of OpenAI, Anthropic or MCP (tools/list), or with --tool the arguments
    of calls. Properties that are named like credentials get a rule; all others stay masked until you give them one. No
    value of a payload is printed.

    Exit codes: 0 done; 2 FILE is missing or has another content.
    """
    from runbundle.contracts.derive import contracts_from_tools
    from runbundle.contracts.propose import propose
    from runbundle.errors import ConfigError
    from runbundle.format.contract import parse_contract

    values = _parse_all(_read(source), source)
    if not values:
        raise ConfigError(f"{_name(source)} is empty", hint=_HINT)
    if tool is None:
        proposals = [_with_credentials(contract) for contract in contracts_from_tools(values)]
    else:
        proposals = [propose(values, tool)]
    for proposal in proposals:
        parse_contract(proposal, where=str(proposal["name"]))
    print_json({"contracts": proposals})
    if format_ == "human":
        say("next: give rules to what is to be kept, then runbundle contracts lint FILE", err=True)


def _severity(code: str, information: frozenset[str]) -> str:
    return "information" if code in information else "warning"


def _decided_by(row: "Explained") -> str:
    return row.why if row.data_class == "undeclared" else f"{row.rule or '(whole)'}: {row.why}"


def _contract_of(tool: str, files: tuple[str, ...]) -> "ToolContract":
    from runbundle.contracts.files import by_name
    from runbundle.errors import ConfigError

    if not files:
        raise ConfigError("no contracts are given", hint="give --contracts FILE, or set RUNBUNDLE_CONTRACTS")
    contracts = by_name(files)
    if tool not in contracts:
        raise ConfigError(f"there is no contract for {tool!r}", hint=f"known: {', '.join(sorted(contracts)) or 'none'}")
    return contracts[tool]


def _with_credentials(contract: "ToolContract") -> dict[str, Any]:
    """Return a contract as plain data, with a rule for each property that is named like a credential."""
    from runbundle.contracts.propose import credential_rules

    data = contract.model_dump(mode="json", exclude_defaults=True)
    rules: list[Any] = data.get("data", {}).get("rules", [])
    known = {(rule.selector, rule.target) for rule in contract.data.rules}
    proposed = [*credential_rules(contract.input_schema), *credential_rules(contract.output_schema or {}, "output")]
    rules += [rule for rule in proposed if (rule["selector"], rule["target"]) not in known]
    return {**data, "data": {**data.get("data", {}), "rules": rules}}


def _name(source: str) -> str:
    return "standard input" if source == "-" else source


def _read(source: str) -> bytes:
    from runbundle.errors import ConfigError

    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}", hint="give the path of a file, or -") from None


def _parse_one(text: bytes, source: str) -> Any:
    import orjson

    from runbundle.errors import ConfigError
    from runbundle.signals.reading import RepeatedKey, value_of

    try:
        return value_of(text)
    except RepeatedKey as error:
        said = f"{_name(source)} has one key twice, at line {error.lineno}"
        raise ConfigError(said, hint="keep one of them") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{_name(source)} is not JSON at line {error.lineno}", hint="give one JSON value") from None


def _parse_all(text: bytes, source: str) -> list[Any]:
    """Return the values of JSON (those of its list, if it is one) or of JSON lines."""
    import orjson

    from runbundle.errors import ConfigError
    from runbundle.signals.reading import value_of

    try:
        value = value_of(text)
    except orjson.JSONDecodeError:
        pass
    else:
        return cast("list[Any]", value) if isinstance(value, list) else [value]
    values: list[Any] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                values.append(value_of(line))
            except orjson.JSONDecodeError:
                raise ConfigError(f"{_name(source)} is not JSON at line {number}", hint=_HINT) from None
    return values
