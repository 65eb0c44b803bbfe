"""A detector's rule: a pattern, keywords, and two optional judgements."""

from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """One format of credentials.

    `pattern` is in the syntax of RE2, over ASCII bytes. The secret is the first group that takes part in a match, or
    the whole match if there is no group. `keywords` are lower-case; a text without any of them cannot match.
    """

    id: str
    pattern: str
    keywords: tuple[str, ...]
    accept: Callable[[bytes, int, int], bool] | None = None
    """A second judgement of the match `data[start:end]`, for rules by context."""
    widen: bool = True
    """Whether the whole token around a match is masked: a format that is cut short would leave its tail."""
    ends: Callable[[bytes, int, int], int] | None = None
    """Returns where the value ends whose beginning is `data[start:end]`, for rules by context."""
