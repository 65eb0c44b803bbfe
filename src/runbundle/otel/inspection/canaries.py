"""Canaries: unique values, planted in every channel of a span or log record that can carry text."""

import base64
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    TraceState,
)

SPAN_CHANNELS = (
    "attribute under a benign key", "attribute under a sensitive key", "tool arguments", "tool result",
    "input messages", "url", "sql", "exception message", "stack trace", "status description", "span name",
    "link attribute", "event name", "event attribute", "list item", "attribute key",
    "nested map", "bytes", "scope name", "scope attribute", "trace state", "link trace state", "embedded JSON",
    "exception type", "schema url", "contracted argument", "contracted result key", "resource attribute",
)  # fmt: skip
LOG_CHANNELS = (
    "log body", "log severity text", "log event name", "log attribute", "log attribute key", "log list item",
    "log exception message", "log scope name",
)  # fmt: skip
OWN_CHANNELS = (
    "own argument", "own result", "own prompt", "own answer", "own query", "own document", "own input", "own output",
    "own configuration", "own result of the run", "own event", "own reason", "own error", "own stack trace",
    "own user id", "own streamed answer", "own secret argument",
)  # fmt: skip
"""Channels that an agent fills through decorators and handles."""
GUEST_CHANNELS = (
    "their span name", "their attribute", "their url", "their sql", "their header", "their attribute key",
    "their list item", "their nested map", "their bytes", "their link", "their event name", "their event attribute",
    "their exception", "their status", "their scope", "their trace state", "their log body", "their log attribute",
    "their log exception",
)  # fmt: skip
"""Channels of spans and logs that are none of an agent's; their canaries are known secrets."""
CHANNELS = SPAN_CHANNELS + LOG_CHANNELS + OWN_CHANNELS + GUEST_CHANNELS
CONTRACT = {"name": "kept", "data": {"rules": [{"selector": "/q", "action": "keep"}]}}
"""The contract of the tool whose payloads hold the two contracted channels."""


def canary(channel: str) -> str:
    """Return the canary of a channel: like no real value, and in the format of no credential."""
    number = CHANNELS.index(channel)
    return f"kanarie{number:02d}zq8Vx{number:02d}"


RESOURCE = {"service.name": "leak-check", "secret.note": canary("resource attribute")}
"""Attributes of a resource with a canary, for a provider that is built for the check."""


def known_secrets() -> tuple[str, ...]:
    """Return the canaries that must be known secrets, since spans of others are masked and not redacted."""
    return tuple(canary(channel) for channel in GUEST_CHANNELS)


def plant_guests(provider: TracerProvider, loggers: LoggerProvider | None = None) -> None:
    """Emit a span and a log record as a web framework would, with a known secret in every channel."""
    state = TraceState([("v", canary("their trace state"))])
    linked = SpanContext(7, 7, is_remote=True, trace_state=state)
    tracer = provider.get_tracer("web", "1", None, {"note": canary("their scope")})
    span = tracer.start_span(
        f"GET /{canary('their span name')}",
        links=[Link(linked, {"note": canary("their link")})],
        attributes={
            "http.request.method": "GET",
            "note": f"a note with {canary('their attribute')}",
            "url.full": f"https://host/p?q=1&sig={canary('their url')}",
            "db.statement": f"select '{canary('their sql')}'",
            "http.request.header.authorization": [f"Bearer {canary('their header')}"],
            canary("their attribute key"): 1,
            "items": ["a", canary("their list item")],
            "deep": {"inner": [{"leaf": canary("their nested map")}]},
            "raw": canary("their bytes").encode(),
        },
    )
    span.add_event(canary("their event name"), {"detail": canary("their event attribute")})
    span.record_exception(ValueError(canary("their exception")))
    span.set_status(Status(StatusCode.ERROR, canary("their status")))
    span.end()
    if loggers is not None:
        loggers.get_logger("web").emit(
            body=f"said {canary('their log body')}",
            attributes={"note": canary("their log attribute")},
            exception=ValueError(canary("their log exception")),
        )


def plant_spans(provider: TracerProvider) -> None:
    """Emit two tool spans with a canary in every channel except the resource, in the current run if any."""
    state = TraceState([("v", canary("trace state"))])
    remote = SpanContext(9, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    linked = SpanContext(7, 7, is_remote=True, trace_state=TraceState([("v", canary("link trace state"))]))
    tracer = provider.get_tracer(canary("scope name"), "1", canary("schema url"), {"deep": canary("scope attribute")})
    span = tracer.start_span(
        canary("span name"),
        context=trace.set_span_in_context(NonRecordingSpan(remote), get_current()),
        links=[Link(linked, {"note": canary("link attribute")})],
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "probe",
            "note": canary("attribute under a benign key"),
            "password": canary("attribute under a sensitive key"),
            "gen_ai.tool.call.arguments": f'{{"q": "{canary("tool arguments")}"}}',
            "gen_ai.tool.call.result": f'{{"r": "{canary("tool result")}"}}',
            "gen_ai.input.messages": f'[{{"role": "user", "content": "{canary("input messages")}"}}]',
            "url.full": f"https://host/?token={canary('url')}",
            "db.query.text": f"select '{canary('sql')}'",
            "gen_ai.response.finish_reasons": ["stop", canary("list item")],
            canary("attribute key"): 1,
            "deep": {"inner": [{"leaf": canary("nested map")}]},
            "raw": canary("bytes").encode(),
            "json": f'{{"a": "{{\\"b\\": \\"{canary("embedded JSON")}\\"}}"}}',
        },
    )
    span.add_event(canary("event name"), {"detail": canary("event attribute")})
    span.add_event(
        "exception",
        {
            "exception.type": canary("exception type"),
            "exception.message": canary("exception message"),
            "exception.stacktrace": f'  File "a.py", line 1, in f\n    x = "{canary("stack trace")}"\nE: no',
        },
    )
    span.set_status(Status(StatusCode.ERROR, canary("status description")))
    span.end()
    tracer.start_span(
        "execute_tool kept",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "kept",
            "gen_ai.tool.call.arguments": f'{{"q": "fine", "p": "{canary("contracted argument")}"}}',
            "gen_ai.tool.call.result": f'{{"{canary("contracted result key")}": 1}}',
        },
    ).end()


def plant_logs(provider: LoggerProvider) -> None:
    """Emit one log record with a canary in every channel, in the current run if any."""
    provider.get_logger(canary("log scope name")).emit(
        body={"text": canary("log body")},
        severity_number=SeverityNumber.WARN,
        severity_text=canary("log severity text"),
        event_name=canary("log event name"),
        attributes={
            "gen_ai.system": "probe",
            "note": canary("log attribute"),
            canary("log attribute key"): [canary("log list item")],
        },
        exception=ValueError(canary("log exception message")),
    )


def found_in(data: bytes, channels: Iterable[str] = CHANNELS) -> list[str]:
    """Return the channels whose canary is in `data`: as text, in base64 at any alignment, or in hex."""
    found: list[str] = []
    for channel in channels:
        raw = canary(channel).encode()
        forms = [raw, raw.hex().encode(), raw.upper()]
        # base64 at the three alignments, without the characters that neighbours decide.
        forms += [base64.b64encode(b"\0" * pad + raw)[pad + 1 : -4] for pad in range(3)]
        if any(form in data for form in forms):
            found.append(channel)
    return found
