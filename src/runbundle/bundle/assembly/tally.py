"""Totals of a run for run.json, added up span by span, in any order.

Memory does not grow with the run, except for lists that run.json contains: ids of open spans, traces and contracts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from runbundle.bundle.assembly.timeline import Span, parent_missing
from runbundle.format.words import RULES, CaptureWord
from runbundle.redaction.markers import is_marker
from runbundle.signals import own, semconv
from runbundle.signals.reading import LARGEST, count_of, text_of, whole_of

_MOST_CHILDREN = 1000  # listed in run.json; all are in events.jsonl
LOST = {own.SPANS_DROPPED: "journal", own.SPANS_UNFOLLOWED: "live_spans"}
"""Attributes by which local roots state losses, and the reason under which each is counted."""
_COUNTED_OPS = {"model": "model_calls", "retrieval": "retrievals", "tool": "tool_calls"}
"""Counts of spans. By the second rules calls are no longer numbers of spans: `acts` gives them, and the usage."""
_WORK = ("agent", "model", "tool", "retrieval")
_SAID = {own.SESSION_ID: "", own.USER_ID: "", semconv.CONVERSATION_ID: "", semconv.AGENT_NAME: "agent"}
"""What is taken from the first span that says it, where the run's own does not, and the op that such a span must have;
"" for any."""
ALIKE = (
    own.RUN_ID, own.RECEIPT, own.CONTRACT_SHA256, own.CONTRACT_VERSION, semconv.TOOL_NAME, semconv.RESPONSE_MODEL,
    semconv.REQUEST_MODEL, *_SAID,
)  # fmt: skip
"""Attributes whose values `add` reads of a span within a run that states no losses and began no other run. Spans are
alike for it that have the same there, and the same kind of work, status, scope and place in the run; of other work the
names of all attributes count, too."""
_MOST_SCOPES = 16
_PROTOCOLS = (
    "http.request.method", "http.method", "db.system", "db.system.name", "db.operation.name", "db.operation",
    "messaging.system", "rpc.system", "rpc.service", "mcp.method.name",
)  # fmt: skip
"""Keys by which a span of other work is one of a known protocol."""


class RunTotals:
    """Totals over the spans of one run. Call `add` and `captured` for each span, then `finish`."""

    def __init__(self, run_id: str, rules: int = RULES) -> None:
        self._run_id = run_id
        self.rules = rules
        """Version of the rules of assembly."""
        self.begun: Span | None = None
        """The run's own span: the first one marked as a run, else the first without a parent in the run."""
        self.final: Span | None = None
        """The last span that is marked as the run; it differs from `begun` if the run was resumed."""
        self._implicit: Span | None = None
        self._begun_as: Counter[int] = Counter()
        """Number of beginnings of the run, by attempt."""
        self.children: list[dict[str, Any]] = []
        """The runs that began within this run, at most 1000."""
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.open_spans: list[str] = []
        self.cut_off: list[str] = []
        """Ids of spans that a dead process left open before the run was resumed."""
        self._open: list[tuple[int, str]] = []
        self.models: set[str] = set()
        self.schema_urls: set[str] = set()
        self.contracts: dict[str, dict[str, str]] = {}
        self.redactions: Counter[tuple[str, str]] = Counter()
        self.trace_ids: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._usage: Counter[str] = Counter()
        self._usage_of_agents: Counter[str] = Counter()
        self._first_said: dict[str, tuple[tuple[int, str, str], str]] = {}
        self.good_ns = -1
        """Start of the last agent, call or retrieval that ended in no error; -1 if there is none."""
        self._unread: dict[str, int] = {}
        self._unread_elsewhere = 0
        self._expected: int | None = None
        self._dropped: Counter[str] = Counter()
        self._captured: Counter[CaptureWord] = Counter()

    def add(self, span: Span, *, parent_here: bool, times: int = 1) -> None:
        """Add one span. `parent_here`: whether its parent is part of the run.

        `times`: the number of spans that are `ALIKE`, of which it is the first; then add what they do not share by
        `widen`. By the first rules it is always 1.
        """
        attributes, record = span.attributes, span.record
        self.counts["spans"] += times
        if span.status == "error":
            self.counts["errors"] += times
        if span.op in _COUNTED_OPS and (self.rules < 2 or span.op == "retrieval"):
            self.counts[_COUNTED_OPS[span.op]] += times
        self.trace_ids.add(record["trace_id"])
        start_ns, end_ns = record["start_ns"], record["end_ns"]
        if self.first_ns is None or start_ns < self.first_ns:
            self.first_ns = start_ns
        if self.last_ns is None or end_ns > self.last_ns:
            self.last_ns = end_ns
        if not span.ended:
            self._open.append((record["start_ns"], record["span_id"]))
        for of_rule, count in span.receipt.totals().items():
            self.redactions[of_rule] += count * times
        if own.CONTRACT_SHA256 in attributes:
            self._contract(attributes)
        if span.op == "model":
            self._model(attributes)
        if url := record["scope"].get("schema_url"):
            self.schema_urls.add(url)
        if self.rules < 2:
            self._usages(span, attributes)
        else:
            if not _SAID.keys().isdisjoint(attributes):
                self._firsts(span, attributes)
            if span.op == "other":
                self._unreadable(span, attributes, times)
            if span.op in _WORK and span.status in ("ok", "unset"):
                self.good_ns = max(self.good_ns, record["start_ns"])
        self._losses(span, attributes, parent_here=parent_here, times=times)
        if record["events"]:
            self._children(record)
        if attributes.get(own.RUN_ID, self._run_id) == self._run_id:
            self._root(span, parent_here=parent_here)

    def captured(self, words: Mapping[str, list[CaptureWord]]) -> None:
        """Add the capture words of a span's values."""
        for of_key in words.values():
            for word in of_key:
                self._captured[word] += 1

    def widen(self, first_ns: int, last_ns: int, good_ns: int, trace_ids: Iterable[str], whole: int) -> None:
        """Add what spans that are alike do not share. `whole`: the number of values that were captured whole."""
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)
        self.good_ns = max(self.good_ns, good_ns)
        self.trace_ids.update(trace_ids)
        if whole:
            self._captured["whole"] += whole

    def _contract(self, attributes: dict[str, Any]) -> None:
        sha256, tool = text_of(attributes, own.CONTRACT_SHA256), text_of(attributes, semconv.TOOL_NAME)
        if sha256 is not None and tool is not None:
            said = {"version": text_of(attributes, own.CONTRACT_VERSION) or "", "sha256": sha256}
            self.contracts[tool] = max(said, self.contracts.get(tool, said), key=lambda c: sorted(c.items()))

    def _model(self, attributes: dict[str, Any]) -> None:
        for key in (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL):
            model = text_of(attributes, key)
            if model is not None:
                self.models.add(model)

    def _usages(self, span: Span, attributes: dict[str, Any]) -> None:
        for key in attributes:
            if key.startswith(semconv.USAGE):
                value = whole_of(attributes, key)
                if value is not None and value >= 0:
                    into = self._usage_of_agents if span.op == "agent" else self._usage
                    into[key.removeprefix(semconv.USAGE).replace(".", "_")] += value

    def _firsts(self, span: Span, attributes: dict[str, Any]) -> None:
        for key, op in _SAID.items():
            if key in attributes and op in ("", span.op):
                value, known = text_of(attributes, key), self._first_said.get(key)
                if value is not None and not is_marker(value) and (known is None or span.order < known[0]):
                    self._first_said[key] = span.order, value

    def _unreadable(self, span: Span, attributes: dict[str, Any], times: int) -> None:
        """Count a span of unknown work by its scope: at most 16 scopes, the first by name."""
        if not any(map(_is_hidden, attributes)) or any(key in attributes for key in _PROTOCOLS):
            return
        scope = text_of(span.record["scope"], "name") or ""
        scope = "" if is_marker(scope) else scope
        self._unread[scope] = self._unread.get(scope, 0) + times
        if len(self._unread) > _MOST_SCOPES:
            # The last by name, so that the order of spans does not matter: no scope comes in again that went out.
            self._unread_elsewhere += self._unread.pop(max(self._unread))

    @property
    def said(self) -> dict[str, str]:
        """What the first span says that says it, by attribute key: session, user, conversation, name of an agent."""
        return {key: value for key, (_, value) in self._first_said.items()}

    @property
    def is_implicit(self) -> bool:
        """Whether the run's own span is not one of `start_run`."""
        final = self.final
        return final is not None and (not final.claims_run or final.attributes.get(own.IMPLICIT) is True)

    def _losses(self, span: Span, attributes: dict[str, Any], *, parent_here: bool, times: int) -> None:
        if own.SPANS_STARTED in attributes:
            self._expected = (self._expected or 0) + count_of(attributes, own.SPANS_STARTED)
        for key, reason in LOST.items():
            if key in attributes:
                self._dropped[reason] += count_of(attributes, key)
        for kind, count in span.dropped.items():
            self._dropped[f"sdk_limit_{kind}"] += count
        if not parent_here and parent_missing(span, parent_here=False):
            self._dropped["parents"] += times

    def _children(self, record: dict[str, Any]) -> None:
        for event in record["events"]:
            run_id = event["attributes"].get(own.CHILD_RUN_ID) if event["name"] == own.CHILD else None
            if isinstance(run_id, str) and len(self.children) < _MOST_CHILDREN:
                name = event["attributes"].get(own.NAME)
                child = {"run_id": run_id, "span_id": record["span_id"]}
                self.children.append(
                    {**child, "name": name} if isinstance(name, str) and not is_marker(name) else child
                )

    def _root(self, span: Span, *, parent_here: bool) -> None:
        if span.op == "run" and span.claims_run:
            if own.RESUMED_FROM not in span.attributes:
                self._begun_as[_attempt(span)] += 1
            self.begun = span if self.begun is None else min(self.begun, span, key=lambda s: s.order)
            self.final = span if self.final is None else max(self.final, span, key=_last)
        elif not parent_here:
            self._implicit = span if self._implicit is None else min(self._implicit, span, key=lambda s: s.order)

    def finish(self) -> None:
        """Determine the run's own span and sort the lists. Call it once, after the last `add`."""
        if self.begun is None and self._implicit is not None:
            self.begun = self.final = self._implicit
            self._begun_as[1] += 1
        self.children.sort(key=lambda child: (child["run_id"], child["span_id"]))
        resumed = self.final is not None and own.RESUMED_FROM in self.final.attributes
        resumed_ns = self.final.record["start_ns"] if self.final is not None and resumed else -1
        for start_ns, span_id in sorted(self._open, key=lambda span: span[1]):
            (self.cut_off if start_ns < resumed_ns else self.open_spans).append(span_id)

    @property
    def roots(self) -> int:
        """Number of spans that claim to be this run; all attempts and resumptions of one run count as one."""
        twice = sum(count - 1 for count in self._begun_as.values())
        return 1 + twice if self.begun is not None else 0

    def usage(self) -> dict[str, int]:
        """Return token counts by kind.

        Agent spans repeat the sums of their model calls, so their counts are used only if no other span has any.
        """
        return {kind: min(n, LARGEST) for kind, n in sorted((self._usage or self._usage_of_agents).items())}

    def completeness(
        self, *, torn: int, malformed: int, collided: int, late: int, grace_s: float | None, begun: bool
    ) -> dict[str, Any]:
        """Return the field `completeness` of run.json: the spans that were started, compared with those that arrived.

        `begun`: whether the run's beginning arrived. The other arguments are numbers of lost or late records.
        """
        self._dropped.update(torn_lines=torn, malformed_records=malformed, collided=collided)
        dropped = {reason: min(count, LARGEST) for reason, count in sorted(self._dropped.items()) if count}
        seen = self.counts["spans"]
        state = "complete"
        if self.final is None or not self.final.ended:
            state = "crashed"
        elif self._expected is None:
            state = "unknown"
        elif dropped or self.open_spans or seen < self._expected or self.roots > 1 or not begun:
            state = "lossy"
        result: dict[str, Any] = {
            "state": state, "spans_seen": seen, "open_spans": self.open_spans, "dropped": dropped, "late": late,
            "roots": self.roots,
        }  # fmt: skip
        if self._expected is not None:
            result["spans_expected"] = min(self._expected, LARGEST)
        if self._captured:
            result["capture"] = dict(sorted(self._captured.items()))
        if self.cut_off:
            result["cut_off"] = self.cut_off
        if grace_s is not None and self.open_spans:
            result["grace_s"] = grace_s
        if self._unread:
            result["unread"] = {scope or "?": count for scope, count in sorted(self._unread.items())}
            if self._unread_elsewhere:
                result["unread"]["…"] = self._unread_elsewhere
        return result


def _is_hidden(key: str) -> bool:
    return key.startswith(own.HIDDEN)


def _attempt(span: Span) -> int:
    """Return the number of the attempt that a run's span is; 1 if it does not say."""
    return count_of(span.attributes, own.RUN_ATTEMPT) or 1


def _last(span: Span) -> tuple[int, tuple[int, str, str]]:
    return _attempt(span), span.order
