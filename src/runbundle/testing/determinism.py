"""Ids and times that are the same in every test run."""

from opentelemetry.sdk.trace.id_generator import IdGenerator


class SequentialIds(IdGenerator):
    """Counts up: the first trace is 1, the first span is 1. Give it to `TracerProvider(id_generator=...)`."""

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
    """Returns nanoseconds that advance by `step_ns` with every call. Put it in place of `time.time_ns`."""

    def __init__(self, start_ns: int = 1_800_000_000_000_000_000, step_ns: int = 1_000_000) -> None:
        self._now = start_ns
        self._step = step_ns

    def __call__(self) -> int:
        """Return the next time."""
        self._now += self._step
        return self._now
