"""Streams that are followed: what passes through, what the follower hears, and what each kind of value is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.otel.agent.streams.kinds import handling_of
from runbundle.otel.agent.streams.parts import Joiner, with_returned
from runbundle.otel.agent.streams.proxy import copy_name, follow, proxy_of
from runbundle.otel.agent.streams.steps import Follower, follow_async_generator, follow_generator


class Listener:
    """A follower that keeps what it hears."""

    def __init__(self) -> None:
        self.here = Context()
        self.heard: list[Any] = []

    def take(self, item: Any) -> None:
        self.heard.append(item)

    def ended(self, returned: Any = None) -> None:
        self.heard.append(("ended", returned))

    def ended_unseen(self, answer: Any) -> None:
        self.heard.append(("unseen", answer))

    def failed(self, error: BaseException) -> None:
        self.heard.append(("failed", type(error).__name__))

    def dropped(self) -> None:
        self.heard.append("dropped")


class MessageStream:
    """A stream as a provider's package has it."""

    def __init__(self) -> None:
        self.response = "r"
        self._items = iter("ab")

    def __iter__(self) -> Iterator[str]:
        return self._items

    def close(self) -> None:
        """Close it."""


def produced(received: list[Any]) -> Generator[str, str, str]:
    """Yield twice, and return."""
    received.append((yield "a"))
    try:
        yield "b"
    except KeyError:
        received.append("thrown")
    return "end"


def test_items_and_values_pass_through_a_followed_generator() -> None:
    """What is sent and thrown reaches the producer, what it returns reaches the consumer."""
    received: list[Any] = []
    listener: Follower = Listener()
    stream = follow_generator(lambda: (produced(received), listener))()
    assert next(stream) == "a"
    assert stream.send("sent") == "b"
    with pytest.raises(StopIteration) as stop:
        stream.throw(KeyError())
    assert stop.value.value == "end"
    assert received == ["sent", "thrown"]
    assert listener.heard == ["a", "b", ("ended", "end")]  # type: ignore[attr-defined] - a Listener


def test_a_producers_context_is_its_own() -> None:
    """The consumer has, between two items, what it had; the producer goes on with what it set."""

    def sets() -> Generator[Any]:
        otel_context.attach(otel_context.set_value("k", "producer's"))
        yield 1
        yield otel_context.get_value("k")

    stream = follow_generator(lambda: (sets(), Listener()))()
    next(stream)
    assert otel_context.get_value("k") is None
    assert next(stream) == "producer's"


def test_an_async_generator_is_followed_to_its_close() -> None:
    """Whoever closes it drops the rest, and the producer hears of it."""
    closed: list[str] = []

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(9):
                yield number
        finally:
            closed.append("closed")

    async def consume(listener: Listener) -> None:
        async def begin() -> tuple[AsyncGenerator[int], Follower]:
            return numbers(), listener

        stream = follow_async_generator(begin)()
        assert await anext(stream) == 0
        await stream.aclose()

    listener = Listener()
    asyncio.run(consume(listener))
    assert (listener.heard, closed) == ([0, "dropped"], ["closed"])


def test_a_stand_in_is_of_the_objects_type_and_reports_each_item() -> None:
    """Its attributes are the object's; closing it drops the rest."""
    listener = Listener()
    stream = proxy_of(MessageStream(), listener)
    assert isinstance(stream, MessageStream)
    assert stream.response == "r"
    assert list(stream) == ["a", "b"]
    assert listener.heard == ["a", "b", ("ended", None)]
    stream.close()
    assert listener.heard[-1] == "dropped"


def test_a_followed_generator_is_called_as_the_one_behind_it() -> None:
    """Tracebacks and logs name the producer."""
    value = produced([])
    made = follow(value, "generator", Listener())
    assert (made.__name__, made.__qualname__) == ("produced", "produced")
    other = (i for i in ())
    copy_name(other, value)
    assert other.__name__ == "produced"


def test_the_kind_of_a_stream_is_read_off_its_type() -> None:
    """A list is recorded, any other iterator is its owner's."""

    async def agen() -> AsyncIterator[int]:
        yield 1

    kinds = {list: "", dict: "", str: "", type(iter([])): "iterator", type(produced([])): "generator"}
    kinds |= {type(agen()): "async generator", MessageStream: "stream"}
    assert {kind: handling_of(kind) for kind in kinds} == kinds


def test_a_whole_answer_takes_the_place_of_its_chunks() -> None:
    """And a value that was returned stands beside what was yielded."""
    joiner = Joiner("answer")
    assert joiner.read_whole({"role": "assistant", "content": [{"type": "text", "text": "hi"}]})
    assert not Joiner("answer").read_whole(7)
    assert not Joiner("items").read_whole({"role": "assistant", "content": []})
    assert '"content":"hi"' in joiner.joined().text
    both = with_returned(joiner.joined(), {"total": 1})
    assert both.text.endswith('"returned":{"total":1}}')
    assert both.sha256 != joiner.joined().sha256
