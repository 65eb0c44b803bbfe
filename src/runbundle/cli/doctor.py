"""`runbundle doctor`."""

from typing import TYPE_CHECKING
from uuid import uuid4

import click

from runbundle.cli.options import call_app, format_option, open_store, print_json, reports_errors, store_option
from runbundle.errors import StoreError

if TYPE_CHECKING:
    from runbundle.otel.doctor import Diagnosis


@click.command("doctor", epilog="Example: runbundle doctor --app myservice.telemetry:setup")
@store_option
@format_option()
@click.option(
    "--app",
    metavar="MODULE:CALLABLE",
    help="Import this and call it, so that the application sets its telemetry up, then look at the result.",
)
@reports_errors
def command(store_url: str, format_: str, app: str | None) -> None:
    """Check that nothing raw leaves this set-up and that runs will be recorded.

    Looks at the OTEL_* variables, the store, the key of digests, and the spool: what it stands on, what waits in it,
    and what processes have noted there as lost; with --app at the processors, exporters and sampler of the tracer
    provider, too. Exit code: 0 if all is well, or there are only notes; 1 otherwise.
    """
    from runbundle.cli.doctor_spool import spool_findings
    from runbundle.otel.doctor import diagnose_environment, diagnose_key, diagnose_provider, diagnose_secrets

    key, key_findings = diagnose_key(store_url)
    store = _store_findings(store_url)
    found = (
        diagnose_environment()
        + diagnose_secrets()
        + store
        + spool_findings(store_url, writable=not store)
        + key_findings
    )
    if app is not None:
        returned = call_app(app)
        found += diagnose_provider(getattr(returned, "tracer_provider", returned))
    if format_ == "json":
        print_json({"findings": [finding._asdict() for finding in found], "digest_key": key.partition(": ")[2]})
    else:
        for finding in found:
            note = "note: " if finding.severity == "note" else ""
            click.echo(f"{finding.code}  {note}{finding.message}")
            click.echo(f"       {finding.hint}")
        if not key_findings:
            click.echo(key)
        looked = "environment, store, spool" + (", tracer provider" if app else "")
        click.echo(f"{len(found) or 'no'} finding{'' if len(found) == 1 else 's'} ({looked})")
        if app is None:
            click.echo("next: runbundle doctor --app MODULE:CALLABLE looks at an application's exporters and sampler")
    raise click.exceptions.Exit(1 if any(finding.severity != "note" for finding in found) else 0)


def _store_findings(store_url: str) -> "list[Diagnosis]":
    from runbundle.models.findings import FINDINGS
    from runbundle.otel.doctor import Diagnosis

    key = f"doctor-{uuid4().hex}/trial"
    try:
        store = open_store(store_url)
        store.put(key, b"")
        store.delete(key)
    except StoreError as error:
        return [Diagnosis("RB904", "error", error.message, error.hint or FINDINGS["RB904"].what_to_do)]
    return []
