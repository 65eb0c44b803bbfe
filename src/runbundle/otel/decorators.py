"""Decorators: each records one kind of work, bare or called, on any kind of function or method."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast, overload

from runbundle.errors import ConfigError
from runbundle.otel.approval import given_to
from runbundle.otel.capture import arguments_of
from runbundle.otel.scopes import (
    SpanScope,
    current_run,
    start_agent,
    start_model,
    start_retriever,
    start_run,
    start_step,
    start_tool,
)

P = ParamSpec("P")
R = TypeVar("R")
Open = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], SpanScope]
Finish = Callable[[SpanScope, Any], None]

_ITEMS_KEPT = 1000


@overload
def run(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def run(
    *,
    name: str = "",
    run_id: str | None = None,
    request_id: str | None = None,
    tenant_id: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    config: Any = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def run(function: Any = None, /, *, name: str = "", **options: Any) -> Any:
    """Record each call as a run of its own; what it returns is the run's result."""
    unknown = set(options) - set(inspect.signature(start_run).parameters)
    if unknown:
        raise TypeError(f"run() got an unexpected keyword argument {min(unknown)!r}")
    return _decorate(function, lambda f, _a, _k: start_run(name or _name_of(f), **options), _set_result)


@overload
def agent(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def agent(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def agent(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as the work of an agent."""
    return _decorate(function, lambda f, a, k: start_agent(name or _name_of(f), input=arguments_of(f, a, k)))


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def step(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as a step. Neither arguments nor result are recorded."""
    return _decorate(function, lambda f, _a, _k: start_step(name or _name_of(f)))


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tool(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def tool(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as a tool call: arguments and result as far as the tool's contract lets them through.

    Before the function runs, the policy of the tool's contract is enforced: a call that is denied, or needs an
    approval that the decider of `configure()` does not give, raises `PolicyBlocked` instead, a generator's at its
    first item. Contracts are known from `configure()` until its handle is shut down; outside of that every call runs.
    """

    def open_tool(f: Callable[..., Any], a: tuple[Any, ...], k: dict[str, Any]) -> SpanScope:
        return start_tool(name or _name_of(f), arguments_of(f, a, k)).deciding_on(lambda: given_to(f, a, k))

    return _decorate(function, open_tool)


@overload
def model(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def model(*, name: str = "", provider: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def model(function: Any = None, /, *, name: str = "", provider: str = "") -> Any:
    """Record each call as a model call: of prompt and answer a digest, a size and the roles."""
    return _decorate(
        function, lambda f, a, k: start_model(name or _name_of(f), arguments_of(f, a, k), provider=provider)
    )


@overload
def retriever(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retriever(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def retriever(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as a retrieval. A result that is a list of mappings with an `id` becomes evidence."""
    return _decorate(
        function, lambda f, a, k: start_retriever(name or _name_of(f), arguments_of(f, a, k)), _set_documents
    )


def _set_result(scope: SpanScope, value: Any) -> None:
    if value is not None:  # None is what a run returns that calls set_result() itself
        scope.set_output(value)


def _set_output(scope: SpanScope, value: Any) -> None:
    scope.set_output(value)


def _set_documents(scope: SpanScope, value: Any) -> None:
    # By their types: what an object says its class is may raise.
    if type(value) in (list, tuple) and value and all(issubclass(type(d), dict) and "id" in d for d in value):
        with scope.attached():
            current_run().add_evidence(value)
    scope.set_output(value)


def _name_of(function: Any) -> str:
    """Return a function's name; of a partial that of its function, of an object that is called that of its class."""
    inner = getattr(function, "func", function)
    return str(getattr(function, "__name__", None) or getattr(inner, "__name__", None) or type(function).__name__)


def _decorate(function: Any, open_scope: Open, finish: Finish = _set_output) -> Any:
    if function is None:
        return lambda f: _decorate(f, open_scope, finish)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
    if isinstance(function, staticmethod | classmethod):
        inner: Any = function.__func__  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        kind: Any = type(function)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return kind(_decorate(inner, open_scope, finish))
    if not callable(function):
        raise ConfigError("this cannot be decorated: it is not callable", hint='a name is given by name="..."')
    if inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, open_scope, finish)
    elif inspect.iscoroutinefunction(function):
        wrapped = _coroutine(function, open_scope, finish)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, open_scope, finish)
    else:
        wrapped = _plain(function, open_scope, finish)
    return functools.wraps(function)(wrapped)


def _plain(function: Callable[..., Any], open_scope: Open, finish: Finish) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = open_scope(function, args, kwargs)
        with scope:
            value = function(*args, **kwargs)
            finish(scope, value)
            return value

    return call


def _coroutine(function: Callable[..., Any], open_scope: Open, finish: Finish) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        scope = open_scope(function, args, kwargs)
        async with scope:
            value = await function(*args, **kwargs)
            finish(scope, value)
            return value

    return call


def _generator(function: Callable[..., Any], open_scope: Open, finish: Finish) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
        scope = open_scope(function, args, kwargs).start()
        items: list[Any] = []
        advance: Callable[..., Any]
        argument: Any
        try:
            with scope.attached():
                scope.admit()
            generator = function(*args, **kwargs)
            advance, argument = generator.send, None
            while True:
                # The span is current while the generator's own code runs, not while its consumer does.
                with scope.attached():
                    try:
                        item = advance(argument)
                    except StopIteration as stop:
                        returned = stop.value
                        finish(scope, items if returned is None else returned)
                        break
                if len(items) < _ITEMS_KEPT:
                    items.append(item)
                try:
                    argument = cast("Any", (yield item))
                    advance = generator.send
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's to handle
                    advance, argument = generator.throw, error
        except BaseException as error:
            scope.finish(error)
            raise
        scope.finish()
        return returned

    return call


def _async_generator(function: Callable[..., Any], open_scope: Open, finish: Finish) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        scope = open_scope(function, args, kwargs).start()
        items: list[Any] = []
        advance: Callable[..., Any]
        argument: Any
        try:
            with scope.attached():
                await scope.admit_async()
            generator = function(*args, **kwargs)
            advance, argument = generator.asend, None
            while True:
                with scope.attached():
                    try:
                        item = await advance(argument)
                    except StopAsyncIteration:
                        finish(scope, items)
                        break
                if len(items) < _ITEMS_KEPT:
                    items.append(item)
                try:
                    argument = cast("Any", (yield item))
                    advance = generator.asend
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer: the generator's to handle
                    advance, argument = generator.athrow, error
        except BaseException as error:
            scope.finish(error)
            raise
        scope.finish()

    return call
