"""Ids and times that are the same in every run of a test."""

from opentelemetry.sdk.trace.id_generator import IdGenerator


class SequentialIds(IdGenerator):
    """Generates the ids 1, 2, 3, ... for traces, and the same for spans.

    provider = TracerProvider(id_generator=SequentialIds())
    """

    def __init__(self) -> None:
        self._trace = 0
        self._span = 0

    def generate_span_id(self) -> int:
        """Return the next span id."""
        self._span += 1
        return self._span

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        self._trace += 1
        return self._trace


class FakeClock:
    """A clock in nanoseconds that advances by `step_ns` with every call.

    monkeypatch.setattr(time, "time_ns", FakeClock())
    """

    def __init__(self, start_ns: int = 1_800_000_000_000_000_000, step_ns: int = 1_000_000) -> None:
        self._now = start_ns
        self._step = step_ns

    def __call__(self) -> int:
        """Advance the clock, and return its time."""
        self._now += self._step
        return self._now
