"""Whose provider is global, what is recorded on whose, and what is said of the rest."""

import logging
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry._logs import get_logger, get_logger_provider
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.journal.lines import line_of
from runbundle.otel.inspection.doctor import diagnose_provider
from runbundle.signals.records import SpanRecord
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]

FRAMEWORK = """
def framework(tracer=None):
    tracer = tracer or trace.get_tracer("framework")
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    with tracer.start_as_current_span("invoke_agent a", attributes=agent):
        pass
"""


def program(body: str, folder: Path, **env: str) -> str:
    """Run a program in a process of its own; return what it printed and logged, in that order."""
    head = "import runbundle\nfrom opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
    forks = "ignore::DeprecationWarning:__main__"  # of a fork beside threads, as a recorder's is, since 3.12
    done = subprocess.run(
        [sys.executable, "-W", forks, "-c", head + FRAMEWORK + textwrap.dedent(body)],
        env={**os.environ, **env}, capture_output=True, check=True, cwd=folder, timeout=60, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


@contextmanager
def called_by(flag: str, number: int = 1) -> Generator[None]:
    """Be called by another process, whose trace is sampled or not."""
    token = otel_context.attach(propagate.extract({"traceparent": f"00-{number:032x}-{number:016x}-{flag}"}))
    try:
        yield
    finally:
        otel_context.detach(token)


# -- who is global ---------------------------------------------------------------------------------------------------


def test_the_global_provider_is_ours_where_nobody_is(tmp_path: Path) -> None:
    """A framework that asks for the global one is recorded, also through a tracer that it got before."""
    said = program(
        """
        early = trace.get_tracer("early")
        handle = runbundle.configure(store="s")
        framework()
        framework(early)
        provider = trace.get_tracer_provider()
        print(len(handle.flush().sealed), isinstance(provider, TracerProvider), provider.force_flush())
        """,
        tmp_path,
    )
    assert said == "2 True True\n"


def test_whoever_does_not_want_it_global_says_so(tmp_path: Path) -> None:
    """Then nothing of the framework's is recorded, and that is said at the end, with what to do."""
    said = program("runbundle.configure(store='s', set_global=False)\nframework()\n", tmp_path)
    assert "RB908" in said
    assert "leave set_global out" in said
    said = program(
        """
        handle = runbundle.configure(store="s", set_global=False)
        trace.set_tracer_provider(TracerProvider())
        framework(handle.tracer_provider.get_tracer("t"))
        print(len(handle.flush().sealed))
        """,
        tmp_path,
    )
    assert said == "1\n"


def test_a_provider_set_before_is_joined(tmp_path: Path) -> None:
    """One of the SDK, or a proxy that can do what is needed; one that cannot is named."""
    said = program(
        """
        class Proxy(trace.TracerProvider):
            def __init__(self, provider): self.inner = provider
            def get_tracer(self, *a, **k): return self.inner.get_tracer(*a, **k)
            def add_span_processor(self, p): self.inner.add_span_processor(p)
            def force_flush(self, timeout_millis=0): return True
        proxy = Proxy(TracerProvider())
        trace.set_tracer_provider(proxy)
        handle = runbundle.configure(store="s")
        framework()
        print(len(handle.flush().sealed), handle.tracer_provider is proxy)
        """,
        tmp_path,
    )
    assert said == "1 True\n"
    said = program(
        """
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        handle = runbundle.configure(store="s")
        framework(handle.tracer_provider.get_tracer("t"))
        print(len(handle.flush().sealed))
        """,
        tmp_path,
    )
    assert said.startswith("1\nthe global tracer provider is a NoOpTracerProvider")


@pytest.mark.parametrize("kind", ["TracerProvider", "LoggerProvider"])
def test_a_provider_set_after_ours_is_said_to_be_refused(kind: str, tmp_path: Path) -> None:
    """OpenTelemetry keeps the first, and a team's exporters stay empty: at once, with the order and the way out."""
    setting = {
        "TracerProvider": "trace.set_tracer_provider(TracerProvider())",
        "LoggerProvider": "from opentelemetry import _logs; from opentelemetry.sdk._logs import LoggerProvider;"
        "_logs.set_logger_provider(LoggerProvider())",
    }[kind]
    body = f"handle = runbundle.configure(store='s')\n{setting}\nframework()\nprint(len(handle.flush().sealed))\n"
    said = program(body, tmp_path)
    assert f"another {kind} was set after runbundle.configure()" in said
    assert "Set it before configure()" in said
    assert "set_global=False" in said
    assert said.startswith("1\n")
    assert "was set after" not in program(body.replace("store='s'", "store='s', set_global=False"), tmp_path)
    assert "was set after" not in program(body.replace(setting, f"handle.shutdown()\n{setting}"), tmp_path)


def test_a_global_provider_put_past_the_api_is_said(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """Once, at a flush."""
    handle = configured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "get_tracer_provider", lambda: TracerProvider(shutdown_on_exit=False))
        handle.flush()
        handle.flush()
    assert [r.message for r in caplog.records if "in the place of ours" in r.message] == [
        "another global tracer provider was put in the place of ours; its spans are not recorded"
    ]


def test_the_global_provider_follows_each_configuration(configured: Configured, tmp_path: Path) -> None:
    """Tracers and loggers that are kept go on; what began under one configuration ends there, and none is nothing."""
    first = configured(store=tmp_path / "one")
    tracer, logger = trace.get_tracer("kept"), get_logger("kept")

    @tracer.start_as_current_span("invoke_agent x", attributes={"gen_ai.operation.name": "invoke_agent"})
    def work() -> bool:
        logger.emit(event_name="e")
        return trace.get_current_span().is_recording()

    assert work()
    assert Bundle.open(first.store, first.flush().sealed[0]).index.counts.spans == 1
    pending = tracer.start_span("invoke_agent y", attributes={"gen_ai.operation.name": "invoke_agent"})
    first.shutdown()
    assert not work()
    assert not logger.enabled()
    assert trace.get_tracer_provider().force_flush()  # pyright: ignore[reportAttributeAccessIssue] - it is of the SDK
    second = configured(store=tmp_path / "two", resource={"service.name": "two"})
    pending.end()
    assert work()
    result = second.flush()
    assert (len(result.sealed), result.outside_scopes) == (1, {})  # what is logged in a run is of it
    assert get_logger_provider().resource.attributes["service.name"] == "two"  # pyright: ignore[reportAttributeAccessIssue]
    assert trace.get_tracer_provider().resource.attributes["service.name"] == "two"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_processor_added_to_the_global_provider_is_behind_the_boundary(configured: Configured) -> None:
    """Of agent work it sees what the bundle has."""
    configured()
    exporter = InMemorySpanExporter()
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with runbundle.start_run("r"), runbundle.start_tool("t", {"to": "ada@example.org"}):
        pass
    assert len(exporter.get_finished_spans()) == 2
    assert "ada@" not in str([dict(span.attributes or {}) for span in exporter.get_finished_spans()])


LOGFIRE = """
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class ProxyTracer(trace.Tracer):
    def __init__(self, of): self.of = of
    def start_span(self, *a, **k): return self.of().start_span(*a, **k)
    def start_as_current_span(self, *a, **k): return self.of().start_as_current_span(*a, **k)

class ProxyTracerProvider(trace.TracerProvider):
    provider = trace.NoOpTracerProvider()
    def set_provider(self, provider): self.provider = provider
    def get_tracer(self, *a, **k): return ProxyTracer(lambda: self.provider.get_tracer(*a, **k))
    def add_span_processor(self, p): self.provider.add_span_processor(p)
    def force_flush(self, timeout_millis=0): return self.provider.force_flush(timeout_millis)

class ProxyLoggerProvider(_logs.LoggerProvider):
    provider = _logs.NoOpLoggerProvider()
    def set_provider(self, provider): self.provider = provider
    def get_logger(self, *a, **k): return self.provider.get_logger(*a, **k)
    def __getattr__(self, name): return getattr(self.provider, name)

spans, logs = ProxyTracerProvider(), ProxyLoggerProvider()

def logfire():
    global memory
    first = isinstance(spans.provider, trace.NoOpTracerProvider)
    if not first:
        spans.provider.shutdown()
        logs.provider.shutdown()
    memory, provider = InMemorySpanExporter(), TracerProvider()
    spans.set_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    logs.set_provider(LoggerProvider())
    if first:
        trace.set_tracer_provider(spans)
        _logs.set_logger_provider(logs)
"""
"""Does with providers what `logfire.configure()` does."""


@pytest.mark.parametrize("order", ["logfire ours", "ours logfire", "logfire ours logfire", "ours logfire logfire"])
def test_logfire_is_recorded_in_either_order(order: str, tmp_path: Path) -> None:
    """What goes through its own tracers and through the global ones, each span once, and it gets all of that."""
    steps = {"logfire": "logfire()", "ours": "handle = runbundle.configure(store='s')"}
    body = """
with trace.get_tracer("x").start_as_current_span("invoke_agent a"):
    _logs.get_logger("x").emit(event_name="gen_ai.x")
framework(kept)
framework(spans.get_tracer("own"))
with runbundle.start_run("r"), runbundle.start_tool("t", {"to": "ada@example.org"}):
    pass
result = handle.flush()
print(len(result.sealed), result.written, bool(result), len(memory.get_finished_spans()))
print("ada@" in str([dict(span.attributes) for span in memory.get_finished_spans()]))
"""
    kept = 'kept = trace.get_tracer("kept")\n'
    said = program(LOGFIRE + kept + "\n".join(steps[step] for step in order.split()) + body, tmp_path)
    assert said.startswith("4 6 True 5\nFalse\n")
    assert said.count("RB901: ") == 1
    assert "Overriding" not in said
    assert "was set after" not in said


def test_a_proxy_is_not_joined_where_nobody_may_see_raw_spans(tmp_path: Path) -> None:
    """`redact="all"` would have refused it before; now that is said, and it gets nothing."""
    said = program(
        LOGFIRE + "handle = runbundle.configure(store='s', redact='all')\nlogfire()\nframework()\n"
        "print(len(handle.flush().sealed), len(memory.get_finished_spans()))",
        tmp_path,
    )
    assert said.startswith("1 0\n")
    assert "another TracerProvider was set after" in said


def test_a_logger_provider_set_before_is_joined(tmp_path: Path) -> None:
    """Its records are in the run they belong to, and it is not shut down by us."""
    said = program(
        """
        from opentelemetry import _logs
        from opentelemetry.sdk._logs import LoggerProvider
        theirs = LoggerProvider()
        _logs.set_logger_provider(theirs)
        handle = runbundle.configure(store="s")
        with runbundle.start_run("r"):
            _logs.get_logger("x").emit(event_name="gen_ai.evaluation.result")
        result = handle.flush()
        print(handle.logger_provider is theirs, result.written, result.outside_scopes)
        handle.shutdown()
        _logs.get_logger("x").emit(event_name="late")
        """,
        tmp_path,
    )
    assert said == "True 2 {}\n"


# -- nothing recorded is said -----------------------------------------------------------------------------------------


def test_a_process_that_saw_no_span_says_so_at_its_end(tmp_path: Path) -> None:
    """On stderr, whether it was shut down or not; not if it forked, since the spans may be a child's."""
    for body in ("runbundle.configure(store='s')", "with runbundle.configure(store='s'): pass"):
        said = program(body, tmp_path)
        assert said.startswith("RB908: this process ends and not one span was seen")
        assert "Decorate functions, or instrument the framework" in said
    assert program("handle = runbundle.configure(store='s')\nframework()\n", tmp_path) == ""
    assert program("import os\nrunbundle.configure(store='s')\nif os.fork(): os.wait()\n", tmp_path) == ""
    looked = "from runbundle.otel.inspection import doctor\nrunbundle.configure(store='s')\ndoctor.diagnose_provider()"
    assert program(looked, tmp_path) == ""


def test_what_nobody_shut_down_is_sealed_at_the_end(tmp_path: Path) -> None:
    """On a provider of ours, which the SDK does not shut down."""
    assert program("runbundle.configure(store='s')\nframework()\n", tmp_path) == ""
    assert len(list(tmp_path.glob("s/*/run.json"))) == 1


def test_decorated_code_that_nobody_configured_says_so_once(tmp_path: Path) -> None:
    """Whether it runs on nothing or on an application's provider; not where the environment configured it."""
    body = "@runbundle.run\ndef job(): return runbundle.start_tool('t').__enter__()\njob(); job()\n"
    assert program(body, tmp_path).count("nothing is recorded: runbundle.configure() was not called") == 1
    foreign = "trace.set_tracer_provider(TracerProvider())\n"
    assert program(foreign + body, tmp_path).count("no bundle is written: runbundle.configure() was not called") == 1
    ours = (
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor as S\n"
        "from runbundle.otel.exporters import BundleSpanExporter as B\n"
        "p = TracerProvider(); p.add_span_processor(S(B())); trace.set_tracer_provider(p)\n"
    )
    assert program(ours + body, tmp_path) == ""
    assert program(f"runbundle.configure(store='s').shutdown()\n{body}", tmp_path).count("\n") == 1  # RB908 alone


def test_what_is_outside_any_run_is_counted_by_scope(configured: Configured) -> None:
    """Spans and log records; the result is no worse for it."""
    handle = configured()
    for scope in ("http", "http", "db"):
        handle.tracer_provider.get_tracer(scope).start_span("s").end()
    handle.logger_provider.get_logger("app.module").emit(body="hello")
    with runbundle.start_run("r"):
        handle.logger_provider.get_logger("app.module").emit(body="inside")
    result = handle.flush()
    assert (result.outside, result.outside_scopes) == (3, {"http": 2, "db": 1, "app.module": 1})
    assert result


# -- sampling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["", "always_off", "parentbased_traceidratio", "parentbased_always_off"])
def test_a_run_is_recorded_whatever_the_flag_of_its_caller(
    sampler: str, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whatever the sampler of the environment; the flag goes on to others as that decides, and to exporters."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler or "parentbased_always_on")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    handle = configured()
    exporter = InMemorySpanExporter()
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    sent: list[str] = []
    for flag in ("00", "01"):
        with called_by(flag), runbundle.start_run("r"), runbundle.start_tool("t", {"a": 1}):
            sent.append(runbundle.carrier()["traceparent"][-2:])
    with runbundle.start_run("r"):
        pass
    result = handle.flush()
    assert (len(result.sealed), result.unsampled, bool(result)) == (3, 0, True)
    assert [Bundle.open(handle.store, key).index.counts.spans for key in result.sealed] == [2, 2, 1]
    forwarded = {"": ["00", "01"], "always_off": ["00", "00"]}.get(sampler, ["00", "01"])
    assert [int(flags, 16) & 1 for flags in sent] == [int(flags) for flags in forwarded]
    assert len(exporter.get_finished_spans()) == 2 * forwarded.count("01") + (sampler == "")


def test_a_run_that_anothers_sampler_leaves_out_is_counted(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """Each run once, begun as one or by a tool call, however many calls are in it; said once, and not true."""
    handle = configured(tracer_provider=TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0))))
    for _ in range(3):
        with runbundle.start_run("r"), runbundle.start_agent("a"), runbundle.start_tool("t"):
            pass
    with runbundle.start_agent("a"), runbundle.start_tool("t"), runbundle.start_run("inner"):
        pass
    with called_by("00"), runbundle.start_tool("t"):
        pass
    with called_by("01"), runbundle.start_tool("t"):
        pass
    result = handle.flush()
    assert (result.unsampled, len(result.sealed), bool(result)) == (6, 1, False)
    told = [r.message for r in caplog.records if "RB903" in r.message]
    assert len(told) == 2
    assert "ParentBased{root:TraceIdRatioBased{0.0}" in told[0]
    assert "flush() counts them" in told[1]


def test_a_call_that_is_left_out_of_a_run_is_a_loss(configured: Configured) -> None:
    """The run is there, and one of its spans is not."""

    class NoTools(ParentBased):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> Any:
            inner = ALWAYS_OFF if name.startswith("execute_tool") else super()
            return inner.should_sample(parent_context, trace_id, name, *args, **kwargs)

    handle = configured(tracer_provider=TracerProvider(sampler=NoTools(TraceIdRatioBased(1.0))))
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        pass
    result = handle.flush()
    assert (result.dropped, result.unsampled, len(result.sealed)) == ({"unsampled_span": 1}, 0, 1)


def test_an_sdk_that_is_switched_off_is_named(tmp_path: Path) -> None:
    """`OTEL_SDK_DISABLED` is obeyed, and each run counted."""
    body = """
        handle = runbundle.configure(store="s")
        for _ in range(2):
            with runbundle.start_run("r"):
                pass
        print(handle.flush().unsampled)
        """
    said = program(body, tmp_path, OTEL_SDK_DISABLED="true")
    assert said.startswith("2\n")
    assert said.count("OTEL_SDK_DISABLED") == 1


def test_a_foreign_sampler_is_said_once_and_found_by_doctor(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """A note where it goes by its callers, a warning where it has a ratio; nothing where it keeps everything."""
    levels: list[list[str]] = []
    for sampler in (ParentBased(TraceIdRatioBased(1.0)), ParentBased(TraceIdRatioBased(0.5)), TraceIdRatioBased(1.0)):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            handle = configured(tracer_provider=TracerProvider(sampler=sampler))
        found = [(d.code, d.severity) for d in diagnose_provider()]
        levels.append([r.levelname for r in caplog.records if "RB903" in r.message] + [f"{c} {s}" for c, s in found])
        handle.shutdown()
    assert levels == [["INFO", "RB903 note"], ["WARNING", "RB903 warning"], []]
    configured()
    assert diagnose_provider() == []


# -- size --------------------------------------------------------------------------------------------------------------


def test_what_is_more_than_the_sdk_holds_is_all_there(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, events and attributes, and values of any length, whatever limits the environment sets."""
    for name in ("ATTRIBUTE_COUNT", "SPAN_ATTRIBUTE_COUNT", "SPAN_EVENT_COUNT", "SPAN_LINK_COUNT"):
        monkeypatch.setenv(f"OTEL_{name}_LIMIT", "16")
    for name in ("ATTRIBUTE", "SPAN_ATTRIBUTE", "LOGRECORD_ATTRIBUTE"):
        monkeypatch.setenv(f"OTEL_{name}_VALUE_LENGTH_LIMIT", "30")
    rules = [{"selector": "/note", "action": "keep"}]
    handle = configured(contracts=[{"name": "post", "data": {"rules": rules}}])
    with runbundle.start_run("r") as run:
        run.add_evidence({"id": f"d{n}", "content": "z" * 400} for n in range(300))
        with runbundle.start_tool("post", {"note": "y" * 500}):
            for number in range(400):
                trace.get_current_span().set_attribute(f"k{number}", number)
    bundle = sealed(handle)
    assert bundle.index.completeness.dropped == {}
    assert bundle.tool_calls().calls[0].arguments.view == {"note": "y" * 500}
    evidence = bundle.evidence()
    assert evidence is not None
    assert sum(len(retrieval.documents) for retrieval in evidence.retrievals) == 300


def test_a_span_is_what_it_began_as_whatever_is_evicted(configured: Configured) -> None:
    """On a foreign provider the oldest attributes go first, and they say which tool was called with what."""
    handle = configured(tracer_provider=TracerProvider())
    with runbundle.start_run("r"), runbundle.start_tool("find", {"a": 1}, call_id="call_1"):
        for number in range(200):
            trace.get_current_span().set_attribute(f"k{number}", number)
    bundle = sealed(handle)
    call = bundle.tool_calls().calls[0]
    assert (call.tool, call.call_id, call.arguments.bytes) == ("find", "call_1", 63)
    assert bundle.index.completeness.dropped == {"sdk_limit_attributes": 72}


def test_a_value_that_a_foreign_provider_cut_is_not_taken_for_whole(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No view of its remains and no digest of them; the record says that it was cut, in span and event."""
    limits = SpanLimits(max_span_attribute_length=40, max_attribute_length=30)
    rules = [{"selector": "", "action": "keep"}]
    handle = configured(
        tracer_provider=TracerProvider(span_limits=limits), contracts=[{"name": "post", "data": {"rules": rules}}]
    )
    given: list[SpanRecord] = []
    redact = handle.boundary.redactor.redact_span
    monkeypatch.setattr(handle.boundary.redactor, "redact_span", lambda raw: (given.append(raw), redact(raw))[1])
    by_python = handle.boundary.redactor.redact_span
    monkeypatch.setattr(handle.boundary.lines, "of", lambda raw: line_of("span", by_python(raw)))
    tracer = handle.tracer_provider.get_tracer("framework")
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "post"}
    asked = {"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": "x" * 100}
    with tracer.start_as_current_span("invoke_agent", attributes=asked) as agent:
        agent.add_event("runbundle.evidence", {"runbundle.document.id": "d", "runbundle.document.content": "z" * 100})
        for note in ("y" * 100, "short"):
            payload = f'{{"note":"{note}"}}'
            tracer.start_span("execute_tool post", attributes={**tool, "gen_ai.tool.call.arguments": payload}).end()
    bundle = sealed(handle)
    views = {str(call.arguments.view) for call in bundle.tool_calls().calls}
    assert views == {"{'note': 'short'}", "[REDACTED:oversize]"}
    begun, long, short, root = given
    word = '{"word":"cut"}'
    assert "runbundle.capture" not in short["attributes"]
    assert long["attributes"]["runbundle.capture"] == f'{{"gen_ai.tool.call.arguments":{word}}}'
    assert f'"gen_ai.input.messages":{word}' in begun["attributes"]["runbundle.capture"]
    assert f'"gen_ai.input.messages":{word}' in root["attributes"]["runbundle.capture"]
    assert root["events"][0]["attributes"]["runbundle.capture"] == f'{{"runbundle.document.content":{word}}}'


def test_tasks_that_seed_alike_are_runs_of_their_own(configured: Configured) -> None:
    """Of three that call `random.seed(42)`, also through the global provider, there are three bundles."""
    handle = configured()
    for _ in range(3):
        random.seed(42)
        with trace.get_tracer("t").start_as_current_span("x", attributes={"gen_ai.operation.name": "invoke_agent"}):
            pass
        random.seed(42)
        with runbundle.start_run("r"):
            pass
    assert len(set(handle.flush().sealed)) == 6


def test_nothing_is_recorded_after_the_end(configured: Configured, tmp_path: Path) -> None:
    """On a foreign provider, which outlives us: neither spans begun before nor after."""
    provider = TracerProvider(shutdown_on_exit=False)

    class Raises(SpanProcessor):
        def shutdown(self) -> None:
            raise RuntimeError

    handle = configured(tracer_provider=provider)
    handle.boundary.add_span_processor(Raises())
    span = provider.get_tracer("t").start_span("invoke_agent x", attributes={"gen_ai.operation.name": "invoke_agent"})
    handle.shutdown()
    before: Sequence[Path] = sorted(tmp_path.rglob("*"))
    span.end()
    with runbundle.start_run("r"), provider.get_tracer("t").start_as_current_span("s"):
        pass
    assert sorted(tmp_path.rglob("*")) == before
    handle.shutdown()
