"""Assembling a bundle by the native core: the same bytes as `assemble` makes, or nothing, which leaves the run to it.

The core reads the journals, orders and writes, without the interpreter. It takes runs of ended spans whose journals are
whole and written by this process. In the middle it asks Python, once: of spans that are
alike in all that the totals read it shows one, and Python adds that up by the functions that `assemble` has; a span
with something rare on it Python writes. `verify` derives every bundle in Python.
"""

import os
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

import orjson

from runbundle.bundle.assembly.about import Agents
from runbundle.bundle.assembly.acts import SAME_COUNT, Acts, CountedActs
from runbundle.bundle.assembly.assemble import (
    Above,
    Assembled,
    Whole,
    attributes_of_run,
    call_line,
    config_of,
    derived,
    entries_of_calls,
    index_of,
    keyed,
    refused,
    unkeyed,
)
from runbundle.bundle.assembly.entries import DECISIONS, SIDE_EFFECTS, VALUES, notes_of, tool_call
from runbundle.bundle.assembly.parts import NewFile, digested_file, make_file
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.tally import ALIKE, LOST, RunTotals
from runbundle.bundle.assembly.timeline import (
    EVENT_TYPES,
    JOINED,
    STATED,
    UNFIT,
    Span,
    log_line,
    run_lines,
    span_from_entry,
)
from runbundle.bundle.entry_lines import entry_bytes, write_listing
from runbundle.bundle.facts import Act, Facts
from runbundle.core import native
from runbundle.format.identity import RunKey, tenant_of
from runbundle.format.layout import CONFIG, EVENTS, EVIDENCE, TOOL_CALLS
from runbundle.journal.entries import is_entry
from runbundle.journal.reader import sdk_version_of
from runbundle.redaction.markers import CLASSES, ROLES
from runbundle.redaction.receipt import Receipt
from runbundle.signals import own, semconv
from runbundle.signals.names import EMBEDDINGS
from runbundle.signals.operations import OF_GEN_AI
from runbundle.store.regular import file_at

MOST_BYTES = 50_331_648
"""Bytes of the journals of a run that is assembled natively. It takes four times as much memory, a longer one of Python
none that grows with it."""
_EVIDENCE, _CALLS = "runbundle/evidence/v1", "runbundle/tool_calls/v1"


class _NotMine(Exception):
    """The run is left to `assemble`."""


def assembled_natively(
    journals: Sequence[Path],
    run: RunKey,
    scratch: Path,
    *,
    lines: bytes = b"",
    own: str,
    grace_s: float | None,
    if_new: Callable[[RunKey, bool], bool],
) -> Assembled | None:
    """Return the first bundle of a run, as `assemble` makes it; None if the native core does not take it.

    `own`: the beginning of the names of this process's journals; `lines` in a segment are its own too. `if_new` is
    asked whether to go on, given the run and whether its beginning is there. Never raises.
    """
    made = tried(journals, run, scratch, lines=lines, own=own, grace_s=grace_s, if_new=if_new)
    return None if isinstance(made, str) else made


def tried(
    journals: Sequence[Path],
    run: RunKey,
    scratch: Path,
    *,
    lines: bytes = b"",
    own: str,
    grace_s: float | None,
    if_new: Callable[[RunKey, bool], bool],
) -> Assembled | str:
    """Return what `assembled_natively` returns, or a few words that say why the run is left to Python."""
    sealer = _sealer()
    if sealer is None:
        return "there is no native core"
    if not own or not all(path.name.startswith(own) for path in journals):
        return "another process wrote a journal of it"
    try:
        with ExitStack() as held:
            judge = _Judge(run, if_new, scratch, held)
            made = sealer.seal([*_contents(journals), *([lines] if lines else [])], judge)
            return made if isinstance(made, str) else _assembled(judge, made, scratch, grace_s)
    except _NotMine as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, Python assembles the run, or says what is wrong with it
        return f"an error ({type(error).__name__})"


class _Sealer(Protocol):
    def seal(self, files: list[bytes], judge: "_Judge") -> Any: ...


@cache
def _sealer() -> _Sealer | None:
    module = native.module()
    return None if module is None else module.Sealer(words())


def _contents(journals: Sequence[Path]) -> list[bytes]:
    found: list[bytes] = []
    room = MOST_BYTES
    for path in journals:
        with file_at(path) as file:
            size = os.fstat(file.fileno()).st_size
            room -= size
            if room < 0:
                raise _NotMine("its journals are long")
            found.append(file.read(size))
    return found


class _Judge:
    """What the native core asks while it makes a run's files."""

    def __init__(self, run: RunKey, if_new: Callable[[RunKey, bool], bool], scratch: Path, held: ExitStack) -> None:
        self.run = run
        self.begins = False
        self.tally = RunTotals(run.run_id)
        self.acts: Acts | CountedActs = CountedActs(b"", (), ({}, {}, {}))
        self.agents = held.enter_context(closing(Agents(scratch)))
        self.calls: list[bytes] | None = None
        """Entries of all calls, if they are made here."""
        self.evidence: list[bytes] = []
        self.sdk_versions: frozenset[str] = frozenset()
        self.parents = array("i")
        self.final = -1, ""
        """Row of the run's own span, and the id of the span in which its error began."""
        self._totals = dict[str, Any]()
        self._lines = set[bytes]()
        self._tail = b""
        self._if_new, self._scratch, self._held = if_new, scratch, held

    def begin(self, totals: dict[str, Any]) -> None:
        """Take what is known of the run as a whole. Raises `_NotMine` if it is not to be made natively."""
        self.begins = totals["begins"]
        if totals["tenant"] and not self.run.tenant_id:
            self.run = RunKey(tenant_of(totals["tenant"]), self.run.run_id)
        if totals["refused"]:
            raise _NotMine(totals["refused"])
        if not self._if_new(self.run, self.begins):
            raise _NotMine("it has a bundle, or is a part of a run")
        self._totals = totals
        self._lines = {log_line(_checked(log), sealed=False) for log in totals["logs"]}  # equal records are one
        self.tally.counts["logs"] = len(self._lines)
        self.parents.frombytes(totals["parents"])
        self.sdk_versions = frozenset(
            filter(None, (sdk_version_of(orjson.loads(line)) for line in totals["resources"]))
        )
        *_, self._tail = write_listing("calls", [], run_id=self.run.run_id, schema=_CALLS)

    def add(self, shown: list[tuple[bytes, int, int, bool, str | None, str, bool]]) -> Any:
        """Return what of each shown span's receipt is written, the lines and calls made here, the end of the calls."""
        totals, lines = self._totals, self._lines
        tally, calls, answers = self.tally, list[bytes](), list[tuple[int, bytes, bytes]]()
        told_twice = Acts(self._scratch) if totals["told_twice"] else None
        if told_twice is not None:
            self._held.callback(told_twice.close)
            told_twice.know(totals["acts"])
        tools = list[tuple[Span, int, str | None, str]]()
        places: dict[tuple[int, str, str], tuple[int, str]] = {}
        for line, row, times, rare, agent, began, parent_here in shown:
            span = span_from_entry(orjson.loads(line), ended=True)
            if span.receipt is UNFIT:
                raise _NotMine("a receipt has another form")
            tally.add(span, parent_here=parent_here, times=times)
            places[span.order] = row, began
            if span.op == "agent":
                self.agents.add(row, span, began)
            if told_twice is not None:
                told_twice.add_at(row, span)
                if span.op == "tool":
                    tools.append((span, row, agent, began))
            if rare:
                made = derived(span, Above(agent, began, parent_here))
                tally.captured(made.words)
                lines.update(made.lines)
                if made.call is not None:
                    tally.counts["policy_blocks"] += refused(made.call)
                    calls.append(keyed(span, entry_bytes(made.call)))
                if made.evidence is not None:
                    tally.counts["evidence"] += 1
                    self.evidence.append(keyed(span, entry_bytes(made.evidence)))
            arguments, result = map(notes_text, (span.receipt,) * 2, KINDS) if span.op == "tool" else (b"", b"")
            answers.append((span.receipt.count(), arguments, result))
        tally.widen(
            totals["first_ns"], totals["last_ns"], totals["good_ns"], totals["trace_ids"], whole=totals["whole"]
        )
        tally.finish()
        if tally.is_implicit and not totals["shows_agents"]:
            raise _NotMine("another span says that it is the run")
        self.acts = told_twice or CountedActs(totals["acts"], totals["kinds"], totals["usage"])
        if told_twice is not None:
            told_twice.link(self.parent_of)
            if told_twice.repeated:
                self._make_calls(told_twice, tools)
        if tally.begun is not None and tally.final is not None:
            self.final = places[tally.final.order]
            lines.update(run_lines(tally.begun, tally.final))
        tail = self._tail.removeprefix(b"]") if self.calls is None else None
        return answers, list(lines), calls, tail

    def parent_of(self, row: int) -> int:
        """Return the row of a row's parent, or -1."""
        return self.parents[row]

    def _make_calls(self, acts: Acts, tools: list[tuple[Span, int, str | None, str]]) -> None:
        """Make the entries of the calls, of which some were told twice."""
        self.tally.counts["policy_blocks"] = 0
        with Sorter(self._scratch) as lines:
            for span, row, agent, began in tools:
                lines.add(call_line(span, row, tool_call(span, agent, began)))
            self.calls = list(entries_of_calls(lines, acts, self.tally, self._scratch))


KINDS = "arguments", "result"
"""The payloads of a call."""


def _checked(line: bytes) -> dict[str, Any]:
    entry = orjson.loads(line)
    if not is_entry(entry):
        raise _NotMine("a log has another form")
    return entry


@lru_cache(maxsize=256)
def notes_text(receipt: Receipt, kind: str) -> bytes:
    """Return what a receipt notes of the arguments or the result as it stands in an entry of tool_calls.json."""
    notes = orjson.dumps(notes_of(receipt, kind), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    return notes.replace(b"\n", b"\n        ")


_Acts = list[tuple[str, str, str, str, int, int, int, int, int]]
_Made = tuple[tuple[bytes, str], tuple[bytes, str], int, int, tuple[_Acts, list[str]] | None]


def _assembled(judge: _Judge, made: _Made, scratch: Path, grace_s: float | None) -> Assembled:
    run, tally = judge.run, judge.tally
    events, calls, tally.counts["events"], blocks, said = made
    tally.counts["policy_blocks"] += blocks
    of_run = attributes_of_run(tally)
    parts: list[NewFile] = []
    try:
        parts += [make_file(CONFIG, [config_of(of_run)], scratch), digested_file(EVENTS, *events, scratch)]
        if judge.evidence:
            entries = unkeyed(sorted(judge.evidence))
            pieces = write_listing("retrievals", entries, run_id=run.run_id, schema=_EVIDENCE)
            parts.append(make_file(EVIDENCE, pieces, scratch))
        if judge.calls is None:
            parts.append(digested_file(TOOL_CALLS, *calls, scratch))
        else:
            pieces = write_listing("calls", judge.calls, run_id=run.run_id, schema=_CALLS)
            parts.append(make_file(TOOL_CALLS, pieces, scratch))
        whole = Whole(run, judge.begins, tally, judge.acts, judge.agents, judge.parent_of, *judge.final)
        index = index_of(whole, of_run, judge.sdk_versions)
    except BaseException:
        for part in parts:
            part.close()
        raise
    completeness = tally.completeness(
        torn=0, malformed=0, collided=0, late=0, grace_s=grace_s, begun=judge.begins
    )  # fmt: skip
    twice = {"run_begun_twice": tally.roots - 1} if tally.roots > 1 else {}
    facts = Facts([Act(*act) for act in said[0]], said[1], "", []) if said is not None else None
    return Assembled(run, parts, completeness, twice, index, facts=facts)


# -- words and tables of the package, as plain data --------------------------------------------------------------------

_TEXT, _WHOLE, _VALUE, _ALONE, _PYTHON = 1, 2, 4, 8, 16
"""Bits of a key: read as text; read as a whole number; a value of an agent's; a span with it is shown by itself; and is
made by Python."""


@cache
def words() -> dict[str, Any]:
    """Return the words that the native core needs to make or to check a bundle; not to be changed."""
    keys = {
        "operation": semconv.OPERATION, "tool_name": semconv.TOOL_NAME, "agent_name": semconv.AGENT_NAME,
        "call_id": semconv.CALL_ID, "response_id": semconv.RESPONSE_ID, "mcp_request_id": semconv.MCP_REQUEST_ID,
        "error_type": semconv.ERROR_TYPE, "exception_type": semconv.EXCEPTION_TYPE,
        "exception_message": semconv.EXCEPTION_MESSAGE, "exception_stacktrace": semconv.EXCEPTION_STACKTRACE,
        "op": own.OP, "status": own.STATUS, "lane": own.LANE, "effect": own.EFFECT, "joined": own.JOINED,
        "tenant_id": own.TENANT_ID, "dialect": own.DIALECT, "contract_version": own.CONTRACT_VERSION,
        "contract_sha256": own.CONTRACT_SHA256, "side_effects": own.SIDE_EFFECTS,
        "policy_decision": own.POLICY_DECISION, "policy_rule": own.POLICY_RULE, "policy_reason": own.POLICY_REASON,
        "receipt": own.RECEIPT, "coerced": own.COERCED,
    }  # fmt: skip
    bits = dict.fromkeys(keys.values(), _TEXT) | {own.RECEIPT: 0, own.COERCED: 0}
    bits |= dict.fromkeys([semconv.ARGUMENTS, semconv.RESULT, *own.PAYLOAD_DIGEST.values()], _TEXT)
    bits |= dict.fromkeys([own.ATTEMPT, *own.PAYLOAD_BYTES.values()], _WHOLE)
    bits |= dict.fromkeys(LOST, _ALONE) | {own.SPANS_STARTED: _ALONE, own.CAPTURE: _PYTHON}
    bits |= {key: bits.get(key, 0) | _VALUE for key in VALUES}
    return keys | {
        "bits": bits,
        "alike": ALIKE,
        "operations": OF_GEN_AI,
        "same_count": SAME_COUNT,
        "event_types": EVENT_TYPES,
        "stated": STATED,
        "joined_words": JOINED,
        "side_effects_words": SIDE_EFFECTS,
        "decisions": DECISIONS,
        "classes": CLASSES.split("|"),
        "roles": ROLES.split("|"),
        "embeddings": EMBEDDINGS,
        "usage": semconv.USAGE,
        "request_model": semconv.REQUEST_MODEL,
        "response_model": semconv.RESPONSE_MODEL,
        "input_tokens": semconv.INPUT_TOKENS,
        "output_tokens": semconv.OUTPUT_TOKENS,
        "exception": semconv.EXCEPTION,
        "implicit": own.IMPLICIT,
        "spans_started": own.SPANS_STARTED,
        "attempt": own.ATTEMPT,
        "evidence": own.EVIDENCE,
        "child": own.CHILD,
        "decision": own.DECISION,
        "arguments": native.payload("arguments", semconv.ARGUMENTS),
        "results": native.payload("result", semconv.RESULT),
    }
