"""`runbundle gc`: remove old bundles."""

import click

from runbundle.bundle.search.filters import STATUSES, RunFilter
from runbundle.cli.confirming import confirm
from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError


@click.command("gc", epilog="Example: runbundle gc --older-than 30d --keep-last 100 --dry-run")
@click.option(
    "--older-than", "age", metavar="AGE", help="Remove only runs that ended longer ago than this: 36h, 30d, 8w."
)
@click.option("--keep-last", type=click.IntRange(min=0), default=0, metavar="N", help="Keep the N newest runs.")
@click.option("--tenant", metavar="ID", help="Only runs of this tenant; '' for runs without one.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that ended so.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print the runs that would be removed, and remove none.")
@store_option
@format_option()
@reports_errors
def command(
    age: str | None, keep_last: int, tenant: str | None, status: str | None, yes: bool, dry_run: bool, store_url: str,
    format_: str,
) -> None:  # fmt: skip
    """Remove old bundles from a store.

    Bundles on hold (see runbundle hold) and unsealed bundles are kept. --older-than or --keep-last is required. With
    --tenant or --status other runs are left alone, and --keep-last counts only these.

    On a terminal gc asks before it removes; elsewhere it refuses without --yes.

    A bundle that contains a link or anything else that is no regular file is reported and kept.

    Exit codes: 0 done, or there was nothing to remove; 1 some bundles could not be read, or were reported; 2 it could
    not ask; 130 the answer was no.
    """
    from runbundle.bundle.custody.retention import parse_age, plan, remove
    from runbundle.cli.render import plural, size, table

    if age is None and keep_last == 0:
        raise ConfigError("gc needs --older-than or --keep-last", hint="runbundle gc --older-than 30d --dry-run")
    store = read_store(store_url)
    limited = tenant is not None or status is not None
    wanted = RunFilter(tenant=tenant, status=status or "") if limited else None
    verdicts = plan(store, older_than=parse_age(age) if age else None, keep_last=keep_last, wanted=wanted)
    going = [v for v in verdicts if v.action == "remove"]
    if going and not dry_run:
        confirm(
            f"Remove {plural(len(going), 'bundle')}, {size(sum(v.bytes for v in going))}, from {store_url}?", yes=yes
        )
    if not dry_run:
        kept: set[str] = set()
        for number, verdict in enumerate(going, 1):
            if not remove(store, verdict.key):
                kept.add(verdict.key)
            if number % 100 == 0:
                say(f"removed {number} of {len(going)}", err=True)
        store.sweep()
        verdicts = [v._replace(action="held") if v.key in kept else v for v in verdicts]
        going = [v for v in going if v.key not in kept]
    odd = [v for v in verdicts if v.problem]
    code = 1 if odd else 0
    if format_ == "json":
        print_json({"dry_run": dry_run, "bundles": [v._asdict() for v in verdicts]})
        raise click.exceptions.Exit(code)
    if going:
        table(
            ["RUN", "ENDED", "SIZE"], [[v.key, v.ended_at[:19], size(v.bytes)] for v in going], right=(2,), whole=(0,)
        )
    for v in odd:
        say(f"{v.key}  left as it is: {v.problem}")
    held = sum(v.action == "held" for v in verdicts)
    verb = "would be removed" if dry_run else "removed"
    say(f"{plural(len(going), 'bundle')} {verb}, {size(sum(v.bytes for v in going))}; {held} on hold")
    raise click.exceptions.Exit(code)
