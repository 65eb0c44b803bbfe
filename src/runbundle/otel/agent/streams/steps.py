"""Generators that wrap a producer's generator: items, `send`, `throw` and `close` pass through.

The producer's span is current while the producer's code runs. A context that the producer sets is restored when it goes
on; between two items the consumer has its own.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.otel.agent.current import detach


class Follower(Protocol):
    """An object that is told of a stream's items and of its end."""

    here: Context
    """The context in which the producer goes on, including what it has set itself."""

    def take(self, item: Any) -> None:
        """Take an item that was yielded."""

    def ended(self, returned: Any = None) -> None:
        """Take note that the stream is exhausted. `returned` is the generator's return value."""

    def failed(self, error: BaseException) -> None:
        """Take note that the producer raised."""

    def dropped(self) -> None:
        """Take note that nobody wants the rest."""


def follow_generator(
    begin: Callable[..., tuple[Generator[Any, Any, Any], Follower]],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return a generator function that calls `begin` at the first item and reports to the follower that it returns."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        producer, stream = begin(*args, **kwargs)
        advance: Callable[..., Any] = producer.send
        argument: Any = None
        try:
            while True:
                token = otel_context.attach(stream.here)
                try:
                    item = advance(argument)
                except StopIteration as stop:
                    stream.ended(stop.value)
                    return stop.value
                finally:
                    stream.here = otel_context.get_current()
                    detach(token)
                stream.take(item)
                try:
                    argument = yield item
                    advance = producer.send
                except GeneratorExit:
                    token = otel_context.attach(stream.here)
                    try:
                        producer.close()
                    finally:
                        detach(token)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's to handle
                    advance, argument = producer.throw, error
        except GeneratorExit:
            stream.dropped()
            raise
        except BaseException as error:
            stream.failed(error)
            raise

    return call


def follow_async_generator(
    begin: Callable[..., Awaitable[tuple[AsyncGenerator[Any, Any], Follower]]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an async generator function; otherwise as `follow_generator`."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        producer, stream = await begin(*args, **kwargs)
        advance: Callable[..., Any] = producer.asend
        argument: Any = None
        try:
            while True:
                token = otel_context.attach(stream.here)
                try:
                    item = await advance(argument)
                except StopAsyncIteration:
                    stream.ended()
                    return
                finally:
                    stream.here = otel_context.get_current()
                    detach(token)
                stream.take(item)
                try:
                    argument = yield item
                    advance = producer.asend
                except GeneratorExit:
                    # Perhaps in another task, or in none, where an await is an error that the interpreter reports.
                    token = otel_context.attach(stream.here)
                    try:
                        await producer.aclose()
                    finally:
                        detach(token)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's to handle
                    advance, argument = producer.athrow, error
        except GeneratorExit:
            stream.dropped()
            raise
        except BaseException as error:
            stream.failed(error)
            raise

    return call
