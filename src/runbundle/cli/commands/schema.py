"""`runbundle schema`: print a JSON Schema."""

import click

from runbundle.cli.options import print_json, reports_errors

_NAMES = [
    "run",
    "config",
    "event",
    "tool_calls",
    "evidence",
    "scorecard",
    "gate",
    "baseline",
    "contract",
    "verify_report",
]


@click.command("schema", epilog="Example: runbundle schema run > run.schema.json")
@click.argument("name", type=click.Choice(_NAMES), metavar="NAME")
@reports_errors
def command(name: str) -> None:
    """Print the JSON Schema of a file of a bundle, of a contract, or of a report.

    NAME is run, config, event (a line of events.jsonl), tool_calls, evidence, scorecard, gate, baseline, contract or
    verify_report.
    """
    from runbundle.format.schemas import json_schema

    print_json(json_schema(name))
