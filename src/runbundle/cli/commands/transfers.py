"""Shared by push, pull and sync: progress on standard error, printing of results, and the exit code."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import print_json
from runbundle.cli.printing import say
from runbundle.process.printable import printable

if TYPE_CHECKING:
    from runbundle.bundle.custody.carrying import CarryResult
    from runbundle.bundle.custody.transfer import CopyResult

_WORDS = {
    "copied": "copied", "present": "was there already", "updated": "replaced by its newer revision",
    "older": "there is a newer revision there", "unsealed": "not sealed yet, left",
    "clash": "something else is there, nothing was changed", "damaged": "damaged at the source, not copied",
}  # fmt: skip

_CARRIED = {
    "copied": "copied", "present": "was there already", "left": "left",
    "clash": "something else is there, nothing was changed", "damaged": "damaged at the source",
}  # fmt: skip


class Progress:
    """Progress of a copy on standard error: one line that is rewritten on a terminal, else a line every 10 s.

    Nothing is printed in the first second.
    """

    def __init__(self, shown: Callable[[int], str] | None = None) -> None:
        """`shown`: how a number is shown; by default as one of bytes."""
        self._shown = shown
        self._next = time.monotonic() + 1
        self._drawn = False

    def __call__(self, key: str, done: int, total: int) -> None:
        """Report that `done` of `total` of the run `key` are copied."""
        from runbundle.cli.render import size

        now = time.monotonic()
        if now < self._next:
            return
        terminal = sys.stderr.isatty()
        self._next = now + (0.2 if terminal else 10)
        self._drawn = terminal
        click.echo(("\r\x1b[K" if terminal else "") + f"{printable(key)}: ", nl=False, err=True)
        shown = self._shown or size
        click.echo(f"{shown(done)} of {shown(total)}", nl=not terminal, err=True)

    def close(self) -> None:
        """Clear the line on a terminal."""
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)


def report(
    results: "Iterable[CopyResult]", progress: Progress, format_: str, *, many: bool,
    carried: "Iterable[CarryResult]" = (),
) -> None:  # fmt: skip
    """Print each result as it arrives, then raise `Exit` with the exit code. `many`: print a summary of all runs.

    `carried`: the baselines, which are asked for when all runs are copied.
    """
    from runbundle.cli.render import plural, size

    seen: list[Any] = []
    for result in _closing(results, progress):
        seen.append(result)
        if format_ != "json" and (not many or result.outcome != "present" or result.left_out):
            sent = f"  {plural(result.files, 'file')}, {size(result.bytes)}" if result.files else ""
            say(f"{result.key}  {_WORDS[result.outcome]}{sent}")
            for problem in result.problems:
                say(f"  {problem}")
            for odd in result.left_out:
                say(f"  left out: {odd}")
    outcomes: list[str] = [result.outcome for result in seen]
    kept = list(carried) if many or outcomes[0] in ("copied", "present", "updated") else []
    if format_ == "json":
        documents = [dataclasses.asdict(result) for result in seen]
        named = {"baselines": [dataclasses.asdict(one) for one in kept]}
        print_json({"runs": documents, **named} if many else {**documents[0], **named})
    elif many:
        counts = ", ".join(f"{outcomes.count(word)} {word}" for word in _WORDS if word in outcomes)
        say(f"{plural(len(seen), 'run')}{': ' if counts else ''}{counts}")
    if format_ != "json":
        for one in kept:
            _print_baseline(one)
    outcomes += [one.outcome for one in kept]
    odd = any(result.left_out for result in seen)
    code = 4 if "damaged" in outcomes else 1 if "clash" in outcomes or odd else 0
    raise click.exceptions.Exit(3 if not code and not many and "unsealed" in outcomes else code)


def _print_baseline(one: "CarryResult") -> None:
    from runbundle.cli.render import plural

    sent = [
        f"{one.entries} {'entry' if one.entries == 1 else 'entries'}" if one.entries else "",
        plural(one.gates, "gate") if one.gates else "",
    ]
    counts = ", ".join(filter(None, sent))
    say(f"baseline {one.name}  {_CARRIED[one.outcome]}{f'  {counts}' if counts else ''}")
    for problem in one.problems:
        say(f"  {problem}")
    if one.outcome == "left":
        say("  runbundle sync carries baselines with all their runs")


def _closing(results: "Iterable[CopyResult]", progress: Progress) -> "Iterator[CopyResult]":
    try:
        for result in results:
            progress.close()
            yield result
    finally:
        progress.close()
