"""`runbundle completion`: print the script by which a shell completes commands and options."""

import click

from runbundle.cli.options import reports_errors
from runbundle.errors import ConfigError

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", epilog="Example: runbundle completion fish > ~/.config/fish/completions/runbundle.fish")
@click.argument("shell", type=click.Choice(_SHELLS))
@reports_errors
def command(shell: str) -> None:
    """Print the script that completes commands and options in a shell; load it where the shell starts.

    For bash 4.4 or later: eval "$(runbundle completion bash)" in ~/.bashrc. For zsh the same in ~/.zshrc, after
    compinit. For fish: runbundle completion fish > ~/.config/fish/completions/runbundle.fish.
    """
    from click.shell_completion import get_completion_class

    from runbundle.cli.main import COMPLETES, PROGRAM, group

    kind = get_completion_class(shell)
    if kind is None:
        raise ConfigError(f"there is no completion for {shell}", hint=f"one of {', '.join(_SHELLS)}")
    made = kind(group, {}, PROGRAM, COMPLETES)
    click.echo(made.source_template % made.source_vars())  # not `source()`, which asks the bash of this machine
