"""What the line of an ended span costs: redacted and encoded in Python, and by the native core.

python -m tests.benchmarks.native_spans

The spans are those that a recorder is given: of the README's workload (`pipeline`), and of runs whose prompts of 2 KB
and payloads of 1.3 KB all differ, without a contract and with one that keeps two fields of the arguments and two of the
result. One thread; the best of some rounds, each with a redactor of its own that has seen a run before; the two cores
take turns. Python's share includes the reading of dialects on both sides.
"""

import copy
import json
import random
import string
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import runbundle
from runbundle.core import native
from runbundle.core.spans import SpanLines
from runbundle.journal.lines import record_line
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.records import SpanRecord
from tests.benchmarks.pipeline import CONTRACTS, one_run

ROUNDS, RUNS = 9, 10
KEEP = [("/query", "input"), ("/limit", "input"), ("/rows/*/title", "output"), ("/rows/*/id", "output")]
KEEPS_TEXT = [{"name": "search", "data": {"rules": [{"selector": s, "target": t, "action": "keep"} for s, t in KEEP]}}]


_DRAWN = random.Random(7)
_WORDS = ["".join(_DRAWN.choices(string.ascii_lowercase, k=_DRAWN.randint(2, 10))) for _ in range(4000)]


def _text(chars: int) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < chars:
        words.append(_DRAWN.choice(_WORDS))
    return " ".join(words)


def _said(role: str, chars: int) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": _text(chars)}]}])


PROMPTS, ANSWERS = ([_said(role, chars) for _ in range(64)] for role, chars in (("user", 2000), ("assistant", 500)))
ASKED = [
    {
        "query": _text(120), "limit": number, "user_email": f"u{number}@example.com",
        "filters": {"lang": "en", "tags": _text(60).split()},
    }
    for number in range(64)
]  # fmt: skip
FOUND = [
    {
        "rows": [{"id": row, "title": _text(60), "score": row / 7} for row in range(8)], "next": None,
        "took_ms": number,
    }
    for number in range(64)
]  # fmt: skip


def peers_run(tracer: Any, begin: Callable[[], Any]) -> None:
    """Emit a run whose prompts and payloads differ from span to span: a root, 10 model calls and 20 tool calls."""
    with begin():
        for step in range(10):
            with tracer.start_as_current_span("chat gpt") as span:
                span.set_attribute("gen_ai.operation.name", "chat")
                span.set_attribute("gen_ai.request.model", "gpt")
                span.set_attribute("gen_ai.usage.input_tokens", 500)
                span.set_attribute("gen_ai.usage.output_tokens", 120)
                span.set_attribute("gen_ai.input.messages", _DRAWN.choice(PROMPTS))
                span.set_attribute("gen_ai.output.messages", _DRAWN.choice(ANSWERS))
            for call in range(2):
                number = _DRAWN.randrange(64)
                with tracer.start_as_current_span("execute_tool search") as span:
                    span.set_attribute("gen_ai.operation.name", "execute_tool")
                    span.set_attribute("gen_ai.tool.name", "search")
                    span.set_attribute("gen_ai.tool.call.id", f"c{step}-{call}")
                    span.set_attribute("gen_ai.tool.call.arguments", json.dumps(ASKED[number]))
                    span.set_attribute("gen_ai.tool.call.result", json.dumps(FOUND[number]))


def recorded(run: Callable[[Any, Callable[[], Any]], None], contracts: Any) -> tuple[Policy, list[SpanRecord]]:
    """Return the policy, and the raw records of the ended spans of some runs."""
    found: list[SpanRecord] = []
    real = Redactor.redact_span

    def seen(redactor: Redactor, record: SpanRecord, **more: Any) -> SpanRecord:
        if record["end_ns"]:
            found.append(copy.deepcopy({**record, "scope": {}}) | {"scope": record["scope"]})  # pyright: ignore
        return real(redactor, record, **more)

    with mock.patch.object(Redactor, "redact_span", seen):
        handle = runbundle.configure(store=tempfile.mkdtemp(), contracts=contracts, key=b"a key for benchmarks")
        tracer = handle.tracer_provider.get_tracer("bench")
        for _ in range(RUNS):
            run(tracer, lambda: runbundle.start_run("r"))
        handle.flush()
        policy = Policy(contracts={c.name: c for c in map(_contract, contracts)})
        handle.shutdown()
    return policy, [record for record in found if "runbundle.redaction" not in record["attributes"]]


def _contract(said: Any) -> Any:
    from runbundle.format.contract import parse_contract

    return parse_contract(said)


def us_a_span(line: Callable[[SpanRecord, int], bytes], records: list[SpanRecord], warm: int) -> float:
    """Return microseconds of this thread's CPU time a span, after the first of them."""
    for record in records[:warm]:
        line(record, 0)
    begun = time.thread_time_ns()
    for record in records[warm:]:
        line(record, 0)
    return (time.thread_time_ns() - begun) / len(records[warm:]) / 1000


def measure(name: str, run: Callable[[Any, Callable[[], Any]], None], contracts: Any) -> None:
    """Print what a span costs either way, and how many the native core took."""
    policy, records = recorded(run, contracts)
    python_us, native_us, warm = [], [], len(records) // RUNS * 2
    lines = SpanLines(Redactor(policy))
    for _ in range(ROUNDS):
        redactor = Redactor(policy)
        python_us.append(us_a_span(lambda r, n, of=redactor: record_line("span", of.redact_span(r), n), records, warm))
        lines = SpanLines(Redactor(policy))
        native_us.append(us_a_span(lines.line, records, warm))
    taken = lines.by_native / (lines.by_native + lines.by_python)
    best, fast = min(python_us), min(native_us)
    print(f"{name:32} Python {best:6.1f} us a span, native {fast:5.1f}: {best / fast:4.1f} times; it took {taken:.1%}")


def main() -> None:
    """Measure the three workloads."""
    if native.module() is None:
        print("the native core is not installed: make native")
        return
    measure("README's, its contract", one_run, CONTRACTS)
    measure("peers', no contract", peers_run, [])
    measure("peers', contract keeps 2 + 2", peers_run, KEEPS_TEXT)


if __name__ == "__main__":
    main()
