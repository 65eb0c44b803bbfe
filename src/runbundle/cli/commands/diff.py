"""`runbundle diff`: compare two runs and print why they differ, and in what."""

from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option
from runbundle.cli.printing import github, say

if TYPE_CHECKING:
    from runbundle.compare.diff_report import DiffReport
    from runbundle.store import ArtifactStore


@click.command("diff", epilog="Example: runbundle diff 3f2a @last")
@click.argument("a")
@click.argument("b")
@store_option
@click.option("--store-b", metavar="URL", help="The store of B, if it is another one.")
@format_option("markdown", "github", "html")
@click.option("--full", is_flag=True, help="List every difference, not only the first 200.")
@click.option("--side-by-side", is_flag=True, help="Print values beside each other; so it is from 140 columns on.")
@click.option("--incomplete", is_flag=True, help="Compare runs of which something is known to be missing, too.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 if the runs differ.")
@reports_errors
def command(
    a: str,
    b: str,
    store_url: str,
    store_b: str | None,
    format_: str,
    full: bool,
    side_by_side: bool,
    incomplete: bool,
    exit_zero: bool,
) -> None:
    """Compare two runs, such as a baseline A and a candidate B.

    The first line names the cause: the first difference that nothing earlier explains. Then come the steps that differ;
    what is equal is left out. Times, ids of spans and ids of calls are no differences. Values that no contract lets
    through are compared by their keyed digests, so both runs must have been recorded with one key.

    --format html prints one page that opens from disk, without a server, and asks nobody for anything: for a ticket.

    Exit codes: 0 the same; 1 different; 2 usage, or no such run; 3 not comparable, or nothing was found to differ but
    some values could not be compared; 4 a bundle does not verify.
    """
    from runbundle.errors import NotComparable, NotVerified

    try:
        report = _report(open_store(store_url), a, open_store(store_b or store_url), b, full, incomplete)
    except (NotComparable, NotVerified) as error:
        if format_ == "json":
            print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        else:
            say(f"not comparable: {error.message}" if isinstance(error, NotComparable) else error.message, err=True)
            if error.hint:
                say(f"hint: {error.hint}", err=True)
        raise click.exceptions.Exit(3 if isinstance(error, NotComparable) else 4) from None
    if format_ == "json":
        from runbundle.compare.report import document

        print_json(document(report))
    elif format_ == "markdown":
        from runbundle.cli.diff_text import markdown

        click.echo(markdown(report), nl=False)
    elif format_ == "html":
        from runbundle.cli.diff_text import markdown
        from runbundle.compare.report import document
        from runbundle.view.diff_page import diff_page

        click.echo(diff_page(document(report), markdown(report)), nl=False)
    elif format_ == "github":
        from runbundle.cli.diff_text import cause_text

        for number, cause in enumerate(report.causes):
            title = f"{cause.code} {report.a.run_id} and {report.b.run_id}"
            click.echo(github("notice" if number else "error", title, cause_text(cause)))
    else:
        from runbundle.cli.diff_text import print_report

        print_report(report, (store_url, store_b or store_url), side_by_side=side_by_side)
    code = {"same": 0, "different": 1, "unknown": 3}[report.outcome]
    raise click.exceptions.Exit(0 if code == 1 and exit_zero else code)


def _report(
    store_a: "ArtifactStore", a: str, store_b: "ArtifactStore", b: str, full: bool, incomplete: bool
) -> "DiffReport":
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.compare.report import MOST_CHANGES, diff_runs

    most = 10**9 if full else MOST_CHANGES
    return diff_runs(resolve(store_a, a), resolve(store_b, b), incomplete=incomplete, most_changes=most)
