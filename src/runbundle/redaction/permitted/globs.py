"""An application's own names that may be kept: written out, or as patterns with `*` for anything."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from runbundle.errors import ConfigError
from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.permitted.values import is_name
from runbundle.signals.keys import SPAN_KEYS

_NAMED = frozenset({"name", "id", "number"})


def glob_matcher(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """Return a function that tells whether a text matches a pattern with a `*`; None if no pattern has one.

    The function remembers 4,096 judgements.
    """
    globs = [re.escape(pattern).replace(r"\*", ".*") for pattern in sorted(patterns) if "*" in pattern]
    if not globs:
        return None
    match = re.compile("|".join(f"(?:{glob})" for glob in globs), re.DOTALL).fullmatch

    @lru_cache(maxsize=4096)
    def matches(text: str) -> bool:
        return match(text) is not None

    return matches


def key_matcher(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """Return a function that tells whether a key matches a pattern, reads like a name, and names no credential."""
    matches = glob_matcher(patterns)
    if matches is None:
        return None
    return lambda key: matches(key) and is_name(key) and credential_key(key) != "strong"


def name_matcher(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """Return a function that tells whether a name matches a pattern, and reads like a name."""
    matches = glob_matcher(patterns)
    return None if matches is None else lambda name: matches(name) and is_name(name)


def checked_keys(patterns: Iterable[str]) -> frozenset[str]:
    """Return the given safe keys and patterns.

    Raises `ConfigError` for one that can never match, and for a known key of content, which is redacted by its kind
    whatever is said of it.
    """
    found = _checked(patterns, "safe_keys")
    for pattern in found:
        kind = SPAN_KEYS.get(pattern)
        if kind is not None and kind not in _NAMED:
            raise ConfigError(
                f"safe_keys: {pattern!r} is a known key of content, which is never kept",
                hint="a tool's payload is kept by its contract, a run's result by result=",
            )
    return found


def checked_names(patterns: Iterable[str]) -> frozenset[str]:
    """Return the given safe names and patterns. Raises `ConfigError` for one that can never match."""
    return _checked(patterns, "safe_names")


def _checked(patterns: Iterable[str], option: str) -> frozenset[str]:
    found = frozenset(patterns)
    for pattern in found:
        if not isinstance(pattern, str) or not pattern.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"{option}: {pattern!r} can never match: it is no text, or blank", hint="give texts such as 'app.*'"
            )
        if "*" in pattern:
            rest = pattern.replace("*", "")
            if not rest.strip("./: "):
                raise ConfigError(
                    f"{option}: {pattern!r} names everything", hint="begin it with a name of your own, as in 'app.*'"
                )
            if not is_name(rest) or credential_key(rest) == "strong":
                raise ConfigError(
                    f"{option}: {pattern!r} can never match: it keeps only names, and none of a credential",
                    hint="use letters, digits and ._-/:, and '*' for anything",
                )
    return found
