"""The rules of `kingfisher-secret-scanner` (`runbundle[detectors]`), taken from the package at run time.

Its rules were written for source files and end in a clause that asks for a quote, a blank or the end of the line
after a token. In traces a token is as often followed by a comma, a bracket, an ampersand or three backslashes: with
that clause more than half of the tokens were missed there (0.92 to 0.41, measured). Here a token may be followed by
anything that it cannot go on with.
"""

from importlib.util import find_spec
from typing import Any

import orjson

from runbundle.process import forks
from runbundle.redaction.detectors import cache
from runbundle.redaction.detectors.context_rules import is_token_like
from runbundle.redaction.detectors.patterns import compiles
from runbundle.redaction.detectors.rule import Rule

_STRICT_END = r"(?:\\?['\"\x60]|[\s;]|\\[nr]|$)"
_RELAXED_END = r"(?:[^A-Za-z0-9]|$)"
_BROAD = ("generic", "curl-auth")
_VERSION = 1
"""The version of our conversion of the package's rules: a file that an earlier version kept is not read."""


def kingfisher_rules() -> tuple[Rule, ...]:
    """Return the rules of the package, or none if it is not installed.

    Left out are its helper rules, which report hosts and accounts; its generic rules, which ours replace; and patterns
    that RE2 does not compile. The first call on a machine takes seconds; the rules are then kept in the user's cache.
    """
    if find_spec("kingfisher_sdk") is None:
        return ()
    with forks.loading():  # with all that reads mail: configure() does not wait for it
        from importlib.metadata import version

    name = f"kingfisher-{version('kingfisher-secret-scanner')}-{_VERSION}.json"
    kept = cache.read(name)
    pairs = _pairs(kept)
    if pairs is None:
        pairs = _read()
        cache.write(name, orjson.dumps(pairs))
    return tuple(Rule(rule, pattern, (), is_token_like, widen=False) for rule, pattern in pairs)


def _pairs(kept: bytes | None) -> list[tuple[str, str]] | None:
    try:
        return None if kept is None else [(str(name), str(pattern)) for name, pattern in orjson.loads(kept)]
    except (ValueError, TypeError):  # damaged: read again
        return None


def _read() -> list[tuple[str, str]]:
    """Read the rules from the package, which takes from 0.4 to some seconds."""
    with forks.loading():
        import kingfisher_sdk  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    catalogue: Any = kingfisher_sdk.Rules(confidence="low")
    pairs: list[tuple[str, str]] = []
    for entry in catalogue.metadata():
        name = str(entry["id"])
        if not entry.get("visible", True) or any(part in name for part in _BROAD):
            continue
        pattern = str(catalogue.detail(name)["detection_regex"]).replace(_STRICT_END, _RELAXED_END)
        if compiles(pattern):
            pairs.append((name, pattern))
    return pairs
