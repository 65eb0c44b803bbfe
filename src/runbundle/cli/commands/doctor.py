"""`runbundle doctor`: check the set-up of telemetry, store and spool."""

import os
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from runbundle.cli.options import call_app, format_option, open_store, print_json, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.errors import RunbundleError, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from runbundle.otel.inspection.doctor import Diagnosis

_BUNDLES = 20
"""The bundles that are asked what could not be read: the newest."""
_SCOPES_SHOWN = 10


@click.command("doctor", epilog="Example: runbundle doctor --app myservice.telemetry:setup")
@store_option
@format_option()
@click.option(
    "--app",
    metavar="MODULE:CALLABLE",
    help="Import and call this function, which sets up the application's telemetry, and check the result.",
)
@reports_errors
def command(store_url: str, format_: str, app: str | None) -> None:
    """Check that runs will be recorded and that no raw content leaves this set-up.

    doctor checks the OTEL_* variables, the store, the digest key, and the spool: its file system, runs that wait in
    it, and losses that processes counted there. Where the store is a folder, it says which libraries' spans could not
    be read, by its newest 20 bundles. It says which core redacts and who seals. With --app it also checks the
    processors, exporters and sampler of the application's tracer provider. Where the OTEL_* variables name runbundle,
    it says what opentelemetry-instrument would do.

    Exit codes: 0 no findings, or only notes; 1 findings.
    """
    from runbundle.cli.commands.doctor_spool import spool_findings
    from runbundle.otel.inspection.doctor import (
        describe_work,
        diagnose_environment,
        diagnose_key,
        diagnose_provider,
        diagnose_secrets,
    )
    from runbundle.otel.inspection.zero_code import describe_zero_code

    key, key_findings = diagnose_key(store_url)
    store = _store_findings(store_url)
    found = (
        diagnose_environment()
        + diagnose_secrets()
        + store
        + spool_findings(store_url, writable=not store)
        + _unread_findings(store_url)
        + key_findings
    )
    if app is not None:
        returned = call_app(app)
        found += diagnose_provider(getattr(returned, "tracer_provider", returned))
    if format_ == "json":
        said = {"digest_key": key.partition(": ")[2], "without_code": describe_zero_code()[0], **describe_work()}
        print_json({"findings": [finding._asdict() for finding in found], **said})
    else:
        for finding in found:
            note = "note: " if finding.severity == "note" else ""
            say(f"{finding.code}  {note}{finding.message}")
            say(f"       {finding.hint}")
        if not key_findings:
            say(key)
        work = describe_work()
        say(f"core: {'Python' if work['core'] == 'python' else work['core']}; sealed by a {work['seal']}")
        without_code = describe_zero_code()[0]
        if without_code:
            say(without_code)
        looked = "environment, store, spool" + (", tracer provider" if app else "")
        say(f"{len(found) or 'no'} finding{'' if len(found) == 1 else 's'} ({looked})")
        if app is None:
            say("next: runbundle doctor --app MODULE:CALLABLE looks at an application's exporters and sampler")
    raise click.exceptions.Exit(1 if any(finding.severity != "note" for finding in found) else 0)


def _store_findings(store_url: str) -> "list[Diagnosis]":
    from runbundle.format.findings import FINDINGS
    from runbundle.otel.inspection.doctor import Diagnosis

    try:
        store = open_store(store_url)
        if store.folder is not None:
            _require_writable(store.folder)
        else:  # a server is the only one who knows
            key = f"doctor-{uuid4().hex}/trial"
            store.put(key, b"")
            store.delete(key)
    except StoreError as error:
        return [Diagnosis("RB904", "error", error.message, error.hint or FINDINGS["RB904"].what_to_do)]
    return []


def _unread_findings(store_url: str) -> "list[Diagnosis]":
    """Return a note of the spans that could not be read, by scope, where the newest bundles of a folder have any.

    A store elsewhere is not asked: to find its newest bundles takes a listing of it.
    """
    from runbundle.bundle.catalog.index import index_of
    from runbundle.bundle.reader import Bundle
    from runbundle.bundle.search.filters import RunFilter
    from runbundle.cli.render import plural
    from runbundle.format.findings import FINDINGS
    from runbundle.otel.inspection.doctor import Diagnosis

    scopes: Counter[str] = Counter()
    looked = having = 0
    try:
        store = open_store(store_url)
        if store.folder is None or not store.folder.is_dir():
            return []
        with closing(index_of(store)) as index:
            rows = index.runs(RunFilter(sealed=True), _BUNDLES)
    except RunbundleError:
        return []  # said already
    for row in rows:
        with suppress(RunbundleError):  # `ls` names those that cannot be read
            unread = Bundle.open(store, row.key).index.completeness.unread or {}
            scopes.update(unread)
            looked, having = looked + 1, having + bool(unread)
    if not scopes:
        return []
    others = scopes.pop("…", 0)
    named = sorted(scopes.items(), key=lambda item: (-item[1], item[0]))
    others += sum(count for _, count in named[_SCOPES_SHOWN:])
    said = ", ".join(f"{plural(count, 'span')} of {scope}" for scope, count in named[:_SCOPES_SHOWN])
    more = f", and {others} of others" if others else ""
    spec = FINDINGS["RB913"]
    message = f"{said}{more} could not be read (in {having} of {plural(looked, 'bundle')}, the newest)"
    return [Diagnosis("RB913", "note", message, spec.what_to_do)]


def _require_writable(root: Path) -> None:
    """Raise `StoreUnavailable` if a store's folder, or the one in which it would be made, cannot be written.

    What a reader looks at stays as it is, and a folder that does not exist is not made.
    """
    place = next(place for place in (root, *root.parents) if place.exists())
    if not place.is_dir():
        raise StoreUnavailable(f"cannot write {root}: {place} is no folder", hint="name another place with --store")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreUnavailable(f"cannot write {root}", hint="let this user write there, or name another with --store")
