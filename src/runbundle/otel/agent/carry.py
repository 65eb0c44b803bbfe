"""Carries the current run into another thread or process."""

import contextvars
import functools
import itertools
import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import quote_plus, unquote_plus

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry import propagate as otel_propagate
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runbundle.otel import active
from runbundle.otel.agent.current import leave_scope, marked
from runbundle.otel.belonging.joining import token_of
from runbundle.otel.belonging.lanes import function_name
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.belonging.spawning import call_in_lane
from runbundle.signals import own

P = ParamSpec("P")
R = TypeVar("R")

_TRACE_CONTEXT = TraceContextTextMapPropagator()
_HEADER_LIMIT = 65_536
_log = logging.getLogger("runbundle")
_said = {"key": False}


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Bind `function` to the caller's context, so that its spans join the current run in whatever thread it runs.

        with ThreadPoolExecutor() as pool, runbundle.start_run("nightly"):
            for item in items:
                pool.submit(runbundle.in_context(work), item)

    The context is copied when `in_context` is called. The bound function may be called from many threads at once. To
    compare runs effect by effect, bind once for each submission, in the order of the submissions: a function that was
    bound once and called often gives its effects no `effect` key.

    `opentelemetry-instrumentation-threading` (the extra `threading`) does the same for every thread without a call.
    """
    context = contextvars.copy_context()
    membership = _membership()
    control = membership.spawned(function_name(function)) if membership is not None else None
    calls = itertools.count()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if next(calls) and control is not None:
            control.shared = True
        # A copy of the copy: one contextvars.Context cannot be entered by two threads.
        return context.copy().run(call_in_lane, control, function, *args, **kwargs)

    return call


def carrier() -> dict[str, str]:
    """Return the current context as headers for another process, which continues the run with `continue_run`.

        requests.post(url, json=job, headers=runbundle.carrier())

    The headers are `traceparent`, `tracestate` if there is one, and `baggage` with one entry: a signed token that names
    the run and the place of the receiver's work in it. The receiver believes it only with the same key
    (`RUNBUNDLE_REDACTION_KEY`, or the keyring of the same user). Send each carrier once: two receivers of one carrier
    stand at one place. The application's own baggage is not sent.

    Never raises. If no carrier can be made, an error is logged, and the receiver's work becomes a run of its own.
    """
    headers: dict[str, str] = {}
    try:
        _TRACE_CONTEXT.inject(headers)
        membership = _membership()
        sender = membership.sender() if membership is not None else None
        if membership is not None and sender is not None:
            headers["baggage"] = f"{own.RUN_TOKEN}={quote_plus(token_of(membership.claims.keys, sender))}"
            _mind_key()
    except Exception:  # noqa: BLE001 - never raise into the application: the receiver's work becomes a run of its own
        _log.error("a carrier could not be made; what it is sent with will not join the run")
    return headers


@contextmanager
def continue_run(headers: object) -> Generator[None]:
    """Continue, within the block, the run whose `carrier()` was sent to this process.

        def handle(request):
            with runbundle.continue_run(request.headers):
                work(request)

    `headers` is any mapping, an iterable of pairs, or None: names in any case, values of any type. Other entries are
    ignored, so the `_meta` of an MCP request will do.

    Never raises. Headers that prove no run are not believed: agent work in the block becomes a run of its own, which
    names the claim; see `configure(trust_baggage=...)`.
    """
    context = _context_of(headers)
    membership = _membership()
    held = None
    with suppress(Exception):
        scope = membership.claims.judge(context).scope if membership is not None else None
        held = membership.hold(scope) if membership is not None and scope is not None else None
    outer = otel_context.get_current()
    mark = marked(context, outer)
    token = otel_context.attach(context)
    try:
        yield
    finally:
        leave_scope(token, context, mark, outer)
        if membership is not None and held is not None:
            membership.release(held)


def _membership() -> Membership | None:
    handle = active.get()
    return handle.membership if handle is not None else None


def _context_of(headers: object) -> Context:
    """Return the context that headers describe: an empty one, if they describe none. Total."""
    given, context = _headers(headers), Context()
    with suppress(Exception):  # a propagator's fault with what somebody has sent
        context = otel_propagate.extract(given, context)
    with suppress(Exception):
        if "traceparent" in given:
            context = _TRACE_CONTEXT.extract(given, context)
        # By ourselves: whatever else is in that header, and whether the application has baggage propagated.
        for entry in given.get("baggage", "")[:_HEADER_LIMIT].split(","):
            name, _, value = entry.partition("=")
            if name.strip() in (own.RUN_TOKEN, own.RUN_ID):
                value = unquote_plus(value.partition(";")[0].strip())
                context = baggage.set_baggage(name.strip(), value, context)
    with suppress(Exception):
        return Context(context)  # one that nobody else has
    return Context()


def _headers(headers: Any) -> dict[str, str]:
    """Return the headers that have a name and a text, names in lower case. Total."""
    found: dict[str, str] = {}
    with suppress(Exception):  # an object of somebody else's that only looks like headers
        pairs: Iterable[Any] = headers.items() if hasattr(headers, "items") else headers or ()
        for pair in pairs:
            name, value = (_text(part) for part in pair)
            if name and value:
                name = name.lower()
                known = found.get(name)
                found[name] = f"{known},{value}" if known and name in ("baggage", "tracestate") else known or value
    return found


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, bytes):
        return part.decode("latin-1")
    if isinstance(part, list | tuple):
        return ",".join(filter(None, map(_text, cast("list[Any]", part))))
    return ""


def _mind_key() -> None:
    """Say, once, that only processes with this machine's key can join."""
    handle = active.get()
    if handle is None or _said["key"] or handle.redactor.policy.key_origin == "explicit":
        return
    _said["key"] = True
    _log.warning(
        "a run is handed to another process, and the key that proves whose it is was not given but made here: work of"
        " another host or user will be a run of its own, unless both are given one key (RUNBUNDLE_REDACTION_KEY)"
    )
