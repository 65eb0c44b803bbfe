"""One agent run, from decorators to a sealed bundle, on every kind of function and across every border."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, SecretStr, ValidationError

import runbundle
from runbundle import agent, current_run, model, retriever, run, step, tool
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.format.schemas import json_schema
from tests.conftest import KEY, sealed

Configured = Callable[..., runbundle.Handle]


def ended(bundle: Bundle, op: str) -> list[dict[str, Any]]:
    """Return the `span.ended` events of one kind."""
    return [e for e in bundle.events() if e["type"] == "span.ended" and e["op"] == op]


def test_every_kind_of_work_leaves_its_trace(configured: Configured) -> None:
    """A run with all kinds of work gives a verified bundle whose files fit the published schemas."""
    handle = configured()

    @retriever
    def find(q: str) -> list[dict[str, Any]]:
        return [{"id": "d1", "title": "T", "content": "C", "score": 0.5}]

    @tool(name="adder")
    def add(a: int, b: int) -> int:
        return a + b

    @model(name="m-1", provider="p")
    def ask(messages: list[dict[str, str]]) -> str:
        current_run().usage(input_tokens=5, output_tokens=2)
        return "yes"

    @step
    def plan() -> int:
        return add(1, b=2)

    @agent(name="a")
    def work(q: str) -> str:
        find(q)
        plan()
        return ask([{"role": "system", "content": "s"}, {"role": "user", "content": q}])

    @run(name="main", request_id="req-1", tenant_id="t1", session_id="s1", user_id="u", config={"k": 1})
    def main() -> str:
        current_run().score("quality", 0.5, label="fair")
        current_run().event("noted", n=1)
        return work("q")

    assert main() == "yes"
    bundle = sealed(handle)
    assert bundle.key == f"t1/{bundle.index.run_id}"
    report = verify(bundle.store, bundle.key)
    assert (report.verdict, report.findings) == ("verified", [])
    index = bundle.index
    assert (index.status, index.request_id, index.session_id) == ("ok", "req-1", "s1")
    assert index.user_id is not None
    assert index.user_id.startswith("h2:")
    assert index.usage == {"input_tokens": 5, "output_tokens": 2}
    assert index.versions.models == ["m-1"]
    assert index.versions.runbundle == "0.1.0"
    assert index.result is not None
    assert index.result.kind == "str"
    assert (index.counts.tool_calls, index.counts.model_calls, index.counts.retrievals) == (1, 1, 1)
    assert [c.tool for c in bundle.tool_calls().calls] == ["adder"]
    evidence = bundle.evidence()
    assert evidence is not None
    assert [d.id for d in evidence.retrievals[0].documents] == ["d1"]
    assert [e["type"] for e in bundle.events()].count("score") == 1
    chat = ended(bundle, "model")[0]["attributes"]
    assert chat["gen_ai.input.messages"].endswith(":roles=system+user]")
    for name, file in (("run", "run.json"), ("tool_calls", "tool_calls.json"), ("config", "config.snapshot.json"),
                       ("evidence", "evidence.json")):  # fmt: skip
        import orjson

        jsonschema.validate(orjson.loads(bundle.read(file)), json_schema(name))
    for event in bundle.events():
        jsonschema.validate(event, json_schema("event"))


def test_lanes_and_ordinals_say_where_each_span_stands(configured: Configured) -> None:
    """The lane is the path of named scopes, with a number for repeats; ordinals count within it."""
    handle = configured()
    with runbundle.start_run("r"), runbundle.start_agent("a"):
        for _ in range(2):
            with runbundle.start_tool("t"):
                pass
    tools = [e["attributes"] for e in ended(sealed(handle), "tool")]
    assert [(t["runbundle.lane"], t["runbundle.ordinal"]) for t in tools] == [
        ("run:r/agent:a#0", 0),
        ("run:r/agent:a#0", 1),
    ]


class Box:
    """Methods of every kind."""

    @tool
    def method(self, x: int) -> int:
        return x

    @tool
    @classmethod
    def for_class(cls, x: int) -> int:
        return x

    @tool
    @staticmethod
    def static(x: int) -> int:
        return x


def test_decorators_work_on_every_kind_of_function(configured: Configured) -> None:
    """Sync, async, generators, async generators and methods return what they did before, and are recorded."""
    handle = configured()

    @tool
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @tool
    def many(x: int) -> Iterator[int]:
        sent = yield x
        yield sent or 0

    @tool()
    async def stream(x: int) -> AsyncIterator[int]:
        yield x
        yield x + 1

    async def all_async() -> list[int]:
        return [await later(1), *[i async for i in stream(2)]]

    with runbundle.start_run("kinds"):
        box = Box()
        assert (box.method(1), Box.for_class(2), Box.static(3)) == (1, 2, 3)
        generator: Any = many(7)
        assert next(generator) == 7
        assert generator.send(8) == 8
        assert list(generator) == []
        assert asyncio.run(all_async()) == [1, 2, 3]
    calls = sealed(handle).tool_calls().calls
    assert sorted(c.tool for c in calls) == ["for_class", "later", "many", "method", "static", "stream"]
    assert all(c.arguments and c.arguments.bytes == 63 for c in calls)
    assert later.__name__ == "later"


def test_a_generator_does_not_leak_its_span_to_its_consumer(configured: Configured) -> None:
    """Between two items the consumer's span is current; an abandoned generator still ends its span."""
    handle = configured()

    @step
    def items() -> Iterator[int]:
        yield from range(10)

    with runbundle.start_run("r"):
        outer = trace.get_current_span()
        for item in items():
            assert trace.get_current_span() is outer
            if item == 3:
                break
    assert sealed(handle).index.completeness.state == "complete"


def test_context_survives_tasks_threads_and_processes(configured: Configured, tmp_path: Path) -> None:
    """Tasks, in_context, and a child process with W3C headers all land in one complete bundle."""
    handle = configured()

    @tool
    async def in_task(n: int) -> int:
        await asyncio.sleep(0.001)
        return n

    @tool
    def in_thread(n: int) -> int:
        return n

    async def gather() -> None:
        await asyncio.gather(*(in_task(n) for n in range(5)))

    child = (
        "import os, runbundle\n"
        f"with runbundle.configure(store={str(tmp_path / 'store')!r}, key={KEY!r}):\n"
        "    with runbundle.continue_run({k: os.environ[k] for k in ('traceparent', 'baggage')}):\n"
        "        with runbundle.start_tool('in_process'): pass\n"
    )
    with runbundle.start_run("borders"):
        asyncio.run(gather())
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(runbundle.in_context(in_thread), range(5)))
        subprocess.run([sys.executable, "-c", child], env={**os.environ, **runbundle.carrier()}, check=True)
    bundle = sealed(handle)
    tools = [c.tool for c in bundle.tool_calls().calls]
    assert sorted(tools) == ["in_process"] + ["in_task"] * 5 + ["in_thread"] * 5
    assert bundle.index.completeness.spans_expected == bundle.index.completeness.spans_seen == 12
    assert verify(bundle.store, bundle.key).findings == []


def test_threads_are_followed_by_the_otel_instrumentation_too(configured: Configured) -> None:
    """With opentelemetry-instrumentation-threading no helper is needed."""
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    handle = configured()
    ThreadingInstrumentor().instrument()
    try:
        with runbundle.start_run("r"):
            thread = threading.Thread(target=lambda: runbundle.start_tool("t").__enter__() and None)
            thread.start()
            thread.join()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: tool(lambda: 1)()).result()
    finally:
        ThreadingInstrumentor().uninstrument()
    result = handle.flush()
    index = Bundle.open(handle.store, result.sealed[0]).index
    assert index.counts.spans == 3
    assert len(index.completeness.open_spans) == 1  # the one that was never left
    assert index.completeness.state == "lossy"


def test_a_forked_child_records_into_the_same_run(configured: Configured) -> None:
    """After os.fork the child writes its own journal, and the parent's bundle has both."""
    handle = configured()
    with runbundle.start_run("forked"):
        pid = os.fork()
        if pid == 0:
            try:
                with runbundle.start_tool("child"):
                    pass
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        with runbundle.start_tool("parent"):
            pass
    assert sorted(c.tool for c in sealed(handle).tool_calls().calls) == ["child", "parent"]


def test_a_run_may_span_several_traces(configured: Configured) -> None:
    """Spans of another trace, in the run's context, are part of the run."""
    handle = configured()
    with runbundle.start_run("two-traces"):
        tracer = handle.tracer_provider.get_tracer("app")
        context = trace.set_span_in_context(trace.INVALID_SPAN)
        tracer.start_span("execute_tool x", context, attributes={"gen_ai.operation.name": "execute_tool"}).end()
    assert len(sealed(handle).index.trace_ids) == 2


def test_a_nested_run_is_a_run_of_its_own(configured: Configured) -> None:
    """The inner run has its own bundle, names the outer one, and is linked to it."""
    handle = configured()
    outer_run, inner_run = runbundle.start_run("outer", run_id="outer"), runbundle.start_run("inner", run_id="inner")
    with outer_run, runbundle.start_step("s"), inner_run, runbundle.start_tool("t"):
        pass
    assert sorted(handle.flush().sealed) == ["inner", "outer"]
    inner, outer = (Bundle.open(handle.store, key) for key in ("inner", "outer"))
    assert inner.index.parent_run is not None
    assert inner.index.parent_run.run_id == "outer"
    assert (inner.index.counts.spans, outer.index.counts.spans) == (2, 2)
    started = next(e for e in inner.events() if e["type"] == "span.started")
    assert started["links"][0]["span_id"] == inner.index.parent_run.span_id
    assert verify(inner.store, "inner").verdict == verify(outer.store, "outer").verdict == "verified"


@dataclass
class Settings:
    """A configuration."""

    model: str
    api_key: SecretStr
    url: str


class Deep(BaseModel):
    """Another."""

    password: str
    limits: dict[str, int]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model": "m", "client_secret": "s3cretvalue"}, {"model": "m", "client_secret": "[REDACTED:credential]"}),
        (
            Settings("m", SecretStr("hush"), "postgres://u:hush@h/db"),
            {"model": "m", "api_key": "[REDACTED:credential]", "url": "postgres://[REDACTED:credential]@h/db"},
        ),
        (
            Deep(password="hush", limits={"max_tokens": 5}),
            {"password": "[REDACTED:credential]", "limits": {"max_tokens": 5}},
        ),
    ],
)
def test_configuration_is_kept_without_its_secrets(configured: Configured, config: Any, expected: Any) -> None:
    """Mappings, dataclasses and pydantic models are resolved, and equal ones have equal digests."""
    handle = configured()
    for _ in range(2):
        with runbundle.start_run("c", config=config):
            pass
    first, second = (Bundle.open(handle.store, key) for key in handle.flush().sealed)
    assert first.config().config == expected
    assert first.index.config.sha256 == second.index.config.sha256
    assert b"hush" not in first.read("config.snapshot.json") + first.read("events.jsonl")


def test_exporters_that_see_raw_spans_are_named_or_refused(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """One registered before is named in a warning, or refused if all is to be redacted; one added later is an error."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    with pytest.raises(runbundle.ConfigError, match=r"RB901.*SimpleSpanProcessor with InMemorySpanExporter"):
        configured(tracer_provider=provider, redact="all")
    configured(tracer_provider=provider, redact="all", raw_exporters="allow").shutdown()
    caplog.clear()
    handle = configured(tracer_provider=provider)
    assert [r.levelname for r in caplog.records if "RB901" in r.message] == ["WARNING"]
    handle.flush()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    handle.flush()
    handle.flush()
    assert [r.levelname for r in caplog.records if "RB901" in r.message] == ["WARNING", "ERROR"]


def test_it_attaches_to_an_existing_provider(configured: Configured) -> None:
    """An existing provider keeps its exporters and gets a bundle beside them; the global one is not touched."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handle = configured(tracer_provider=provider, raw_exporters="allow")
    assert handle.tracer_provider is provider
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        pass
    assert len(exporter.get_finished_spans()) == 2
    assert sealed(handle).index.counts.spans == 2
    handle.shutdown()
    assert not isinstance(trace.get_tracer(__name__).start_span("global"), ReadableSpan)


def test_configure_is_idempotent_and_says_no_to_a_second_one(configured: Configured, tmp_path: Path) -> None:
    """The same arguments give the same handle, others a ConfigError, and after shutdown there may be a new one."""
    handle = configured()
    assert configured() is handle
    with pytest.raises(runbundle.ConfigError, match="already configured"):
        configured(store=tmp_path / "other")
    handle.shutdown()
    handle.shutdown()
    assert configured() is not handle


def test_without_configure_decorated_functions_just_run() -> None:
    """Nobody has to record."""

    @run
    def main() -> int:
        current_run().set_result(1)
        current_run().event("x")
        return tool(lambda: 5)()

    assert main() == 5
    assert current_run().run_id == ""


def test_agent_work_outside_any_run_is_a_run(configured: Configured) -> None:
    """GenAI spans of any instrumentation make a run of their trace; other spans do not."""
    handle = configured()
    tracer = handle.tracer_provider.get_tracer("their.instrumentation")
    tracer.start_span("GET /").end()
    with tracer.start_as_current_span("invoke_agent x", attributes={"gen_ai.operation.name": "invoke_agent"}) as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
        tracer.start_span("GET /inner").end()
    bundle = sealed(handle)
    assert bundle.key == trace_id
    assert bundle.index.counts.spans == 2
    assert verify(bundle.store, bundle.key).findings == []


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    """`OTEL_TRACES_EXPORTER=runbundle opentelemetry-instrument` and no line of ours leave a bundle."""
    program = (
        "from opentelemetry import trace\n"
        "with trace.get_tracer('x').start_as_current_span('invoke_agent a',"
        " attributes={'gen_ai.operation.name': 'invoke_agent'}):\n    pass\n"
    )
    script = tmp_path / "app.py"
    script.write_text(program)
    settings = {"TRACES": "runbundle", "METRICS": "none", "LOGS": "none"}
    environment = {**os.environ, "RUNBUNDLE_STORE": str(tmp_path / "s")}
    environment |= {f"OTEL_{signal}_EXPORTER": name for signal, name in settings.items()}
    loader = (
        "from opentelemetry.sdk._configuration import _OTelSDKConfigurator as C; C().configure();"
        f"exec(open({str(script)!r}).read())"
    )
    subprocess.run([sys.executable, "-c", loader], env=environment, check=True)
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.store import LocalStore

    bundle = Bundle.open(*resolve(LocalStore(tmp_path / "s"), "@last"))
    assert bundle.index.counts.spans == 1
    assert bundle.index.completeness.state == "unknown"


def test_order_and_number_of_writers_do_not_matter(configured: Configured, tmp_path: Path) -> None:
    """The same records in another order, from two writers and twice, give the same bytes."""
    from runbundle.bundle.assembly.assemble import assemble
    from runbundle.bundle.assembly.gather import GatheredRun
    from runbundle.journal.reader import JournalReader

    def made(*paths: Path) -> tuple[dict[str, object], bytes]:
        gathered = GatheredRun(RunKey("", "same"), tmp_path)
        gathered.add(JournalReader(paths))
        bundle = assemble(gathered)
        return {file.name: file.body for file in bundle.files}, bundle.index()

    configured(grace_s=60)
    scope = runbundle.start_run("r", run_id="same")
    with scope:
        for n in range(5):
            with runbundle.start_tool(f"t{n}", {"n": n}):
                pass
        spool = next((tmp_path / "store" / ".spool" / "same").glob("*.jsonl"))
        lines = spool.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    head = [line for line in lines if b'"k":"resource"' in line]
    rest = [line for line in lines if b'"k":"resource"' not in line]
    one, two, three = (tmp_path / f"{n}.jsonl" for n in range(3))
    one.write_bytes(b"".join(head + rest))
    two.write_bytes(b"".join(head + rest[::-2]))
    three.write_bytes(b"".join(head + rest[::-1]))
    assert made(one) == made(two, three)


def test_the_130_attribute_eviction_does_not_lose_the_run(configured: Configured) -> None:
    """With more attributes than somebody's provider keeps, a span stays in its run, and the loss is stated."""
    handle = configured(tracer_provider=TracerProvider())
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        for n in range(200):
            trace.get_current_span().set_attribute(f"k{n}", n)
    index = sealed(handle).index
    assert index.counts.spans == 2
    assert index.completeness.dropped["sdk_limit_attributes"] > 0


def test_the_digest_key_comes_from_a_file_or_a_callable(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ways give the same key id; an unreadable file and an empty key are errors."""
    file = tmp_path / "digest.key"
    file.write_bytes(KEY + b"\n")
    ids: set[str | None] = set()
    for key in (KEY, file, str(file), lambda: KEY):
        handle = configured(key=key)
        with runbundle.start_run("r"):
            pass
        ids.add(sealed(handle).index.redaction.key_id)
        handle.shutdown()
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", str(file))
    handle = configured(key=None)
    ids.add(handle.boundary.redactor.policy.digester.key_id)
    handle.shutdown()
    assert len(ids) == 1
    for key in (tmp_path / "none", b"", lambda: b""):
        with pytest.raises(runbundle.ConfigError):
            configured(key=key)


def test_a_validation_error_does_not_echo_its_input(configured: Configured) -> None:
    """Pydantic quotes what failed in its message; a contract that keeps errors keeps where and what kind."""

    class Order(BaseModel):
        number: int

    contract = {"name": "order", "data": {"rules": [{"selector": "", "target": "error", "action": "keep"}]}}
    handle = configured(contracts=[contract])

    @tool(name="order")
    def place(value: str) -> Order:
        return Order(number=value)  # pyright: ignore[reportArgumentType]

    with runbundle.start_run("r"), pytest.raises(ValidationError):
        place("the-customer's-own-words")
    error = sealed(handle).tool_calls().calls[0].error
    assert error is not None
    assert error.message == "validation of Order failed: number: int_parsing"


def test_a_credential_as_a_key_is_not_kept(configured: Configured) -> None:
    """Neither in a payload whose contract keeps everything nor in a configuration."""
    contract = {"name": "t", "data": {"rules": [{"selector": "", "action": "keep"}]}}
    secret = "xai-" + "a1B2" * 15
    handle = configured(contracts=[contract])
    with runbundle.start_run("r", config={secret: 1}), runbundle.start_tool("t", {secret: 1, "fine": 2}):
        pass
    bundle = sealed(handle)
    assert bundle.config().config == {"[REDACTED:key:1]": 1}
    assert bundle.tool_calls().calls[0].arguments.view == {"fine": 2, "[REDACTED:key:2]": 1}
