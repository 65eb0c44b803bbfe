"""What a run is called that nobody has named: by an id that its spans carry, by its conversation, or by its trace."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from runbundle import settings
from runbundle.format.identity import valid_run_id
from runbundle.redaction.markers import Digester
from runbundle.redaction.permitted.values import allowed, opaque
from runbundle.signals import own, semconv

Grouping = Literal["trace", "conversation"]
_DIGITS = 26


class RunNames(NamedTuple):
    """How runs are named that nobody has begun by name.

    Not guaranteed: that a conversation's id is not somebody else's. Who groups by it trusts whoever chooses these ids,
    as with any id that comes in a request: two who give the same one are in one run.
    """

    keys: tuple[str, ...] = semconv.RUN_ID_KEYS
    """Attributes that may hold the run's id, the first that does decides."""
    group_by: Grouping = "trace"
    digester: Digester | None = None
    """Makes a name of an id that cannot be one itself, as it may be a person's number."""

    def name_in(self, spans: Iterable[Mapping[str, Any]]) -> str:
        """Return the id that the attributes of spans give their run, the first span first; "" if they give none.

        A value that is no valid run id, or looks like a credential, gives none. A digest stands for one that may be a
        person's number.
        """
        known = list(spans)
        if self.group_by == "conversation" and self.digester is not None:
            for attributes in known:
                said = attributes.get(semconv.CONVERSATION_ID)
                if isinstance(said, str) and said:
                    return _name_for("conversation", semconv.CONVERSATION_ID, said, self.digester)
        for attributes in known:
            for key in self.keys:
                said = attributes.get(key)
                if not isinstance(said, str) or not allowed("id", own.RUN_ID, said):
                    continue
                if self.digester is not None:
                    return _name_for("run", own.RUN_ID, said, self.digester)
                if opaque(own.RUN_ID, said):
                    return said
        return ""


def run_names(digester: Digester, keys: Iterable[str] | None = None, group_by: Grouping | None = None) -> RunNames:
    """Return the names by the options of `configure()`, or by the environment where one is not given.

    Raises `ConfigError` for a variable that says nothing.
    """
    if keys is None:
        keys = settings.words("RUNBUNDLE_RUN_ID_KEYS") or semconv.RUN_ID_KEYS
    said = group_by or settings.variable("RUNBUNDLE_GROUP_BY")
    return RunNames(tuple(keys), "conversation" if said == "conversation" else "trace", digester)


def _name_for(kind: str, key: str, said: str, digester: Digester) -> str:
    """Return an id if it is an opaque one that may name a run; else a name made of its keyed digest.

    Channels make ids of telephone numbers and addresses, which must not become the name of a folder.
    """
    if valid_run_id(said) and opaque(own.RUN_ID, said) and opaque(key, said):
        return said
    return f"{kind}-{digester(kind, said.encode('utf-8', 'replace'))[-_DIGITS:]}"
