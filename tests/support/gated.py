"""The agent of `examples/12_gated_agent.py`, run 20 times in each version, and a policy for its gates."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "12_gated_agent.py"
VERSIONS = ("baseline", "prompt", "argument", "rogue")
POLICY = """\
checks:
  - id: never-deletes
    type: invariant
    forbidden_tools: [delete_account]
  - id: answered
    type: non_inferiority
    metric: answered
    margin: 0.15
  - id: brevity
    type: non_inferiority
    metric: brevity
    margin: 0.05
  - id: tokens
    type: ratio
    metric: total_tokens
    max: 1.5
"""


def record(folder: Path, *versions: str) -> Path:
    """Record 20 runs of each version, each version in a process of its own; return the store's folder."""
    for version in versions:
        subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLE), version, "20"],
            cwd=folder, check=True, capture_output=True,
            env={**os.environ, "RUNBUNDLE_KEYS": str(folder / "keys"), "RUNBUNDLE_CACHE": str(folder / "cache")},
        )  # fmt: skip
    return folder / ".runbundle"
