"""Types of numbers and times in a bundle, with what they may be: a bundle is a file from outside.

Whatever has passed these can be added, compared, printed and turned into a date without a thought.
"""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

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
