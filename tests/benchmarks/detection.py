"""Detection: recall, false alarms, throughput. `python -m tests.benchmarks.detection [FILE]`.

FILE holds JSON lines, gzipped or not: `text`, `is_secret`, `secret`, and `tier` (`vendor-format`, recognisable by
itself, or `contextual`) and `source` if known. A secret counts as found if four fifths of its characters are covered.
Sources that begin with `benign` are the yardstick of false alarms. Measured are a bare install, by keywords, and all
that is installed. Without FILE only throughput, growth and the cost of a span are measured, on text made here.
"""

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbundle.format.identity import RunKey
from runbundle.redaction.detectors.context_rules import GENERIC_RULES
from runbundle.redaction.detectors.detector import CredentialSpan, Detector, default_detector
from runbundle.redaction.detectors.kingfisher import kingfisher_rules
from runbundle.redaction.detectors.matcher import Matcher
from runbundle.redaction.detectors.prefilter import KeywordFilter
from runbundle.redaction.detectors.vendor_rules import VENDOR_RULES

COVERED = 0.8
_CORE = (*VENDOR_RULES, *GENERIC_RULES)
PAYLOAD = json.dumps({"query": "weather in Bremen", "filters": ["x" * 40] * 20, "limit": 10, "note": "y" * 300})
"""1.3 KB, of a tool whose contract keeps two of its fields."""
CONTRACT = {"name": "search", "data": {"rules": [
    {"selector": selector, "target": "input", "action": "keep"} for selector in ("/query", "/limit")
]}}  # fmt: skip
ADVERSARIAL: dict[str, Callable[[int], str]] = {
    "one letter": lambda n: "a" * n,
    "keywords": lambda n: "password " * (n // 9),
    "assignments without values": lambda n: "token=" * (n // 6),
    "key headers": lambda n: "-----BEGIN PRIVATE KEY-----\n" * (n // 28),
    "quotes": lambda n: '"key": "' * (n // 8),
    "slashes": lambda n: "\\" * n,
    "schemes": lambda n: "https://" * (n // 8),
    "dots": lambda n: "eyJ." * (n // 4),
    "percent": lambda n: "%41" * (n // 3),
    "zero-width": lambda n: "a\u200b" * (n // 2),
    "markers": lambda n: "[REDACTED:credential]" * (n // 21),
    "base64": lambda n: "QUFB" * (n // 4),
    "found everywhere": lambda n: ("ghp_" + "a1B2" * 9 + " ") * (n // 41),
}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read labelled lines."""
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    return [row for row in map(json.loads, lines) if row["text"] and (row["secret"] or not row["is_secret"])]


def covered(text: str, secret: str, found: list[CredentialSpan]) -> bool:
    """Tell whether the spans cover enough of the secret."""
    start = text.find(secret)
    inside = sum(max(0, min(s.end, start + len(secret)) - max(s.start, start)) for s in found)
    return start >= 0 and inside >= COVERED * len(secret)


def score(name: str, detector: Detector, rows: list[dict[str, Any]]) -> None:
    """Print recall by tier and what of the benign text is touched."""
    known: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    chunks = touched = characters = masked = 0
    for row in rows:
        found = detector.find(row["text"])
        if row["is_secret"]:
            for group in ("all", row.get("tier") or "untold"):
                known[group] += 1
                hits[group] += covered(row["text"], row["secret"], found)
        elif str(row.get("source", "")).startswith("benign"):
            chunks += 1
            characters += len(row["text"])
            touched += bool(found)
            masked += sum(s.end - s.start for s in found)
    recall = ", ".join(f"{group} {hits[group] / known[group]:.3f} of {known[group]}" for group in known)
    print(f"{name:16} recall: {recall}")
    if chunks:
        print(f"{'':16} benign: {touched / chunks:.2%} of {chunks} chunks, {masked / characters:.3%} of characters")


def throughput(find: Callable[[str], object], texts: list[str]) -> float:
    """Return megabytes a second, warm."""
    for text in texts:
        find(text)
    started = time.perf_counter()
    for text in texts:
        find(text)
    return sum(map(len, texts)) / (time.perf_counter() - started) / 1e6


def growth(detector: Detector) -> None:
    """Print how time grows when adversarial text grows fourfold; linear is 4."""
    for name, make in ADVERSARIAL.items():
        times: list[float] = []
        for size in (50_000, 200_000):
            text = make(size)
            detector.find(text[:1000])
            started = time.perf_counter()
            detector.find(text)
            times.append(time.perf_counter() - started)
        print(f"  {name:28} 200 kB in {times[1] * 1000:7.1f} ms, {times[1] / times[0]:.1f} times 50 kB")


def cost_of_a_span() -> tuple[float, float, float]:
    """Return µs for reading a tool span of 1.3 KB into a record, redacting that, and the SDK's OTLP encoding of it."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from runbundle.contracts.files import by_name
    from runbundle.otel.boundary.span_records import SpanCodec
    from runbundle.redaction.policy import Policy
    from runbundle.redaction.redactor import Redactor

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("bench").start_span("execute_tool search", attributes={
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.call.arguments": PAYLOAD,
    }).end()  # fmt: skip
    spans = exporter.get_finished_spans()
    redactor, codec = Redactor(Policy(contracts=by_name([CONTRACT]))), SpanCodec()
    run = RunKey("", "run")
    record = codec.to_record(spans[0], run)
    return (
        per_call(lambda: codec.to_record(spans[0], run)),
        per_call(lambda: redactor.redact_span(record)),
        per_call(lambda: encode_spans(spans).SerializeToString()),
    )


def per_call(function: Callable[[], object], calls: int = 3000) -> float:
    """Return µs a call, of the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            function()
        best = min(best, time.perf_counter() - started)
    return best / calls * 1e6


def main() -> None:
    """Measure and print."""
    bare = Detector(Matcher(_CORE, KeywordFilter(_CORE)))
    rows = rows_of(Path(sys.argv[1])) if len(sys.argv) > 1 else []
    if rows:
        score("bare install", bare, rows)
        score("all extras", default_detector(), rows)
    made = ["The quick brown fox; token_count=5, id: 7. " * 50] * 500
    texts = [r["text"] for r in rows if not r["is_secret"]] or made
    rules = Matcher((*_CORE, *kingfisher_rules()))
    for name, find in (
        ("bare install", bare.find),
        ("all extras", default_detector().find),
        ("their rules", lambda text: list(rules.matches(text.encode("ascii", "replace")))),
    ):
        print(f"{name:16} {throughput(find, texts):.0f} MB/s on text without secrets")
    read, redact, encode = cost_of_a_span()
    print(f"a tool span of 1.3 KB: redaction {redact:.0f} µs, OTLP encoding {encode:.0f} µs, reading {read:.0f} µs")
    print("growth on adversarial text:")
    growth(default_detector())


if __name__ == "__main__":
    main()
