"""`runbundle verify`: check a bundle and print the report."""

from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import github, say, xml_attribute, xml_text

if TYPE_CHECKING:
    from runbundle.format.verify_report import VerifyReport


@click.command("verify", epilog="Example: runbundle verify @last --format json")
@run_argument
@store_option
@format_option("junit", "github")
@click.option(
    "--quick", is_flag=True,
    help="Check only that the files are those that were sealed, and search them for credentials. The report says what"
    " is left out.",
)  # fmt: skip
@reports_errors
def command(run: str, store_url: str, format_: str, quick: bool) -> None:
    """Check that a bundle is complete, unchanged, consistent and redacted.

    RUN is a path, a run id, the beginning of a run id, or @last. verify cannot detect that somebody wrote the whole
    bundle anew, digests included.

    Exit codes: 0 verified (or, with --quick and of a bundle that is older than a check, unchanged); 1 an error that is
    none of integrity; 2 no such run; 3 incomplete: unchanged, but something is known to be missing; 4 a file was
    changed after the seal.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.verify import verify

    report = verify(*resolve(open_store(store_url), run), quick=quick)
    if format_ == "json":
        print_json(report.model_dump(mode="json", by_alias=True, exclude_none=True))
    elif format_ == "junit":
        click.echo(_junit(report), nl=False)
    elif format_ == "github":
        for finding in report.findings:
            level = "error" if finding.severity == "error" else "warning"
            click.echo(github(level, finding.code, f"{finding.file or ''} {finding.message}"))
    else:
        print_report(report)
    raise click.exceptions.Exit(exit_code(report))


def exit_code(report: "VerifyReport") -> int:
    """Return the exit code for a report: 0 verified or unchanged, 3 incomplete, 4 integrity failed, 1 other errors."""
    if report.verdict == "failed":
        return 4 if report.dimensions["integrity"] == "fail" else 1
    return 3 if report.verdict == "incomplete" else 0


def print_report(report: "VerifyReport") -> None:
    """Print a report for people: verdict, dimensions, findings, and the limits of the check."""
    from runbundle.cli.render import cut, plural, size

    say(f"{report.run_id}  ", report.verdict)
    for dimension, outcome in report.dimensions.items():
        say(f"  {dimension:<13} {outcome}")
    for finding in report.findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file or ""
        say(cut(f"  {finding.code}  {place}: {finding.message}"))
    say(f"{plural(report.files_checked, 'file')}, {size(report.bytes_checked)} checked")
    if report.findings:
        say(f"next: runbundle explain {report.findings[0].code}")
    for text in (*report.notes, report.limits):
        if text:
            say(text)


def _junit(report: "VerifyReport") -> str:
    cases: list[str] = []
    for dimension in report.dimensions:
        found = [f for f in report.findings if f.dimension == dimension]
        inner = "".join(f"<failure message={xml_attribute(f.code)}>{xml_text(f.message)}</failure>" for f in found)
        cases.append(f'  <testcase classname="runbundle.verify" name="{dimension}">{inner}</testcase>\n')
    failed = sum(outcome not in ("pass", "skipped") for outcome in report.dimensions.values())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name={xml_attribute(report.run_id)} tests="{len(cases)}" failures="{failed}">\n'
        f"{''.join(cases)}</testsuite>\n"
    )
