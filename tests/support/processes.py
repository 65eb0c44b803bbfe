"""Processes that end as no test may."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def killed(tmp_path: Path, body: str) -> None:
    """Run code in a process that kills itself at its end."""
    code = "import os, signal, runbundle\nhandle = runbundle.configure(store='store')\n" + textwrap.dedent(body)
    code += "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
