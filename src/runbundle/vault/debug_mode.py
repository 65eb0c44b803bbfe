"""Debug mode writes raw content to a vault. It needs both the code and the environment to ask for it, and says so in
the log.
"""

import logging
import weakref
from pathlib import Path

from runbundle import settings
from runbundle.errors import ConfigError
from runbundle.format.identity import RunKey
from runbundle.process import forks
from runbundle.redaction.redactor import Redactor
from runbundle.signals.records import SpanRecord
from runbundle.vault.content import DebugContent
from runbundle.vault.files import VaultWriter, purge, vault_key

_log = logging.getLogger("runbundle")
FLAG = "RUNBUNDLE_DEBUG_CONTENT"


class DebugVault:
    """Writes the content of spans to a vault."""

    def __init__(self, redactor: Redactor, root: Path, key: bytes, ttl_s: float) -> None:
        self.root = root
        self._redactor = redactor
        self._policy = redactor.policy
        self._content = DebugContent(self._policy)
        self._writer = VaultWriter(root, key, ttl_s=ttl_s)
        _vaults.add(self)

    def keep(self, run: RunKey, record: SpanRecord) -> None:
        """Write the content of a raw span to the vault, without credentials. Raises `OSError`."""
        if self._redactor.policy is not self._policy:  # a tool has declared its contract since
            self._policy = self._redactor.policy
            self._content = DebugContent(self._policy)
        self._writer.write(run, self._content.of(record))

    def after_fork(self) -> None:
        """Start new vault keys in a forked child."""
        self._writer.after_fork()


def debug_vault(redactor: Redactor, root: Path, ttl_s: float = settings.VAULT_TTL_S) -> DebugVault:
    """Open the vault in `root`, remove expired runs, and log a warning that debug mode is on.

    Raises `ConfigError` unless `RUNBUNDLE_DEBUG_CONTENT` is set and the environment gives a vault key.
    """
    if not settings.flag(FLAG):
        raise ConfigError(
            f'content_mode="debug" works only if the environment sets {FLAG}=1',
            hint=f"set {FLAG}=1 and RUNBUNDLE_VAULT_KEY",
        )
    vault = DebugVault(redactor, root, vault_key(), ttl_s)
    expired = purge(vault.root)
    _log.warning(
        "content mode is debug: prompts, outputs and payloads are written to %s, encrypted, for %d hours;"
        " %d expired runs were removed there",
        vault.root, ttl_s // 3600, len(expired),
    )  # fmt: skip
    return vault


_vaults: "weakref.WeakSet[DebugVault]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for vault in list(_vaults):
        vault.after_fork()


forks.in_child(forks.Stage.RECORDING, _after_fork_in_child)
