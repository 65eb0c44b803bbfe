"""`runbundle baseline`: keep sets of runs that candidates are compared with."""

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.cli.run_sets import checked_runs, find_runs
from runbundle.errors import ConfigError, MalformedBundle

if TYPE_CHECKING:
    from runbundle.bundle.custody.baselines import Kept
    from runbundle.compare.gating.made import Checked
    from runbundle.format.evaluation import Subject
    from runbundle.store import ArtifactStore


@click.group("baseline", epilog="Example: runbundle baseline set main 'nightly-*' --reason 'release 1.4'")
def command() -> None:
    """Keep sets of runs that candidates are compared with.

    A baseline has entries, numbered from 1, which are never changed: to set it again adds an entry. An entry names each
    run by the SHA-256 of its run.json, with who made it and why. Its runs are put on hold, so runbundle gc keeps them;
    runbundle hold RUN --release ends that.
    """


def _by_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option("--by", metavar="NAME", help="Who does this. Default: the name of this user.")(function)


_REASON = click.option("--reason", metavar="TEXT", required=True, help="Why; it is kept in the entry.")


@command.command("set", epilog="Example: runbundle baseline set main 'nightly-*' --reason 'release 1.4'")
@click.argument("name")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@_REASON
@_by_option
@store_option
@format_option()
@reports_errors
def set_(name: str, runs: tuple[str, ...], reason: str, by: str | None, store_url: str, format_: str) -> None:
    """Begin a baseline, or add an entry to it. All runs are verified first, and must lie in the store.

    RUN is named as for runbundle score.

    Exit codes: 0 done; 2 no such run; 3 a run is not sealed; 4 a run does not verify; 5 somebody else was faster.
    """
    from runbundle.bundle.custody import baselines

    store = read_store(store_url)
    baselines.checked_name(name)
    checked = _checked(store, runs)
    bundles = [one.bundle for one in checked]
    kept = baselines.add(store, name, bundles, by=by or getpass.getuser(), reason=reason)
    _print_entry(kept, format_)


@command.command("ls", epilog="Example: runbundle baseline ls")
@store_option
@format_option()
@reports_errors
def ls(store_url: str, format_: str) -> None:
    """List the baselines of a store, with the last entry of each.

    Exit codes: 0 done; 4 an entry was edited.
    """
    from runbundle.bundle.custody import baselines
    from runbundle.cli.render import table

    store = read_store(store_url)
    try:
        found = [baselines.latest(store, name) for name in baselines.names(store)]
    except MalformedBundle as error:
        raise _edited(error) from None
    if format_ == "json":
        print_json({"baselines": [_shown(kept) for kept in found]})
    elif not found:
        say("There are no baselines.")
    else:
        entries = [kept.entry for kept in found]
        rows = [[e.name, str(e.number), str(len(e.subjects)), e.made_at, e.by, e.reason] for e in entries]
        table(["NAME", "ENTRY", "RUNS", "MADE", "BY", "REASON"], rows, right=(1, 2), whole=(0,))


@command.command("show", epilog="Example: runbundle baseline show main --history")
@click.argument("name")
@click.option("--entry", "number", type=click.IntRange(min=1), metavar="N", help="This entry instead of the last.")
@click.option("--history", is_flag=True, help="Print all entries, and check that each follows from the one before.")
@store_option
@format_option()
@reports_errors
def show(name: str, number: int | None, history: bool, store_url: str, format_: str) -> None:
    """Show the runs of a baseline, who made it and why.

    Exit codes: 0 done; 2 no such baseline or entry; 4 an entry was edited.
    """
    from runbundle.bundle.custody import baselines

    store = read_store(store_url)
    try:
        if history:
            entries = list(baselines.history(store, name))
            if format_ == "json":
                print_json({"entries": [_shown(kept) for kept in entries]})
            else:
                for kept in entries:
                    say(_line(kept))
            return
        kept = baselines.read(store, name, number) if number else baselines.latest(store, name)
    except MalformedBundle as error:
        raise _edited(error) from None
    _print_entry(kept, format_)


@command.command("verify", epilog="Example: runbundle baseline verify main")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@store_option
@format_option()
@reports_errors
def verify(names: tuple[str, ...], store_url: str, format_: str) -> None:
    """Check that baselines are whole: entries, gates, and that the runs of the last entry are there. Default: all.

    The runs themselves are checked by runbundle verify and runbundle gate.

    Exit codes: 0 whole; 2 no such baseline; 4 something was edited, or is not there.
    """
    from runbundle.bundle.custody import baselines

    store = read_store(store_url)
    known = baselines.names(store)
    for name in names:
        if name not in known:
            baselines.latest(store, name)  # which says what is wrong with it
    found = {name: baselines.problems_of(store, name) for name in names or known}
    if format_ == "json":
        print_json({"baselines": [{"name": name, "problems": problems} for name, problems in found.items()]})
    elif not found:
        say("There are no baselines.")
    for name, problems in found.items() if format_ != "json" else ():
        say(f"{name}  ", "failed" if problems else "whole")
        for problem in problems:
            say(f"  {problem}")
    raise click.exceptions.Exit(4 if any(found.values()) else 0)


@command.command("diff", epilog="Example: runbundle baseline diff main --from 1")
@click.argument("name")
@click.option("--from", "first", type=click.IntRange(min=1), metavar="N",
              help="Entry to begin with. Default: the last but one.")  # fmt: skip
@click.option("--to", "last", type=click.IntRange(min=1), metavar="N", help="Entry to end with. Default: the last.")
@store_option
@format_option()
@reports_errors
def diff(name: str, first: int | None, last: int | None, store_url: str, format_: str) -> None:
    """Show which runs came to a baseline and which left it between two entries.

    Exit codes: 0 the same runs; 1 others; 2 no such baseline or entry; 4 an entry was edited.
    """
    from runbundle.bundle.custody import baselines

    store = read_store(store_url)
    try:
        new = baselines.read(store, name, last) if last else baselines.latest(store, name)
        number = first or new.entry.number - 1
        if number < 1:
            raise ConfigError(f"the baseline {name} has one entry", hint="there is nothing to compare it with")
        old = baselines.read(store, name, number)
    except MalformedBundle as error:
        raise _edited(error) from None
    before = {subject.run_sha256: subject for subject in old.entry.subjects}
    after = {subject.run_sha256: subject for subject in new.entry.subjects}
    came = [after[digest] for digest in after if digest not in before]
    left = [before[digest] for digest in before if digest not in after]
    if format_ == "json":
        both = {"came": [_subject(s) for s in came], "left": [_subject(s) for s in left]}
        print_json({"name": name, "from": number, "to": new.entry.number, **both})
    else:
        stayed = len(after) - len(came)
        say(f"{name}  entry {number} to {new.entry.number}: {len(came)} came, {len(left)} left, {stayed} stayed")
        for sign, subjects in (("+", came), ("-", left)):
            for subject in subjects:
                say(f"  {sign} {_subject_line(subject)}")
    raise click.exceptions.Exit(1 if came or left else 0)


@command.command("promote", epilog="Example: runbundle baseline promote main 'pr-17-*' --reason 'PR 17 was merged'")
@click.argument("name")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@_REASON
@_by_option
@store_option
@format_option()
@reports_errors
def promote(name: str, runs: tuple[str, ...], reason: str, by: str | None, store_url: str, format_: str) -> None:
    """Make the runs of a candidate the next entry of a baseline.

    A gate over exactly these runs against the last entry must have passed, and have been kept (runbundle gate without
    --no-write). The entry names that gate by its digest.

    Exit codes: 0 done; 1 no such gate has passed; 2 no such baseline or run; 3 a run is not sealed; 4 a run, an entry
    or a gate does not verify.
    """
    from runbundle.bundle.custody import baselines

    store = read_store(store_url)
    try:
        last = baselines.latest(store, name)
        checked = _checked(store, runs)
        bundles = [one.bundle for one in checked]
        wanted = {baselines.subject_of(bundle).run_sha256 for bundle in bundles}
        passed = next(
            (
                digest
                for digest, gate in baselines.gates(store, name)
                if gate.verdict == "pass"
                and gate.baseline == last.ref
                and {s.run_sha256 for s in gate.subjects if s.side == "candidate"} == wanted
            ),
            None,
        )
    except MalformedBundle as error:
        raise _edited(error) from None
    if passed is None:
        say(f"error: no gate over these runs has passed against entry {last.entry.number} of {name}", err=True)
        say("hint: runbundle gate makes one; runbundle baseline set takes the runs without", err=True)
        raise click.exceptions.Exit(1)
    kept = baselines.add(store, name, bundles, by=by or getpass.getuser(), reason=reason, gate_sha256=passed)
    _print_entry(kept, format_)


def _checked(store: "ArtifactStore", runs: Sequence[str]) -> "list[Checked]":
    from runbundle.compare.gating.made import Unsound

    found = find_runs(store, runs)
    outside = next((key for place, key in found if place.url != store.url), None)
    if outside is not None:
        raise ConfigError(f"{outside} lies in another store", hint="runbundle push or pull copies it")
    try:
        return checked_runs(found)
    except Unsound as error:
        for key, text in error.problems:
            say(f"error: {key} does not verify: {text}", err=True)
        raise click.exceptions.Exit(4) from None


def _edited(error: MalformedBundle) -> click.exceptions.Exit:
    say(f"error: {error.message}", err=True)
    return click.exceptions.Exit(4)


def _print_entry(kept: "Kept", format_: str) -> None:
    if format_ == "json":
        print_json(_shown(kept))
        return
    say(_line(kept))
    for subject in kept.entry.subjects:
        say(f"  {_subject_line(subject)}")


def _line(kept: "Kept") -> str:
    entry = kept.entry
    promoted = f", by the gate {entry.gate_sha256[:12]}" if entry.gate_sha256 else ""
    runs = f"{len(entry.subjects)} run{'' if len(entry.subjects) == 1 else 's'}"
    return f"{entry.name}  entry {entry.number}  {runs}  {entry.made_at} by {entry.by}: {entry.reason}{promoted}"


def _subject_line(subject: "Subject") -> str:
    tenant = f"{subject.tenant_id}/" if subject.tenant_id else ""
    case = f"  case {subject.case_id}" if subject.case_id else ""
    repeat = f" repeat {subject.repeat}" if subject.repeat is not None else ""
    return f"{tenant}{subject.run_id}  {subject.run_sha256[:12]}{case}{repeat}"


def _shown(kept: "Kept") -> dict[str, object]:
    return {"sha256": kept.sha256, **kept.entry.model_dump(mode="json", by_alias=True, exclude_none=True)}


def _subject(subject: "Subject") -> dict[str, object]:
    return subject.model_dump(mode="json", exclude_none=True)
