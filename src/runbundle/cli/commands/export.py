"""`runbundle export`: write a run as one file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle


@click.command("export", epilog="Example: runbundle export @last --to html --output run.html")
@run_argument
@store_option
@click.option("--to", "kind", type=click.Choice(["html", "zip"]), required=True, help="A page, or the bundle as a zip.")
@click.option("-o", "--output", metavar="FILE", help="The file to write; by default named by the run, in this folder.")
@click.option("--max-mb", type=click.IntRange(1), default=50, show_default=True, metavar="MB",
              help="Leave out details of spans without faults if the page would be larger.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@format_option()
@reports_errors
def command(
    run: str, store_url: str, kind: str, output: str | None, max_mb: int, force: bool, format_: str
) -> None:  # fmt: skip
    """Write a run as one file, to attach it to a ticket or to send it.

    html: a page with the run in it. It opens from disk, without a server, and asks nobody for anything; it shows what
    runbundle view shows. Its look at the files is of the moment at which it was written.

    zip: all files of the bundle. runbundle verify, show and view take the zip in the place of a run, and runbundle pull
    @last FILE.zip copies it into a store.

    A bundle that is not what was sealed is not exported.

    Exit codes: 0 written; 2 no such run, or the file is there; 3 the run is not sealed; 4 the bundle is damaged.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.reader import Bundle
    from runbundle.cli.render import plural, size
    from runbundle.errors import ConfigError, MalformedBundle, NotSealed

    try:
        bundle = Bundle.open(*resolve(open_store(store_url), run))
    except NotSealed as error:
        say(f"error: {error.message}", err=True)
        raise click.exceptions.Exit(3) from None
    target = Path(output or f"{bundle.index.run_id[:40]}.{kind}")
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already", hint="name another with --output, or give --force")
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        left_out = _page(bundle, scratch, max_mb) if kind == "html" else _zip(bundle, scratch)
        written = scratch.stat().st_size
        scratch.replace(target)
    except MalformedBundle as error:
        say(f"error: {error.message}", err=True)
        raise click.exceptions.Exit(4) from None
    finally:
        scratch.unlink(missing_ok=True)
    if format_ == "json":
        print_json({"file": str(target), "bytes": written, "spans_left_out": left_out})
        return
    say(f"{target}  {size(written)}")
    if left_out:
        say(f"details of {plural(left_out, 'span')} left out; --max-mb sets the limit")
    if kind == "zip":
        say(f"next: runbundle verify {target}")


def _page(bundle: "Bundle", path: Path, max_mb: int) -> int:
    from runbundle.process.disk import create
    from runbundle.view.one_file import write_page

    with os.fdopen(create(path), "wb") as out:
        return write_page(bundle, out, most_bytes=max_mb * 1_000_000).left_out


def _zip(bundle: "Bundle", path: Path) -> int:
    from runbundle.bundle.custody.transfer import copy
    from runbundle.errors import MalformedBundle
    from runbundle.store.zipped import ZipStore

    store = ZipStore(path, make=True)
    try:
        result = copy(bundle.store, bundle.key, store)
    finally:
        store.close()
    if result.outcome != "copied":
        raise MalformedBundle("; ".join(result.problems) or result.outcome, file=bundle.key)
    return 0
