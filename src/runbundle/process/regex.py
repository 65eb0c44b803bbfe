"""Regular expressions that are compiled when they are first used.

To compile those of all rules takes as long as to load the SDK's tracing, and a run that holds nothing odd uses few.
"""

import re
from typing import Any, AnyStr, cast

_METHODS = ("match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn")


class _Later:
    """Stands for a pattern. After the first use its methods are those of what was compiled."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._flags)
        for method in _METHODS:  # two threads do this alike
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def later(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what serves as `re.compile(pattern, flags)`, and compiles at the first use of a method.

    An error in the pattern is raised there, as `re.error`; tests use each of them.
    """
    return cast("re.Pattern[AnyStr]", _Later(pattern, flags))
