"""What is compared: a table of subjects, and how each emits the workload.

A variant is runbundle in one way of running it; each gives four subjects: raw spans of OpenTelemetry or our decorators,
without a contract or with one. To add a variant, add its line to VARIANTS.
"""

import json
import logging
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.benchmarks import workload as work

QUEUE = 1 << 20
"""How many spans may wait to be exported: more than there are, for what is dropped costs nothing."""
KEY = b"a key for benchmarks"
_PATIENCE_S = 300
"""For the first flush of all, which may wait until the rules are compiled."""
_NATIVE = "RUNBUNDLE_NATIVE"


class Setting(NamedTuple):
    """Where a subject runs."""

    store: str
    """A folder for what it writes."""
    receiver: str
    """The URL of what takes everything."""
    steps: int
    """How many steps a run has."""
    options: dict[str, Any]
    """Arguments of `configure()`."""


class Running(NamedTuple):
    """A subject at work."""

    run: Callable[[int], object]
    """Does the run of that number."""
    flush: Callable[[], int]
    """Waits until everything is exported or sealed; returns how many runs were, where that is known, else -1."""
    finish: Callable[[], object]
    """Shuts down."""


class Subject(NamedTuple):
    """One row of the table."""

    key: str
    title: str
    make: Callable[[Setting], Running]
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    """Arguments of `configure()`."""
    variables: dict[str, str] = {}  # noqa: RUF012
    """Variables of the process's environment."""

    @property
    def needs_native(self) -> bool:
        """Whether it fails without the native core."""
        return self.variables.get(_NATIVE) == "1"

    @property
    def is_ours(self) -> bool:
        """Whether it is runbundle, in some variant."""
        return self.make in (ours_raw, ours_decorated)


class Variant(NamedTuple):
    """runbundle in one way of running it."""

    key: str
    title: str
    options: dict[str, Any] = {}  # noqa: RUF012
    """Arguments of `configure()`."""
    variables: dict[str, str] = {}  # noqa: RUF012
    """Variables of the process's environment."""

    @property
    def needs_native(self) -> bool:
        """Whether it fails without the native core."""
        return self.variables.get(_NATIVE) == "1"


def raw_run(tracer: Any, root: Callable[[int], Any], steps: int) -> Callable[[int], None]:
    """Return what does one run as an instrumentation does it: with spans of OpenTelemetry, payloads as JSON."""

    def run(number: int) -> None:
        with root(number):
            for step in range(steps):
                kind = work.place(number, step)
                with tracer.start_as_current_span("chat gpt") as span:
                    span.set_attribute("gen_ai.operation.name", "chat")
                    span.set_attribute("gen_ai.request.model", "gpt")
                    span.set_attribute("gen_ai.usage.input_tokens", work.INPUT_TOKENS)
                    span.set_attribute("gen_ai.usage.output_tokens", work.OUTPUT_TOKENS)
                    span.set_attribute("gen_ai.input.messages", json.dumps(work.PROMPTS[kind]))
                    span.set_attribute("gen_ai.output.messages", json.dumps(work.ANSWERS[kind]))
                for call in range(work.TOOLS):
                    raw_call(tracer, work.place(number, step, call), f"call-{number}-{step}-{call}")

    return run


def raw_call(tracer: Any, which: int, call_id: str) -> dict[str, Any]:
    """Call the workload's tool as an instrumentation does it; return its result."""
    with tracer.start_as_current_span("execute_tool search") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", "search")
        span.set_attribute("gen_ai.tool.call.id", call_id)
        span.set_attribute("gen_ai.tool.call.arguments", json.dumps(work.ARGUMENTS[which]))
        span.set_attribute("gen_ai.tool.call.result", json.dumps(work.RESULTS[which]))
    return work.RESULTS[which]


def untraced(setting: Setting) -> Running:
    """Do the work without spans, with payloads as JSON."""
    from opentelemetry.trace import NoOpTracerProvider

    tracer = NoOpTracerProvider().get_tracer("bench")
    run = raw_run(tracer, lambda _: tracer.start_as_current_span("invoke_agent demo"), setting.steps)
    return Running(run, lambda: -1, lambda: None)


def _sdk(setting: Setting, processor: Any, flushed: Callable[[], int]) -> Running:
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    tracer = provider.get_tracer("bench")

    def root(number: int) -> Any:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "demo", "run_id": f"run-{number}"}
        return tracer.start_as_current_span("invoke_agent demo", attributes=attributes)

    def flush() -> int:
        assert provider.force_flush(60_000)
        return flushed()

    return Running(raw_run(tracer, root, setting.steps), flush, provider.shutdown)


def bare(setting: Setting) -> Running:
    """Emit spans that nobody exports."""
    return _sdk(setting, None, lambda: -1)


def floor(setting: Setting) -> Running:
    """Emit spans that are exported in batches, to nowhere."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        count = 0

        def export(self, spans: Any) -> SpanExportResult:
            self.count += len(spans)
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            """Do nothing."""

    nowhere = Nowhere()

    def flushed() -> int:
        runs, rest = divmod(nowhere.count, work.spans_of(setting.steps))
        nowhere.count = 0
        assert not rest, "spans were lost"
        return runs

    return _sdk(setting, BatchSpanProcessor(nowhere, max_queue_size=QUEUE), flushed)


def _to_receiver(setting: Setting) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter(f"{setting.receiver}/v1/traces"), max_queue_size=QUEUE)


def otlp(setting: Setting) -> Running:
    """Emit spans that are sent by OTLP over HTTP."""
    return _sdk(setting, _to_receiver(setting), lambda: -1)


def has_native() -> bool:
    """Return whether this process redacts by the native core. An earlier commit may know none."""
    try:
        from runbundle.core import native
    except ImportError:
        return False
    return native.module() is not None


def _configured(setting: Setting) -> tuple[Any, Callable[[], int]]:
    import runbundle

    wanted = os.environ.get(_NATIVE)
    if wanted and has_native() != (wanted == "1"):
        raise RuntimeError("the native core is not there: make native" if wanted == "1" else "it is not switched off")
    logging.getLogger("runbundle").setLevel(logging.ERROR)
    handle = runbundle.configure(store=setting.store, key=KEY, **setting.options)

    def flush() -> int:
        result = handle.flush(_PATIENCE_S)
        assert result, result
        return len(result.sealed)

    return handle, flush


def ours_raw(setting: Setting) -> Running:
    """Record spans of OpenTelemetry in runs of runbundle."""
    import runbundle

    handle, flush = _configured(setting)
    tracer = handle.tracer_provider.get_tracer("bench")
    run = raw_run(tracer, lambda number: runbundle.start_run("demo", run_id=f"run-{number}"), setting.steps)
    return Running(run, flush, handle.shutdown)


def decorated_tool(name: str = "search") -> Callable[..., dict[str, Any]]:
    """Return the workload's tool, decorated. Its result is chosen by its argument `limit`."""
    import runbundle

    @runbundle.tool(name=name)
    def search(query: str, limit: int, filters: dict[str, Any], user_email: str) -> dict[str, Any]:
        return work.RESULTS[limit]

    return search


def ours_decorated(setting: Setting) -> Running:
    """Record the calls of decorated functions, which are given Python's own values."""
    import runbundle

    handle, flush = _configured(setting)
    search = decorated_tool()

    answers = {id(prompt): answer for prompt, answer in zip(work.PROMPTS, work.ANSWERS, strict=True)}

    @runbundle.model(name="gpt")
    def chat(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        runbundle.current_run().usage(input_tokens=work.INPUT_TOKENS, output_tokens=work.OUTPUT_TOKENS)
        return answers[id(messages)]

    def run(number: int) -> None:
        with runbundle.start_run("demo", run_id=f"run-{number}"):
            for step in range(setting.steps):
                kind = work.place(number, step)
                chat(work.PROMPTS[kind])
                for call in range(work.TOOLS):
                    search(**work.ARGUMENTS[work.place(number, step, call)])

    return Running(run, flush, handle.shutdown)


def langfuse(setting: Setting) -> Running:
    """Record observations of Langfuse, sent as its client sends them. Redacts nothing."""
    from langfuse import Langfuse  # pyright: ignore[reportMissingImports] - it is in the peers' environment

    client: Any = Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=setting.receiver)

    def run(number: int) -> None:
        observe = client.start_as_current_observation
        with observe(name="invoke_agent demo", as_type="agent", metadata={"run_id": f"run-{number}"}):
            for step in range(setting.steps):
                kind = work.place(number, step)
                with observe(
                    name="chat gpt", as_type="generation", model="gpt", input=work.PROMPTS[kind],
                    output=work.ANSWERS[kind],
                    usage_details={"input": work.INPUT_TOKENS, "output": work.OUTPUT_TOKENS},
                ):  # fmt: skip
                    pass
                for call in range(work.TOOLS):
                    which = work.place(number, step, call)
                    with observe(
                        name="execute_tool search", as_type="tool", input=work.ARGUMENTS[which],
                        output=work.RESULTS[which], metadata={"call_id": f"call-{number}-{step}-{call}"},
                    ):  # fmt: skip
                        pass

    def flush() -> int:
        client.flush()
        return -1

    return Running(run, flush, client.shutdown)


def logfire(setting: Setting) -> Running:
    """Record spans of Logfire, sent by OTLP over HTTP. Scrubs by names."""
    import logfire  # pyright: ignore[reportMissingImports]

    client: Any = logfire.configure(
        send_to_logfire=False, console=False, metrics=False, inspect_arguments=False,
        additional_span_processors=[_to_receiver(setting)],
    )  # fmt: skip

    def run(number: int) -> None:
        with client.span("invoke_agent demo", run_id=f"run-{number}"):
            for step in range(setting.steps):
                kind = work.place(number, step)
                with client.span(
                    "chat gpt", op="chat", model="gpt", input_messages=work.PROMPTS[kind],
                    output_messages=work.ANSWERS[kind], input_tokens=work.INPUT_TOKENS,
                    output_tokens=work.OUTPUT_TOKENS,
                ):  # fmt: skip
                    pass
                for call in range(work.TOOLS):
                    which = work.place(number, step, call)
                    with client.span(
                        "execute_tool search", op="execute_tool", tool="search", call_id=f"call-{number}-{step}-{call}",
                        arguments=work.ARGUMENTS[which], result=work.RESULTS[which],
                    ):  # fmt: skip
                        pass

    def flush() -> int:
        assert client.force_flush(60_000)
        return -1

    return Running(run, flush, client.shutdown)


VARIANTS: tuple[Variant, ...] = (
    Variant("native", "runbundle native", variables={_NATIVE: "1"}),
    Variant("python", "runbundle Python", variables={_NATIVE: "0"}),
)
"""A line each. Both have the defaults of `configure()`; what differs is the core that redacts and encodes a span."""

FLOOR, PEER = "floor", "langfuse"
"""What others are compared with."""


def _of(variant: Variant) -> tuple[Subject, ...]:
    kept = variant.options | {"contracts": work.CONTRACTS}
    key, title, options, variables = variant
    return (
        Subject(key, f"{title}, raw spans", ours_raw, options, variables),
        Subject(f"{key}-contract", f"{title}, raw spans, contract", ours_raw, kept, variables),
        Subject(f"{key}-decorated", f"{title}, decorators", ours_decorated, options, variables),
        Subject(f"{key}-decorated-contract", f"{title}, decorators, contract", ours_decorated, kept, variables),
    )


SUBJECTS: tuple[Subject, ...] = (
    Subject("untraced", "no tracing", untraced),
    Subject("sdk", "SDK, no processor", bare),
    Subject(FLOOR, "SDK, batches to nowhere", floor),
    Subject("otlp", "SDK, OTLP/HTTP", otlp),
    *(subject for variant in VARIANTS for subject in _of(variant)),
    Subject(PEER, "Langfuse", langfuse),
    Subject("logfire", "Logfire", logfire),
)
BY_KEY = {subject.key: subject for subject in SUBJECTS}
