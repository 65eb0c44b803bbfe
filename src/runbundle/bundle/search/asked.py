"""The filter that somebody asked for in words: on the command line, and on the page of a store.

Both give the same words here, by the names of the options of `ls`, and so get the same runs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from runbundle.bundle.search.filters import STATES, STATUSES, RunFilter, sql_of
from runbundle.bundle.search.moments import parse_duration, parse_moment
from runbundle.bundle.search.raw_ids import stored_forms
from runbundle.errors import ConfigError
from runbundle.settings import nearest

WORDS = ("status", "state", "since", "until", "tenant", "name", "trace", "parent", "tool", "tool_error", "model",
         "agent", "error", "user", "session", "min_duration", "score", "where", "text")  # fmt: skip
"""Names of what can be asked for: those of the options of `ls`, with `_` for `-`."""
_RAW_IDS: tuple[Literal["user", "session"], ...] = ("user", "session")
_PLAIN = ("status", "name", "trace", "parent", "tool", "tool_error", "model", "agent", "error", "text")
_CHOICES = {"status": (*STATUSES, "unsealed"), "state": (*STATES, "all")}
_SEVERAL = ("score", "where")


class Known(Protocol):
    """What an index knows of all its runs."""

    def tenants(self) -> list[str]:
        """Return the ids of all tenants."""
        ...

    def ids_of(self, kind: Literal["user", "session"]) -> list[str]:
        """Return the ids of all users or sessions, as bundles have them."""
        ...

    def names_of(self, kind: str) -> list[str]:
        """Return the names of all tools, or models."""
        ...


class Asked(NamedTuple):
    """What was asked for."""

    wanted: RunFilter
    notes: list[str]
    """What the person should know: of some runs the raw ids cannot be found."""


def filter_of(said: Mapping[str, Any], store_url: str, index: Known) -> Asked:
    """Return the filter for words by the names of `WORDS`; a `score` or `where` may be one text or several.

    A raw id of a user or session is digested for each tenant of `index`, with the keys that are here, and is in no
    error or note. Raises `ConfigError`.
    """
    given = {name: value for name, value in said.items() if value not in (None, (), "", [])}
    for name, value in given.items():
        if name not in WORDS:
            near = nearest(name, WORDS)
            raise ConfigError("there is no such filter", hint=f"did you mean {near}?" if near else ", ".join(WORDS))
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ConfigError(f"there is no such {name}", hint=f"one of {', '.join(_CHOICES[name])}")
    notes: list[str] = []
    ids: dict[str, tuple[str, ...]] = {}
    for kind in _RAW_IDS:
        if kind in given:
            found = stored_forms(store_url, kind, given[kind], index.tenants())
            ids[kind] = found.forms
            if any(map(found.lacks, index.ids_of(kind))):
                notes.append(f"{kind} ids of some runs were digested with a key that is not here, so their raw ids are "
                             "not found; RUNBUNDLE_REDACTION_KEY gives it")  # fmt: skip
    state = given.get("state", "")
    wanted = RunFilter(
        state="" if state == "all" else state,
        since=_parsed(given, "since", parse_moment) or "",
        until=_parsed(given, "until", parse_moment) or "",
        min_duration_ns=_parsed(given, "min_duration", parse_duration) or 0,
        tenant=said.get("tenant"),  # an empty one is asked for, too
        users=ids.get("user", ()),
        sessions=ids.get("session", ()),
        scores=_several(given.get("score", ())),
        where=_several(given.get("where", ())),
        **{name: given.get(name, "") for name in _PLAIN},
    )
    sql_of(wanted)  # a condition that is none is said before anything is read
    return Asked(wanted, notes)


def near_names(said: Mapping[str, Any], index: Known) -> list[str]:
    """Return a line for each tool or model that was asked for and that no run has, with the nearest that there is."""
    lines: list[str] = []
    for name, kind in (("tool", "tool"), ("tool_error", "tool"), ("model", "model")):
        asked = said.get(name)
        if not asked or asked == "*":
            continue
        known = index.names_of(kind)
        if asked not in known:
            near = nearest(asked, known)
            lines.append(f"no run has called {kind} {asked}{f'; did you mean {near}?' if near else ''}")
    return lines


def _parsed(given: Mapping[str, Any], name: str, parse: Callable[[str], Any]) -> Any:
    if name not in given:
        return None
    try:
        return parse(given[name])
    except ConfigError as error:
        raise ConfigError(f"--{name.replace('_', '-')}: {error.message}", hint=error.hint) from None


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
