"""Assembling a bundle from records, as a pure function: no clock, host name or process id enters a bundle."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from runbundle.bundle.assembly.captures import captures_of_span, stated_captures, worst_by_key
from runbundle.bundle.assembly.entries import retrieval, rfc3339, tool_call
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.parts import FileMaker, NewFile, make_file
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.tally import RunTotals
from runbundle.bundle.assembly.timeline import Span, event_line, is_log, run_lines, span_lines, without_content
from runbundle.bundle.listings import entry_bytes, write_listing
from runbundle.format.base import CaptureWord
from runbundle.format.canonical import to_json_bytes, with_self_digest
from runbundle.format.identity import RunKey
from runbundle.format.layout import CONFIG, EVENTS, EVIDENCE, TOOL_CALLS
from runbundle.format.run import RULES, Counts, RunIndex, Versions
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.signals import own, semconv
from runbundle.signals.reading import count_of, json_of, text_of


@dataclass
class Assembled:
    """A bundle that is not in a store yet: its files in the order of writing, and the fields of its run.json."""

    run: RunKey
    files: list[NewFile]
    completeness: dict[str, Any]
    """The field `completeness` of run.json. `late` counts the records that the previously sealed bundle did not
    have."""
    collided: dict[str, int]
    """Numbers of records that claimed an id that another record has, by kind, as in `FlushResult.collided`."""
    _index: dict[str, Any] = field(repr=False)
    _made: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str:
        """Key of the bundle in a store: `<run_id>` or `<tenant>/<run_id>`."""
        return self.run.path

    def index(self, paths: Mapping[str, str] | None = None, **fields: Any) -> bytes:
        """Return the bytes of run.json. `paths`: paths of files that are not at their names. `fields` replace others.

        Raises `ValidationError` if the result does not fit its own schema, so that it cannot be sealed.
        """
        if self._made and not (paths or fields):
            return self._made
        at: Callable[[str], str] = lambda name: (paths or {}).get(name, name)  # noqa: E731
        entries = [
            {"path": at(p.name), "bytes": p.size, "sha256": p.sha256, "media_type": p.media_type} for p in self.files
        ]
        config = next(entry for p, entry in zip(self.files, entries, strict=True) if p.name == CONFIG)
        # Validated, not merely dumped: a bundle that its own schema refuses must never be sealed.
        checked = RunIndex.model_validate(
            {
                **self._index,
                "completeness": self.completeness,
                **fields,
                "config": {"path": config["path"], "sha256": config["sha256"]},
                "files": sorted(entries, key=lambda entry: entry["path"]),
            }
        )
        said = checked.model_dump(mode="json", by_alias=True, exclude_none=True)
        # What names no rules was assembled before there were any, and stays as it was.
        made = with_self_digest(said) if "rules" in said else to_json_bytes(said, indent=True)
        if not (paths or fields):
            self._made = made
        return made

    @property
    def run_fields(self) -> dict[str, Any]:
        """The fields of run.json, without `files`, `config` and `completeness`."""
        return self._index

    def set_run_fields(self, index: dict[str, Any]) -> None:
        """Replace the fields of run.json."""
        self._index, self._made = index, b""

    def close(self) -> None:
        """Close the files, which frees their space on disk."""
        for made in self.files:
            made.close()


def assemble(
    gathered: GatheredRun,
    *,
    torn: int = 0,
    sdk_versions: frozenset[str] = frozenset(),
    grace_s: float | None = None,
    make: FileMaker = make_file,
) -> Assembled:
    """Assemble the bundle of one run.

    `torn`: number of journal lines that could not be read. `sdk_versions`: versions of the OpenTelemetry SDK that the
    journals name. `grace_s`: seconds for which open spans were waited for, or None. `make` builds each file.

    The same records give the same bytes, in any order and from any number of writers. The use of memory does not grow
    with the run (see `sorting`). Raises `OSError` if the disk is full.
    """
    tally = RunTotals(gathered.key.run_id)
    with Sorter(gathered.scratch) as calls, Sorter(gathered.scratch) as found:
        gathered.finish()
        _spread(gathered, tally, calls, found)
        about = _about(tally)
        parts = [make(CONFIG, [_config(about)], gathered.scratch)]
        try:
            parts.append(make(EVENTS, _numbered(gathered, tally), gathered.scratch))
            of_run = {"run_id": gathered.key.run_id}
            if tally.counts["evidence"]:
                entries = write_listing("retrievals", _unkeyed(found), **of_run, schema="runbundle/evidence/v1")
                parts.append(make(EVIDENCE, entries, gathered.scratch))
            entries = write_listing("calls", _unkeyed(calls), **of_run, schema="runbundle/tool_calls/v1")
            parts.append(make(TOOL_CALLS, entries, gathered.scratch))
        except BaseException:
            for made in parts:
                made.close()
            raise
    index = _index_of(gathered, tally, about, sdk_versions)
    completeness = tally.completeness(
        torn=torn, malformed=gathered.malformed, collided=gathered.collided, late=gathered.late, grace_s=grace_s,
        begun=gathered.begins,
    )  # fmt: skip
    twice = {"span_id": gathered.collided, "run_begun_twice": tally.roots - 1}
    return Assembled(gathered.key, parts, completeness, {kind: n for kind, n in twice.items() if n > 0}, index)


def _spread(gathered: GatheredRun, tally: RunTotals, calls: Sorter, found: Sorter) -> None:
    """Sort out each span: its lines, its tool call, its evidence, and its share of the totals."""
    table = gathered.table
    for row, found_span in gathered.spans():
        record = found_span.record
        parent_here = table.index(record["trace_id"], record["parent_span_id"]) >= 0
        above = _Above(table.agent_above(row), gathered.began(row), parent_here)
        try:
            made = _derived(found_span, above)
        except Exception:  # noqa: BLE001 - a record costs itself alone, whatever is in it
            gathered.malformed += 1
            made = _derived(without_content(found_span), above)
        tally.add(made.span, parent_here=parent_here)
        tally.captured(made.words)
        for line in made.lines:
            gathered.lines.add(line)
        if made.call is not None:
            tally.counts["policy_blocks"] += made.call["policy"]["decision"] in ("blocked", "denied")
            calls.add(_keyed(made.span, made.call))
        if made.evidence is not None:
            tally.counts["evidence"] += 1
            found.add(_keyed(made.span, made.evidence))
    tally.finish()
    if tally.begun is not None and tally.final is not None:
        for line in run_lines(tally.begun, tally.final):
            gathered.lines.add(line)


class _Derived(NamedTuple):
    """The contribution of one span to the bundle."""

    span: Span
    lines: list[bytes]
    call: dict[str, Any] | None
    evidence: dict[str, Any] | None
    words: dict[str, list[CaptureWord]]
    """How completely its values were captured, by attribute key."""


class _Above(NamedTuple):
    """Facts about a span that follow from other spans."""

    agent: str | None
    """The agent for which the span works."""
    began: str
    """Id of the span in which its error began; empty if in itself."""
    parent_here: bool
    """Whether the parent is part of the run."""


def _derived(span: Span, above: _Above) -> _Derived:
    words = captures_of_span(span)
    lines = list(span_lines(span, parent_here=above.parent_here, began=above.began, capture=worst_by_key(words)))
    call = tool_call(span, above.agent, above.began) if span.op == "tool" else None
    return _Derived(span, lines, call, retrieval(span), words)


_KEY = 20 + 32 + 16


def _keyed(span: Span, entry: dict[str, Any]) -> bytes:
    start_ns, trace_id, span_id = span.order
    return f"{start_ns:020d}{trace_id}{span_id}".encode() + entry_bytes(entry)


def _unkeyed(lines: Sorter) -> Iterator[bytes]:
    return (line[_KEY:] for line in lines)


def _numbered(gathered: GatheredRun, tally: RunTotals) -> Iterator[bytes]:
    for seq, line in enumerate(gathered.timeline()):
        tally.counts["events"] += 1
        tally.counts["logs"] += is_log(line)
        yield event_line(line, seq)


def _about(tally: RunTotals) -> dict[str, Any]:
    """Return the attributes of the run's own span; if the run was resumed, those of the last one take precedence."""
    begun, final = tally.begun, tally.final
    return {**begun.attributes, **final.attributes} if begun is not None and final is not None else {}


def _index_of(
    gathered: GatheredRun, tally: RunTotals, about: dict[str, Any], sdk_versions: frozenset[str]
) -> dict[str, Any]:
    begun, final = tally.begun, tally.final
    started = begun.record["start_ns"] if begun else tally.first_ns or 0
    ended = final.record["end_ns"] if final and final.ended else tally.last_ns or started
    index: dict[str, Any] = {
        "schema": "runbundle/run/v1",
        "rules": RULES,
        "run_id": gathered.key.run_id,
        **({"tenant_id": gathered.key.tenant_id} if gathered.key.tenant_id else {}),
        **_identity(about),
        **({"children": tally.children} if tally.children else {}),
        "started_at": rfc3339(started),
        "ended_at": rfc3339(ended),
        "duration_ns": str(max(0, ended - started)),
        "status": _status(tally, begun=gathered.begins),
        "versions": _versions(about, tally, sdk_versions),
        "counts": {kind: tally.counts[kind] for kind in Counts.model_fields},
        "usage": tally.usage(),
        "trace_ids": sorted(tally.trace_ids),
        "redaction": _redaction(about, tally),
        "revision": 1,
    }
    if final is not None:
        trace_id, span_id = final.order[1:]
        began = gathered.began(gathered.table.index(trace_id, span_id)) or span_id
        index |= {k: v for k, v in (("error", final.error(began)), ("result", _result(about))) if v}
    return index


def _config(about: dict[str, Any]) -> bytes:
    text = about.get(own.CONFIG)
    value = text if is_marker(text) else json_of(text)
    return to_json_bytes({"schema": "runbundle/config/v1", "config": value}, indent=True)


_SAID = {
    "request_id": own.REQUEST_ID,
    "user_id": own.USER_ID,
    "session_id": own.SESSION_ID,
    "case_id": own.CASE_ID,
    "resumed_from": own.RESUMED_FROM,
    "claimed": own.CLAIMED_RUN_ID,
    "name": own.NAME,
}
"""Text fields of run.json, and the attributes of the run's own span that give them."""


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field_name, key in _SAID.items():
        value = text_of(about, key)
        if value is not None:
            fields[field_name] = value
    if is_marker(fields.get("name")):
        del fields["name"]
    if "claimed" in fields:
        fields["claimed"] = marker_parts(fields["claimed"])[0] or fields["claimed"]
    if about.get(own.IMPLICIT) is True and text_of(about, semconv.AGENT_NAME):
        fields.setdefault("name", text_of(about, semconv.AGENT_NAME))
    for field_name, key in (("attempt", own.RUN_ATTEMPT), ("repeat", own.REPEAT)):
        if about.get(key) is not None:
            fields[field_name] = count_of(about, key)
    parent = text_of(about, own.PARENT_RUN_ID)
    if parent is not None:
        fields["parent_run"] = {"run_id": parent, "span_id": text_of(about, own.PARENT_SPAN_ID) or ""}
    return fields


def _status(tally: RunTotals, *, begun: bool) -> str:
    """Return the status of the run. It is `incomplete` if the run's end or beginning is missing, or if two runs share
    the bundle.
    """
    if tally.final is None:
        return "incomplete"
    status = {"unset": "ok"}.get(tally.final.status, tally.final.status)
    return "incomplete" if status == "ok" and (tally.roots > 1 or not begun) else status


def _result(about: dict[str, Any]) -> dict[str, Any] | None:
    value = about.get(own.RESULT) or about.get(semconv.FINAL_RESULT)
    if not isinstance(value, str):
        return None
    kind = text_of(about, own.RESULT_KIND) or "unknown"
    said = stated_captures(about).get(own.RESULT)
    digest, size = (said.digest, said.size) if said else ("", None)
    if is_marker(value) and not digest:
        digest, size = marker_parts(value)
    view = None if is_marker(value) else json_of(value)
    return {"kind": kind, "digest": digest or None, "bytes": size, "view": view}


def _versions(about: dict[str, Any], tally: RunTotals, sdk_versions: frozenset[str]) -> dict[str, Any]:
    said = json_of(about.get(own.VERSIONS))
    versions = _fitting(cast("dict[str, Any]", said)) if isinstance(said, dict) else {}
    versions["models"] = sorted(tally.models)
    if sdk_versions and "otel_sdk" not in versions:
        versions["otel_sdk"] = min(sdk_versions)
    versions["semconv"] = max(tally.schema_urls) if tally.schema_urls else "gen-ai"
    return versions


def _fitting(versions: dict[str, Any]) -> dict[str, Any]:
    """Return the versions whose types fit run.json: a span may carry anything there."""
    try:
        Versions.model_validate({**versions, "semconv": ""})
    except ValidationError as error:
        unfit = {detail["loc"][0] for detail in error.errors(include_input=False, include_url=False)}
        return {key: value for key, value in versions.items() if key not in unfit}
    return versions


def _redaction(about: dict[str, Any], tally: RunTotals) -> dict[str, Any]:
    return {
        "policy": text_of(about, own.REDACTION_POLICY),
        "contracts": dict(sorted(tally.contracts.items())),
        "key_id": text_of(about, own.REDACTION_KEY_ID),
        "totals": [{"rule": r, "action": a, "count": n} for (r, a), n in sorted(tally.redactions.items())],
        "content_mode": "debug" if about.get(own.REDACTION_MODE) == "debug" else "digest",
    }
