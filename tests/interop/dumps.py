"""What a framework has emitted, as a file: a dump holds the raw spans and logs of one application, with versions.

A dump is `{"versions": {...}, "expected": {...}, "spans": [...], "logs": [...]}`. A span says, besides what OTLP has,
its `name_at_start` and `keys_at_start`: what could be known of it when it began. Times are in nanoseconds, ids are hex
digits.
"""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Dump = dict[str, Any]
Span = dict[str, Any]

FOLDER = Path(__file__).parent / "dumps"
_EPOCH_NS = 1_790_000_000_000_000_000


def load(*places: Path | str) -> Dump:
    """Return the dump of a file, whole; of several files, as of processes that shared their traces, one of all.

    Reads `.json` and, of servers that wrote a line a span, `.jsonl`, both also with `.gz`. Parts that a line leaves out
    are put in: times from the parent, so that a remote child lies within it.
    """
    whole: Dump = {"versions": {}, "expected": {}, "spans": [], "logs": []}
    for place in map(Path, places):
        data = gzip.decompress(place.read_bytes()) if place.suffix == ".gz" else place.read_bytes()
        if ".jsonl" in place.name:
            whole["spans"] += [json.loads(line) for line in data.splitlines() if line.strip()]
            continue
        part = json.loads(data)
        whole["versions"] |= part.get("versions", {})
        whole["expected"] |= part.get("expected") or {}
        whole["spans"] += part["spans"]
        whole["logs"] += part.get("logs", ())
    _complete(whole["spans"])
    return whole


def save(dump: Dump, place: Path) -> None:
    """Write a dump: the same dump, the same bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dump, indent=0, sort_keys=True, ensure_ascii=False)
    place.write_bytes(gzip.compress(text.encode(), mtime=0))


def settled(dump: Dump, replaced: dict[str, str], *, packages: Iterable[str]) -> Dump:
    """Return a dump in which what another run would have otherwise is the same, as far as it can be.

    Ids are numbers, and times say the order only, a millisecond apart. `replaced` are texts of this machine, and what
    stands for them. Of the versions those stay that can make a dialect: of OpenTelemetry, and of `packages`.
    """
    spans = sorted(dump["spans"], key=lambda span: span["start_ns"])
    moments = {span[key] for span in spans for key in ("start_ns", "end_ns")}
    moments |= {event["time_ns"] for span in spans for event in span["events"]}
    moments |= {record["time_ns"] for record in dump["logs"]}
    times = {moment: _EPOCH_NS + number * 1_000_000 for number, moment in enumerate(sorted(moments))}
    traces: dict[str, str] = {"0" * 32: "0" * 32}
    numbers: dict[str, str] = {"0" * 16: "0" * 16}
    for span in spans:
        traces.setdefault(span["trace_id"], f"{len(traces):032x}")
        numbers.setdefault(span["span_id"], f"{len(numbers):016x}")
    for span in spans:
        above = span["parent_span_id"]
        span |= {"trace_id": traces[span["trace_id"]], "span_id": numbers[span["span_id"]]}
        span |= {"parent_span_id": numbers.setdefault(above, f"{len(numbers):016x}") if above else None}
        span |= {"start_ns": times[span["start_ns"]], "end_ns": times[span["end_ns"]]}
        span["links"] = [numbers.setdefault(other, f"{len(numbers):016x}") for other in span["links"]]
        for event in span["events"]:
            event["time_ns"] = times[event["time_ns"]]
    for record in dump["logs"]:
        record |= {"trace_id": traces[record["trace_id"]], "span_id": numbers[record["span_id"]]}
        record["time_ns"] = times[record["time_ns"]]
    kept = ("opentelemetry-", "openinference-", *packages)
    versions = {name: version for name, version in dump["versions"].items() if name.startswith(kept)}
    text = json.dumps({"versions": versions, "expected": {}, "spans": spans, "logs": dump["logs"]})
    for machine, stands in replaced.items():
        text = text.replace(machine, stands)
    return json.loads(re.sub(r"0x[0-9a-f]{6,16}", "0x0", text))


def keys(dump: Dump) -> set[str]:
    """Return all keys of the attributes of spans."""
    return {key for span in dump["spans"] for key in span["attributes"]}


def dialect(dump: Dump) -> dict[str, list[str]]:
    """Return what is told of a dialect: by scope and kind of span the keys of its attributes and events.

    A key that is there when the span begins is followed by `^`. Numbers of lists in keys are `N`.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for span in dump["spans"]:
        attributes = span["attributes"]
        words = [str(attributes[key]) for key in _KINDS if key in attributes] or ["-"]
        of_kind = found[f"{span['scope']['name']} {' '.join(words)}"]
        of_kind |= {_numbered(key) + ("^" if key in span["keys_at_start"] else "") for key in attributes}
        of_kind |= {
            f"event {event['name']} {_numbered(key)}" for event in span["events"] for key in event["attributes"]
        }
    for record in dump["logs"]:
        found[f"{record['scope']} log {record['event_name']}"] |= {_numbered(key) for key in record["attributes"]}
    return {kind: sorted(of_kind) for kind, of_kind in sorted(found.items())}


_KINDS = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "mcp.method.name")


def _numbered(key: str) -> str:
    return re.sub(r"\.\d+(?=\.|$)", ".N", key)


def _complete(spans: list[Span]) -> None:
    """Put in what older dumps and servers leave out."""
    known = {span["span_id"]: span for span in spans}
    behind: defaultdict[str, int] = defaultdict(int)
    for number, span in enumerate(spans):
        span.setdefault("name_at_start", span["name"])
        span.setdefault("keys_at_start", sorted(span["attributes"]))
        span.setdefault("links", [])
        span.setdefault("remote", bool(span["parent_span_id"]) and span["parent_span_id"] not in known)
        if isinstance(span["scope"], str):
            span["scope"] = {"name": span["scope"], "version": "", "schema_url": ""}
        if "start_ns" not in span:
            above = known.get(span["parent_span_id"] or "", {})
            behind[span["parent_span_id"] or ""] += 1
            begun = above.get("start_ns", _EPOCH_NS + number * 1_000_000) + behind[span["parent_span_id"] or ""]
            span |= {"start_ns": begun, "end_ns": max(above.get("end_ns", begun + 1000) - 1, begun)}
        span["events"] = [
            {"name": event, "attributes": {}} if isinstance(event, str) else event for event in span["events"]
        ]
        for event in span["events"]:
            event.setdefault("time_ns", span["end_ns"])


def in_order(spans: Iterable[Span]) -> list[tuple[str, Span]]:
    """Return the starts and ends of spans as they happened: `("start", span)` and `("end", span)`.

    Of two at the same time a parent starts before its child and ends after it.
    """
    spans = list(spans)
    known = {span["span_id"]: span for span in spans}

    def depth(span: Span) -> int:
        above, steps = known.get(span["parent_span_id"] or ""), 0
        while above is not None and steps < len(known):
            above, steps = known.get(above["parent_span_id"] or ""), steps + 1
        return steps

    moments = [((span["start_ns"], 0, depth(span)), ("start", span)) for span in spans]
    moments += [((max(span["end_ns"], span["start_ns"]), 1, -depth(span)), ("end", span)) for span in spans]
    return [moment for _, moment in sorted(moments, key=lambda pair: pair[0])]
