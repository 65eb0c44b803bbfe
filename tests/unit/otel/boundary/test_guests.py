"""Spans and logs of an application's own: told from an agent's, and masked."""

import logging
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.boundary import guests
from runbundle.otel.boundary.guests import is_guest, is_guest_log, masked_log, masked_span
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor, raw_log
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.boundary.span_records import SpanCodec, bounded_list, to_scope
from runbundle.redaction.detectors.known_secrets import register_secret
from runbundle.redaction.others_telemetry import mask_text
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor

SECRET = "hunter2-of-this-test-alone"


class Emitted:
    """A log processor that keeps what it is handed."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def on_emit(self, log_record: Any) -> None:
        self.records.append(log_record)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def ended(name: str = "GET /", **attributes: Any) -> Any:
    """Return a span that has ended."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("web")
    span = tracer.start_span(name, Context(), attributes=attributes)
    span.end()
    return span


def emitted(body: str, **fields: Any) -> Any:
    """Return a log record as processors are handed it."""
    kept: Any = Emitted()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(kept)
    provider.get_logger("web").emit(body=body, **fields)
    return kept.records[0]


def test_a_span_with_anything_of_an_agents_is_none_of_a_guests() -> None:
    """By its operation, its attributes or its events."""
    assert is_guest(ended(**{"http.method": "GET"}))
    assert not is_guest(ended(**{"gen_ai.operation.name": "chat"}))
    assert not is_guest(ended(**{"gen_ai.prompt": "hello"}))
    assert is_guest_log(emitted("served"))
    assert not is_guest_log(emitted("said", event_name="gen_ai.choice"))


def test_a_guests_span_is_unchanged_but_for_its_secret() -> None:
    """All else is as it was."""
    register_secret(SECRET)
    codec = SpanCodec()
    clean = ended(note="fine")
    assert masked_span(codec, clean) is clean
    shown = masked_span(codec, ended(note=f"with {SECRET}", other="fine"))
    assert SECRET not in str(shown.attributes)
    assert shown.attributes is not None
    assert shown.attributes["other"] == "fine"
    assert SECRET not in str(masked_log(emitted(f"with {SECRET}")).log_record.body)


def test_a_span_is_rebuilt_from_its_redacted_record_and_one_resource_is_one_object() -> None:
    """All that has text is of the record; ids and counts are the span's."""
    codec, span = SpanCodec(), ended(note="raw")
    record = codec.to_record(span, RunKey("", "r1"))
    assert codec.resource_record(span.resource) is codec.resource_record(span.resource)
    assert codec.scope_record(span.instrumentation_scope) is codec.scope_record(span.instrumentation_scope)
    record["name"], record["attributes"] = "shown", {"note": "x"}
    built = codec.to_span(span, record)
    assert (built.name, dict(built.attributes or {})) == ("shown", {"note": "x"})
    assert built.context.span_id == span.context.span_id  # type: ignore[union-attr] - it has one
    assert codec.to_resource(record["resource"]) is codec.to_resource(record["resource"])
    assert to_scope(record["scope"]).name == "web"
    assert bounded_list([1], 0) == [1]
    assert bounded_list([1], 3).dropped == 3  # type: ignore[attr-defined] - the SDK's list


def test_a_log_record_behind_the_boundary_is_a_redacted_copy() -> None:
    """The caller's own is not touched; once the boundary is closed nothing passes."""
    kept: Any = Emitted()
    boundary = BoundaryLogProcessor(Redactor(Policy()), None, Membership(), redacts_all=True)
    boundary.add_log_record_processor(kept)
    record = emitted("a text of a person's", attributes={"note": "raw"})
    boundary.on_emit(record)
    assert "person" not in str(kept.records[0].log_record.body)
    assert record.log_record.body == "a text of a person's"
    boundary.is_closed = True
    boundary.on_emit(record)
    assert len(kept.records) == 1
    raw = raw_log(SpanCodec(), record, NO_RUN)
    assert (raw["run_id"], raw["body"], raw["attributes"]["note"]) == ("", "a text of a person's", "raw")


def test_a_boundary_whose_redactor_fails_withholds_the_span_and_raises_nothing(caplog: Any) -> None:
    """Nothing raw goes further; spans of others are masked without it."""
    handed: list[Any] = []

    class Keep:
        def on_start(self, span: Any, parent_context: Any = None) -> None: ...
        def on_end(self, span: Any) -> None:
            handed.append(span)

        def shutdown(self) -> None: ...
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    redactor: Any = Redactor(Policy())
    redactor.redact_span = lambda *_, **__: 1 / 0
    boundary = BoundarySpanProcessor(redactor)
    boundary.add_span_processor(Keep())  # type: ignore[arg-type] - by what it can do
    with caplog.at_level(logging.CRITICAL):
        boundary.on_end(ended(**{"gen_ai.operation.name": "chat"}))
        assert handed == []
        boundary.on_end(ended())
    assert [span.name for span in handed] == ["GET /"]


def test_what_is_shown_of_a_resource_is_made_again_if_a_secret_is_learned_meanwhile() -> None:
    """Another thread may register one between the look at it and the note of it."""
    given, looks = ["Xk7-Qm2-Zr7"], list[str]()

    def shown(texts: list[str]) -> str:
        looks.append(mask_text(texts[0]))
        register_secret("Xk7-Qm2-Zr7")
        return looks[-1]

    assert guests._remembered(given, shown) == guests._remembered(given, shown) == looks[-1]
    assert (looks[0], len(looks), "Xk7" in looks[1]) == ("Xk7-Qm2-Zr7", 2, False)
