"""How work ended that raised: what is a failure, what it is called, and in which span it began."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.trace import Status, StatusCode

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.errors import PolicyBlocked
from runbundle.otel.agent.failures import error_type
from runbundle.redaction.permitted.values import is_name
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]


def errors(bundle: Bundle) -> dict[str, Any]:
    """Return the error of each span that has one, by the span's name, and the name of the span where it began."""
    names = {e["span_id"]: e["name"] for e in bundle.events() if e["type"] == "span.started"}
    found = {e["name"]: e for e in bundle.events() if e["type"] == "span.ended" and "error" in e}
    return {name: names[e["error"].get("span_id", e["span_id"])] for name, e in found.items()}


def began(bundle: Bundle) -> str:
    """Return the name of the span in which the run's error began."""
    assert bundle.index.error is not None
    [name] = [e["name"] for e in bundle.events()
              if e["type"] == "span.started" and e["span_id"] == bundle.index.error.span_id]  # fmt: skip
    return str(name)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (0, "ok", None),
        (None, "ok", None),
        (False, "ok", None),
        (1, "error", "SystemExit"),
        ("no", "error", "SystemExit"),
    ],
)
def test_an_exit_is_as_good_as_its_code(configured: Configured, code: Any, status: str, kind: str | None) -> None:
    """Of the run and of the call in which the program ended; the program ends."""
    handle = configured()

    @runbundle.tool
    def leaves() -> None:
        sys.exit(code)

    with pytest.raises(SystemExit), runbundle.start_run("r"):
        leaves()
    bundle = sealed(handle)
    assert bundle.index.status == status
    assert (bundle.index.error and bundle.index.error.type) == kind
    assert bundle.index.counts.errors == (0 if status == "ok" else 2)
    assert bundle.tool_calls().calls[0].status == ("unset" if status == "ok" else "error")
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_a_group_names_its_members_types(configured: Configured) -> None:
    """In the bundle, as in a task group's error: sorted, each once, those of groups within too."""
    handle = configured()

    async def main() -> None:
        inner = ExceptionGroup("inner", [KeyError("secret"), ValueError("secret")])
        with runbundle.start_run("r"):
            raise ExceptionGroup("outer", [ValueError("a"), inner])

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    bundle = sealed(handle)
    assert bundle.index.error is not None
    assert bundle.index.error.type == "ExceptionGroup[KeyError, ValueError]"
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_a_groups_name_is_short_and_kept_whatever_its_members_are_called() -> None:
    """Many, long, in other alphabets, or random: the name is one that redaction keeps."""
    types = [type(f"E{n}", (Exception,), {}) for n in range(100)]
    assert error_type(ExceptionGroup("", [t() for t in types])) == "ExceptionGroup[E0, E1, E10, +97]"
    odd = [type(name, (Exception,), {}) for name in ("Fehler_ü", "x" * 300, "aB3xY9kQ2mZ7pL4w", "a\nb")]
    assert error_type(ExceptionGroup("", [t() for t in odd])) == "ExceptionGroup[Exception]"
    long = [type("E" + c * 63, (Exception,), {}) for c in "abcdefgh"]
    for group in (types, odd, long):
        assert is_name(error_type(ExceptionGroup("", [t() for t in group])))


def test_a_group_of_cancellations_is_one(configured: Configured) -> None:
    """Nobody wanted the work: that is no failure."""
    handle = configured()
    with pytest.raises(BaseExceptionGroup), runbundle.start_run("r"):
        raise BaseExceptionGroup("", [asyncio.CancelledError(), KeyboardInterrupt()])
    assert sealed(handle).index.status == "cancelled"


def test_an_error_names_the_span_where_it_began(configured: Configured) -> None:
    """Through spans of every kind, however deep; a failure that was caught on the way is another one."""
    handle = configured()

    @runbundle.tool
    def fails(message: str) -> None:
        raise ValueError(message)

    @runbundle.model(name="m")
    def streams() -> Iterator[str]:
        yield "a"
        with runbundle.start_step("deep"):
            fails("no")

    @runbundle.agent
    def work() -> None:
        with suppress(ValueError):
            fails("no")
        list(streams())

    with pytest.raises(ValueError, match="no"), runbundle.start_run("r"):
        work()
    bundle = sealed(handle)
    starts = [e for e in bundle.events() if e["type"] == "span.started" and e["name"] == "execute_tool fails"]
    assert bundle.index.error is not None
    assert bundle.index.error.span_id == starts[-1]["span_id"]
    assert errors(bundle) == dict.fromkeys(
        ("run r", "invoke_agent work", "chat m", "step deep", "execute_tool fails"), "execute_tool fails"
    )
    assert [call.error and call.error.span_id for call in bundle.tool_calls().calls] == [None, None]
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_an_error_of_the_runs_own_began_there(configured: Configured) -> None:
    """Though one like it was caught before, or it was made from another one."""
    handle = configured()

    def attempt(name: str) -> None:
        with runbundle.start_tool(name):
            raise ValueError("no")

    @runbundle.run(name="r")
    def work(again: Exception) -> None:
        try:
            attempt("t")
        except ValueError as error:
            raise again from error

    for again in (ValueError("no"), RuntimeError("no")):
        with pytest.raises(type(again)):
            work(again)
        assert began(sealed(handle)) == "run r"


def test_a_refused_call_is_where_a_blocked_runs_error_began(configured: Configured) -> None:
    """As with any other error."""
    handle = configured(contracts=[{"name": "send", "policy": "deny"}])

    @runbundle.tool
    def send() -> None:
        """Never run."""

    with pytest.raises(PolicyBlocked), runbundle.start_run("r"), runbundle.start_agent("a"):
        send()
    assert began(sealed(handle)) == "execute_tool send"


def test_other_instrumentations_errors_are_followed_too(configured: Configured) -> None:
    """With an event of the exception, or with nothing but its type."""
    handle = configured()
    tracer = handle.tracer_provider.get_tracer("other")

    @runbundle.run(name="r")
    def work() -> None:
        with tracer.start_as_current_span("a", attributes={"gen_ai.operation.name": "invoke_agent"}):
            span = tracer.start_span("b", attributes={"gen_ai.operation.name": "chat", "error.type": "ValueError"})
            span.set_status(Status(StatusCode.ERROR))
            span.end()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert began(sealed(handle)).startswith("chat")
