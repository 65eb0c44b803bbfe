"""What a rule is."""

from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """One format of credentials.

    `pattern` is in the syntax of RE2, over ASCII bytes; its first group that takes part in a match is the secret, or
    the whole match if it has no group. `keywords` are lower-case; a text that has none of them cannot match.
    """

    id: str
    pattern: str
    keywords: tuple[str, ...]
    accept: Callable[[bytes, int, int], bool] | None = None
    """A second judgement on `data[start:end]`, for rules that go by context and not by format."""
    widen: bool = True
    """Whether the whole token around a match goes: a format that is cut short would leave its tail."""
    ends: Callable[[bytes, int, int], int] | None = None
    """Where the value ends whose beginning `data[start:end]` is: a rule of context goes on to there."""
