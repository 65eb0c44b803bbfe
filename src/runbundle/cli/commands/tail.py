"""`runbundle tail`: print what live runs do, as they do it."""

import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from runbundle.cli.listing.choosing import Chosen, choosing
from runbundle.cli.options import format_option, open_store, reports_errors, store_flag, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError, KeyNotFound

if TYPE_CHECKING:
    from pathlib import Path

    from runbundle.bundle.search.filters import RunFilter
    from runbundle.cli.listing.tailing import Tail
    from runbundle.recording.waiting import Unsealed
    from runbundle.store import ArtifactStore

_EVERY_S = 0.25


@click.command("tail", epilog="Example: runbundle tail -f 7d1f")
@click.argument("run", metavar="RUN", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run is sealed or its process dies.")
@click.option("--all", "every", is_flag=True, help="Follow all live runs, also those that begin later, until Ctrl-C.")
@click.option("--errors", is_flag=True, help="Print only spans that failed or were blocked.")
@store_option
@format_option()
@choosing
@reports_errors
def command(
    run: str | None, follow: bool, every: bool, errors: bool, store_url: str, format_: str, chosen: Chosen
) -> None:
    """Print what a run does while it is recorded, one line an event, from its journals in the spool.

    RUN is an id, the beginning of an id, or TENANT/ID. `>` begins a span and `<` ends one, with its status, duration
    and error. Without -f what is recorded so far is printed. The last line is the verdict: sealed, with its status; or
    crashed, in quarantine, failed, or ended and not sealed within 10 s.

    --all follows every live run; the options choose among them, as in ls, and a run is asked again as it grows. Its
    events are printed from its beginning on. With --format json each line is one JSON document.

    Records are redacted once more before they are printed, as recover does it.

    Exit codes: 0 the run is sealed, or --all ended; 2 no such run; 3 the run is not sealed, or not readable; 130
    interrupted.
    """
    from runbundle.bundle.search.filters import RunFilter
    from runbundle.cli.listing.tailing import Tail
    from runbundle.redaction.detectors.environment import register_environment
    from runbundle.store.locations import spool_of
    from runbundle.store.url import require_there

    if every == (run is not None):
        raise ConfigError("tail takes a RUN, or --all", hint="runbundle tail --all")
    if run is not None and chosen.searched:
        raise ConfigError("options that choose runs are for --all", hint="leave RUN out")
    register_environment(os.environ)
    store = open_store(store_url)
    spool = spool_of(store)
    if not spool.is_dir():
        require_there(store)
    wanted = RunFilter() if run is not None else _wanted(chosen, store)
    with closing(Tail(store, spool, wanted, failed_only=errors, as_json=format_ == "json")) as tail:
        if run is None:
            _follow_all(tail, spool)
            return
        named = _named(spool, run)
        if named is None:
            code = _say_sealed(store, run, store_url, as_json=format_ == "json")
        else:
            tail.follow(named)
            code = _follow_one(tail, named, follow=follow, store_url=store_url, as_json=format_ == "json")
    raise click.exceptions.Exit(code)


def _wanted(chosen: Chosen, store: "ArtifactStore") -> "RunFilter":
    from runbundle.bundle.catalog.index import index_of

    with closing(index_of(store)) as index:  # for the tenants, for whom raw ids are digested
        return chosen.wanted(store.url, index)


def _named(spool: "Path", run: str) -> "Unsealed | None":
    """Return the run in the spool, or None if it is not there. Raises `KeyNotFound` if several go by that name."""
    from runbundle.recording.waiting import unsealed_named

    found = unsealed_named(spool, run)
    keys = sorted({each.key.path for each in found})
    if len(keys) > 1:
        raise KeyNotFound(f"{len(keys)} runs in the spool go by {run}", hint="give more of it", lines=tuple(keys[:10]))
    return found[0] if found else None


def _say_sealed(store: "ArtifactStore", run: str, store_url: str, *, as_json: bool) -> int:
    """Print the verdict of a run that is not in the spool; return the exit code. Raises `KeyNotFound`."""
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.catalog.rows import read_row
    from runbundle.cli.listing.tailing import sealed_as, verdict_as_json

    at, key = resolve(store, run)
    verdict = sealed_as(read_row(at, key))
    if as_json:
        say(verdict_as_json(key, verdict))
    else:
        say(f"{key}  == {verdict.text}")
        say(f"next: runbundle show {key}{store_flag(store_url)}")
    return 0 if verdict.state == "sealed" else 3


def _follow_all(tail: "Tail", spool: "Path") -> None:
    said = False
    while True:
        if spool.is_dir():
            tail.look()
        _print(tail)
        if not tail.following and not said:
            say("waiting for a run; Ctrl-C ends this", err=True)
            said = True
        time.sleep(_EVERY_S)


def _follow_one(tail: "Tail", run: "Unsealed", *, follow: bool, store_url: str, as_json: bool) -> int:
    from runbundle.cli.listing.tailing import ended_as

    _print(tail)
    while follow and tail.following:
        time.sleep(_EVERY_S)
        _print(tail)
    verdict = tail.verdicts.get(run.key)
    if verdict is None and not as_json:
        state = "live: a process is writing it" if run.state == "live" else ended_as(run)
        say(f"-- {state}")
        if run.state == "live":
            say(f"next: runbundle tail -f {run.key.path}{store_flag(store_url)}")
    return 0 if verdict is not None and verdict.state == "sealed" else 3


def _print(tail: "Tail") -> None:
    lines = tail.lines()
    if lines:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
