"""Fixtures of the crash tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory if there is one: what a kill leaves is the same as on disk, without the disk's pace."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=memory, prefix="runbundle-crash-"))
    yield folder
    shutil.rmtree(folder)
