"""Whose a record is: a run is a tenant and a run id, everywhere."""

import hashlib
import re
from typing import NamedTuple

from runbundle.errors import ConfigError
from runbundle.format.layout import FOLDERS

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Names of devices, with or without an extension, and names that end in a dot: Windows opens something else for them.
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_WINDOWS = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|.*\.", re.IGNORECASE)


class RunKey(NamedTuple):
    """What names a run. Two tenants with one run id are two runs."""

    tenant_id: str
    """"" for a run without a tenant."""
    run_id: str

    @property
    def path(self) -> str:
        """Where the run's bundle lies in a store: `<run_id>` or `<tenant_id>/<run_id>`."""
        return f"{self.tenant_id}/{self.run_id}" if self.tenant_id else self.run_id

    @property
    def valid(self) -> bool:
        """Whether both may name something."""
        return valid_run_id(self.run_id) and (not self.tenant_id or valid_run_id(self.tenant_id))


NO_RUN = RunKey("", "")
"""The key of records that are in no run."""


def tenant_of(claim: object) -> str:
    """Return the tenant that a claim names; for a claim that can name none, a tenant of its own.

    Whatever comes in its name must not be mixed with the runs of nobody, nor with those of somebody else.
    """
    if claim is None or claim == "":
        return ""
    if isinstance(claim, str) and valid_run_id(claim):
        return claim
    text = claim if isinstance(claim, str) else type(claim).__name__
    return "invalid-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def well_formed(text: str) -> bool:
    """Tell whether `text` has the grammar of a run id. Readers ask this: bundles sealed earlier stay readable."""
    return _RUN_ID.fullmatch(text) is not None


def valid_run_id(text: str) -> bool:
    """Tell whether `text` may name a new run or tenant: the grammar, and no name that a file system reserves."""
    return well_formed(text) and _WINDOWS.fullmatch(text) is None and text not in FOLDERS


def require_run_id(text: str, what: str = "run id") -> str:
    """Return `text`, or raise `ConfigError` without repeating it: it may have come from outside."""
    if not isinstance(text, str) or not valid_run_id(text):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"this is not a {what}",
            hint="use 1 to 128 letters, digits, dots, dashes or underscores, no dot first or last, and no name that"
            " Windows reserves, such as CON",
        )
    return text
