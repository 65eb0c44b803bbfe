"""The options by which a command chooses runs, and the filter that they make."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from runbundle.cli.printing import say
from runbundle.errors import ConfigError

if TYPE_CHECKING:
    from runbundle.bundle.catalog.index import Index
    from runbundle.bundle.search.filters import RunFilter

_STATUS = ("ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting", "unsealed")
_STATES = ("sealed", "unsealed", "unreadable", "live", "waiting", "crashed", "quarantined", "failed", "all")
_IDS: tuple[Literal["user", "session"], ...] = ("user", "session")
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
    click.option("--score", "scores", multiple=True, metavar="CONDITION",
                 help="Only runs with such a score, as in 'helpfulness < 0.5'. May be given again."),
    click.option("--where", multiple=True, metavar="CONDITION",
                 help="Only runs of which this is true, as in 'duration > 2s and tool.refund.status = \"error\"'; ls "
                 "--fields lists the fields. May be given again: all must be true."),
    click.option("--text", metavar="TEXT",
                 help="Only runs with this text in an id, a status, an error type, or the name of a run, model, tool "
                 "or agent."),
)  # fmt: skip
NAMES = ("status", "state", "since", "until", "tenant", "name", "trace", "parent", "tool", "tool_error", "model",
         "agent", "error", "user", "session", "min_duration", "scores", "where", "text")  # fmt: skip
"""Names of the arguments that the options make."""


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
        """Return the filter. Raises `ConfigError`.

        Raw ids are digested for each tenant of `index`, with the keys that are here. Where its runs have digests of
        others, a line on standard error says so.
        """
        from runbundle.bundle.search.filters import RunFilter, sql_of
        from runbundle.bundle.search.moments import parse_duration, parse_moment

        said = self.said
        ids: dict[str, tuple[str, ...]] = {"user": (), "session": ()}
        for kind in _IDS:
            if said[kind]:
                from runbundle.bundle.search.raw_ids import stored_forms

                found = stored_forms(store_url, kind, said[kind], index.tenants())
                ids[kind] = found.forms
                if any(map(found.lacks, index.ids_of(kind))):
                    say(f"note: {kind} ids of some runs were digested with a key that is not here, so their raw ids "
                        "are not found; RUNBUNDLE_REDACTION_KEY gives it", err=True)  # fmt: skip
        wanted = RunFilter(
            status=said["status"] or "",
            state=self.state,
            since=_moment("--since", said["since"], parse_moment),
            until=_moment("--until", said["until"], parse_moment),
            tenant=said["tenant"],
            users=ids["user"],
            sessions=ids["session"],
            min_duration_ns=_moment("--min-duration", said["min_duration"], parse_duration) or 0,
            scores=said["scores"],
            where=said["where"],
            name=said["name"] or "",
            trace=said["trace"] or "",
            parent=said["parent"] or "",
            tool=said["tool"] or "",
            tool_error=said["tool_error"] or "",
            model=said["model"] or "",
            agent=said["agent"] or "",
            error=said["error"] or "",
            text=said["text"] or "",
        )
        sql_of(wanted)  # a condition that is none is said before anything is read
        return wanted


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it is called with `chosen` in their place."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in NAMES}
        return function(*args, **kwargs, chosen=Chosen(said))

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


def did_you_mean(chosen: Chosen, index: "Index") -> list[str]:
    """Return a line for each tool or model that was asked for and that no run has, with the nearest that there is."""
    from runbundle.settings import nearest

    lines: list[str] = []
    for option, kind in (("tool", "tool"), ("tool_error", "tool"), ("model", "model")):
        asked = chosen.said[option]
        if not asked or asked == "*":
            continue
        known = index.names_of(kind)
        if asked not in known:
            near = nearest(asked, known)
            lines.append(f"no run has called {kind} {asked}{f'; did you mean {near}?' if near else ''}")
    return lines


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


def _moment(option: str, text: str | None, parse: Callable[[str], Any]) -> Any:
    if not text:
        return ""
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error.message}", hint=error.hint) from None
