"""Types that the models of several files share: the base class of all records, and bounded numbers and times.

A bundle may come from anybody. A value that has passed these types can be added, compared, printed and converted to a
date without further checks.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from runbundle.format.words import require_moment

MOST = 2**63 - 1
Moment = Annotated[str, AfterValidator(require_moment)]
"""A time as RFC 3339 text in UTC, with up to nine digits of a second: `2026-11-25T04:56:00.000000001Z`."""
Nanoseconds = Annotated[str, Field(pattern="^[0-9]{1,20}$")]
"""A number of nanoseconds, zero or more, as decimal text, because JSON numbers lose digits above 2**53."""
Count = Annotated[int, Field(ge=0, le=MOST)]
"""A count, from 0 to 2**63 - 1."""
Whole = Annotated[int, Field(ge=-MOST - 1, le=MOST)]
"""A signed 64-bit integer."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A floating-point number; NaN and infinities are refused."""

Sha256 = str


class Record(BaseModel):
    """Base class of all records of a bundle. Frozen; unknown fields, as later versions may add, are kept.

    A validator is built when it is first used: most programs use few of them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        use_attribute_docstrings=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,
    )


class ErrorSummary(Record):
    """An error that ended a run, a span or a call."""

    type: str
    """Name of the exception's type."""
    message: str | None = None
    """The redacted message: a marker, unless the tool's contract keeps the message."""
    span_id: str | None = None
    """Id of the span in which the error began. On events and tool calls it is given only if that is another span."""


class ContractRef(Record):
    """A reference to a tool contract."""

    version: str = ""
    """Version of the contract, for people; `sha256` identifies it."""
    sha256: Sha256
    """SHA-256 of the contract as sorted JSON, in hex."""
