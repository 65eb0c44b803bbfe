"""`runbundle push --otlp`: send sealed runs to a backend, each after a check of its files."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.commands.transfers import Progress
from runbundle.cli.options import open_store, print_json
from runbundle.cli.printing import say
from runbundle.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from runbundle.otel.forwarding.reemit import Backend
    from runbundle.store import ArtifactStore

_CODES = {"delivered": 0, "rejected": 1, "unsealed": 3, "damaged": 4, "undelivered": 5}
_WORST = (5, 4, 3, 1, 0)


def push(
    runs: tuple[str, ...], endpoint: str, headers: tuple[str, ...], timeout_s: float, store_url: str, format_: str
) -> None:
    """Send runs, print what became of each, and raise `Exit` with the code of the worst. Raises `ConfigError`."""
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.otel.forwarding.reemit import Backend

    store = open_store(store_url)
    found = list(dict.fromkeys(resolve(store, run) for run in runs))  # all are there, before anything is sent
    documents: list[dict[str, Any]] = []
    progress = Progress(in_records)
    with Backend(endpoint, dict(map(_header, headers)), timeout_s) as backend:
        for source, key in found:
            try:
                document = _pushed(backend, source, key, progress)
            finally:
                progress.close()
            documents.append(document)
            if format_ != "json":
                _say(document, backend.name)
    if format_ == "json":
        print_json({"runs": documents})
    codes = {_CODES[document["outcome"]] for document in documents}
    raise click.exceptions.Exit(next(code for code in _WORST if code in codes))


def _pushed(backend: "Backend", store: "ArtifactStore", key: str, progress: Progress) -> dict[str, Any]:
    """Check a bundle's files and send it; return what is said of it."""
    from runbundle.bundle.reader import Bundle
    from runbundle.bundle.verify import verify

    report = verify(store, key, quick=True)
    problems = [f"{f.code}  {f.file or ''}: {f.message}" for f in report.findings if f.severity == "error"]
    if any(finding.code == "RB105" for finding in report.findings):
        return {"key": key, "outcome": "unsealed", "problems": problems}
    if report.verdict == "failed":
        return {"key": key, "outcome": "damaged", "problems": problems}
    try:
        with tempfile.TemporaryDirectory(prefix="runbundle-push-") as scratch:
            pushed = backend.push(Bundle.open(store, key), Path(scratch), progress)
    except BundleError as error:
        return {"key": key, "outcome": "damaged", "problems": [error.message]}
    outcome = "undelivered" if pushed.stopped else "rejected" if pushed.refused else "delivered"
    return {"outcome": outcome, "problems": [], **dataclasses.asdict(pushed)}


def _say(document: dict[str, Any], place: str) -> None:
    from runbundle.cli.render import plural

    outcome = document["outcome"]
    if outcome in ("unsealed", "damaged"):
        words = {"unsealed": "not sealed yet, not sent", "damaged": "damaged, not sent"}
        say(f"{document['key']}  {words[outcome]}")
        for problem in document["problems"]:
            say(f"  {problem}")
        return
    said = f"{document['delivered']} of {plural(document['records'], 'record')} delivered to {place}"
    say(f"{document['key']}  {said}")
    for reason, count in document["refused"].items():
        say(f"  {count} not taken: {reason}")
    if outcome == "undelivered":
        say("  stopped there; run the command again when the receiver takes them")


def in_records(count: int) -> str:
    """Return a number of records for the line of progress."""
    return f"{count} records"


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError("--header takes NAME=VALUE", hint="as in --header x-api-key=...")
    return name.strip(), value.strip()
