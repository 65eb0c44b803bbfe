"""Who only records does not wait for what others need."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import runbundle

_PROGRAM = """
import sys, runbundle
with runbundle.configure(store=sys.argv[1]):
    print(*(name for name in ("pydantic", "asyncio", "runbundle.recording.publish") if name in sys.modules))
"""


def test_configure_loads_no_models_and_no_event_loop(tmp_path: Path) -> None:
    """Pydantic alone takes longer to load than the SDK."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "store")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_types_of_what_people_call_can_be_asked_for() -> None:
    """Those that are not loaded yet are, by who asks."""
    given = get_type_hints(runbundle.configure)
    assert "ToolContract" in str(given["contracts"])
    assert "FieldRule" in str(given["result"])
    assert get_type_hints(runbundle.ToolCall)["contract"] is runbundle.ToolContract
