"""What a flush without a thread of ours tells."""

import threading
from pathlib import Path
from typing import Any

import pytest

from runbundle.format.identity import RunKey
from runbundle.recording import sealer as module
from runbundle.recording.losses import Losses
from runbundle.recording.sealer import Sealer
from runbundle.store import from_url


def test_a_run_that_another_flush_is_sealing_is_pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads flush where no thread seals any more: the first to end does not say that all is done."""
    begun, go_on = threading.Event(), threading.Event()

    def publish(store: Any, spool: Path, key: RunKey, **rest: Any) -> None:
        if key.run_id == "slow":
            begun.set()
            assert go_on.wait(30)

    monkeypatch.setattr(module, "publish", publish)
    sealer = Sealer(from_url(str(tmp_path / "store")), tmp_path / "spool", 0.0, Losses(tmp_path), lambda _: 0, list)
    sealer._closed = True  # as when the interpreter is shutting down  # pyright: ignore[reportPrivateUsage]
    sealer.settled(RunKey("", "slow"), has_ended=True)
    other = threading.Thread(target=sealer.flush, args=(30.0,))
    other.start()
    assert begun.wait(30)
    sealer.settled(RunKey("", "quick"), has_ended=True)
    assert sealer.flush(10.0).pending == 1
    go_on.set()
    other.join(30)
    assert sealer.flush(10.0).pending == 0
