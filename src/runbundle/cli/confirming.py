"""Asking before something is removed for good."""

import sys

import click

from runbundle.errors import ConfigError
from runbundle.process.printable import printable


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal whether to go on; with `yes` ask nothing.

    Raises `ConfigError` where nobody can be asked, and `click.Abort` if the answer is no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("this removes for good, and nobody can be asked here", hint="look with --dry-run, then --yes")
    click.confirm(printable(question), abort=True, err=True)
