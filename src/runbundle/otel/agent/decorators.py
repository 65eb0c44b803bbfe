"""Decorators: each records one kind of work. Use them bare or called, on any kind of function or method.

The items of a generator, or of a provider's stream that a function returns, are recorded as they pass; the span ends
when the stream does. Any other iterator is handed on untouched and recorded as `not_consumed`.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Any, ParamSpec, TypeVar, cast, overload

from runbundle import format as formats  # its models are loaded when they are asked for
from runbundle.errors import ConfigError
from runbundle.otel.agent.admission import all_arguments
from runbundle.otel.agent.attribute_values import kind_of, text_of
from runbundle.otel.agent.capture import arguments_of
from runbundle.otel.agent.declaring import ContractGiven, declare_tool
from runbundle.otel.agent.run_handle import current_run
from runbundle.otel.agent.scopes import SpanScope
from runbundle.otel.agent.starts import start_agent, start_model, start_retriever, start_run, start_step, start_tool
from runbundle.otel.agent.streams.returned import hand_on
from runbundle.otel.agent.streams.steps import Follower, follow_async_generator, follow_generator
from runbundle.otel.agent.streams.stream import CallRecording, Stream

P = ParamSpec("P")
R = TypeVar("R")
Open = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], SpanScope]


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
    attempt: int | None = None,
    case_id: str | None = None,
    repeat: int | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def run(function: Any = None, /, *, name: str = "", **options: Any) -> Any:
    """Record each call as a run of its own; the return value is the run's result.

        @runbundle.run(name="support")
        def answer(question: str) -> str: ...

    The options are those of `start_run`, the same for every call. Raises `TypeError` for an unknown one. A function
    that returns None may call `current_run().set_result()` instead.
    """
    unknown = set(options) - set(inspect.signature(start_run).parameters)
    if unknown:
        raise TypeError(f"run() got an unexpected keyword argument {min(unknown)!r}")
    return _decorate(function, lambda f, _a, _k: start_run(name or _name(f), **options), _RUN)


@overload
def agent(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def agent(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def agent(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as the work of an agent, with its arguments as input and its return value as output.

        @runbundle.agent(name="researcher")
        def research(question: str) -> str: ...

    Redaction withholds the text of both; a digest and a size range are kept.
    """
    return _decorate(function, lambda f, a, k: start_agent(name or _name(f), input=arguments_of(f, a, k)), _AGENT)


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def step(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def step(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as a step. Neither its arguments nor its return value are recorded.

        @runbundle.step
        def plan() -> list[str]: ...

    The spans of the work within the call stand below the step's.
    """
    return _decorate(function, lambda f, _a, _k: start_step(name or _name(f)), _STEP)


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tool(
    *, name: str = "", contract: ContractGiven | None = None, keep: "Iterable[str | formats.contract.FieldRule]" = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str = "",
    contract: ContractGiven | None = None,
    keep: "Iterable[str | formats.contract.FieldRule]" = (),
) -> Any:
    """Record each call as a tool call: its arguments and its result, as far as the tool's contract keeps them.

        @runbundle.tool(keep=["/city", "/temperature"])
        def weather(city: str, user: Annotated[str, Sensitive("personal")]) -> dict[str, float]: ...

    `contract` is the tool's contract: a `ToolContract`, a mapping (whose name may be left out), or the path of a file.
    `keep` lists selectors of fields to keep, such as `"/city"`: a selector that begins with a parameter's name selects
    an argument, any other the result; `"input:/city"` and `"output:/city"` say which. `Sensitive` annotations of
    parameters and of the result withhold their fields whatever `contract` and `keep` say. All this holds for every
    configuration of the process. A contract for the same tool that `configure()` is given replaces `contract` and
    `keep`; annotations still withhold, unless it is stricter. Raises `ContractError` for a contract that is wrong.

    The contract's policy is enforced before the function runs. A call that is denied, or that needs an approval which
    the decider of `configure()` does not give, raises `PolicyBlocked` instead; a generator raises it at its first item.
    Contracts are known from `configure()` until its handle is shut down: outside of that, every call runs.
    """
    if function is None:
        return lambda f: _tool_of(f, name, contract, keep)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
    return _tool_of(function, name, contract, keep)


def _tool_of(
    function: Any, name: str, contract: ContractGiven | None, keep: "Iterable[str | formats.contract.FieldRule]"
) -> Any:
    """Decorate a function as a tool, and declare its contract."""
    inner: Any = function.__func__ if isinstance(function, staticmethod | classmethod) else function  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if callable(inner):
        name = declare_tool(inner, _name(inner), name, contract, tuple(keep) if not isinstance(keep, str) else (keep,))

    def open_tool(f: Callable[..., Any], a: tuple[Any, ...], k: dict[str, Any]) -> SpanScope:
        return start_tool(name or _name(f), arguments_of(f, a, k)).with_decider_arguments(
            lambda: all_arguments(f, a, k)
        )

    return _decorate(function, open_tool, _TOOL)


@overload
def model(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def model(*, name: str = "", provider: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def model(function: Any = None, /, *, name: str = "", provider: str = "") -> Any:
    """Record each call as a model call: a digest, a size range and the roles of its prompt and its answer.

        @runbundle.model(name="gpt-5", provider="openai")
        def ask(messages: list[dict[str, str]]) -> str: ...

    Token counts and finish reasons are taken from streamed chunks; for other answers call `current_run().usage()`.
    """
    return _decorate(
        function, lambda f, a, k: start_model(name or _name(f), arguments_of(f, a, k), provider=provider), _MODEL
    )


@overload
def retriever(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retriever(*, name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def retriever(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call as a retrieval; documents with an `id` become evidence of the run.

        @runbundle.retriever(name="handbook")
        def search(query: str) -> list[dict[str, str]]: ...

    Evidence is taken from a result that is a list of mappings, each with an `id`, and from such items of a stream. Any
    other result is recorded as the retrieval's output alone.
    """
    return _decorate(function, lambda f, a, k: start_retriever(name or _name(f), arguments_of(f, a, k)), _RETRIEVER)


def _name(function: Any) -> str:
    """Return what a function is called; partials are called as what they call, objects as their class."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    return text_of(getattr(function, "__name__", None)) or kind_of(function)


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


def _add_document(scope: SpanScope, item: Any, number: int) -> None:
    if issubclass(type(item), dict) and "id" in item:
        with scope.attached():
            current_run().add_evidence([cast("dict[str, Any]", item)], first_rank=number)


_RUN = CallRecording(_set_result, "answer", returned_only=True)
_AGENT = CallRecording(_set_output, "answer")
_STEP = CallRecording(_set_output, "")
_TOOL = CallRecording(_set_output, "text")
_MODEL = CallRecording(_set_output, "answer", is_model=True)
_RETRIEVER = CallRecording(_set_documents, "items", _add_document)


def _decorate(function: Any, open_scope: Open, recording: CallRecording) -> Any:
    if function is None:
        return lambda f: _decorate(f, open_scope, recording)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
    if isinstance(function, staticmethod | classmethod):
        inner: Any = function.__func__  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        kind: Any = type(function)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return kind(_decorate(inner, open_scope, recording))
    if not callable(function):
        raise ConfigError("this cannot be decorated: it is not callable", hint='a name is given by name="..."')
    called = _called(function)
    if inspect.isasyncgenfunction(called):
        wrapped = _async_generator(function, open_scope, recording)
    elif inspect.iscoroutinefunction(called):
        wrapped = _coroutine(function, open_scope, recording)
    elif inspect.isgeneratorfunction(called):
        wrapped = _generator(function, open_scope, recording)
    else:
        wrapped = _plain(function, open_scope, recording)
    return functools.wraps(function)(wrapped)


def _called(function: Any) -> Any:
    """Return what tells of which kind a function is: of an object with `__call__` that; a class makes an object."""
    if inspect.isroutine(cast("object", function)) or isinstance(function, functools.partial | type):
        return cast("Any", function)
    return getattr(type(function), "__call__", function)  # noqa: B004  # pyright: ignore[reportUnknownArgumentType]


def _plain(function: Callable[..., Any], open_scope: Open, recording: CallRecording) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = open_scope(function, args, kwargs)
        scope.__enter__()
        try:
            value, goes_on = hand_on(function(*args, **kwargs), scope, recording)
        except BaseException as error:
            scope.step_out()
            scope.finish(error)
            raise
        scope.step_out()
        if not goes_on:
            scope.finish()
        return value

    return call


def _coroutine(function: Callable[..., Any], open_scope: Open, recording: CallRecording) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        scope = open_scope(function, args, kwargs)
        await scope.__aenter__()
        try:
            value, goes_on = hand_on(await function(*args, **kwargs), scope, recording)
        except BaseException as error:
            scope.step_out()
            scope.finish(error)
            raise
        scope.step_out()
        if not goes_on:
            scope.finish()
        return value

    return call


def _generator(function: Callable[..., Any], open_scope: Open, recording: CallRecording) -> Callable[..., Any]:
    def begin(*args: Any, **kwargs: Any) -> tuple[Generator[Any, Any, Any], Follower]:
        scope = open_scope(function, args, kwargs).start()
        try:
            with scope.attached():
                scope.admit()
            return function(*args, **kwargs), Stream(scope, recording)
        except BaseException as error:
            scope.finish(error)
            raise

    return follow_generator(begin)


def _async_generator(function: Callable[..., Any], open_scope: Open, recording: CallRecording) -> Callable[..., Any]:
    async def begin(*args: Any, **kwargs: Any) -> tuple[AsyncGenerator[Any, Any], Follower]:
        scope = open_scope(function, args, kwargs).start()
        try:
            with scope.attached():
                await scope.admit_async()
            return function(*args, **kwargs), Stream(scope, recording)
        except BaseException as error:
            scope.finish(error)
            raise

    return follow_async_generator(begin)
