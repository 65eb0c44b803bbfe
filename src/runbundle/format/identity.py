"""The identity of a run: a tenant and a run id, everywhere in this package."""

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

from runbundle.errors import ConfigError
from runbundle.format.layout import FOLDERS
from runbundle.process.regex import later

_CHARS = 128
_RUN_ID = later(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_CHARS - 1}}}")
# Names of devices, with or without an extension, and names that end in a dot: Windows opens something else for them.
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_WINDOWS = later(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|.*\.", re.IGNORECASE)


class RunKey(NamedTuple):
    """The name of a run: a tenant and a run id. Two tenants may use one run id; those are two runs."""

    tenant_id: str
    """The tenant; empty for a run without one."""
    run_id: str

    @property
    def path(self) -> str:
        """The key of the run's bundle in a store: `<run_id>` or `<tenant_id>/<run_id>`."""
        return f"{self.tenant_id}/{self.run_id}" if self.tenant_id else self.run_id

    @property
    def valid(self) -> bool:
        """Whether tenant and run id are valid names (see `valid_run_id`)."""
        return valid_run_id(self.run_id) and (not self.tenant_id or valid_run_id(self.tenant_id))


NO_RUN = RunKey("", "")
"""The key of records that belong to no run."""


def tenant_of(claim: object) -> str:
    """Return the tenant that `claim` names, or an empty text for no claim.

    A claim that is no valid name becomes `invalid-` and 16 hex digits of its SHA-256, so that its runs are never mixed
    with those of another tenant or of none. Never raises.
    """
    if claim is None or claim == "":
        return ""
    if isinstance(claim, str) and valid_run_id(claim):
        return claim
    text = claim if isinstance(claim, str) else type(claim).__name__
    return "invalid-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def well_formed(text: str) -> bool:
    """Tell whether `text` has the grammar of a run id: 1 to 128 letters, digits, dots, dashes and underscores.

    Readers ask only this, so that bundles stay readable that were sealed before a name was reserved.
    """
    return _RUN_ID.fullmatch(text) is not None


def valid_run_id(text: str) -> bool:
    """Tell whether `text` may name a new run or tenant: it has the grammar and is not a reserved name."""
    return len(text) <= _CHARS and _may_name(text)


@lru_cache(maxsize=1024)  # asked two times a span: 0.1 µs instead of 1.2
def _may_name(text: str) -> bool:
    return well_formed(text) and _WINDOWS.fullmatch(text) is None and text not in FOLDERS


def require_run_id(text: str, what: str = "run id") -> str:
    """Return `text` if it is valid, else raise `ConfigError`.

    The message does not repeat the text, which may have come from outside; `what` says which name was invalid.
    """
    if not isinstance(text, str) or not valid_run_id(text):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"invalid {what}",
            hint="use 1 to 128 letters, digits, dots, dashes or underscores, no dot first or last, and no name that"
            " Windows reserves, such as CON",
        )
    return text
