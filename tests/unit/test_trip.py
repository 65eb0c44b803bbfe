"""How much of the code a span passes through does not grow unnoticed."""

import subprocess
import sys
from pathlib import Path

AT_MOST = 44
"""Modules from a tool span's `on_end` to its line of events.jsonl, as `tests.benchmarks.trip` counts them. As many as
there were when it was first counted, 32 at the end and 15 at the seal, three of them in both; 20 are wanted. Lower it
with every change that shortens the way. A new module on the way needs a reason that is worth one more to read."""


def test_a_tool_span_enters_no_more_modules_than_it_did() -> None:
    """From its end to its line, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.trip"], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    modules = {line.split()[0] for line in done.stdout.split("\n") if line.startswith("  ")}
    for passed in ("otel", "redaction", "recording", "journal", "bundle"):  # the whole way was seen
        assert any(name.startswith(f"runbundle.{passed}.") for name in modules), done.stdout
    assert len(modules) <= AT_MOST, done.stdout
