"""Answers of receivers become words; a partial success is read in both encodings."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

from runbundle.otel.forwarding.answers import may_pass, rejected_in

LOGS = ExportLogsServiceResponse(partial_success=ExportLogsPartialSuccess(rejected_log_records=3)).SerializeToString()


@pytest.mark.parametrize("word", ["timeout", "connection", "connection_refused", "tls", "proxy", "not_otlp", "http_302",
                                  "http_429", "http_502", "http_503", "http_504"])  # fmt: skip
def test_what_may_pass_is_sent_again(word: str) -> None:
    """The receiver was away, or what answered was none."""
    assert may_pass(word)


@pytest.mark.parametrize("word", ["", "http_400", "http_401", "http_413", "http_500", "rejected", "not_encoded", "http",
                                  "grpc", "request", "exporter_failed"])  # fmt: skip
def test_what_would_be_refused_again_is_not(word: str) -> None:
    """It would stand before all that came later."""
    assert not may_pass(word)


@pytest.mark.parametrize(
    ("kind", "content_type", "body", "rejected"),
    [
        ("logs", "application/x-protobuf", LOGS, 3),
        ("logs", "", LOGS, 3),
        ("spans", "application/json", b'{"partialSuccess":{"rejectedSpans":"2"}}', 2),
        ("spans", "application/json; charset=utf-8", b'{"partialSuccess":{"rejectedSpans":-2}}', 0),
        ("spans", "application/json", b"{}", 0),
        ("spans", "application/json", b'{"partialSuccess":[1]}', 0),
        ("spans", "text/plain", b"OK", 0),
    ],
)
def test_a_partial_success_is_read_where_there_is_one(kind: str, content_type: str, body: bytes, rejected: int) -> None:
    """In protobuf and in JSON; nothing else is one."""
    assert rejected_in(kind, content_type, body) == rejected  # type: ignore[arg-type]
