"""Whatever the umask, nobody else can read or write what we make."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_WORK = """
import os, sys, runbundle
os.umask(int(sys.argv[1], 8))
from runbundle.runstate import from_url
from runbundle.redaction.detectors import cache
from runbundle.redaction.detectors.detector import default_detector
default_detector()  # keeps its rules in the cache
handle = runbundle.configure(store="deep/er/store", content_mode="debug")
with runbundle.start_run("r", tenant_id="acme") as run:
    with runbundle.start_tool("t", {"a": 1}):
        pass
assert handle.flush().sealed
cut = runbundle.start_run("cut")
cut.__enter__()
handle.recorder.losses.count("journal", 3)
handle.recorder.losses.write(now=True)
with runbundle.start_run("left"):
    pass
state = from_url("deep/er/state/x.sqlite")
try:
    list(state.list_runs())
except Exception:
    pass
cache.write("x", b"y")
from runbundle.recording.tripwire import Hit, quarantine
from runbundle.format.identity import RunKey
from pathlib import Path
spool = Path("deep/er/store/.spool")
(spool / "q").mkdir()
(spool / "q").chmod(0o700)
quarantine(spool, RunKey("", "q"), [Hit("f", 1, "r")])
os._exit(0)
"""


_FOR_ROOT = ["777", "277"] if os.geteuid() == 0 else []
"""Under these umasks only root may open what it has made."""


@pytest.mark.parametrize("umask", ["000", "077", "022", *_FOR_ROOT])
def test_folders_are_0700_and_files_0600(tmp_path: Path, umask: str) -> None:
    """Stores, spools, journals, indexes, vaults, ledgers, quarantine, caches, keys: every one that is there."""
    environment = {**os.environ, "RUNBUNDLE_DEBUG_CONTENT": "1", "RUNBUNDLE_VAULT_KEY": "0123456789abcdef" * 4,
                   "RUNBUNDLE_CACHE": str(tmp_path / "cache"), "RUNBUNDLE_KEYS": str(tmp_path / "keys")}  # fmt: skip
    (tmp_path / "cache").mkdir(mode=0o700)
    done = subprocess.run([sys.executable, "-c", _WORK, umask], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {
        path.relative_to(tmp_path): path.lstat().st_mode & 0o777
        for path in tmp_path.rglob("*")
        if "kingfisher" not in path.parts
    }  # fmt: skip - which a library of others makes for itself
    names = {path.name for path in found}
    assert {"run.json", ".spool", ".vault", ".losses", ".quarantine", "reason.json", "x"} <= names
    for path, mode in found.items():
        assert mode == (0o700 if (tmp_path / path).is_dir() else 0o600), (path, oct(mode))
