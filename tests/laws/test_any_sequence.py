"""Whatever an agent and its instrumentations call, with whatever values: the run is sealed, and its bundle holds."""

import datetime
import enum
import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import runbundle
from runbundle.bundle.verify import verify
from runbundle.cli.commands.verify import exit_code
from runbundle.signals.keys import SPAN_KEYS

SEQUENCES = 2000
CANARY = "Zoë's canary: never kept?!"
KEEP = [{"selector": s, "target": t, "action": "keep"} for s in ("/q", "/deep/**") for t in ("input", "output")]
CONTRACTS = [{"name": "lookup", "data": {"rules": KEEP}}]
PACKAGE = str(Path(runbundle.__file__).parent)


class Colour(str, enum.Enum):  # noqa: UP042 - as applications have them
    RED = "red"


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(CANARY)

    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    def __int__(self) -> int:
        raise RuntimeError(CANARY)


class Whole:
    """A number of another library."""

    def __int__(self) -> int:
        return time.time_ns()

    def __repr__(self) -> str:
        return "whole"


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


LEAVES = (
    None, True, False, 0, 1, -1, 5, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 2**70, 10**5000, 0.0,
    1.5, 2.0, 1e308, math.nan, math.inf, -math.inf, "", "x", "2", "run", "step", "chat", "lookup", "execute_tool",
    "retrieval", "invoke_agent", "blocked", "error", "a b", "ü", "\ud800", "a\udfffb", "\x00\x1b[31m",
    "x" * 300, "y" * 100_000, '{"q": 1, "deep": {"a": [1, "\\u00fc"]}}', '{"q": "' + "z" * 50 + '"}', "[]", "{}", "nul",
    '"text"', "[REDACTED:undeclared]", "[REDACTED:content:bytes=5]", "h1:00000000:" + "A" * 26, "a" * 64,
    '{"n":[["a","b","digest"]]}', '{"n":[],"more":{"a|digest":-5}}',
    '{"n":[],"more":{"a|digest":18446744073709551615}}',
    '{"python": true, "engine": "x", "git": {"commit": null}}', '{"providers": {"a": "1"}, "engine": {"name": "n"}}',
    "sk-" + "a1" * 12, "start_ns", b"", b"\xff\x00", bytearray(b"b"), Decimal("1.5"), Fraction(1, 3), Colour.RED,
    SpanKind.CLIENT, datetime.datetime(2026, 1, 1), {1, 2}, object, Hostile(), Whole(), nested(70), nested(300),
)  # fmt: skip
OWN_KEYS = sorted(key for key in SPAN_KEYS if key.startswith("runbundle."))
DERIVED_KEYS = sorted(
    key for key in SPAN_KEYS if key.startswith(("gen_ai.tool", "gen_ai.operation", "gen_ai.usage", "gen_ai.agent.name"))
)
ODD_KEYS = (
    "",
    "a",
    "ü",
    "\ud800",
    "k" * 2000,
    5,
    None,
    (1, 2),
    b"k",
    "gen_ai.usage.new",
    "runbundle.redacted.x",
)

leaves = st.sampled_from(LEAVES)
values = (
    leaves
    | st.lists(leaves, max_size=3)
    | st.dictionaries(st.sampled_from([*ODD_KEYS, "q", "deep"]), leaves, max_size=3)
)
keys = (
    st.sampled_from(OWN_KEYS)
    | st.sampled_from(DERIVED_KEYS)
    | st.sampled_from(sorted(SPAN_KEYS))
    | st.sampled_from((*ODD_KEYS, CANARY))
)
attributes = st.none() | st.dictionaries(keys, values, max_size=6)
NOW = 1_790_000_000_000_000_000
TIMES = (
    None, None, NOW, NOW + 1, NOW - 86_400 * 10**9, NOW + 10**18, NOW // 1000, NOW // 10**6, NOW // 10**9, 0, 1, -5, -1,
    2**63 - 1, 2**63, 2**64, 10**30, float(NOW), time.time(), math.nan, math.inf, -0.5, str(NOW), "soon", True, b"1",
    Decimal(NOW), Decimal("NaN"), Fraction(NOW, 2), datetime.datetime(2026, 9, 21, tzinfo=datetime.UTC),
    datetime.datetime(2026, 9, 21), datetime.datetime.max, [NOW], Whole(), Hostile(), object(),
)  # fmt: skip
times = st.sampled_from(TIMES)
names = st.sampled_from(
    ["t", "execute_tool lookup", "invoke_agent a", "chat m", "", "n" * 1_000_000, CANARY, "\ud800", 5, None, b"n",
     ["n"], Colour.RED, Hostile(), "exception", "runbundle.evidence", "runbundle.policy.decision",
     "gen_ai.evaluation.result"]
)  # fmt: skip
ids = st.sampled_from([0, 1, 5.0, 2**64 - 1, 2**64, 2**128 - 1, 2**128, -1, True, Decimal(7), 1.5, math.nan])
flags = st.sampled_from([TraceFlags(1), TraceFlags(0)])
contexts = st.builds(lambda *c: lambda: SpanContext(*c), ids, ids, st.sampled_from([True, False, "x", None]), flags)
severities = st.sampled_from([None, *list(SeverityNumber)[:3], 5, 99, -1, "WARN", 2.5, True])
raised = st.sampled_from([ValueError(CANARY), KeyError("\ud800"), Hostile(), None, "x"])
statuses = st.sampled_from([*StatusCode, Status(StatusCode.ERROR, CANARY), 5, "ERROR", None])
index = st.integers(0, 5)

operations = st.one_of(
    st.tuples(st.just("start"), names, attributes, times, st.sampled_from([*SpanKind, None, 7, "x"]),
              st.lists(st.tuples(contexts, attributes), max_size=2), st.none() | contexts | index, st.booleans()),
    st.tuples(st.just("start"), st.just("t"), st.dictionaries(st.sampled_from(DERIVED_KEYS), values, max_size=4), times,
              st.just(SpanKind.INTERNAL), st.just([]), st.none(), st.booleans()),
    st.tuples(st.just("set"), index, keys, values),
    st.tuples(st.just("set_all"), index, attributes),
    st.tuples(st.just("event"), index, names, attributes, times),
    st.tuples(st.just("exception"), index, raised, attributes, times),
    st.tuples(st.just("status"), index, statuses, values),
    st.tuples(st.just("rename"), index, names),
    st.tuples(st.just("link"), index, contexts, attributes),
    st.tuples(st.just("end"), index, times),
    st.tuples(st.just("log"), times, times, severities, values, values, attributes, names, st.none() | contexts),
    st.tuples(st.just("begin"), st.sampled_from(["tool", "run", "agent", "step", "model", "retriever"]), values),
    st.tuples(st.just("say"), st.sampled_from(["result", "decision", "evidence", "event", "usage"]), values),
    st.tuples(st.just("leave")),
)  # fmt: skip


class Agent:
    """Does what a sequence says, in one run. What the SDK refuses is the SDK's; what we raise is a fault."""

    def __init__(self, handle: runbundle.Handle) -> None:
        self._tracer = handle.tracer_provider.get_tracer("any", "1")
        self._logger = handle.logger_provider.get_logger("any")
        self._spans: list[Any] = []
        self._scopes: list[Any] = []

    def run(self, sequence: list[tuple[Any, ...]], leave_open: int) -> None:
        """Do it all; leave what was entered, and end all spans but the first few."""
        for name, *values in sequence:
            self._attempt(lambda name=name, values=values: getattr(self, name)(*values))
        while self._scopes:
            self._attempt(self.leave)
        for span in self._spans[leave_open:]:
            self._attempt(span.end)

    @staticmethod
    def _attempt(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            assert not any(file.startswith(PACKAGE) and "/otel/scopes" not in file for file in frames), frames
            assert not frames[-1].startswith(PACKAGE), frames

    def _span(self, number: int) -> Any:
        return self._spans[number % len(self._spans)] if self._spans else trace.get_current_span()

    def start(self, name: Any, said: Any, at: Any, kind: Any, links: Any, parent: Any, current: bool) -> None:
        context: Context | None = None
        if isinstance(parent, int):
            context = trace.set_span_in_context(self._span(parent))
        elif parent is not None:
            context = trace.set_span_in_context(NonRecordingSpan(parent()))
        made = [Link(of(), about) for of, about in links]
        self._spans.append(self._tracer.start_span(name, context, kind, said, made, at))
        if current:
            self._enter(trace.use_span(self._spans[-1], end_on_exit=True))

    def set(self, number: int, key: Any, value: Any) -> None:
        self._span(number).set_attribute(key, value)

    def set_all(self, number: int, said: Any) -> None:
        self._span(number).set_attributes(said or {})

    def event(self, number: int, name: Any, said: Any, at: Any) -> None:
        self._span(number).add_event(name, said, at)

    def exception(self, number: int, error: Any, said: Any, at: Any) -> None:
        self._span(number).record_exception(error, said, at)

    def status(self, number: int, status: Any, description: Any) -> None:
        self._span(number).set_status(status, description)

    def rename(self, number: int, name: Any) -> None:
        self._span(number).update_name(name)

    def link(self, number: int, of: Any, said: Any) -> None:
        self._span(number).add_link(of(), said)

    def end(self, number: int, at: Any) -> None:
        self._span(number).end(at)

    def log(self, at: Any, seen: Any, severity: Any, word: Any, body: Any, said: Any, name: Any, of: Any) -> None:
        context = None if of is None else trace.set_span_in_context(NonRecordingSpan(of()))
        self._logger.emit(
            timestamp=at, observed_timestamp=seen, context=context, severity_number=severity, severity_text=word,
            body=body, attributes=said, event_name=name,
        )  # fmt: skip

    def begin(self, kind: str, value: Any) -> None:
        self._enter({
            "tool": lambda: runbundle.start_tool("lookup", value),
            "run": lambda: runbundle.start_run("inner", config=value),
            "agent": lambda: runbundle.start_agent("a", input=value),
            "step": lambda: runbundle.start_step("s"),
            "model": lambda: runbundle.start_model("m", value),
            "retriever": lambda: runbundle.start_retriever("r", value),
        }[kind]())  # fmt: skip

    def say(self, what: str, value: Any) -> None:
        run = runbundle.current_run()
        {
            "result": lambda: run.set_result(value),
            "decision": lambda: run.policy_decision("blocked", reason=CANARY),
            "evidence": lambda: run.add_evidence([{"id": 7, "title": value, "score": value, "content": value}]),
            "event": lambda: run.event("e", of=value),
            "usage": lambda: run.usage(input_tokens=value, output_tokens=2),
        }[what]()

    def _enter(self, scope: Any) -> None:
        scope.__enter__()
        self._scopes.append(scope)

    def leave(self) -> None:
        if self._scopes:
            self._scopes.pop().__exit__(None, None, None)


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def errors() -> Iterator[Errors]:
    """Collect our errors; keep the SDK's warnings, of which there are thousands, quiet."""
    ours, theirs, errors = logging.getLogger("runbundle"), logging.getLogger("opentelemetry"), Errors()
    level = theirs.level
    theirs.setLevel(logging.CRITICAL)
    ours.addHandler(errors)
    yield errors
    ours.removeHandler(errors)
    theirs.setLevel(level)


def test_any_sequence_of_calls_gives_a_bundle_that_holds(
    configured: Callable[..., runbundle.Handle], tmp_path: Path, errors: Errors
) -> None:
    """Any sequence of SDK calls, with any values, gives bundles of which nothing is said but what is missing or odd."""
    handle = configured(store="memory://any", spool=tmp_path / "spool", contracts=CONTRACTS, grace_s=0.2)

    @settings(max_examples=SEQUENCES, suppress_health_check=list(HealthCheck))
    @given(st.lists(operations, max_size=9), st.booleans(), st.sampled_from([0] * 9 + [1]))
    def law(sequence: list[tuple[Any, ...]], in_a_run: bool, leave_open: int) -> None:
        errors.said.clear()
        before = otel_context.get_current()
        agent = Agent(handle)
        if in_a_run:
            with runbundle.start_run("r"):
                agent.run(sequence, leave_open)
        else:
            agent.run(sequence, leave_open)
        assert otel_context.get_current() is before
        result = handle.flush()
        assert not result.failed, result.failed
        assert not errors.said, errors.said
        assert not any(reason.startswith("boundary") for reason in result.dropped), result.dropped
        assert bool(result.sealed) >= in_a_run
        for key in result.sealed:
            report = verify(handle.store, key)
            assert exit_code(report) in (0, 3), report.findings
            assert not any(finding.severity == "error" for finding in report.findings), report.findings
            for name in handle.store.list(f"{key}/"):
                assert CANARY.encode() not in handle.store.get(name), name

    law()
