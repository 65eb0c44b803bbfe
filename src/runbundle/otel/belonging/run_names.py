"""What a run is called that nobody has named: by an id that its spans carry, by its conversation, or by its trace."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from runbundle import settings
from runbundle.format.identity import valid_run_id
from runbundle.redaction.markers import Digester
from runbundle.redaction.permitted.safe_text import has_credential_format
from runbundle.redaction.permitted.values import may_be_a_person, opaque
from runbundle.signals import own, semconv

Grouping = Literal["trace", "conversation"]
_DIGITS, _LONGEST = 26, 256


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

        A value stays as it is if it may be a run id and would be kept as an id anywhere else. A digest stands for one
        that a known secret or a person's number is in. One that looks like a credential, or is no valid run id, gives
        none.
        """
        known = list(spans)
        if self.group_by == "conversation" and self.digester is not None:
            for attributes in known:
                said = attributes.get(semconv.CONVERSATION_ID)
                if isinstance(said, str) and said:
                    if _may_name(semconv.CONVERSATION_ID, said):
                        return said
                    return _digest_of("conversation", said, self.digester)
        for attributes in known:
            for key in self.keys:
                said = attributes.get(key)
                if not isinstance(said, str):
                    continue
                if _may_name(key, said):
                    return said
                if self.digester is not None and _may_be_digested(said):
                    return _digest_of("run", said, self.digester)
        return ""


def run_names(digester: Digester, keys: Iterable[str] | None = None, group_by: Grouping | None = None) -> RunNames:
    """Return the names by the options of `configure()`, or by the environment where one is not given.

    Raises `ConfigError` for a variable that says nothing.
    """
    if keys is None:
        keys = settings.words("RUNBUNDLE_RUN_ID_KEYS") or semconv.RUN_ID_KEYS
    said = group_by or settings.variable("RUNBUNDLE_GROUP_BY")
    return RunNames(tuple(keys), "conversation" if said == "conversation" else "trace", digester)


def _may_name(key: str, said: str) -> bool:
    """Tell whether the value of a key may be a run's id, and with that the name of a folder."""
    return valid_run_id(said) and opaque(key, said) and opaque(own.RUN_ID, said)


def _may_be_digested(said: str) -> bool:
    """Tell whether a value that may name no run is an id all the same: channels make ids of telephone numbers."""
    return len(said) <= _LONGEST and (valid_run_id(said) or may_be_a_person(said)) and not has_credential_format(said)


def _digest_of(kind: str, said: str, digester: Digester) -> str:
    return f"{kind}-{digester(kind, said.encode('utf-8', 'replace'))[-_DIGITS:]}"
