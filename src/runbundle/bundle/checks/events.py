"""The checks of verify on events.jsonl, line by line. Memory grows with the number of spans, not with their content."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import orjson
from pydantic import ValidationError

from runbundle.bundle.checks.times import TimeChecks
from runbundle.bundle.reader import first_problem
from runbundle.format.events import Event
from runbundle.format.run import RunIndex
from runbundle.redaction.markers import is_digest, is_marker
from runbundle.redaction.permitted.safe_text import bytes_have_credential_format, has_credential_format
from runbundle.redaction.receipt import Receipt, read_receipt
from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS

_RANK = {
    "run.started": 0, "span.started": 1, "span.event": 2, "policy.decision": 2, "score": 2, "log": 3,
    "span.ended": 4, "run.ended": 5,
}  # fmt: skip
_MAY_HAVE_VIEWS = (own.RESULT, semconv.EXCEPTION_MESSAGE)  # as far as a policy or a contract lets them
MARKED = frozenset(
    key for key, kind in SPAN_KEYS.items() if kind in ("content", "messages") and key not in _MAY_HAVE_VIEWS
)
"""Keys whose values are withheld whatever the policy."""
validated = Event.__pydantic_validator__.validate_python
"""`Event.model_validate`, without a call between."""

_APART = '"\x00"'

Add = Callable[..., None]


class EventChecks:
    """Checks on the events of one bundle. Call `event` or `malformed` for each line, then `finish`."""

    def __init__(self, add: Add, file: str) -> None:
        self._add = add
        self._file = file
        self._seen = 0
        self._ends = 0
        self._logs = 0
        self._errors = 0
        self._traces: set[str] = set()
        # Ids are kept as bytes; a span that is only mentioned is remembered until it is seen: about 120 bytes a span.
        self._spans: set[bytes] = set()
        self._mentioned: dict[bytes, int] = {}  # spans of events, by the first line that names them
        self._parents: list[tuple[int, bytes]] = []
        self._previous: tuple[Any, ...] = ()
        self._totals: dict[tuple[str, str], int] = {}
        self._ops = {"tool": 0, "model": 0, "retrieval": 0}
        self._in_order = True
        self._times = TimeChecks(add, file)

    def has_span(self, trace_id: str, span_id: str) -> bool:
        """Tell whether the span has been seen in the lines so far."""
        try:
            return _ids(trace_id, span_id) in self._spans
        except ValueError:
            return False

    def malformed(self, number: int, message: str, line: bytes, *, code: str = "RB102") -> None:
        """Add a finding for a line that does not parse, and search it for credentials."""
        self._seen += 1
        self._add(code, message, file=self._file, line=number)
        self._credential(number, line)

    def event(self, number: int, event: dict[str, Any], line: bytes, *, suspect: bool = True) -> bool:
        """Check one event; return False if it does not fit its model.

        `suspect`: whether its line may hold the format of a credential, as `suspicious` tells.
        """
        try:
            validated(event)
        except ValidationError as error:
            self.malformed(number, first_problem(error), line)
            return False
        time_ns = int(event["time_ns"])
        self._order(number, event, time_ns)
        self._times.line(number, event, time_ns)
        self._seen += 1
        ended = event["type"] == "span.ended"
        if event["type"] == "span.started":
            self._span(number, event, time_ns)
        elif ended:
            self._ends += 1
            self._errors += event.get("status") == "error"
            begun = _ids(event["trace_id"], event["span_id"]) in self._spans
            self._times.ended(number, event, time_ns, self._unseen_parent(event), begun=begun)
        elif event["type"] == "log":
            self._logs += 1  # a log may be of a span outside the run
        else:
            ids = _ids(event["trace_id"], event["span_id"])
            if ids not in self._spans:
                self._mentioned.setdefault(ids, number)
        if ended and own.RECEIPT not in event["attributes"] and event.get("status") != "interrupted":
            self._add("RB402", "a span has no receipt of its redaction", file=self._file, line=number)
        attributes = event["attributes"]
        if ended and own.RECEIPT in attributes:
            receipt = read_receipt(attributes[own.RECEIPT])
            if receipt is not None:
                self._sum(receipt)
        if not MARKED.isdisjoint(attributes):
            for key, value in attributes.items():
                if key in MARKED and not is_withheld(value):
                    self._add("RB401", f"{key} is neither marker nor digest", file=self._file, line=number)
        if b"\\u" in line or b"\\/" in line:
            # An escape can hide a format from the bytes: what counts is the text that a reader gets.
            self._credential(number, orjson.dumps(event))
        elif suspect:
            self._credential(number, line)
        return True

    def finish(self, index: RunIndex) -> None:
        """Compare the events with run.json. Call it once, after the last line."""
        self._times.finish(index)
        for number, parent in self._parents:
            if parent not in self._spans:
                self._add("RB501", "a parent span is not in the bundle", file=self._file, line=number)
        for span, number in self._mentioned.items():
            if span not in self._spans:
                self._add("RB506", "an event is of a span that is not in the bundle", file=self._file, line=number)
        said = index.counts
        by_spans = [
            ("events", self._seen, said.events),
            ("spans", len(self._spans), said.spans),
            ("ends of spans", self._ends, said.spans),
            ("logs", self._logs, said.logs),
            ("errors", self._errors, said.errors),
            ("retrievals", self._ops["retrieval"], said.retrievals),
        ]
        if (index.rules or 1) < 2:  # later, calls are not numbers of spans: they are derived again, or not judged
            by_spans += [
                ("tool calls", self._ops["tool"], said.tool_calls),
                ("model calls", self._ops["model"], said.model_calls),
            ]
        for what, seen, expected in by_spans:
            if seen != expected:
                self._add("RB305", f"run.json counts {expected} {what}, the events show {seen}", file=self._file)
        if self._traces != set(index.trace_ids):
            self._add("RB305", "run.json names other traces than the events show", file=self._file)
        if self._totals != {(t.rule, t.action): t.count for t in index.redaction.totals}:
            self._add("RB404", "the receipts of the spans do not add up to the totals of run.json", file=self._file)

    def _credential(self, number: int, line: bytes) -> None:
        if has_credential_format(line.decode("utf-8", "replace")):
            self._add("RB403", "something looks like a credential", file=self._file, line=number)

    def _order(self, number: int, event: dict[str, Any], time_ns: int) -> None:
        here = time_ns, event["trace_id"], event["span_id"], _RANK.get(event["type"], 9)
        if self._in_order and (event.get("seq") != self._seen or here < self._previous):
            self._in_order = False  # one finding: everything after it is displaced too
            self._add(
                "RB103",
                "the events are out of order or not numbered without gaps from here",
                file=self._file,
                line=number,
            )
        self._previous = here

    def _span(self, number: int, event: dict[str, Any], time_ns: int) -> None:
        ids, parent = _ids(event["trace_id"], event["span_id"]), self._unseen_parent(event)
        self._spans.add(ids)
        self._traces.add(event["trace_id"])
        if parent is not None:
            self._parents.append((number, parent))
        self._times.started(number, event, ids, time_ns, parent)
        op = event.get("op")
        if op in self._ops:
            self._ops[op] += 1

    def _unseen_parent(self, event: dict[str, Any]) -> bytes | None:
        """Return the ids of a span's parent if it must be in the bundle and has not been seen so far."""
        parent = event.get("parent_span_id")
        if not parent or event.get("remote_parent"):
            return None
        try:
            ids = _ids(event["trace_id"], parent)
        except ValueError:
            ids = parent.encode()  # which is nobody's
        return None if ids in self._spans else ids

    def _sum(self, receipt: Receipt) -> None:
        for key, count in receipt.totals().items():
            self._totals[key] = self._totals.get(key, 0) + count


def suspicious(lines: Iterable[bytes]) -> bool:
    """Tell whether any of some lines may hold the format of a credential, in one search: no format needs two lines.

    Each line then has to be searched by itself.
    """
    return bytes_have_credential_format(b"\n".join(lines))


def holds_credential(value: Any) -> bool:
    """Tell whether any text or key in a JSON value has the public format of a credential."""
    texts: list[str] = []
    pending = [value]
    while pending:
        here = pending.pop()
        if isinstance(here, str):
            texts.append(here)
        elif isinstance(here, dict):
            fields = cast("dict[str, Any]", here)
            texts += fields
            pending += fields.values()
        elif isinstance(here, list):
            pending += cast("list[Any]", here)
    # All in one search, with what no format goes on over between them; what that finds, each text must confirm.
    return has_credential_format(_APART.join(texts)) and any(map(has_credential_format, texts))


def _ids(trace_id: str, span_id: str) -> bytes:
    return bytes.fromhex(trace_id + span_id)


def is_withheld(value: Any) -> bool:
    """Tell whether a value is empty, a marker or a digest, and nothing else."""
    return value == "" or is_marker(value) or is_digest(value)
