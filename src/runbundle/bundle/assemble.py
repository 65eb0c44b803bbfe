"""Records to bundle: a pure function. No clock, no host name, no id of whoever assembles enters a bundle."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runbundle.bundle.captures import captures, said_of, summed
from runbundle.bundle.gather import Gathered
from runbundle.bundle.listings import write_listing
from runbundle.bundle.parts import Part, part
from runbundle.bundle.sorting import Sorter
from runbundle.bundle.summaries import retrieval, rfc3339, tool_call
from runbundle.bundle.tally import Tally
from runbundle.bundle.timeline import Span, is_log, numbered, run_lines, span_lines
from runbundle.models.bundle import Counts, RunIndex
from runbundle.models.canonical import to_json_bytes
from runbundle.models.identity import valid_run_id
from runbundle.redaction.markers import is_marker, marker_parts


@dataclass
class Assembled:
    """A bundle that is in no store yet: its files but run.json, in the order they are written, and what that says."""

    run_id: str
    tenant_id: str
    parts: list[Part]
    completeness: dict[str, Any]
    """What run.json will say of it; `late` counts the records that the bundle sealed before did not have."""
    _index: dict[str, Any] = field(repr=False)
    _made: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str:
        """Where in a store the bundle lives: `<run_id>` or `<tenant>/<run_id>`."""
        return f"{self.tenant_id}/{self.run_id}" if self.tenant_id else self.run_id

    def index(self, paths: Mapping[str, str] | None = None, **fields: Any) -> bytes:
        """Return run.json. `paths`: where the files lie, if not at their names; `fields` are put in or replaced."""
        if self._made and not (paths or fields):
            return self._made
        at: Callable[[str], str] = lambda name: (paths or {}).get(name, name)  # noqa: E731
        entries = [
            {"path": at(p.name), "bytes": p.size, "sha256": p.sha256, "media_type": p.media_type} for p in self.parts
        ]
        config = next(entry for p, entry in zip(self.parts, entries, strict=True) if p.name == "config.snapshot.json")
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
        made = to_json_bytes(checked.model_dump(mode="json", by_alias=True, exclude_none=True), indent=True)
        if not (paths or fields):
            self._made = made
        return made

    def close(self) -> None:
        """Give the files back."""
        for made in self.parts:
            made.close()


def assemble(
    gathered: Gathered, *, torn: int = 0, sdk_versions: frozenset[str] = frozenset(), grace_s: float | None = None
) -> Assembled:
    """Assemble the bundle of one run.

    `torn`: lines of journals that could not be read. `grace_s`: how long spans that are still open were waited for;
    None if nothing is waiting any more. The same records give the same bytes, in whatever order and from however many
    writers they came. Memory does not grow with the run, see `sorting`. Raises `OSError` if the disk is full.
    """
    tally = Tally(gathered.run_id)
    with Sorter(gathered.scratch) as calls, Sorter(gathered.scratch) as found:
        gathered.finish()
        _spread(gathered, tally, calls, found)
        about = _about(tally)
        parts = [part("config.snapshot.json", [_config(about)], gathered.scratch)]
        try:
            parts.append(part("events.jsonl", _numbered(gathered, tally), gathered.scratch))
            of_run = {"run_id": gathered.run_id}
            if tally.counts["evidence"]:
                entries = write_listing("retrievals", _unkeyed(found), **of_run, schema="runbundle/evidence/v1")
                parts.append(part("evidence.json", entries, gathered.scratch))
            entries = write_listing("calls", _unkeyed(calls), **of_run, schema="runbundle/tool_calls/v1")
            parts.append(part("tool_calls.json", entries, gathered.scratch))
        except BaseException:
            for made in parts:
                made.close()
            raise
    index = _index_of(gathered.run_id, tally, about, sdk_versions)
    completeness = tally.completeness(torn, gathered.late, grace_s)
    return Assembled(gathered.run_id, index.get("tenant_id", ""), parts, completeness, index)


def _spread(gathered: Gathered, tally: Tally, calls: Sorter, found: Sorter) -> None:
    """Bring each span to where it belongs: its lines, its tool call, its evidence, the sums."""
    table = gathered.table
    for place, span in gathered.spans():
        record = span.record
        parent_here = table.index(record["trace_id"], record["parent_span_id"]) >= 0
        words = captures(span)
        tally.add(span, parent_here=parent_here)
        tally.captured(words)
        for line in span_lines(span, parent_here=parent_here, capture=summed(words)):
            gathered.lines.add(line)
        if span.op == "tool":
            call = tool_call(span, table.agent_above(place))
            tally.counts["policy_blocks"] += call["policy"]["decision"] in ("blocked", "denied")
            calls.add(_keyed(span, call))
        evidence = retrieval(span)
        if evidence is not None:
            tally.counts["evidence"] += 1
            found.add(_keyed(span, evidence))
    tally.finish()
    if tally.begun is not None and tally.final is not None:
        for line in run_lines(tally.begun, tally.final):
            gathered.lines.add(line)


_KEY = 20 + 32 + 16


def _keyed(span: Span, entry: dict[str, Any]) -> bytes:
    start_ns, trace_id, span_id = span.order
    return f"{max(0, start_ns):020d}{trace_id}{span_id}".encode() + orjson.dumps(entry)


def _unkeyed(lines: Sorter) -> Iterator[bytes]:
    return (line[_KEY:] for line in lines)


def _numbered(gathered: Gathered, tally: Tally) -> Iterator[bytes]:
    for seq, line in enumerate(gathered.timeline()):
        tally.counts["events"] += 1
        tally.counts["logs"] += is_log(line)
        yield numbered(line, seq)


def _about(tally: Tally) -> dict[str, Any]:
    """What the run says of itself: at its beginning, and what it said later where it was resumed."""
    begun, final = tally.begun, tally.final
    return {**begun.attributes, **final.attributes} if begun is not None and final is not None else {}


def _index_of(run_id: str, tally: Tally, about: dict[str, Any], sdk_versions: frozenset[str]) -> dict[str, Any]:
    begun, final = tally.begun, tally.final
    started = begun.record["start_ns"] if begun else tally.first_ns or 0
    ended = final.record["end_ns"] if final and final.ended else tally.last_ns or started
    index: dict[str, Any] = {
        "schema": "runbundle/run/v1",
        "run_id": run_id,
        **_identity(about),
        "started_at": rfc3339(started),
        "ended_at": rfc3339(ended),
        "duration_ns": str(max(0, ended - started)),
        "status": {"unset": "ok"}.get(final.status, final.status) if final else "incomplete",
        "versions": _versions(about, tally, sdk_versions),
        "counts": {kind: tally.counts[kind] for kind in Counts.model_fields},
        "usage": tally.usage(),
        "trace_ids": sorted(tally.trace_ids),
        "redaction": _redaction(about, tally),
        "revision": 1,
    }
    if final is not None:
        error, result = final.error(), _result(about)
        index |= {k: v for k, v in (("error", error and {**error, "span_id": final.order[2]}), ("result", result)) if v}
    return index


def _config(about: dict[str, Any]) -> bytes:
    text = about.get("runbundle.config")
    value = text if text is None or is_marker(text) else orjson.loads(text)
    return to_json_bytes({"schema": "runbundle/config/v1", "config": value}, indent=True)


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in ("request", "tenant", "user", "session"):
        value = about.get(f"runbundle.{name}.id")
        # A tenant becomes a part of the bundle's key; what could not be one was not set by `start_run`.
        if isinstance(value, str) and (name != "tenant" or valid_run_id(value)):
            fields[f"{name}_id"] = value
    parent = about.get("runbundle.parent.run.id")
    if isinstance(parent, str):
        fields["parent_run"] = {"run_id": parent, "span_id": about.get("runbundle.parent.span.id", "")}
    claimed = about.get("runbundle.claimed.run.id")
    if isinstance(claimed, str):
        fields["claimed"] = marker_parts(claimed)[0] or claimed
    resumed = about.get("runbundle.resumed.from")
    if isinstance(resumed, str):
        fields["resumed_from"] = resumed
    return fields


def _result(about: dict[str, Any]) -> dict[str, Any] | None:
    value = about.get("runbundle.result") or about.get("final_result")
    if not isinstance(value, str):
        return None
    kind = about.get("runbundle.result.kind", "unknown")
    if is_marker(value):
        digest, size = marker_parts(value)
        return {"kind": kind, "digest": digest or None, "bytes": size, "view": None}
    said = said_of(about).get("runbundle.result")
    digest, size = (said.digest or None, said.size) if said else (None, None)
    return {"kind": kind, "digest": digest, "bytes": size, "view": orjson.loads(value)}


def _versions(about: dict[str, Any], tally: Tally, sdk_versions: frozenset[str]) -> dict[str, Any]:
    text = about.get("runbundle.versions")
    versions: dict[str, Any] = orjson.loads(text) if isinstance(text, str) and not is_marker(text) else {}
    versions["models"] = sorted(tally.models)
    if sdk_versions and "otel_sdk" not in versions:
        versions["otel_sdk"] = min(sdk_versions)
    versions["semconv"] = max(tally.schema_urls) if tally.schema_urls else "gen-ai"
    return versions


def _redaction(about: dict[str, Any], tally: Tally) -> dict[str, Any]:
    return {
        "policy": about.get("runbundle.redaction.policy"),
        "contracts": dict(sorted(tally.contracts.items())),
        "key_id": about.get("runbundle.redaction.key_id"),
        "totals": [{"rule": r, "action": a, "count": n} for (r, a), n in sorted(tally.redactions.items())],
        "content_mode": "debug" if about.get("runbundle.redaction.mode") == "debug" else "digest",
    }
