"""The entries of tool_calls.json and evidence.json, made from single spans, and how completely values were captured."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from runbundle.bundle.assembly.timeline import FAILED, Span
from runbundle.format.words import CaptureWord
from runbundle.redaction.captured import DIGESTED, Said, parse_capture, worst
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.redaction.receipt import Receipt
from runbundle.signals import own, semconv
from runbundle.signals.reading import number_of, text_of, whole_of, written_of

VALUES = frozenset(
    {
        semconv.ARGUMENTS, semconv.RESULT, semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES,
        semconv.SYSTEM_INSTRUCTIONS, semconv.PROMPT, semconv.COMPLETION, semconv.QUERY_TEXT,
        semconv.DOCUMENTS, semconv.ALL_MESSAGES, semconv.FINAL_RESULT, own.RESULT,
        own.CONFIG, own.QUERY, own.DOCUMENT_CONTENT,
    }
)  # fmt: skip
"""Keys of the attributes that hold an agent's values. Such a value is `whole` unless the span says otherwise."""


DECISIONS = ("allowed", "blocked", "approved", "denied")
SIDE_EFFECTS = ("none", "read", "write", "destructive")


def rfc3339(time_ns: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 in UTC with nine digits: `2026-11-25T04:56:00.000000001Z`."""
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return f"{_to_the_second(seconds)}.{nanos:09d}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def tool_call(span: Span, agent: str | None, began: str = "") -> dict[str, Any]:
    """Return the entry of a tool's span. `agent`: the calling agent. `began`: id of the span where its error began."""
    attributes, record = span.attributes, span.record
    sha256 = text_of(attributes, own.CONTRACT_SHA256)
    version = text_of(attributes, own.CONTRACT_VERSION) or ""
    side_effects = attributes.get(own.SIDE_EFFECTS)
    call: dict[str, Any] = {
        "call_id": text_of(attributes, semconv.CALL_ID) or record["span_id"],
        "tool": text_of(attributes, semconv.TOOL_NAME) or "[REDACTED:name]",
        "contract": {"version": version, "sha256": sha256} if sha256 else None,
        "trace_id": record["trace_id"],
        "span_id": record["span_id"],
        "parent_span_id": record["parent_span_id"] or None,
        "agent": agent,
        "started_at": rfc3339(record["start_ns"]),
        "duration_ns": str(max(0, record["end_ns"] - record["start_ns"])),
        "status": span.status,
        "error": span.error(began),
        "policy": _policy(span),
        "side_effects": side_effects if side_effects in SIDE_EFFECTS else "unknown",
        "attempt": whole_of(attributes, own.ATTEMPT) or 1,
        "arguments": _payload(span, "arguments"),
        "result": _payload(span, "result"),
    }
    return call


_MOST_ALSO = 1000  # listed; all are in events.jsonl
_UNSAID: tuple[tuple[str, Any], ...] = (
    ("contract", None), ("agent", None), ("policy", {"decision": "allowed"}), ("side_effects", "unknown"),
    ("attempt", 1), ("arguments", None), ("result", None),
)  # fmt: skip
"""Fields of an entry, and what each holds where the span does not say it."""


def complete_call(call: dict[str, Any], other: dict[str, Any]) -> None:
    """Complete the entry of a call by that of another span of the same call, in `call` itself.

    Ids, times and caller stay those of the call's own span; `also` lists the others, at most 1000. Whatever no span
    before said is taken from this one.
    """
    if call["call_id"] == call["span_id"] and other["call_id"] != other["span_id"]:
        call["call_id"] = other["call_id"]
    for field, nothing in _UNSAID:
        if call[field] == nothing:
            call[field] = other[field]
    if call["status"] == "unset" and other["status"] != "interrupted":
        call["status"] = other["status"]
    if call["error"] is None and call["status"] in FAILED and other["error"]:
        call["error"] = {"span_id": other["span_id"], **other["error"]}
    also = call.setdefault("also", [])
    if len(also) < _MOST_ALSO:
        also.append(other["span_id"])


def _policy(span: Span) -> dict[str, Any]:
    outcome: dict[str, Any] = {"decision": "blocked" if span.status == "blocked" else "allowed"}
    for event in span.record["events"]:
        if event["name"] == own.DECISION:
            said = event["attributes"]
            decision = said.get(own.POLICY_DECISION)
            if decision in DECISIONS:
                outcome = {"decision": decision}
            for field in ("rule", "reason"):
                text = text_of(said, own.POLICY[field])
                if text is not None:
                    outcome[field] = text
    return outcome


def _payload(span: Span, kind: str) -> dict[str, Any] | None:
    attributes = span.attributes
    key = semconv.ARGUMENTS if kind == "arguments" else semconv.RESULT
    value = attributes.get(key)
    said = stated_captures(attributes).get(key) if own.CAPTURE in attributes else None
    word = said.word if said is not None else "whole"
    if value is None:  # such as a stream that was handed on: there was a value, and nobody saw it
        return None if word == "whole" else {"view": None, "capture": word, "redactions": []}
    digest = text_of(attributes, own.PAYLOAD_DIGEST[kind])
    size = whole_of(attributes, own.PAYLOAD_BYTES[kind])
    view: Any = None
    if is_marker(value):
        if digest is None or size is None:
            said_digest, said_size = marker_parts(value)
            digest, size = digest or said_digest or None, size if size is not None else said_size
        view = None if value.startswith("[REDACTED:undeclared") else value
    else:
        view = written_of(value)
    if word not in DIGESTED:
        digest = size = None
    chunked = {"chunked": True} if said is not None and said.chunked else {}
    return {
        "view": view,
        "digest": digest,
        "bytes": size,
        "capture": word,
        **chunked,
        "redactions": notes_of(span.receipt, kind),
    }


@lru_cache(maxsize=256)  # most spans of a run share a few receipts
def notes_of(receipt: Receipt, kind: str) -> list[dict[str, str]]:
    """Return what a receipt notes of the arguments or the result; not to be changed."""
    return [
        {"path": path, "rule": rule, "action": action}
        for path, rule, action in receipt.each()
        if path.startswith(kind) and path[len(kind) : len(kind) + 1] in ("", "/")
    ]


def retrieval(span: Span) -> dict[str, Any] | None:
    """Return the entry of a retrieval, or of a span with evidence events; None for any other span."""
    events = span.record["events"]
    documents = [e["attributes"] for e in events if e["name"] == own.EVIDENCE] if events else []
    if span.op != "retrieval" and not documents:
        return None
    asked = [text_of(span.attributes, semconv.QUERY_TEXT)]
    asked += [text_of(attributes, own.QUERY) for attributes in (span.attributes, *documents)]
    query = next(filter(None, asked), None)
    entry: dict[str, Any] = {
        "trace_id": span.record["trace_id"],
        "span_id": span.record["span_id"],
        "retriever": next(
            (name for a in [span.attributes, *documents]
             for k in (own.RETRIEVER_NAME, semconv.DATA_SOURCE, own.NAME)
             if (name := text_of(a, k)) is not None),
            "unknown",
        ),
        "documents": [_document(d, rank) for rank, d in enumerate(documents, 1) if own.DOCUMENT_ID in d],
    }  # fmt: skip
    if query is not None:
        digest, size = marker_parts(query)
        entry["query"] = {"digest": digest or None, "bytes": size, "view": None if is_marker(query) else query}
        words = [capture_words(a) for a in [span.attributes, *documents]]
        word = worst(w[key] for w in words for key in (semconv.QUERY_TEXT, own.QUERY) if key in w)
        if word != "whole":
            entry["query"]["capture"] = word
    return entry


def _document(attributes: dict[str, Any], position: int) -> dict[str, Any]:
    rank = whole_of(attributes, own.DOCUMENT_RANK)
    digest, size = marker_parts(text_of(attributes, own.DOCUMENT_CONTENT) or "")
    document: dict[str, Any] = {
        "id": text_of(attributes, own.DOCUMENT_ID) or str(position),
        "rank": position if rank is None else rank,
        "digest": digest or None,
        "bytes": size,
        "cited_by": [],
    }
    word = capture_words(attributes).get(own.DOCUMENT_CONTENT, "whole")
    if word != "whole":
        document["capture"] = word
    said = {
        "uri": text_of(attributes, own.DOCUMENT_URI),
        "title": text_of(attributes, own.DOCUMENT_TITLE),
        "score": number_of(attributes, own.DOCUMENT_SCORE),
    }
    return document | {field: value for field, value in said.items() if value is not None}


# -- captures --------------------------------------------------------------------------------------------------------


def stated_captures(attributes: Mapping[str, Any]) -> dict[str, Said]:
    """Return the entries of the attribute `runbundle.capture`, by key; empty if all values are whole."""
    return (parse_capture(attributes[own.CAPTURE]) or {}) if own.CAPTURE in attributes else {}


def capture_words(attributes: Mapping[str, Any]) -> dict[str, CaptureWord]:
    """Return the capture word of each value among `attributes`, and of absent values for which there is a word."""
    if VALUES.isdisjoint(attributes) and own.CAPTURE not in attributes:
        return {}
    words: dict[str, CaptureWord] = dict.fromkeys(VALUES.intersection(attributes), "whole")
    if own.CAPTURE in attributes:
        words.update((key, said.word) for key, said in stated_captures(attributes).items())
    return words


def captures_of_span(span: Span) -> dict[str, list[CaptureWord]]:
    """Return the capture words of all values of a span and its events, by attribute key."""
    found: dict[str, list[CaptureWord]] = {key: [word] for key, word in capture_words(span.attributes).items()}
    for event in span.record["events"]:
        for key, word in capture_words(event["attributes"]).items():
            found.setdefault(key, []).append(word)
    return found


def worst_by_key(found: Mapping[str, list[CaptureWord]]) -> dict[str, CaptureWord]:
    """Return one capture word for each key: the worst."""
    return {key: words[0] if len(words) == 1 else worst(words) for key, words in found.items()}
