"""With `fsync-batch`, what the system refuses a sync must reach neither the agent nor the runs."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.recording.writing import syncing


def test_no_descriptor_left_costs_no_run(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor left costs no run."""
    handle = configured(durability="fsync-batch")

    def refused(fd: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "dup", refused)
    with runbundle.start_run("r"):
        pass
    monkeypatch.undo()
    result = handle.flush()
    assert result
    assert len(result.sealed) == 1


def test_a_folder_that_cannot_be_synced_is_no_exception_of_the_agents(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be synced is no exception of the agents."""
    handle = configured(durability="fsync-batch")

    def refused(folder: Path, *rest: Any) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(syncing, "SYNC_EVERY_S", 60)
    monkeypatch.setattr(syncing, "sync_folder", refused)
    with runbundle.start_run("r"):
        pass
    assert len(handle.flush().sealed) == 1
