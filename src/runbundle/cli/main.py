"""`runbundle`: the group, with commands that are imported when they are called."""

import os
import sys
from importlib import import_module

import click

from runbundle.cli.printing import say

_COMMANDS = {
    "demo": "Run a small offline agent and verify the bundle it leaves.",
    "ls": "List the runs of a store.",
    "show": "Show one run, or one span of it.",
    "tools": "Show the tool calls of a run.",
    "recover": "Seal runs that a killed process left behind.",
    "gc": "Remove old bundles from a store.",
    "hold": "Put a bundle on legal hold, or end the hold.",
    "push": "Copy a run from this store to another.",
    "pull": "Copy a run from another store to this one.",
    "sync": "Copy all runs of one store to another.",
    "index": "Complete the index of a store, or make it again.",
    "verify": "Check that a bundle is whole, unchanged and redacted.",
    "schema": "Print the JSON Schema of a file of the bundle.",
    "explain": "Explain a finding code.",
    "redact": "Mask the credentials in standard input, and check a set-up for leaks.",
    "debug": "Read or remove the raw content that debug mode has kept.",
    "contracts": "Check, explain and propose tool contracts.",
    "doctor": "Check that nothing raw leaves this set-up and that runs will be recorded.",
}


class _Lazy(click.Group):
    """Knows its commands by name; `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"runbundle.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: runbundle demo, then runbundle show @last",
)
@click.version_option(package_name="runbundle", prog_name="runbundle")
def group() -> None:
    """The flight recorder for AI agents: read and check run bundles."""


def _show(error: click.ClickException) -> None:
    """Print an error as click does, but for what it quotes: what was typed, or what a script took from a store."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help' for help.\n", err=True)
    say(f"Error: {error.format_message()}", err=True)


def main() -> None:
    """Run the command line; the exit code says how it went (see `runbundle COMMAND --help`)."""
    try:
        code = group.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        _show(error)
        code = 2
    except BrokenPipeError:
        # The reader has left, as in `runbundle ls | head`. Python would complain at exit when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
