"""What a flush without a thread of ours tells."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

import runbundle
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.journal.writer import JournalWriter
from runbundle.recording import publish as module
from runbundle.recording.losses import Losses
from runbundle.recording.sealer import Sealer
from runbundle.recording.sealing.publisher import Publisher
from runbundle.recording.writing.segments import Segments
from runbundle.store import from_url


def test_a_run_that_another_flush_is_sealing_is_pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads flush where no thread seals any more: the first to end does not say that all is done."""
    begun, go_on = threading.Event(), threading.Event()

    def publish(store: Any, spool: Path, key: RunKey, **rest: Any) -> None:
        if key.run_id == "slow":
            begun.set()
            assert go_on.wait(30)

    monkeypatch.setattr(module, "publish", publish)
    store, spool, losses = from_url(str(tmp_path / "store")), tmp_path / "spool", Losses(tmp_path)
    segments = Segments(spool, JournalWriter.open_in, lambda _: None, lambda *_: None, used=False)
    sealer = Sealer(store, spool, 0.0, losses, lambda _: 0, list, Publisher(), segments)
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


def test_a_journal_that_is_opened_again_while_its_run_is_sealed_is_no_failure(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span begins between the moment its run's journal is closed and that in which it is read: it is tried again."""
    handle = configured(grace_s=0.0)
    tracer, real = handle.tracer_provider.get_tracer("app"), module.publish
    late: list[trace.Span] = []
    context = Context()

    def publish(*args: Any, **named: Any) -> Any:
        if not late:
            late.append(tracer.start_span("late", context))
        return real(*args, **named)

    monkeypatch.setattr(module, "publish", publish)
    with runbundle.start_run("agent"):
        above = tracer.start_span("open")
        context = trace.set_span_in_context(above, Context())
    assert not handle.flush().failed
    above.end()
    assert not handle.flush().failed
    handle.shutdown()  # while the late one is open
    assert not spooled_runs(handle.recorder.spool)
