"""`runbundle view`: look at runs in a browser."""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import open_store, read_store, reports_errors, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore

_UNITS = {"s": 1, "m": 60, "h": 3600}


@click.command("view", epilog="Example: runbundle view @last")
@click.argument("run", metavar="[RUN]", required=False)
@store_option
@click.option("--span", "span_id", metavar="ID", help="Show this span first.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the server; a free one by default.")
@click.option("--no-open", "stay", is_flag=True, help="Print the link only; open no browser.")
@click.option("--idle", metavar="TIME", help="End when nothing was asked for that long, such as 30m.")
@reports_errors
def command(run: str | None, store_url: str, span_id: str | None, port: int, stay: bool, idle: str | None) -> None:
    """Look at a run, or at the list of runs, in a browser.

    RUN is a path, a run id, the beginning of a run id, or @last; also of a run that is not sealed yet, which is then
    shown as it grows. Needs the extra `view`.

    The page is served on 127.0.0.1, to one browser: the link that is printed works once. It shows sealed bundles and
    redacted journals, nothing raw, asks no other server for anything, and cannot change a run.

    Exit codes: 0 ended by --idle; 2 no such run, or the extra is missing; 130 ended by Ctrl-C.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.errors import ConfigError, KeyNotFound, NotSealed, StoreUnavailable
    from runbundle.recording.waiting import unsealed_named
    from runbundle.store.locations import spool_of

    try:
        from runbundle.view.server import Server
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise ConfigError("view needs the extra `view`", hint="pip install 'runbundle[view]'") from None
    idle_s = _seconds(idle)
    store, key = open_store(store_url), ""
    if run is None:
        store = read_store(store_url)
    else:
        try:
            store, key = resolve(store, run)
        except (KeyNotFound, NotSealed, StoreUnavailable):
            found = sorted({each.key.path for each in unsealed_named(spool_of(store), run)})
            if len(found) != 1:
                raise
            key = found[0]
    server = Server(store, port=port, compared=_compared)
    link = server.link(key, span_id or "")

    def began() -> None:
        say(f"serving {server.url}; Ctrl-C ends it")
        click.echo(link)
        sys.stdout.flush()
        if not stay:
            click.launch(link)

    try:
        server.run(idle_s=idle_s, began=began)
    except KeyboardInterrupt:
        raise click.Abort from None


def _compared(store: "ArtifactStore", a: str, b: str) -> dict[str, Any]:
    from runbundle.compare.report import between

    return between(store, a, b)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([smh])", text)
    if found is None:
        from runbundle.errors import ConfigError

        raise ConfigError("--idle takes a time such as 90s or 30m")
    return float(found[1]) * _UNITS[found[2]]
