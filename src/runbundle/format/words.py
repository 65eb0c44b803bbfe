"""The words of the formats: those that several files share, and those of contracts.

They are apart from the models, so that who records needs no models, whose making takes a fifth of a second.
"""

from datetime import datetime
from typing import Literal

from runbundle.process.regex import later

RUN_SCHEMA = "runbundle/run/v1"
CONFIG_SCHEMA = "runbundle/config/v1"
RULES = 2
"""Version of the rules by which run.json, tool_calls.json and evidence.json follow from events.jsonl. It is raised
whenever the same events would give another result. 1: each span is a call of its own, all tokens are added up, and only
the run's own span says how it ended, whose it was and what came of it. 2: as today."""

CaptureWord = Literal["whole", "cut", "not_consumed", "abandoned", "oversize", "unserialisable"]
"""How completely a value was captured before redaction; a value takes the worst word of its leaves.

`whole`: all of it. `cut`: only a first part. `not_consumed`: a stream that the agent handed on unread. `abandoned`: a
stream that nobody read to its end. `oversize`: too large to keep, but its digest is of the whole. `unserialisable`: no
JSON value.
"""

_TIME = later(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|\+00:00)")


def require_moment(text: str) -> str:
    """Return a time as RFC 3339 text in UTC, with up to nine digits of a second. Raises `ValueError` for another."""
    if _TIME.fullmatch(text) is None:
        raise ValueError("is not a time in UTC")
    datetime.fromisoformat(text)  # February has no 30th
    return text


Action = Literal["keep", "truncate", "hash", "mask", "drop"]
DataClass = Literal["public", "internal", "content", "personal", "special", "financial", "credential"]
Target = Literal["input", "output", "error"]

STRICTNESS: dict[Action, int] = {"keep": 0, "truncate": 1, "hash": 2, "mask": 3, "drop": 4}
"""How strict each action is; a higher number reveals less. `hash` reveals equality, `mask` only that a value
existed."""

DEFAULT_ACTION: dict[DataClass, Action] = {
    "public": "keep",
    "internal": "keep",
    "content": "drop",
    "personal": "hash",
    "special": "drop",
    "financial": "mask",
    "credential": "drop",
}
