"""What the models of several files share: the base of all records, and numbers and times with their bounds.

A bundle is a file from outside. A value that has passed these types can be added, compared, printed and turned into a
date without further checks.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST = 2**63 - 1
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|\+00:00)")


def _moment(text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise ValueError("is not a time in UTC")
    datetime.fromisoformat(text)  # February has no 30th
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""RFC 3339, in UTC."""
Nanoseconds = Annotated[str, Field(pattern="^[0-9]{1,20}$")]
"""Not negative, as decimal text."""
Count = Annotated[int, Field(ge=0, le=MOST)]
"""How many."""
Whole = Annotated[int, Field(ge=-MOST - 1, le=MOST)]
"""A whole number that a machine's word holds."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number that is one."""

Sha256 = str
CaptureWord = Literal["whole", "cut", "not_consumed", "abandoned", "oversize", "unserialisable"]
"""What became of a value between the agent and the bundle; a value takes the worst word of its leaves."""


class Record(BaseModel):
    """Base of all records of a bundle: frozen; fields of later versions are kept when read."""

    model_config = ConfigDict(
        frozen=True, extra="allow", use_attribute_docstrings=True, populate_by_name=True, protected_namespaces=()
    )


class ErrorSummary(Record):
    """What went wrong."""

    type: str
    """The exception's type."""
    message: str | None = None
    """The message as redaction left it: a marker, unless the tool's contract keeps it."""
    span_id: str | None = None
    """The span where it began. On lines of events and calls only if it is another one."""


class ContractRef(Record):
    """A contract by version and digest."""

    version: str = ""
    """For people."""
    sha256: Sha256
    """Of the contract."""
