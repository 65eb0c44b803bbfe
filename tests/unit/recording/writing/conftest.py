"""A busy process, and one whose sealer waits."""

from collections.abc import Callable, Iterator

import pytest

from runbundle.recording.sealer import Sealer
from runbundle.recording.writing.segments import Segments


@pytest.fixture
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Segments, "_is_busy", lambda of, now: of._begun.append(now) or True)


@pytest.fixture
def idle() -> Iterator[Callable[[], None]]:
    """Give a function that lets sealers work, which do not until then."""
    real = Sealer._start_thread
    Sealer._start_thread = lambda _: None  # type: ignore[method-assign]
    try:
        yield lambda: setattr(Sealer, "_start_thread", real)
    finally:
        Sealer._start_thread = real  # type: ignore[method-assign]
