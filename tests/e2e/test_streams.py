"""Streams of decorated functions, in a run: what is recorded, when the span ends, and what the consumer notices."""

import asyncio
import functools
import gc
import inspect
import io
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, Self

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.otel import active
from runbundle.otel.agent import at_source
from tests.conftest import sealed
from tests.support.chunks import anthropic, chat_objects, modelled, own

Configured = Callable[..., runbundle.Handle]
WORDS = ["I", "will", "now", "leak"]


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[ReadableSpan]]:
    """Return what yields the spans so far as the decorators made them, before any redaction, the first ended first."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(active, "tracer", lambda: provider.get_tracer("t"))
    for asked in ("_owns", "_owned"):
        monkeypatch.setattr(at_source, asked, lambda _: True)
    return lambda: list(exporter.get_finished_spans())


def captured(span: ReadableSpan, key: str = "gen_ai.output.messages") -> dict[str, Any]:
    """Return what is noted of a value."""
    return orjson.loads((span.attributes or {}).get("runbundle.capture", "{}")).get(key, {})


def ended(bundle: Bundle, op: str) -> list[dict[str, Any]]:
    """Return the `span.ended` events of one kind."""
    return [e for e in bundle.events() if e["type"] == "span.ended" and e["op"] == op]


class Stream:
    """The stream of a provider's package."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.response, self.closed = "the response", False
        self._items = iter(items)

    def __iter__(self) -> Iterator[Any]:
        yield from self._items

    def __next__(self) -> Any:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self.closed = True


class AsyncStream:
    """Its twin."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.response, self.closed = "the response", False
        self._items = iter(items)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._items:
            await asyncio.sleep(0)
            yield item

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connection go."""
        self.closed = True


async def _agen(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def _all(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def _all_awaited(stream: Any) -> list[Any]:
    return await _all(await stream)


@runbundle.model(name="m", provider="p")
def yields(items: list[Any]) -> Iterator[Any]:
    """Yield."""
    yield from items


@runbundle.model(name="m", provider="p")
def returns(items: list[Any]) -> Iterator[Any]:
    """Return a generator."""
    return (item for item in items)


@runbundle.model(name="m", provider="p")
def returns_stream(items: list[Any]) -> Stream:
    """Return a provider's stream."""
    return Stream(items)


@runbundle.model(name="m", provider="p")
async def yields_later(items: list[Any]) -> AsyncIterator[Any]:
    """Yield, asynchronously."""
    for item in items:
        await asyncio.sleep(0)
        yield item


@runbundle.model(name="m", provider="p")
def returns_async(items: list[Any]) -> AsyncIterator[Any]:
    """Return an async generator."""
    return _agen(items)


@runbundle.model(name="m", provider="p")
async def returns_later(items: list[Any]) -> AsyncIterator[Any]:
    """Return an async generator, later."""
    await asyncio.sleep(0)
    return _agen(items)


@runbundle.model(name="m", provider="p")
async def returns_async_stream(items: list[Any]) -> AsyncStream:
    """Return a provider's stream, later."""
    return AsyncStream(items)


@runbundle.model(name="m", provider="p")
def returns_coroutine(items: list[Any]) -> Any:
    """Return what must be awaited first."""
    return returns_async_stream.__wrapped__(items)  # type: ignore[attr-defined]


class Speaker:
    """An object that is called."""

    def __call__(self, items: list[Any]) -> Iterator[Any]:
        yield from items


def _yield_all(first: int, items: list[Any]) -> Iterator[Any]:
    yield from items


READ: dict[str, Callable[[list[Any]], list[Any]]] = {
    "generator": lambda items: list(yields(items)),
    "returned generator": lambda items: list(returns(items)),
    "returned stream": lambda items: list(returns_stream(items)),
    "async generator": lambda items: asyncio.run(_all(yields_later(items))),
    "returned async generator": lambda items: asyncio.run(_all(returns_async(items))),
    "async generator, returned later": lambda items: asyncio.run(_all_awaited(returns_later(items))),
    "async stream": lambda items: asyncio.run(_all_awaited(returns_async_stream(items))),
    "coroutine of a plain function": lambda items: asyncio.run(_all_awaited(returns_coroutine(items))),
    "object": lambda items: list(runbundle.model(name="m", provider="p")(Speaker())(items)),
    "partial": lambda items: list(
        runbundle.model(name="m", provider="p")(functools.partial(_yield_all, 1))(items)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_a_stream_of_any_kind_is_recorded_to_its_end(configured: Configured, kind: str) -> None:
    """The consumer gets every item itself; digest and tokens are of the whole answer, and the span ends with it."""
    handle = configured()
    digests = set[str]()
    for items in (own(["It is ", "done."], ['{"a":', "1}"]), own(["It", " is", " done", "."], ['{"a":1}'])):
        with runbundle.start_run("r"):
            assert [id(item) for item in READ[kind](items)] == [id(item) for item in items]
            assert trace.get_current_span().get_span_context().span_id
        bundle = sealed(handle)
        [call] = ended(bundle, "model")
        assert call["status"] == "unset"
        assert call["attributes"]["gen_ai.usage.input_tokens"] == 10
        digests.add(call["attributes"]["gen_ai.output.messages"])
        assert (bundle.index.status, bundle.index.completeness.state) == ("ok", "complete")
        assert bundle.index.usage == {"input_tokens": 10, "output_tokens": 4}
        assert verify(bundle.store, bundle.key).verdict == "verified"
    assert len(digests) == 1
    assert ":roles=assistant" in digests.pop()


def test_what_a_span_says_itself_is_not_overwritten(configured: Configured) -> None:
    """Nor is anything said of a call that is no model's."""
    handle = configured()

    @runbundle.model(name="m")
    def answer() -> Iterator[Any]:
        runbundle.current_run().usage(input_tokens=1, output_tokens=2, model="mine")
        yield from chat_objects(["x"], ["{}"])

    @runbundle.tool
    def passes_on() -> Iterator[Any]:
        yield from answer()

    with runbundle.start_run("r"):
        assert len(list(passes_on())) == len(chat_objects(["x"], ["{}"]))
    bundle = sealed(handle)
    assert bundle.index.usage == {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    assert bundle.index.versions.models == ["m", "mine"]
    [tool] = ended(bundle, "tool")
    assert not any(key.startswith(("gen_ai.usage", "gen_ai.response")) for key in tool["attributes"])


DROP: dict[str, Callable[[list[Any], int], Any]] = {}


def _drops(how: Callable[[list[Any], int], Any]) -> Callable[[list[Any], int], Any]:
    DROP[how.__name__.strip("_").replace("_", " ")] = how
    return how


@_drops
def _close(items: list[Any], count: int) -> None:
    stream = yields(items)
    for _ in range(count):
        next(stream)
    stream.close()  # type: ignore[attr-defined]


@_drops
def _break_and_collect(items: list[Any], count: int) -> None:
    for n, _ in enumerate(returns(items), 1):
        if n == count:
            break
    gc.collect()


@_drops
def _leave_a_with_block(items: list[Any], count: int) -> None:
    with returns_stream(items) as stream:
        for _ in range(count):
            next(stream)


@_drops
def _close_a_stream(items: list[Any], count: int) -> None:
    stream = returns_stream(items)
    for _ in range(count):
        next(stream)
    stream.close()
    assert stream.closed


@_drops
def _forget_a_stream(items: list[Any], count: int) -> None:
    stream = returns_stream(items)
    for _ in range(count):
        next(stream)
    del stream
    gc.collect()


@_drops
def _another_thread_closes(items: list[Any], count: int) -> None:
    stream = yields(items)
    for _ in range(count):
        next(stream)
    thread = threading.Thread(target=stream.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()


async def _some(stream: Any, count: int) -> None:
    for _ in range(count):
        await anext(stream)


@_drops
def _aclose(items: list[Any], count: int) -> None:
    async def main() -> None:
        stream: Any = yields_later(items)
        await _some(stream, count)
        await stream.aclose()

    asyncio.run(main())


@_drops
def _another_task_closes(items: list[Any], count: int) -> None:
    async def main() -> None:
        stream: Any = returns_async(items)
        await _some(stream, count)
        await asyncio.create_task(stream.aclose())

    asyncio.run(main())


@_drops
def _the_loop_finalises(items: list[Any], count: int) -> None:
    async def main() -> None:
        stream: Any = await returns_later(items)
        await _some(stream, count)
        del stream
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())


@_drops
def _the_loop_ends(items: list[Any], count: int) -> None:
    streams: list[Any] = []

    async def main() -> None:
        streams.append(yields_later(items))
        await _some(streams[0], count)

    asyncio.run(main())


@_drops
def _leave_an_async_with_block(items: list[Any], count: int) -> None:
    async def main() -> None:
        async with await returns_async_stream(items) as stream:
            await _some(stream, count)

    asyncio.run(main())


@pytest.mark.parametrize("how", DROP)
def test_a_prefix_of_a_stream_is_abandoned(configured: Configured, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Never `ok`, and no error; what is current afterwards is what was before, and nothing is logged."""
    handle = configured()
    with runbundle.start_run("r"):
        outer = trace.get_current_span()
        DROP[how](WORDS, 2)
        assert trace.get_current_span() is outer
    bundle = sealed(handle)
    [call] = ended(bundle, "model")
    assert (call["status"], call.get("error")) == ("abandoned", None)
    assert (bundle.index.status, bundle.index.counts.errors, bundle.index.completeness.state) == ("ok", 0, "complete")
    assert verify(bundle.store, bundle.key).verdict == "verified"
    assert not caplog.records


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=st.sampled_from(sorted(DROP)), data=st.data())
def test_any_prefix_has_the_digest_of_what_was_taken(
    raw: Callable[[], list[ReadableSpan]], how: str, data: st.DataObject
) -> None:
    """It says that it is abandoned; so does a stream of which nothing was taken, or that it was not consumed."""
    count = data.draw(st.integers(0, len(WORDS)))
    before = len(raw())
    if count or "break" not in how:
        DROP[how](WORDS, count)
    spans = raw()[before:]
    if not count:
        assert all(captured(span).get("word") == "not_consumed" for span in spans)
        return
    [span] = spans
    assert span.attributes is not None
    assert span.attributes["runbundle.status"] == "abandoned"
    assert orjson.loads(str(span.attributes["gen_ai.output.messages"])) == "".join(WORDS[:count])
    assert captured(span)["word"] == "abandoned"
    assert len(captured(span)["sha256"]) == 64


def test_a_returned_generator_is_still_one(raw: Callable[[], list[ReadableSpan]]) -> None:
    """With its name; what is sent and thrown goes to the producer, and what that returns comes back."""

    def made() -> Generator[int, int, str]:
        got = yield 1
        try:
            yield got
        except KeyError:
            yield -1
        return "end"

    @runbundle.tool
    def returning() -> Generator[int, int, str]:
        return made()

    stream = returning()
    assert inspect.isgenerator(stream)
    assert stream.__name__ == "made"
    assert next(stream) == 1
    assert stream.send(5) == 5
    assert stream.throw(KeyError()) == -1
    with pytest.raises(StopIteration) as stopped:
        next(stream)
    assert stopped.value.value == "end"
    [span] = raw()
    assert span.attributes is not None
    said = orjson.loads(str(span.attributes["gen_ai.tool.call.result"]))
    assert said == {"yielded": [1, 5, -1], "returned": "end"}
    assert captured(span, "gen_ai.tool.call.result")["chunked"] is True
    assert inspect.isgeneratorfunction(yields)
    assert inspect.isasyncgenfunction(yields_later)
    assert inspect.isasyncgen(returns_async([]))


def test_a_providers_stream_keeps_what_it_is(raw: Callable[[], list[ReadableSpan]]) -> None:
    """Type, attributes, also such as are set, and what `with` gives."""
    stream = returns_stream(WORDS)
    assert isinstance(stream, Stream)
    assert not isinstance(stream, AsyncStream)
    assert stream.response == "the response"
    stream.response = "mine"
    assert (stream.response, vars(stream)["response"]) == ("mine", "mine")
    with stream as entered:
        assert entered is stream
        for word in stream:
            assert word == "I"
            break
        assert list(stream) == WORDS[1:]
    assert stream.closed
    [span] = raw()
    assert orjson.loads(str((span.attributes or {})["gen_ai.output.messages"])) == "".join(WORDS)


class MessageStream(Stream):
    """A stream that can be read in other ways than item by item."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self.text_stream = self._texts()
        self._seen: list[Any] = []

    def _texts(self) -> Iterator[str]:
        for event in self._items:
            self._seen.append(event)
            if event.get("delta", {}).get("type") == "text_delta":
                yield event["delta"]["text"]

    @property
    def current_message_snapshot(self) -> Any:
        """The message so far."""
        text = "".join(e["delta"]["text"] for e in self._seen if e.get("delta", {}).get("type") == "text_delta")
        tool = {"type": "tool_use", "id": "call_9", "name": "refund", "input": {"a": 1}}
        usage = {"input_tokens": 10, "output_tokens": 4}
        content = [{"type": "text", "text": text}, tool]
        return modelled({"type": "message", "role": "assistant", "content": content, "usage": usage, "id": "msg_1"})

    def get_final_message(self) -> Any:
        """Read to the end."""
        for _ in self.text_stream:
            pass
        return self.current_message_snapshot


class MessageStreamManager:
    """What begins such a stream when it is entered."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __enter__(self) -> MessageStream:
        return MessageStream(self._items)

    def __exit__(self, *error: object) -> None:
        pass


@pytest.mark.parametrize("how", ["events", "text", "whole"])
def test_a_stream_read_in_another_way_has_the_same_answer(raw: Callable[[], list[ReadableSpan]], how: str) -> None:
    """Its text alone, or the whole message at once: tool calls and tokens are in the record all the same."""

    @runbundle.model(name="m")
    def create() -> MessageStreamManager:
        return MessageStreamManager(anthropic(["It is ", "done."], ['{"a":1}']))

    with create() as stream:
        assert isinstance(stream, MessageStream)
        if how == "events":
            list(stream)
        elif how == "text":
            assert list(stream.text_stream) == ["It is ", "done."]
        else:
            assert stream.get_final_message().id == "msg_1"
    [span] = raw()
    assert span.attributes is not None
    call = {"id": "call_9", "name": "refund", "arguments": '{"a":1}'}
    assert orjson.loads(str(span.attributes["gen_ai.output.messages"])) == [
        {"role": "assistant", "content": "It is done.", "tool_calls": [call]}
    ]
    assert (span.attributes["gen_ai.usage.output_tokens"], "runbundle.status" in span.attributes) == (4, False)


class Anything:
    """An async iterator of the application's own."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        raise StopAsyncIteration


@pytest.mark.parametrize(
    "value", [map(str, [1]), zip([1], [2], strict=True), iter([1]), io.BytesIO(b"x"), Anything()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_another_iterator_is_handed_on_untouched(raw: Callable[[], list[ReadableSpan]], value: Any) -> None:
    """It is not consumed, and the span says so."""

    @runbundle.tool
    def iterator() -> Any:
        return value

    assert iterator() is value
    [span] = raw()
    assert captured(span, "gen_ai.tool.call.result") == {"word": "not_consumed"}


def test_what_nobody_reads_ends_all_the_same(raw: Callable[[], list[ReadableSpan]]) -> None:
    """A returned stream that is collected before its first item, and a coroutine that is never awaited."""
    returns(WORDS)
    returns_stream(WORDS)
    returns_async(WORDS)
    returns_coroutine(WORDS).close()
    gc.collect()
    assert [captured(span)["word"] for span in raw()] == ["not_consumed"] * 4
    assert {(span.attributes or {})["runbundle.status"] for span in raw()} == {"abandoned"}


def test_a_producer_that_fails_is_recorded_with_what_it_gave(raw: Callable[[], list[ReadableSpan]]) -> None:
    """The consumer gets the error; the span has it, and the digest of what came before it."""

    @runbundle.tool
    def failing() -> Iterator[str]:
        yield "a"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(failing())
    [span] = raw()
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.attributes["gen_ai.tool.call.result"]) == ("ValueError", '"a"')
    assert captured(span, "gen_ai.tool.call.result")["word"] == "abandoned"


def test_all_documents_of_a_stream_are_evidence(configured: Configured) -> None:
    """Each as it passes, with its rank; their texts are not put together."""
    handle = configured()

    @runbundle.retriever
    def find(q: str) -> Iterator[dict[str, Any]]:
        yield from ({"id": f"d{n}", "content": "x"} for n in range(1, 101))

    with runbundle.start_run("r"):
        assert len(list(find("q"))) == 100
    evidence = sealed(handle).evidence()
    assert evidence is not None
    assert [(d.id, d.rank) for d in evidence.retrievals[0].documents] == [(f"d{n}", n) for n in range(1, 101)]


def test_a_generators_own_scopes_go_on_where_they_were(configured: Configured) -> None:
    """A scope that a decorated generator holds open over a yield is current again when it goes on, and only then."""
    handle = configured()

    @runbundle.agent
    def work() -> Iterator[int]:
        with runbundle.start_step("inner"):
            yield 1
            with runbundle.start_tool("second"):
                yield 2
                yield 3

    with runbundle.start_run("r"):
        outer = trace.get_current_span()
        for _ in work():
            assert trace.get_current_span() is outer
            with runbundle.start_tool("consumer"):
                pass
    spans = {e["span_id"]: e for e in sealed(handle).events() if e["type"] == "span.started"}
    parents = {(e["name"], spans[e["parent_span_id"]]["name"]) for e in spans.values() if e.get("parent_span_id")}
    assert parents == {
        ("invoke_agent work", "run r"), ("step inner", "invoke_agent work"), ("execute_tool second", "step inner"),
        ("execute_tool consumer", "run r"),
    }  # fmt: skip


# -- `with start_agent()` in a generator of the application's own -----------------------------------------------------


async def hand_written() -> AsyncIterator[str]:
    """Hold scopes open over yields."""
    with runbundle.start_agent("writer"), runbundle.start_step("inner"):
        async for word in yields_later(WORDS):
            yield word


@pytest.mark.parametrize("how", ["another task", "collected", "a thread"])
def test_a_scope_left_elsewhere_is_current_nowhere(
    configured: Configured, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged; where the scope was entered what was current before is so again, and in who closed it too."""
    handle = configured()

    async def main() -> None:
        outer = trace.get_current_span()
        stream: Any = hand_written()
        await anext(stream)
        assert trace.get_current_span() is not outer
        if how == "another task":

            async def close() -> None:
                await stream.aclose()
                assert trace.get_current_span() is outer

            await asyncio.create_task(close())
        elif how == "a thread":
            await asyncio.to_thread(lambda: asyncio.run(stream.aclose()))
        else:
            del stream
            gc.collect()
            await asyncio.sleep(0.01)
        assert trace.get_current_span() is outer
        with runbundle.start_tool("next"):
            pass
        assert trace.get_current_span() is outer

    with runbundle.start_run("r"):
        asyncio.run(main())
    bundle = sealed(handle)
    spans = {e["span_id"]: e for e in bundle.events() if e["type"] == "span.started"}
    [after] = [e for e in spans.values() if e["name"] == "execute_tool next"]
    assert spans[after["parent_span_id"]]["name"] == "run r"
    assert [e["status"] for op in ("agent", "step") for e in ended(bundle, op)] == ["abandoned", "abandoned"]
    assert not caplog.records


def test_scopes_left_out_of_order_are_current_nowhere(configured: Configured) -> None:
    """A generator ends inside a scope of its consumer, or is still open when that ends."""
    configured()

    def work() -> Iterator[int]:
        with runbundle.start_agent("a"):
            yield 1

    outer = trace.get_current_span()
    first = work()
    next(first)
    with runbundle.start_run("r"):
        list(first)
    assert trace.get_current_span() is outer
    with runbundle.start_run("r"):
        second = work()
        next(second)
    assert trace.get_current_span() is outer
    list(second)
    assert trace.get_current_span() is outer
    with runbundle.start_run("r"):  # what somebody has made current in it, and left so, goes with it
        otel_context.attach(Context())
    assert trace.get_current_span() is outer
    assert runbundle.current_run().run_id == ""


def test_a_run_that_is_dropped_is_abandoned(configured: Configured) -> None:
    """Whether a decorator or a `with` block began it."""
    handle = configured()

    @runbundle.run
    def decorated() -> Iterator[int]:
        yield 1
        yield 2

    def by_hand() -> Iterator[int]:
        with runbundle.start_run("r"):
            yield 1

    for stream in (decorated(), by_hand()):
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        bundle = sealed(handle)
        assert (bundle.index.status, bundle.index.error) == ("abandoned", None)
        assert verify(bundle.store, bundle.key).verdict == "verified"
