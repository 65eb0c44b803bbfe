"""Options and error handling that every command shares."""

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.printing import json_text, say
from runbundle.errors import ConfigError, ContractError, KeyNotFound, RunbundleError
from runbundle.settings import ARGUMENTS

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore

store_option = click.option(
    "--store",
    "store_url",
    envvar="RUNBUNDLE_STORE",
    default=".runbundle",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help=f"{ARGUMENTS['store'].about} Such as s3://bucket/prefix.",
)
run_argument = click.argument("run", metavar="RUN")


def format_option(*extra: str) -> Callable[[Any], Any]:
    """Return the option `--format`; JSON is one document on standard output."""
    return click.option(
        "--format", "format_", type=click.Choice(["human", "json", *extra]), default="human", show_default=True,
        help="How to print.",
    )  # fmt: skip


def open_store(url: str) -> "ArtifactStore":
    """Return the store of `--store`."""
    from runbundle.store import from_url

    return from_url(url)


def read_store(url: str) -> "ArtifactStore":
    """Return the store of `--store` for reading. Raises `StoreUnavailable` if it is not there."""
    from runbundle.store.url import require_there

    store = open_store(url)
    require_there(store)
    return store


def reports_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors of this package into a message and an exit code: 2 for usage, 5 if the work could not be done."""

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
                if error.hint:
                    say(f"hint: {error.hint}", err=True)
            usage = isinstance(error, ConfigError | ContractError | KeyNotFound)
            raise click.exceptions.Exit(2 if usage else 5) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            say(f"error: {error.strerror or type(error).__name__}", err=True)
            raise click.exceptions.Exit(5) from None

    return call


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json_text(value, indent=True))


def call_app(app: str) -> Any:
    """Import what `--app` names, with the working directory on the path, call it and return what it returns."""
    module, _, name = app.partition(":")
    if not module or not name:
        raise ConfigError("--app takes MODULE:CALLABLE", hint="as in myservice.telemetry:setup")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app could not be loaded: {error}", hint="run it from the folder of the module") from None
