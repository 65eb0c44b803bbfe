"""Carry the current run into another thread or process."""

import contextvars
import functools
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import propagate as otel_propagate

P = ParamSpec("P")
R = TypeVar("R")


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Bind `function` to the context of the caller: `pool.submit(in_context(work), item)`.

    The context is copied when this is called. The returned function may be called from many threads at once.
    `opentelemetry-instrumentation-threading` (the extra `threading`) does the same for every thread, unasked.
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy of the copy: one contextvars.Context cannot be entered by two threads.
        return context.copy().run(function, *args, **kwargs)

    return call


def carrier() -> dict[str, str]:
    """Return the current context as headers (`traceparent`, and `baggage` with the run id) for another process."""
    headers: dict[str, str] = {}
    otel_propagate.inject(headers)
    return headers


@contextmanager
def continue_run(headers: Mapping[str, str]) -> Generator[None]:
    """Continue, in this process, the run whose `carrier()` was sent here."""
    token = otel_context.attach(otel_propagate.extract(headers))
    try:
        yield
    finally:
        otel_context.detach(token)
