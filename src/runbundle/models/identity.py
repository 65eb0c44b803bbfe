"""Run ids."""

import re

from runbundle.errors import ConfigError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def valid_run_id(text: str) -> bool:
    """Tell whether `text` may name a run, a tenant or a file of a store."""
    return _RUN_ID.fullmatch(text) is not None


def require_run_id(text: str, what: str = "run id") -> str:
    """Return `text`, or raise `ConfigError` without repeating it: it may have come from outside."""
    if not isinstance(text, str) or not valid_run_id(text):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"this is not a {what}", hint="use 1 to 128 letters, digits, dots, dashes or underscores, not dot first"
        )
    return text
