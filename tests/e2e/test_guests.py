"""Within somebody else's service: its own spans and logs reach its backend as they are, an agent's are redacted."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

import runbundle
from tests.conftest import Sink, sealed

Configured = Callable[..., runbundle.Handle]
REQUEST = {
    "http.request.method": "POST", "url.path": "/orders/4711", "url.full": "https://shop.example/orders/4711?q=red+shoes",
    "client.address": "203.0.113.7", "user_agent.original": "Mozilla/5.0 (X11)", "session.id": "s-1",
    "enduser.id": "ada",
    "shop.basket": ["shoes", "hat"], "shop.total": 99.5, "http.response.status_code": 200,
}  # fmt: skip
QUERY = {"db.system": "postgresql", "db.statement": "SELECT name FROM orders WHERE id = 4711", "net.peer.name": "db-1"}
OLD = {
    "http.method": "GET", "http.status_code": 200, "http.url": "https://h/p?x=1", "http.target": "/p?x=1",
    "http.route": "/p", "net.peer.name": "api.example", "net.peer.port": 443, "db.system": "mysql",
    "db.statement": "select 1", "db.name": "shop", "rpc.system": "grpc", "rpc.service": "a.B",
}  # fmt: skip


@pytest.fixture
def behind(configured: Configured) -> tuple[runbundle.Handle, InMemorySpanExporter]:
    """Configure with a provider of ours, with an exporter of the team behind it."""
    handle = configured(resource={"service.name": "shop", "team.contact": "ada@example.org"})
    exporter = InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    return handle, exporter


def serve(tracer: trace.Tracer) -> None:
    """Be a request of a web framework, in which an agent runs, and queries a database."""
    with tracer.start_as_current_span("POST /orders/4711", kind=SpanKind.SERVER, attributes=REQUEST) as request:
        request.add_event("cache miss", {"key": "order:4711"})
        with runbundle.start_run("agent"), runbundle.start_tool("find", {"who": "ada@example.org"}):
            tracer.start_span("SELECT shop.orders", attributes=QUERY).end()
        request.set_status(Status(StatusCode.ERROR, "order 4711 is gone"))


def test_spans_of_others_reach_their_backend_as_they_are(behind: Any) -> None:
    """Inside a run and outside of it: name, attributes, events, status, resource; the agent's are redacted."""
    handle, exporter = behind
    serve(handle.tracer_provider.get_tracer("web", "1.2", attributes={"by": "the team"}))
    query, tool, run, request = exporter.get_finished_spans()
    assert (request.name, dict(request.attributes)) == (
        "POST /orders/4711",
        {**REQUEST, "shop.basket": ("shoes", "hat")},
    )
    assert [(event.name, dict(event.attributes)) for event in request.events] == [("cache miss", {"key": "order:4711"})]
    assert (request.status.description, request.kind) == ("order 4711 is gone", SpanKind.SERVER)
    assert request.resource.attributes["team.contact"] == "ada@example.org"
    assert dict(request.instrumentation_scope.attributes) == {"by": "the team"}
    assert (query.name, dict(query.attributes)) == ("SELECT shop.orders", QUERY)
    assert query.parent == tool.context
    assert "ada@" not in str(dict(tool.attributes))
    assert run.name == "run agent"


def test_in_the_bundle_all_are_redacted(behind: Any) -> None:
    """What is known by its key stays, all else is a digest."""
    handle, _ = behind
    serve(handle.tracer_provider.get_tracer("web"))
    bundle = sealed(handle)
    query = next(e for e in bundle.events() if e["attributes"].get("db.system"))
    assert query["name"] != "SELECT shop.orders"
    assert query["attributes"]["net.peer.name"] == "db-1"
    assert query["attributes"]["db.statement"].startswith("[REDACTED:content")
    assert not any(f"{before}4711" in bundle.store.get(f"{bundle.key}/events.jsonl").decode() for before in "/:= ")


def test_names_of_older_conventions_are_known(configured: Configured) -> None:
    """They are kept, or redacted, as their new names are, and none becomes a key of digits."""
    handle = configured()
    with runbundle.start_run("r"):
        handle.tracer_provider.get_tracer("web").start_span("GET /p", attributes=OLD).end()
    span = next(e for e in sealed(handle).events() if e["attributes"].get("http.method"))
    assert span["name"] == "GET /p"
    content = {"http.url", "http.target", "db.statement"}
    assert {k: v for k, v in span["attributes"].items() if k in OLD and k not in content} == {
        k: v for k, v in OLD.items() if k not in content
    }
    assert all(span["attributes"][key].startswith("[REDACTED:content") for key in content)
    assert not [key for key in span["attributes"] if key.startswith("runbundle.redacted")]


SECRET = "plum-walrus-kettle-41"
KEY_IN_URL = "https://api.example/v1?api_key=AKIAIOSFODNN7EXAMPLE&page=2"


def _put_anywhere(provider: Any) -> None:
    state = TraceState([("v", SECRET)])
    linked = SpanContext(7, 7, is_remote=True, trace_state=state)
    tracer = provider.get_tracer(f"lib-{SECRET}", SECRET, attributes={"a": SECRET})
    span = tracer.start_span(
        f"GET {SECRET}", links=[Link(linked, {"l": SECRET})],
        attributes={
            "url.full": KEY_IN_URL, "http.request.header.authorization": ["Bearer abcdef"], "shop.password": "hunter2",
            "db.statement": f"select * from t where password = 'hunter2' and x = '{SECRET}'", f"k.{SECRET}": 1,
            "items": ["a", SECRET], "deep": {"inner": [{"leaf": SECRET, "token": "tulip-77"}]}, "raw": SECRET.encode(),
            "shop.kept": "red shoes",
        },
    )  # fmt: skip
    span.add_event(SECRET, {"e": SECRET})
    span.record_exception(ValueError(f"no {SECRET}"))
    span.set_status(Status(StatusCode.ERROR, SECRET))
    span.end()


def test_their_secrets_are_masked_in_place(configured: Configured, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known ones and those that detectors find: in URLs, headers, SQL, keys, lists, events, links, anywhere."""
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    handle = configured(otlp=sink.url, resource={"service.name": "shop", "deploy.note": SECRET})
    exporter = InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    _put_anywhere(handle.tracer_provider)
    handle.flush()
    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    out = span.to_json() + str(attributes) + str(span.links) + str(span.instrumentation_scope)
    sent = b"".join(body for _, body in sink.bodies)
    assert b"red shoes" in sent
    for secret in (SECRET, "AKIAIOSFODNN7EXAMPLE", "abcdef", "hunter2", "tulip-77"):
        assert secret not in out
        assert secret.encode() not in sent
    assert attributes["shop.kept"] == "red shoes"
    assert attributes["url.full"].startswith("https://api.example/v1?")
    assert attributes["url.full"].endswith("page=2")
    assert attributes["db.statement"].startswith("select * from t where password = ")
    assert span.resource.attributes["service.name"] == "shop"
    assert "runbundle.redaction" not in attributes


@pytest.mark.parametrize(
    ("name", "attributes", "event"),
    [
        ("invoke_agent x", {"note": "ada@example.org"}, {}),
        ("x", {"gen_ai.request.model": "m", "note": "ada@example.org"}, {}),
        ("x", {"openinference.span.kind": "TOOL", "input.value": "ada@example.org"}, {}),
        ("x", {"traceloop.entity.input": "ada@example.org"}, {}),
        ("x", {"llm.prompts.0.content": "ada@example.org"}, {}),
        ("x", {"tool_arguments": "ada@example.org"}, {}),
        ("x", {"runbundle.query": "ada@example.org"}, {}),
        ("x", {"note": "ada@example.org"}, {"gen_ai.event.content": "ada@example.org"}),
    ],
)
def test_what_is_of_an_agent_is_redacted_for_every_sink(name: str, attributes: Any, event: Any, behind: Any) -> None:
    """By its name, or by any one key of content, in whatever dialect."""
    handle, exporter = behind
    span = handle.tracer_provider.get_tracer("t").start_span(name, attributes=attributes)
    if event:
        span.add_event("e", event)
    span.end()
    assert "ada@" not in exporter.get_finished_spans()[0].to_json()


def test_all_can_be_redacted(configured: Configured) -> None:
    """For those who want it, what is of others too."""
    handle = configured(redact="all")
    exporter = InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    serve(handle.tracer_provider.get_tracer("web"))
    sent = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert not any(f"{before}4711" in sent for before in '/:= "')  # the digits alone may be in a time or an id
    with pytest.raises(runbundle.ConfigError, match="one of agents, all"):
        configured(redact="none")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner, **o: SimpleSpanProcessor(runbundle.RedactingSpanExporter(inner, **o)),
        lambda inner, **o: runbundle.RedactingSpanProcessor(SimpleSpanProcessor(inner), **o),
    ],
    ids=["exporter", "processor"],
)
def test_a_wrapper_leaves_them_alone_as_well(wrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is told to redact all."""
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    some, everything = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"team.contact": "ada@example.org"}), shutdown_on_exit=False)
    provider.add_span_processor(wrap(some))
    provider.add_span_processor(wrap(everything, redact="all"))
    provider.get_tracer("web").start_span("GET /4711", attributes={**REQUEST, "note": f"x {SECRET}"}).end()
    shown, hidden = some.get_finished_spans()[0], everything.get_finished_spans()[0]
    assert dict(shown.attributes or {}) == {
        **REQUEST,
        "shop.basket": ("shoes", "hat"),
        "note": "x [REDACTED:credential]",
    }
    assert (shown.name, shown.resource.attributes["team.contact"]) == ("GET /4711", "ada@example.org")
    assert not any(f"{before}4711" in hidden.to_json() for before in '/:= "')


def test_log_records_of_others_reach_their_backend_as_they_are(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for secrets; an agent's are redacted, and in the bundle all are."""
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    handle = configured()
    exporter = InMemoryLogRecordExporter()
    handle.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = handle.logger_provider.get_logger("app")
    with runbundle.start_run("r"):
        logger.emit(
            body=f"order 4711 with {SECRET}", severity_number=SeverityNumber.WARN, severity_text="WARN",
            attributes={"shop.order": "4711", "shop.password": "hunter2"}, exception=ValueError(f"no {SECRET}"),
        )  # fmt: skip
        logger.emit(body="what ada@example.org asked", event_name="gen_ai.choice")
        logger.emit(body="what ada@example.org asked", attributes={"gen_ai.system": "x"})
    theirs, *ours = [one.log_record for one in exporter.get_finished_logs()]
    assert theirs.body == "order 4711 with [REDACTED:credential]"
    assert dict(theirs.attributes or {}) == {
        "shop.order": "4711", "shop.password": "[REDACTED:credential]", "exception.type": "ValueError",
        "exception.message": "no [REDACTED:credential]",
        "exception.stacktrace": "ValueError: no [REDACTED:credential]\n",
    }  # fmt: skip
    assert theirs.trace_id == ours[0].trace_id != 0
    assert not [one for one in ours if "ada@" in str(one.body)]
    bundle = sealed(handle)
    assert not any(f"{before}4711" in bundle.store.get(f"{bundle.key}/events.jsonl").decode() for before in "/:= ")


def test_a_provider_that_exports_is_joined_and_its_exporters_are_named(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """In one warning: they see the agent spans of other libraries raw. Ours they do not."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handle = configured(tracer_provider=provider)
    (said,) = [record for record in caplog.records if "RB901" in record.getMessage()]
    assert said.levelno == logging.WARNING
    assert "SimpleSpanProcessor with InMemorySpanExporter" in said.getMessage()
    with runbundle.start_run("r"), runbundle.start_tool("t", {"who": "ada@example.org"}):
        pass
    assert "ada@" not in "".join(span.to_json() for span in exporter.get_finished_spans())
    assert sealed(handle).index.counts.spans == 2


# -- names of one's own ------------------------------------------------------------------------------------------------


def test_keys_and_names_of_ones_own_may_be_patterns(configured: Configured) -> None:
    """A `*` stands for anything; what names a credential, or is no name, is not kept by one."""
    handle = configured(safe_keys=["app.*", "shop.*.kind"], safe_names=["nightly *", "exactly this, and Ada"])
    given = {"app.tier": "gold", "app.a.b": 3, "shop.x.kind": "k", "shop.x.other": "no", "app.password": "hunter2",
             "app.text": "a sentence; with <odd> | signs"}  # fmt: skip
    with runbundle.start_run("r"):
        tracer = handle.tracer_provider.get_tracer("t")
        tracer.start_span("nightly load", attributes=given).end()
        tracer.start_span("exactly this, and Ada").end()
        tracer.start_span("nightly load of ada@example.org; all").end()
    events = [e for e in sealed(handle).events() if e["type"] == "span.ended"]
    kept = {k: v for k, v in events[0]["attributes"].items() if k in given}
    assert kept == {"app.tier": "gold", "app.a.b": 3, "shop.x.kind": "k"}
    assert [e["name"] for e in events[:2]] == ["nightly load", "exactly this, and Ada"]
    assert events[2]["name"].startswith("[REDACTED:name:")
    assert "hunter2" not in json.dumps(events)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"safe_keys": ["gen_ai.prompt"]}, "known key of content"),
        ({"safe_keys": ["runbundle.redaction"]}, "known key of content"),
        ({"safe_keys": [""]}, "can never match"),
        ({"safe_keys": ["*"]}, "names everything"),
        ({"safe_keys": ["app.password*"]}, "can never match"),
        ({"safe_names": ["*.*"]}, "names everything"),
        ({"safe_names": ["größe *"]}, "can never match"),
        ({"safe_names": [None]}, "can never match"),
        ({"safe_keys": "app.x"}, "is one text"),
    ],
)
def test_what_can_never_match_is_refused(options: Any, said: str, configured: Configured) -> None:
    """Where it is given, with the reason."""
    with pytest.raises(runbundle.ConfigError, match=said):
        configured(**options)
