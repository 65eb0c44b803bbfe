"""The options by which a command chooses runs, and the filter that they make."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.catalog.index import Index
    from runbundle.bundle.search.filters import RunFilter

_STATUS = ("ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting", "unsealed")
_STATES = ("sealed", "unsealed", "unreadable", "live", "waiting", "crashed", "quarantined", "failed", "all")
_TIMES = "2026-11-25, 2026-11-25T14:00, yesterday, or how long ago: 90m, 2d"

_OPTIONS = (
    click.option("--status", type=click.Choice(_STATUS), help="Only runs that ended so, or are unsealed."),
    click.option("--state", type=click.Choice(_STATES), default="all", show_default=True,
                 help="Only runs in this state: sealed, unsealed or unreadable in the store, or another in the spool."),
    click.option("--since", metavar="TIME", help=f"Only runs that began since a time: {_TIMES}."),
    click.option("--until", metavar="TIME", help="Only runs that began before a time."),
    click.option("--tenant", metavar="ID", help="Only runs of this tenant; '' for runs without one."),
    click.option("--name", metavar="TEXT", help="Only runs with this text in their name."),
    click.option("--trace", metavar="ID", help="Only the runs of this trace; the beginning of its id is enough."),
    click.option("--parent", metavar="RUN", help="Only runs within this run; the beginning of its id is enough."),
    click.option("--tool", metavar="NAME", help="Only runs that called this tool."),
    click.option("--tool-error", metavar="NAME", help="Only runs in which a call of it failed; '*' for any tool."),
    click.option("--model", metavar="NAME", help="Only runs that called this model."),
    click.option("--agent", metavar="NAME", help="Only runs in which this agent worked."),
    click.option("--error", metavar="TEXT", help="Only runs with this text in an error's type or kept message."),
    click.option("--user", metavar="ID", help="Only runs for this user: the raw id, or its digest."),
    click.option("--session", metavar="ID", help="Only runs of this session: the raw id, or its digest."),
    click.option("--min-duration", metavar="TIME", help="Only runs that took so long or longer: 300ms, 2s, 5m."),
    click.option("--score", multiple=True, metavar="CONDITION",
                 help="Only runs with such a score, as in 'helpfulness < 0.5'. May be given again."),
    click.option("--where", multiple=True, metavar="CONDITION",
                 help="Only runs of which this is true, as in 'duration > 2s and tool.refund.status = \"error\"'; ls "
                 "--fields lists the fields. May be given again: all must be true."),
    click.option("--text", metavar="TEXT",
                 help="Only runs with this text in an id, a status, an error type, or the name of a run, model, tool "
                 "or agent."),
)  # fmt: skip
NAMES = ("status", "state", "since", "until", "tenant", "name", "trace", "parent", "tool", "tool_error", "model",
         "agent", "error", "user", "session", "min_duration", "score", "where", "text")  # fmt: skip
"""Names of the arguments that the options make: `WORDS` of `bundle.search.asked`, which is imported when it is used."""


class Chosen(NamedTuple):
    """What was typed."""

    said: dict[str, Any]

    @property
    def state(self) -> str:
        """The state that was asked for, or an empty text."""
        return "" if self.said["state"] in (None, "all") else str(self.said["state"])

    @property
    def searched(self) -> bool:
        """Whether anything was asked for."""
        return any(value not in (None, (), "", "all") for value in self.said.values())

    def wanted(self, store_url: str, index: "Index") -> "RunFilter":
        """Return the filter (see `filter_of`); its notes go to standard error. Raises `ConfigError`."""
        from runbundle.bundle.search.asked import filter_of

        asked = filter_of(self.said, store_url, index)
        for note in asked.notes:
            say(f"note: {note}", err=True)
        return asked.wanted


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it is called with `chosen` in their place."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in NAMES}
        return function(*args, **kwargs, chosen=Chosen(said))

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


class Reading:
    """Progress of a long reading of bundles on standard error; nothing is printed in the first second."""

    def __init__(self, what: str = "reading bundles for the index") -> None:
        import time

        self._what = what

        self._clock = time.monotonic
        self._next = self._clock() + 1
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` bundles are read."""
        now = self._clock()
        if now >= self._next and done < total:
            self._drawn = terminal = sys.stderr.isatty()
            self._next = now + (0.2 if terminal else 10)
            text = f"{self._what}: {done:,} of {total:,}"
            click.echo(f"\r\x1b[K{text}" if terminal else text, nl=not terminal, err=True)
        elif self._drawn and done >= total:
            self._drawn = False
            click.echo("\r\x1b[K", nl=False, err=True)
