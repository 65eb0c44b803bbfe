"""Records the exception that ended a span: its type, its message, and whether it is a failure."""

import sys
from collections.abc import Iterator
from typing import Any, cast

from opentelemetry.trace import Span, Status, StatusCode

from runbundle.otel.agent.at_source import add_event, record_exception, set_attributes
from runbundle.otel.agent.json_kinds import is_of
from runbundle.redaction.permitted.values import is_name
from runbundle.signals import semconv

_MEMBERS = 4


def is_failure(error: BaseException | None) -> bool:
    """Tell whether an exception means that the work failed. `sys.exit(0)` and a dropped generator do not."""
    if error is None or isinstance(error, GeneratorExit):
        return False
    return not (isinstance(error, SystemExit) and (error.code is None or error.code in (0, False)))


def is_cancellation(error: BaseException) -> bool:
    """Tell whether an exception says only that somebody no longer wants the work; a group, if all members do."""
    cancelled = getattr(sys.modules.get("asyncio.exceptions"), "CancelledError", KeyboardInterrupt)
    return all(isinstance(one, (cancelled, KeyboardInterrupt)) for one in _members(error))


def error_type(error: BaseException) -> str:
    """Return an exception's type; a group's with its members' types: `ExceptionGroup[KeyError, ValueError]`.

    Groups within a group are flattened. Members are sorted, and each type is named once; types for which there is no
    room are counted (`+3`). The result is always a name that redaction keeps: a member whose type is no such name is
    called `Exception`.
    """
    name = type(error).__qualname__
    if not isinstance(error, BaseExceptionGroup):
        return name if is_name(name) else type(error).__name__
    types: list[str] = sorted({_short(type(one).__qualname__) for one in _members(cast("Any", error))})
    named = f"{_short(name)}[+{len(types)}]"
    for shown in range(1, min(len(types), _MEMBERS) + 1):
        more = [f"+{len(types) - shown}"] if len(types) > shown else []
        longer = f"{_short(name)}[{', '.join(types[:shown] + more)}]"
        named = longer if is_name(longer) else named
    return named


def record_failure(span: Span, error: BaseException) -> None:
    """Set the span's status to error, with the exception as an event and its type as `error.type`.

    An exception whose `__str__` raises is recorded by its type alone. The messages of pydantic's validation errors are
    recorded without the values that failed.
    """
    name = error_type(error)
    set_attributes(span, {semconv.ERROR_TYPE: name})
    try:
        record_exception(span, error, _without_inputs(error))
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises must not hide itself
        add_event(span, semconv.EXCEPTION, {semconv.EXCEPTION_TYPE: name})
    span.set_status(Status(StatusCode.ERROR))


def _members(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        else:
            yield one


def _short(name: str) -> str:
    return name if is_name(name) else "Exception"


def _without_inputs(error: BaseException) -> dict[str, str] | None:
    """Return the message of a validation error without the values that failed, which pydantic quotes in it."""
    if not is_of(type(error), "pydantic_core", "ValidationError"):
        return None
    invalid = cast("Any", error)
    problems = invalid.errors(include_input=False, include_url=False, include_context=False)
    places = (f"{'.'.join(str(step) for step in problem['loc'])}: {problem['type']}" for problem in problems)
    return {semconv.EXCEPTION_MESSAGE: f"validation of {invalid.title} failed: {', '.join(places)}"}
