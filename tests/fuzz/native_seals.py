"""Journals drawn at random, assembled by both cores: `python -m tests.fuzz.native_seals [MINUTES]`, by default ten.

A case is the journals of one run. The native core makes a bundle of the same bytes as Python, or leaves the run to it.
Most journals are what a recorder writes, of odd spans; some have bytes that no recorder writes, under a right checksum.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson
from hypothesis import strategies as st

from runbundle.bundle.assembly.acts import SAME_COUNT
from runbundle.bundle.assembly.entries import DECISIONS, SIDE_EFFECTS, VALUES
from runbundle.bundle.assembly.tally import ALIKE, LOST
from runbundle.bundle.assembly.timeline import EVENT_TYPES, JOINED, STATED
from runbundle.format.identity import RunKey
from runbundle.redaction.markers import marker
from runbundle.signals import own, semconv
from runbundle.signals.operations import OF_GEN_AI
from tests.fuzz.native_spans import payloads, texts, written
from tests.fuzz.searching import search
from tests.support.both_ways import same

RUN = RunKey("", "run-1")
_DIGESTS = [f"h2:89d34674:{letter * 26}" for letter in "abc"]
_MARKERS = (
    marker("undeclared"), marker("undeclared", digest=_DIGESTS[0], size=70), marker("content", size=3),
    marker("content", digest=_DIGESTS[1], size=2030, roles=("user", "tool")), marker("personal", index=3),
    marker("credential") + "!", "[REDACTED:financial:last=1234]", "[REDACTED:", f"[REDACTED:content:{_DIGESTS[2]}:]",
)  # fmt: skip
_RECEIPTS = (
    '{"n":[],"by":"89d34674"}', '{"n":[["arguments/a","undeclared","digest"]],"by":"89d34674"}',
    '{"n":[["arguments","undeclared","digest"],["result/rows/*/id","contract:t","mask"],["argumentsx","r","drop"]]}',
    '{"n":[["attributes.x","content","digest"]],"more":{"content|digest":7}}', '{"n":[]}', '{"n":1}', "",
)  # fmt: skip
_CAPTURES = (
    json.dumps({semconv.RESULT: {"word": "oversize", "digest": _DIGESTS[0], "bytes": 70}}),
    json.dumps({semconv.ARGUMENTS: {"word": "not_consumed"}}), "{}",
)  # fmt: skip
_numbers = st.one_of(
    st.integers(0, 900), st.sampled_from((-1, 0, 2**63 - 1, 2**63, -(2**63), 1.0, 2.5, 1e300, True, False))
)
_values = st.one_of(
    texts, texts, _numbers, payloads, st.none(), st.sampled_from(_MARKERS), st.lists(texts, max_size=2), st.just({}),
    st.sampled_from((*_RECEIPTS, *_CAPTURES)), st.dictionaries(texts, texts, max_size=2),
)  # fmt: skip
_words = st.sampled_from(("find", "search", "a", "", "m", marker("name")))
_content = st.one_of(payloads, written, st.sampled_from(_MARKERS), st.sampled_from(_MARKERS))
_USUAL: dict[str, st.SearchStrategy[Any]] = {
    own.RECEIPT: st.sampled_from(_RECEIPTS[:5]), own.LANE: st.sampled_from(("main", "main#2", "")),
    own.EFFECT: _words, own.JOINED: st.sampled_from((*JOINED, "x")), own.STATUS: st.sampled_from((*STATED, "ok")),
    own.RUN_ID: st.sampled_from(("run-1", "run-1", "run-2")), own.SESSION_ID: _words, own.USER_ID: _words,
    semconv.CONVERSATION_ID: _words, semconv.AGENT_NAME: _words, own.DIALECT: _words, own.IMPLICIT: st.booleans(),
    own.SPANS_STARTED: st.integers(0, 9), own.TENANT_ID: st.sampled_from(("acme", "", "a b")),
    own.RESULT: _content, own.RESULT_KIND: _words, own.NAME: _words, semconv.FINAL_RESULT: _content,
    semconv.ERROR_TYPE: st.sampled_from(("ValueError", "a.ValueError", "KeyError[x]", "")),
    own.CAPTURE: st.sampled_from(_CAPTURES), own.CONFIG: _content, own.HIDDEN + "a" * 12: _words,
    "http.method": _words, "app.x": _words, semconv.OPERATION: st.sampled_from((*OF_GEN_AI, "index")),
    semconv.MCP_REQUEST_ID: st.sampled_from(("1", "2")), own.RESUMED_FROM: _words, own.RUN_ATTEMPT: st.integers(1, 2),
}  # fmt: skip
_TOKENS = {semconv.USAGE + key: st.integers(0, 99) for key in ("input_tokens", "output_tokens", "total_tokens")} | {
    semconv.USAGE + key: st.integers(0, 99) for key in list(SAME_COUNT)[::3]
}
_TOOL: dict[str, st.SearchStrategy[Any]] = {
    semconv.ARGUMENTS: _content, semconv.RESULT: _content, semconv.CALL_ID: _words,
    own.ARGUMENTS_DIGEST: st.sampled_from(_DIGESTS), own.RESULT_DIGEST: st.sampled_from(_DIGESTS),
    own.ARGUMENTS_BYTES: st.integers(0, 5000), own.RESULT_BYTES: st.integers(63, 5000),
    own.CONTRACT_SHA256: st.sampled_from(("0" * 64, "1" * 64)), own.CONTRACT_VERSION: st.sampled_from(("1", "2")),
    own.SIDE_EFFECTS: st.sampled_from((*SIDE_EFFECTS, "x")), own.ATTEMPT: st.integers(-1, 3),
}  # fmt: skip
_MODEL: dict[str, st.SearchStrategy[Any]] = {
    semconv.REQUEST_MODEL: _words, semconv.RESPONSE_MODEL: _words, semconv.INPUT_MESSAGES: _content,
    semconv.OUTPUT_MESSAGES: _content, semconv.RESPONSE_ID: st.sampled_from(("r1", "r2", "r3")), **_TOKENS,
}  # fmt: skip
_FOUND: dict[str, st.SearchStrategy[Any]] = {semconv.QUERY_TEXT: _content, semconv.DATA_SOURCE: _words}
_KINDS: tuple[tuple[dict[str, Any], dict[str, st.SearchStrategy[Any]]], ...] = (
    ({own.OP: "run"}, {}), ({own.OP: "step"}, _TOKENS), ({}, _TOKENS),
    ({semconv.OPERATION: "invoke_agent", semconv.AGENT_NAME: "desk"}, _TOKENS),
    ({semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: "find"}, _TOOL),
    ({semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: "search"}, _TOOL),
    ({semconv.OPERATION: "chat"}, _MODEL), ({semconv.OPERATION: "chat"}, _MODEL),
    ({semconv.OPERATION: "embeddings"}, _MODEL), ({semconv.OPERATION: "retrieval"}, _FOUND),
)  # fmt: skip
_ODD = sorted(
    {
        *VALUES,
        *ALIKE,
        *LOST,
        *_USUAL,
        *_TOOL,
        *_MODEL,
        *(semconv.USAGE + key for key in SAME_COUNT),
        own.QUERY,
        "x",
        "Ä",
    }
)


def _said(kind: int) -> st.SearchStrategy[dict[str, Any]]:
    given, more = _KINDS[kind]
    return st.builds(
        lambda usual, of_kind, odd: {**given, **usual, **of_kind, **odd},
        st.fixed_dictionaries({}, optional=_USUAL).map(lambda said: dict(list(said.items())[:: len(said) // 3 + 1])),
        st.fixed_dictionaries({}, optional=more),
        st.integers(0, 9).flatmap(
            lambda number: st.just({}) if number else st.dictionaries(st.sampled_from(_ODD), _values, max_size=2)
        ),
    )


_times = st.sampled_from((1, 2, 3, 5, 8, 1_790_000_000_123_456_789, 951_827_696_000_000_001, 2**63 - 1))
_EVENTS: tuple[dict[str, st.SearchStrategy[Any]], ...] = (
    {
        semconv.EXCEPTION_TYPE: st.sampled_from(("ValueError", "a.b.ValueError", "KeyError")),
        semconv.EXCEPTION_STACKTRACE: st.sampled_from(("a\nb", "c\nb", "d", "[REDACTED:x")),
        semconv.EXCEPTION_MESSAGE: texts,
    },
    {own.POLICY_DECISION: st.sampled_from((*DECISIONS, "x")), own.POLICY_RULE: _words, own.POLICY_REASON: texts},
    {own.DOCUMENT_ID: _words, own.DOCUMENT_CONTENT: _content, own.DOCUMENT_SCORE: st.floats(0, 1)},
    {own.CHILD_RUN_ID: _words, own.NAME: _words, "x": _values, semconv.RESULT: _content},
)  # fmt: skip
_event = st.builds(
    lambda name, time_ns, said, dropped: {"name": name, "time_ns": time_ns, "attributes": said, "dropped": dropped},
    st.sampled_from((semconv.EXCEPTION, semconv.EXCEPTION, own.DECISION, own.CHILD, own.EVIDENCE, *EVENT_TYPES, "e")),
    _times, st.one_of(*(st.fixed_dictionaries({}, optional=said) for said in _EVENTS)),
    st.sampled_from((0, 0, 0, 0, 0, 2)),
)  # fmt: skip
_link = st.builds(
    lambda said: {"trace_id": "c" * 32, "span_id": "d" * 16, "trace_state": "", "attributes": said, "dropped": 0},
    st.dictionaries(_words, _values, max_size=1),
)
_SCOPES = ({"name": own.SCOPE, "version": ""}, {"name": "lib", "version": "1.2", "schema_url": "s"}, {}, {"name": "é"})


def _few(parts: st.SearchStrategy[Any], seldom: int) -> st.SearchStrategy[list[Any]]:
    return st.integers(0, seldom).flatmap(lambda number: st.just([]) if number else st.lists(parts, max_size=3))


def _span(number: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.builds(
        lambda parent, kind_said, times, code, events, links, scope, remote, start: _lines_of(
            number, parent, kind_said, times, code, events, links, scope, remote, start
        ),
        st.one_of(st.integers(0, max(0, number - 1)), st.integers(0, max(0, number - 1)), st.integers(0, 99)),
        st.integers(0, len(_KINDS) - 1).flatmap(_said), st.tuples(_times, _times).map(sorted),
        st.sampled_from((0, 0, 1, 2, 2)), _few(_event, 2), _few(_link, 7), st.sampled_from(_SCOPES),
        st.sampled_from((False, False, True)), st.integers(0, 5),
    )  # fmt: skip


def _lines_of(
    number: int, parent: int, said: dict[str, Any], times: list[int], code: int, events: Any, links: Any, scope: Any,
    remote: bool, start: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the entries of a span: mostly its start and its end."""
    ids = {"trace_id": "a" * 32, "span_id": f"{number + 1:016x}", "parent_span_id": f"{parent:016x}" if parent else ""}
    span = {
        "k": "span", "run_id": "run-1", "tenant_id": "", **ids, "remote_parent": remote, "trace_state": "",
        "name": "n", "kind": 1, "start_ns": times[0], "end_ns": times[1], "status_code": code,
        "status_message": "failed" if code == 2 else "", "attributes": said, "events": events, "links": links,
        "scope": scope, "dropped": {"attributes": 2} if number == 7 else {}, "resource": 0,
    }  # fmt: skip
    begun = {"k": "start", **ids, "start_ns": times[0], "lane": "main", "label": "tool:x", "is_run": not parent}
    if start == 1 and not parent:
        begun |= {"name": "n", "attributes": said}
    return [begun, span] if start else [span]


_resource = st.builds(
    lambda version: {"k": "resource", "resource": 0, "value": {"attributes": {semconv.SDK_VERSION: version}}},
    st.sampled_from(("1.45.2", "1.40.0", "a b", 3)),
)
_log = st.builds(
    lambda time_ns, said: {
        "k": "log", "trace_id": "a" * 32, "span_id": "0" * 16, "time_ns": time_ns, "event_name": "e", "severity": 9,
        "attributes": said, "body": None,
    },
    _times, st.dictionaries(_words, _values, max_size=1),
)  # fmt: skip
_entries = st.integers(1, 9).flatmap(
    lambda spans: st.tuples(*map(_span, range(spans)), _few(_resource, 1), _few(_log, 5)).map(
        lambda parts: [entry for part in parts for entry in part]
    )
)


def _line(entry: dict[str, Any], form: int) -> bytes:
    try:
        body = orjson.dumps(entry) if form else json.dumps(entry, sort_keys=True).encode()
    except TypeError:
        body = json.dumps(entry).encode()
    return b"%08x %b\n" % (crc32(body), body)


class Case(NamedTuple):
    """The lines of a run's journals, and where they are changed: line, place, the bytes there, and what they become."""

    lines: list[bytes]
    changes: list[tuple[int, int, int, bytes]]
    journals: int


_PARTS = (b"", b"0", b"-", b'"', b"\\", b"{", b"}", b",", b"null", b"\xff", b"\\ud800", b"1e999", b":[", b"\n", b"\0")
_changes = st.tuples(st.integers(0, 99), st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(_PARTS))
cases = st.builds(
    Case,
    _entries.flatmap(
        lambda entries: st.tuples(
            st.one_of(st.just(entries), st.permutations(entries)),
            st.lists(st.sampled_from((1, 1, 1, 1, 1, 0)), min_size=len(entries), max_size=len(entries)),
        )
    ).map(lambda drawn: list(map(_line, *drawn))),
    st.integers(0, 4).flatmap(lambda number: st.just([]) if number else st.lists(_changes, max_size=2)),
    st.sampled_from((1, 1, 1, 2)),
)


def _changed(case: Case) -> list[bytes]:
    lines = list(case.lines)
    for number, at, length, part in case.changes:
        body = lines[number % len(lines)][9:-1]
        at %= len(body) + 1
        body = body[:at] + part + body[at + length :]
        lines[number % len(lines)] = b"%08x %b\n" % (crc32(body), body)
    return lines


def journals_of(case: Case, folder: Path) -> list[Path]:
    """Write the journals of a case; return their paths."""
    lines, files = _changed(case), list[Path]()
    for number in range(case.journals):
        files.append(folder / f"w{number}.jsonl")
        files[-1].write_bytes(b"".join(lines[number :: case.journals]) + b"\0" * 8)
    return files


def compared(case: Case) -> str:
    """Assemble the journals of a case by both cores; return why the native core left them to Python, or "".

    Raises `AssertionError` where a byte differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = journals_of(case, Path(folder))
        return same(files, RUN, Path(folder), own="w", grace_s=2.0, begins=False)


def main(minutes: float) -> int:
    """Look for a difference until the time is over; print how many runs the native core took, and why not others."""
    return search(cases, lambda case: [compared(case)], "runs", minutes)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
