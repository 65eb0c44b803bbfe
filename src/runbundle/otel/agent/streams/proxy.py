"""Stand-ins for the stream objects of model providers: `isinstance`, attributes and `with` are those of the object.

Every call is passed to the object. Only calls that give items, or that say no more are wanted, are observed.
"""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

from opentelemetry import context as otel_context

from runbundle.otel.agent.current import detach
from runbundle.otel.agent.streams.kinds import Handling, handling_of
from runbundle.otel.agent.streams.steps import Follower, follow_async_generator, follow_generator
from runbundle.otel.agent.streams.stream import Stream

_READ_WHOLE = ("until_done", "get_final_message", "get_final_text", "get_final_completion", "get_final_response")
_SNAPSHOTS = ("current_message_snapshot", "current_completion_snapshot")
_CLOSING = ("close", "aclose")
_SLOTS = ("_runbundle_object", "_runbundle_stream", "_runbundle_source", "_runbundle_made")


def follow(value: Any, handling: Handling, stream: Follower) -> Any:
    """Return the object that the caller gets in place of a stream: of the same type, with the same attributes."""
    if handling == "generator":
        made = follow_generator(lambda: (value, stream))()
    elif handling == "async generator":

        async def begin() -> tuple[AsyncGenerator[Any, Any], Follower]:
            return value, stream

        made = follow_async_generator(begin)()
    else:
        return proxy_of(value, stream)
    copy_name(made, value)
    return made


def copy_name(made: Any, value: Any) -> None:
    """Give a wrapper the name and the qualified name of the generator or coroutine behind it."""
    made.__name__, made.__qualname__ = value.__name__, value.__qualname__


def proxy_of(value: Any, stream: Any) -> Any:
    """Return a stand-in for a stream object; the items that it gives are reported to `stream`."""
    made = cast("Any", object.__new__(_class_for(_kind(value))))
    contents: tuple[Any, ...] = (value, stream, None, {})
    for name, content in zip(_SLOTS, contents, strict=True):
        object.__setattr__(made, name, content)
    return made


def _kind(value: Any) -> type:
    return type(value)  # pyright: ignore[reportUnknownVariableType]


def _inner(proxy: Any) -> tuple[Any, Stream]:
    return object.__getattribute__(proxy, _SLOTS[0]), object.__getattribute__(proxy, _SLOTS[1])


def _source(proxy: Any, begin: Callable[[Any], Any]) -> Any:
    """Return the iterator behind the object, which is asked for once."""
    source = object.__getattribute__(proxy, _SLOTS[2])
    if source is None:
        value, _ = _inner(proxy)
        source = value if hasattr(_kind(value), "__next__" if begin is iter else "__anext__") else begin(value)
        object.__setattr__(proxy, _SLOTS[2], source)
    return source


def _next(self: Any) -> Any:
    _, stream = _inner(self)
    token = otel_context.attach(stream.here)
    try:
        item = next(_source(self, iter))
    except StopIteration:
        stream.ended()
        raise
    except BaseException as error:
        stream.failed(error)
        raise
    finally:
        stream.here = otel_context.get_current()
        detach(token)
    stream.take(item)
    return item


async def _anext(self: Any) -> Any:
    _, stream = _inner(self)
    token = otel_context.attach(stream.here)
    try:
        item = await anext(_source(self, aiter))
    except StopAsyncIteration:
        stream.ended()
        raise
    except BaseException as error:
        stream.failed(error)
        raise
    finally:
        stream.here = otel_context.get_current()
        detach(token)
    stream.take(item)
    return item


def _self(self: Any) -> Any:
    return self


def _entered(self: Any, result: Any) -> Any:
    value, stream = _inner(self)
    if result is value:
        return self
    handling = handling_of(_kind(result))
    return follow(result, handling, stream) if handling not in ("", "iterator", "coroutine") else result


def _enter(self: Any) -> Any:
    return _entered(self, _inner(self)[0].__enter__())


async def _aenter(self: Any) -> Any:
    return _entered(self, await _inner(self)[0].__aenter__())


def _exit(self: Any, *error: Any) -> Any:
    value, stream = _inner(self)
    try:
        return value.__exit__(*error)
    finally:
        stream.dropped()


async def _aexit(self: Any, *error: Any) -> Any:
    value, stream = _inner(self)
    try:
        return await value.__aexit__(*error)
    finally:
        stream.dropped()


def _getattr(self: Any, name: str) -> Any:
    value, stream = _inner(self)
    found = getattr(value, name)
    made = object.__getattribute__(self, _SLOTS[3])
    if name in made and made[name][0] is found:
        return made[name][1]
    if handling_of(_kind(found)) in ("generator", "async generator"):
        # Another way to read the same stream, such as its text alone: what was said beside that is known at its end.
        read = follow(found, handling_of(_kind(found)), _PartialReading(value, stream))
        made[name] = found, read
        return read
    if name in _CLOSING and callable(found):
        return _then(found, stream.dropped)
    if name in _READ_WHOLE and callable(found):
        return _then(found, lambda: stream.ended_unseen(_snapshot(value)))
    return found


def _setattr(self: Any, name: str, value: Any) -> None:
    setattr(_inner(self)[0], name, value)


def _delattr(self: Any, name: str) -> None:
    delattr(_inner(self)[0], name)


def _then(function: Callable[..., Any], what: Callable[[], None]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            return _awaited(result, what)
        what()
        return result

    return call


async def _awaited(result: Any, what: Callable[[], None]) -> Any:
    value = await result
    what()
    return value


def _snapshot(value: Any) -> Any:
    for name in _SNAPSHOTS:
        with suppress(Exception):  # such a property asserts that there is something
            found = getattr(value, name, None)
            if found is not None:
                return found
    return None


class _PartialReading:
    """A part of a stream, read instead of it."""

    def __init__(self, value: Any, stream: Stream) -> None:
        self._value, self._stream, self.here = value, stream, stream.here

    def take(self, item: Any) -> None:
        """Note that something was read; what it was a part of is known at the end."""
        self._stream.take(item)

    def ended(self, returned: Any = None) -> None:  # noqa: ARG002 - the same as a stream's
        """End the span with the whole answer, if the object has it."""
        answer = _snapshot(self._value)
        if answer is None:
            self._stream.ended()
        else:
            self._stream.ended_unseen(answer)

    def failed(self, error: BaseException) -> None:
        """End the span: the producer raised."""
        self._stream.failed(error)

    def dropped(self) -> None:
        """End nothing: the object may be read in another way."""


def _asked(name: str) -> Callable[..., Any]:
    def ask(self: Any, *args: Any) -> Any:
        return getattr(_inner(self)[0], name)(*args)

    return ask


_NOTICED: dict[str, Any] = {
    "__iter__": _self, "__next__": _next, "__enter__": _enter, "__exit__": _exit,
    "__aiter__": _self, "__anext__": _anext, "__aenter__": _aenter, "__aexit__": _aexit,
}  # fmt: skip
_ASKED = ("__repr__", "__str__", "__eq__", "__ne__", "__hash__", "__dir__", "__len__", "__bool__", "__contains__",
          "__getitem__", "__call__")  # fmt: skip


@lru_cache(maxsize=256)
def _class_for(kind: type) -> type:
    body: dict[str, Any] = {
        "__slots__": (*_SLOTS, "__weakref__"),
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__class__": property(lambda _: kind),
        "__getattr__": _getattr,
        "__setattr__": _setattr,
        "__delattr__": _delattr,
    }
    body |= {name: _asked(name) for name in _ASKED if getattr(kind, name, None) is not None}
    body |= {name: handler for name, handler in _NOTICED.items() if hasattr(kind, name)}
    if hasattr(kind, "__iter__"):
        body["__next__"] = _next
    if hasattr(kind, "__aiter__"):
        body["__anext__"] = _anext
    return type(kind.__name__, (), body)
