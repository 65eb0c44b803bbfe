"""Every kind of loss is said: by flush(), by the bundle where there is one, and by `ls` or `doctor` afterwards.

One row a kind. A kind that is new has a row here.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.cli.main import group
from runbundle.errors import StoreUnavailable
from runbundle.format.run import RunIndex
from runbundle.recording.sealer import FlushResult
from runbundle.store import LocalStore

Configured = Callable[..., runbundle.Handle]


class Loss(NamedTuple):
    """What was done, and who says so."""

    options: Callable[[Path], dict[str, Any]]
    """For configure()."""
    happens: Callable[[runbundle.Handle, Path], None]
    told: Callable[[FlushResult], Any]
    """What flush() says; true if it does."""
    stated: Callable[[RunIndex], Any] | None
    """What the bundle `r` says; None if there can be none."""
    shown: tuple[str, ...]
    """Words of `ls` or `doctor`, any of which will do, when the process is gone."""


def no_options(_: Path) -> dict[str, Any]:
    """Configure as by default."""
    return {}


def journal_refused(handle: runbundle.Handle, store: Path) -> None:
    """The disk refuses a record."""
    with runbundle.start_run("r", run_id="r"):
        with runbundle.start_step("a"):
            pass
        run = next(iter(handle.recorder._runs.values()))  # pyright: ignore[reportPrivateUsage]
        assert run.writer is not None
        real = run.writer.write
        run.writer.write = _raise  # type: ignore[method-assign]
        with runbundle.start_step("b"):
            pass
        run.writer.write = real  # type: ignore[method-assign]


def _raise(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def spool_removed(handle: runbundle.Handle, store: Path) -> None:
    """Somebody removes the spool under a run."""
    with runbundle.start_run("r", run_id="r"):
        with runbundle.start_step("a"):
            pass
        shutil.rmtree(store / ".spool")
        with runbundle.start_step("b"):
            pass


def journal_cut(handle: runbundle.Handle, store: Path) -> None:
    """Somebody truncates a journal."""
    with runbundle.start_run("r", run_id="r"):
        with runbundle.start_step("a"):
            pass
        (journal,) = (store / ".spool" / "r").glob("*.jsonl")
        os.truncate(journal, 0)
        with runbundle.start_step("b"):
            pass


def not_redacted(handle: runbundle.Handle, store: Path) -> None:
    """A span cannot be processed."""
    with runbundle.start_run("r", run_id="r"):
        real = handle.boundary._codec.to_record  # pyright: ignore[reportPrivateUsage]
        handle.boundary._codec.to_record = _raise  # type: ignore[method-assign,assignment]
        with runbundle.start_step("a"):
            pass
        handle.boundary._codec.to_record = real  # type: ignore[method-assign]


def begun_twice(handle: runbundle.Handle, store: Path) -> None:
    """Two runs have one id."""
    for _ in range(2):
        with runbundle.start_run("r", run_id="r"):
            pass
        handle.recorder.flush(take=False)


def same_ids(handle: runbundle.Handle, store: Path) -> None:
    """Two spans have one identity."""
    with runbundle.start_run("r", run_id="r"):
        for name in ("a", "b"):
            random.seed(1)
            with runbundle.start_step(name):
                pass


def not_sampled(handle: runbundle.Handle, store: Path) -> None:
    """Somebody else's sampler drops a run."""
    with runbundle.start_run("r", run_id="r"):
        pass


def too_many_attributes(handle: runbundle.Handle, store: Path) -> None:
    """Somebody else's limits cut a span."""
    with runbundle.start_run("r", run_id="r"), runbundle.start_step("a"):
        for number in range(20):
            trace.get_current_span().set_attribute(f"k{number}", number)


def never_ends(handle: runbundle.Handle, store: Path) -> None:
    """A span is still open when its run has ended."""
    with runbundle.start_run("r", run_id="r"):
        runbundle.start_step("a").start()


def refused_by_backend(handle: runbundle.Handle, store: Path) -> None:
    """The backend is not there."""
    with runbundle.start_run("r", run_id="r"):
        pass


class Away(LocalStore):
    """A store that cannot be written."""

    def put(self, *args: Any, **options: Any) -> None:
        """Refuse."""
        raise StoreUnavailable("the store is away")

    put_all = put  # type: ignore[assignment]


def plain_run(handle: runbundle.Handle, store: Path) -> None:
    """A run, and nothing else."""
    with runbundle.start_run("r", run_id="r"):
        pass


LOSSES = {
    "a record that the disk refuses": Loss(
        no_options, journal_refused, lambda f: f.dropped.get("journal"),
        lambda i: i.completeness.dropped.get("journal"), ("journal",),
    ),
    "a spool that is removed": Loss(
        no_options, spool_removed, lambda f: f.dropped.get("journal_lost"),
        lambda i: i.completeness.dropped.get("journal"), ("journal_lost",),
    ),
    "a journal that is cut": Loss(
        no_options, journal_cut, lambda f: f.dropped.get("journal_lost"),
        lambda i: i.completeness.dropped.get("journal"), ("journal_lost",),
    ),
    "a span that cannot be processed": Loss(
        no_options, not_redacted, lambda f: f.dropped.get("boundary_end"),
        lambda i: i.completeness.dropped.get("journal"), ("boundary_end",),
    ),
    "a run begun twice": Loss(
        lambda _: {"grace_s": 0.1}, begun_twice, lambda f: f.collided.get("run_begun_twice"),
        lambda i: i.completeness.roots == 2 and i.status != "ok", ("run_begun_twice",),
    ),
    "two spans of one identity": Loss(
        lambda _: {"tracer_provider": TracerProvider()}, same_ids, lambda f: f.collided.get("span_id"),
        lambda i: i.completeness.dropped.get("collided"), ("span_id",),
    ),
    "a run that a sampler drops": Loss(
        lambda _: {"tracer_provider": TracerProvider(sampler=ALWAYS_OFF)}, not_sampled, lambda f: f.unsampled,
        None, ("unsampled",),
    ),
    "attributes over somebody's limit": Loss(
        lambda _: {"tracer_provider": TracerProvider(span_limits=SpanLimits(max_attributes=5))}, too_many_attributes,
        lambda f: True, lambda i: i.completeness.dropped.get("sdk_limit_attributes"), ("lossy",),
    ),
    "a span that never ends": Loss(
        lambda _: {"grace_s": 0.1}, never_ends, lambda f: True,
        lambda i: i.completeness.open_spans and i.completeness.state == "lossy", ("lossy",),
    ),
    "a backend that is away": Loss(
        lambda _: {"otlp": "http://127.0.0.1:9"}, refused_by_backend, lambda f: f.refused,
        lambda i: i.completeness.state == "complete", ("refused",),
    ),
    "a store that is away": Loss(
        lambda store: {"store": Away(store)}, plain_run, lambda f: f.failed or f.pending, None,
        ("crashed", "waiting", "failed"),
    ),
}  # fmt: skip
IN_THE_BUNDLE_ONLY = ("attributes over somebody's limit", "a span that never ends")
"""What is the run's own affair: flush() is true, since nothing that it was handed was lost."""


@pytest.mark.parametrize("kind", LOSSES)
def test_every_kind_of_loss_is_said(kind: str, configured: Configured, tmp_path: Path) -> None:
    """By flush(), by the bundle, and by `ls` or `doctor` when the process is gone."""
    loss, store = LOSSES[kind], tmp_path / "store"
    store.mkdir()
    handle = configured(**loss.options(store))
    loss.happens(handle, store)
    result = handle.flush(5.0)
    assert loss.told(result), result
    assert bool(result) == (kind in IN_THE_BUNDLE_ONLY), result
    handle.shutdown()
    if loss.stated is not None:
        assert loss.stated(Bundle.open(handle.store, "r").index)
    else:
        assert not (store / "r" / "run.json").exists()
    runner = CliRunner()
    said = "".join(runner.invoke(group, [c, "--store", str(store)]).output for c in ("ls", "doctor"))
    assert any(word in said for word in loss.shown), said
