"""Writes a golden bundle: deterministic ids, clock and key. Run it only to add bundles for a new version of the format
or of its rules.

python -m tests.golden.make_bundle tests/golden/v1-rules-N/NAME, where NAME is one of `RUNS`
"""

import json
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import opentelemetry.sdk.trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, Status, StatusCode

import runbundle
from runbundle.cli.demo_agent import CONFIG, CONTRACTS, answer
from runbundle.otel.agent import at_source, starts
from runbundle.otel.boundary import span_processor
from runbundle.testing import FakeClock, SequentialIds

VERSIONS = '{"python":"3.11.0","runbundle":"0.1.0"}'


def demo(provider: TracerProvider) -> None:
    """Run the demo's agent."""
    with runbundle.start_run("demo", run_id="golden-v1", config=CONFIG, session_id="s", user_id="u") as run:
        run.set_result({"answer": answer("Where is my parcel?")})
        run.score("helpfulness", 0.9, label="good")


def calls(provider: TracerProvider) -> None:
    """Handle a request whose agent is instrumented by two libraries: a tool that calls itself, two counts of a call's
    tokens, a request to a server of tools, and an agent that fails while the request says nothing.
    """

    @contextmanager
    def span(library: str, operation: str, **said: Any) -> Generator[Span]:
        attributes = {"gen_ai.operation.name": operation} if operation else {"http.request.method": "POST"}
        attributes |= {key.replace("__", "."): value for key, value in said.items()}
        with provider.get_tracer(library, "1").start_as_current_span(operation or "POST", attributes=attributes) as it:
            yield it

    def tool(library: str, order: str, **said: Any) -> Any:
        arguments = json.dumps({"order": order})
        return span(
            library, "execute_tool", gen_ai__tool__name="find_order", gen_ai__tool__call__arguments=arguments, **said
        )

    def model(library: str, question: str, tokens: int, **said: Any) -> Any:
        messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}])
        said |= {"gen_ai__usage__input_tokens": tokens, "gen_ai__input__messages": messages}
        return span(library, "chat", gen_ai__request__model="m", **said)

    agent = {"gen_ai__agent__name": "desk", "gen_ai__conversation__id": "c", "gen_ai__usage__input_tokens": 99}
    with span("web", ""), span("one", "invoke_agent", **agent) as desk:
        with model("one", "Where is it?", 5, gen_ai__response__id="r1"), model("two", "?", 6):
            pass
        with model("one", "Whose is it?", 7), model("one", "Which one?", 8), model("one", "Which one?", 8):
            pass
        with tool("one", "7"), tool("two", "order 7"), tool("one", "8"), tool("two", "order 8"):
            pass
        with tool("one", "9", jsonrpc__request__id="3"), span("web", ""), tool("one", "9", jsonrpc__request__id="3"):
            pass
        desk.set_status(Status(StatusCode.ERROR))


RUNS = {"golden-v1": demo, "calls": calls}


def make(store: Path, name: str = "golden-v1") -> str:
    """Record one of `RUNS` deterministically into `store`; return its key."""
    call_ids = iter(range(1, 1000))
    clock = FakeClock()
    fixed = [
        (starts, "new_call_id", lambda: f"call_{f'{next(call_ids):032x}'[::-1][:24]}"),
        (starts, "versions_text", lambda: VERSIONS),
        (span_processor, "versions_text", lambda: VERSIONS),
        (opentelemetry.sdk.trace, "time_ns", clock),
        (at_source, "time_ns", clock),
    ]
    with ExitStack() as stack:
        for module, attribute, value in fixed:
            stack.enter_context(mock.patch.object(module, attribute, value))
        provider = TracerProvider(
            id_generator=SequentialIds(), resource=Resource({"service.name": "golden"}), shutdown_on_exit=False
        )
        with runbundle.configure(
            store=store, contracts=CONTRACTS, tracer_provider=provider, key=b"a key for golden bundles"
        ) as handle:
            RUNS[name](provider)
            return handle.flush().sealed[0]


if __name__ == "__main__":
    print(make(Path(sys.argv[1]).parent, Path(sys.argv[1]).name))
