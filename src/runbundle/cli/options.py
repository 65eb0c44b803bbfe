"""Options, opening of stores and handling of errors that all commands share."""

import functools
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.printing import json_text, say, say_hint
from runbundle.errors import ConfigError, ContractError, KeyNotFound, RunbundleError
from runbundle.settings import ARGUMENTS, variable

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore

_DEFAULT_STORE = ".runbundle"
store_option = click.option(
    "--store",
    "store_url",
    envvar="RUNBUNDLE_STORE",
    default=_DEFAULT_STORE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help=f"{ARGUMENTS['store'].about} Such as s3://bucket/prefix.",
)
run_argument = click.argument("run", metavar="RUN")


def format_option(*extra: str) -> Callable[[Any], Any]:
    """Return the option `--format human|json`, with `extra` formats. JSON is one document on standard output."""
    return click.option(
        "--format", "format_", type=click.Choice(["human", "json", *extra]), default="human", show_default=True,
        help="Print for people, or as JSON.",
    )  # fmt: skip


def open_store(url: str) -> "ArtifactStore":
    """Return the store that a URL or path names. A local folder need not exist yet."""
    from runbundle.store import from_url

    return from_url(url)


def read_store(url: str) -> "ArtifactStore":
    """Return the store that a URL or path names, for reading. Raises `StoreUnavailable` if it does not exist."""
    from runbundle.store.url import require_there

    store = open_store(url)
    require_there(store)
    return store


def again(run: str, store: "ArtifactStore", store_url: str) -> tuple[str, str]:
    """Return how a further command names a run, and the `--store` that it needs, with a blank before it, or nothing.

    The beginning of the id is enough if it is a random one. `store`: where the run was found, which is another store
    than `store_url` names if the run was named by its path.
    """
    import shlex

    short = run[:8] if re.fullmatch(r"[0-9a-f]{32}", run) else shlex.quote(run)
    named = store_url if open_store(store_url).url == store.url else store.url
    return short, store_flag(named)


def store_flag(url: str) -> str:
    """Return the ` --store URL` that a next command needs to read the same store; nothing if it would do so anyway."""
    from shlex import quote

    return "" if url == (variable("RUNBUNDLE_STORE") or _DEFAULT_STORE) else f" --store {quote(url)}"


def reports_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command: print errors of this package, and exit with 2 for wrong usage or 5 if the work failed.

    With `--format json` the error is a JSON document on standard error.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RunbundleError as error:
            if kwargs.get("format_") == "json":
                body = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
                click.echo(json_text(body), err=True, nl=False)
            else:
                say(f"error: {error.message}", err=True)
                for line in error.lines:
                    say(f"  {line}", err=True)
                if error.hint:
                    say_hint(error.hint, err=True)
            usage = isinstance(error, ConfigError | ContractError | KeyNotFound)
            raise click.exceptions.Exit(2 if usage else 5) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            say(f"error: {error.strerror or type(error).__name__}", err=True)
            raise click.exceptions.Exit(5) from None

    return call


def print_json(value: Any) -> None:
    """Print one indented JSON document to standard output, with control characters escaped."""
    sys.stdout.write(json_text(value, indent=True))


def call_app(app: str) -> Any:
    """Import the function that `--app MODULE:CALLABLE` names, call it, and return its result.

    The working directory is put on the import path. Raises `ConfigError` if the function cannot be imported; errors of
    the function itself are not caught, except `ImportError` and `AttributeError`.
    """
    module, _, name = app.partition(":")
    if not module or not name:
        raise ConfigError("--app takes MODULE:CALLABLE", hint="as in myservice.telemetry:setup")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app could not be loaded: {error}", hint="run it from the folder of the module") from None
