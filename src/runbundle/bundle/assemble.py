"""Journal to bundle: a pure function. No clock, no host name, no id of whoever assembles enters a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runbundle.bundle import summaries
from runbundle.bundle.journal import Journal
from runbundle.bundle.timeline import Span, events_of, root_of, spans_of
from runbundle.models.bundle import RunIndex
from runbundle.models.canonical import sha256_hex, to_json_bytes
from runbundle.models.identity import valid_run_id
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.redaction.receipt import totals

MEDIA_TYPES = {".json": "application/json", ".jsonl": "application/x-ndjson"}


@dataclass(frozen=True)
class Assembled:
    """A bundle in memory: `files` without run.json, in the order they are written, and run.json itself."""

    run_id: str
    tenant_id: str
    files: dict[str, bytes]
    index: bytes

    @property
    def key(self) -> str:
        """Where in a store the bundle lives: `<run_id>` or `<tenant>/<run_id>`."""
        return f"{self.tenant_id}/{self.run_id}" if self.tenant_id else self.run_id


def assemble(run_id: str, journal: Journal, *, dropped: Mapping[str, int] | None = None) -> Assembled:
    """Assemble the bundle of one run.

    `dropped` adds losses that no span could carry, by reason. The same records give the same bytes, in whatever order
    and from however many writers they came. Holds the run in memory.
    """
    spans = spans_of(journal)
    root = root_of(run_id, spans)
    roots = sum(span.op == "run" for span in spans.values()) or (1 if root else 0)
    about = root.attributes if root else {}
    events = list(events_of(spans, journal.logs, root))
    calls = summaries.tool_calls(spans)
    found = summaries.retrievals(spans)
    files = {"config.snapshot.json": _config(about)}
    files["events.jsonl"] = b"".join(events)
    if found:
        files["evidence.json"] = to_json_bytes(
            {"schema": "runbundle/evidence/v1", "run_id": run_id, "retrievals": found}, indent=True
        )
    files["tool_calls.json"] = to_json_bytes(
        {"schema": "runbundle/tool_calls/v1", "run_id": run_id, "calls": calls}, indent=True
    )
    started = min((s.record["start_ns"] for s in spans.values()), default=0)
    ended = max((s.record["end_ns"] for s in spans.values()), default=started)
    if root is not None:
        started, ended = root.record["start_ns"], root.record["end_ns"] if root.ended else ended
    index: dict[str, Any] = {
        "schema": "runbundle/run/v1",
        "run_id": run_id,
        **_identity(about),
        "started_at": summaries.rfc3339(started),
        "ended_at": summaries.rfc3339(ended),
        "duration_ns": str(max(0, ended - started)),
        "status": _status(root),
        "config": {"path": "config.snapshot.json", "sha256": sha256_hex(files["config.snapshot.json"])},
        "versions": _versions(about, spans.values(), journal),
        "files": [
            {"path": path, "bytes": len(data), "sha256": sha256_hex(data), "media_type": MEDIA_TYPES[_suffix(path)]}
            for path, data in sorted(files.items())
        ],
        "counts": summaries.counts(spans, calls, len(events), len(journal.logs)),
        "usage": summaries.usage(spans),
        "trace_ids": sorted({trace_id for trace_id, _ in spans}),
        "redaction": _redaction(about, spans.values()),
        "completeness": summaries.completeness(spans, root, journal.torn, dict(dropped or {}), roots),
        "revision": 1,
    }
    if root is not None:
        error, result = root.error(), _result(about)
        index |= {k: v for k, v in (("error", error and {**error, "span_id": root.key[1]}), ("result", result)) if v}
    # Validated, not merely dumped: a bundle that its own schema refuses must never be sealed.
    checked = RunIndex.model_validate(index)
    return Assembled(
        run_id,
        index.get("tenant_id", ""),
        files,
        to_json_bytes(checked.model_dump(mode="json", by_alias=True, exclude_none=True), indent=True),
    )


def _suffix(path: str) -> str:
    return path[path.rindex(".") :]


def _config(about: dict[str, Any]) -> bytes:
    text = about.get("runbundle.config")
    value = text if text is None or is_marker(text) else orjson.loads(text)
    return to_json_bytes({"schema": "runbundle/config/v1", "config": value}, indent=True)


def _identity(about: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in ("request", "tenant", "user", "session"):
        value = about.get(f"runbundle.{field}.id")
        # A tenant becomes a part of the bundle's key; what could not be one was not set by `start_run`.
        if isinstance(value, str) and (field != "tenant" or valid_run_id(value)):
            fields[f"{field}_id"] = value
    parent = about.get("runbundle.parent.run.id")
    if isinstance(parent, str):
        fields["parent_run"] = {"run_id": parent, "span_id": about.get("runbundle.parent.span.id", "")}
    return fields


def _status(root: Span | None) -> str:
    if root is None:
        return "incomplete"
    return {"unset": "ok"}.get(root.status, root.status)


def _result(about: dict[str, Any]) -> dict[str, Any] | None:
    value = about.get("runbundle.result") or about.get("final_result")
    if not isinstance(value, str):
        return None
    kind = about.get("runbundle.result.kind", "unknown")
    if is_marker(value):
        digest, size = marker_parts(value)
        return {"kind": kind, "digest": digest or None, "bytes": size, "view": None}
    return {"kind": kind, "digest": None, "bytes": None, "view": orjson.loads(value)}


def _versions(about: dict[str, Any], spans: Any, journal: Journal) -> dict[str, Any]:
    text = about.get("runbundle.versions")
    versions: dict[str, Any] = orjson.loads(text) if isinstance(text, str) and not is_marker(text) else {}
    models = {
        value
        for span in spans
        for key in ("gen_ai.response.model", "gen_ai.request.model")
        if span.op == "model" and isinstance(value := span.attributes.get(key), str)
    }
    sdk = {r["attributes"].get("telemetry.sdk.version") for r in journal.resources} - {None}
    versions["models"] = sorted(models)
    if sdk and "otel_sdk" not in versions:
        versions["otel_sdk"] = min(str(v) for v in sdk)
    schema_urls = {s.record["scope"].get("schema_url") for s in spans} - {None, ""}
    versions["semconv"] = max(schema_urls) if schema_urls else "gen-ai"
    return versions


def _redaction(about: dict[str, Any], spans: Any) -> dict[str, Any]:
    contracts: dict[str, dict[str, str]] = {}
    for span in spans:
        sha256, tool = span.attributes.get("runbundle.contract.sha256"), span.attributes.get("gen_ai.tool.name")
        if sha256 and isinstance(tool, str):
            contracts[tool] = {"version": span.attributes.get("runbundle.contract.version", ""), "sha256": sha256}
    summed = totals(span.receipt for span in spans)
    return {
        "policy": about.get("runbundle.redaction.policy"),
        "contracts": dict(sorted(contracts.items())),
        "key_id": about.get("runbundle.redaction.key_id"),
        "totals": [{"rule": r, "action": a, "count": n} for (r, a), n in sorted(summed.items())],
        "content_mode": "debug" if about.get("runbundle.redaction.mode") == "debug" else "digest",
    }
