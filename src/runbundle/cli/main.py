"""The command `runbundle`. Each subcommand is imported only when it is called."""

import os
import sys
from importlib import import_module

import click

from runbundle.cli.printing import say

_COMMANDS = {
    "demo": "Run a small offline agent and verify the bundle it leaves.",
    "ls": "List, search and count the runs of a store.",
    "stats": "Print what the runs of a store add up to: errors, durations, tokens.",
    "sql": "Ask the bundles of a store in SQL.",
    "show": "Show a run: its spans, tool calls and what is missing, or one span.",
    "tail": "Print what live runs do, as they do it.",
    "tools": "Show the tool calls of a run.",
    "diff": "Compare two runs: why they differ, and in what.",
    "recover": "Seal runs that a killed process left behind.",
    "gc": "Remove old bundles from a store.",
    "rm": "Remove runs by name.",
    "hold": "Put a bundle on legal hold, or end the hold.",
    "push": "Copy a run from this store to another, or send runs to a backend by OTLP.",
    "pull": "Copy a run from another store to this one.",
    "sync": "Copy all runs of one store to another.",
    "index": "Complete or rebuild the index of a store.",
    "view": "Look at runs in a browser.",
    "export": "Write a run as one file: a page for a ticket, or a zip.",
    "verify": "Check that a bundle is whole, unchanged and redacted.",
    "state": "Look at the run state that engines resume from.",
    "score": "Score sealed runs, with built-in scorers and your own.",
    "gate": "Decide whether a candidate is no worse than its baseline.",
    "baseline": "Keep sets of runs that candidates are compared with.",
    "schema": "Print the JSON Schema of a file of the bundle.",
    "explain": "Explain the code of a finding, or a rule of redaction.",
    "redact": "Mask the credentials in a text, and check a set-up for leaks.",
    "debug": "Read or remove the raw content that debug mode kept.",
    "contracts": "Check, explain and propose tool contracts.",
    "doctor": "Check that runs will be recorded and that no raw content leaves this set-up.",
    "completion": "Print the script by which a shell completes commands and options.",
}
PROGRAM = "runbundle"
COMPLETES = "_RUNBUNDLE_COMPLETE"
"""The variable by which a shell asks for completions."""
_NO_COLOUR = "--no-color"


class _Lazy(click.Group):
    """A group that knows its commands by name, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"runbundle.cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or raise an error that names the nearest."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from runbundle.settings import nearest

            near = nearest(args[0], _COMMANDS)
            ctx.fail(f"No such command '{args[0]}'.{f' Did you mean {near}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: runbundle demo, then runbundle show @last",
)
@click.option(_NO_COLOUR, is_flag=True, help="Print without colours, as if NO_COLOR were set. It may stand anywhere.")
@click.version_option(package_name="runbundle", prog_name=PROGRAM)
def group(no_color: bool = False) -> None:
    """Record, read and check run bundles: the flight recorder for AI agents."""


def _show(error: click.ClickException) -> None:
    """Print an error as click does, but escaped: it quotes arguments, which a script may have taken from a store."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help' for help.\n", err=True)
    say(f"Error: {error.format_message()}", err=True)


def _without_colour(arguments: list[str]) -> list[str]:
    """Return the arguments without `--no-color`, wherever it stands before `--`; set NO_COLOR if it does."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if _NO_COLOUR in arguments[:end]:
        os.environ["NO_COLOR"] = "1"
    return [*(argument for argument in arguments[:end] if argument != _NO_COLOUR), *arguments[end:]]


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 incomplete, 4 integrity, 5 the work could not be done, 130 interrupted.
    """
    try:
        code = group.main(args=_without_colour(sys.argv[1:]), prog_name=PROGRAM, complete_var=COMPLETES,
                          standalone_mode=False)  # fmt: skip
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
