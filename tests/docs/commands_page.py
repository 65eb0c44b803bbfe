"""Writes docs/commands.md from the commands themselves: python -m tests.docs.commands_page.

It asks click for names and texts and lays them out itself: click's own layout changes from version to version.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from runbundle.cli.main import group

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"

_INTRODUCTION = """\
# Commands

Made from the commands themselves by `python -m tests.docs.commands_page`; `runbundle COMMAND --help` says the same.

Exit codes, unless a command says otherwise: 0 clean, 1 findings, 2 usage, 3 incomplete or not sealed, 4 integrity, 5 the work could not be done, 130 interrupted.
"""  # noqa: E501 - a line of Markdown is a paragraph


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group below `runbundle`, each with its full name, in the order of the help."""
    context = click.Context(group, info_name="runbundle")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"runbundle {name}", command
        if isinstance(command, click.Group):
            yield from ((f"runbundle {name} {below}", each) for below, each in sorted(command.commands.items()))


def example(command: click.Command) -> str:
    """Return the example at the end of a command's help, or nothing."""
    text = command.epilog or ""
    return text.removeprefix("Example: ") if text.startswith("Example: ") else ""


def entry(name: str, command: click.Command) -> str:
    """Return what the page says about one command."""
    arguments = [_argument(each) for each in command.params if isinstance(each, click.Argument)]
    options = [_option(each) for each in command.params if isinstance(each, click.Option)]
    usage = " ".join([name, *(["COMMAND"] if isinstance(command, click.Group) else []), *arguments])
    paragraphs = [" ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n")]
    rows = ["| option | |", "|---|---|", *options, ""] if options else []
    return "\n".join([
        f"{'##' if name.count(' ') == 1 else '###'} {name}", "", f"`{usage}`", "", "\n\n".join(paragraphs), "", *rows,
        "```sh", example(command), "```", "",
    ])  # fmt: skip


def page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *(entry(name, command) for name, command in commands())])


def _argument(argument: click.Argument) -> str:
    if "..." in (argument.metavar or ""):
        return argument.metavar or ""  # it says all of it
    text = (argument.metavar or argument.name or "").strip("[].").upper()
    text = text if argument.required else f"[{text}]"
    return f"{text}..." if argument.nargs == -1 else text


def _option(option: click.Option) -> str:
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    kind = "WORD" if choices else option.type.name.upper().replace(" RANGE", "")
    said = [option.help or ""]
    if choices:
        said.append(f"One of {', '.join(f'`{choice}`' for choice in choices)}.")
    if isinstance(option.default, str | int) and not isinstance(option.default, bool) and option.default != "":
        said.append(f"Default: `{option.default}`.")
    if option.envvar:
        said.append(f"Variable: `{option.envvar}`.")
    return f"| `{', '.join(option.opts)}{'' if option.is_flag else f' {option.metavar or kind}'}` | {' '.join(said)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
