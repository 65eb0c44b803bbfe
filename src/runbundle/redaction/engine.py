"""The redactor: one raw span record in, one redacted record and a receipt out."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import orjson

from runbundle.models.contract import DataHandling, ToolContract
from runbundle.models.records import (
    Attributes,
    EventRecord,
    LinkRecord,
    LogRecordDict,
    ResourceRecord,
    ScopeRecord,
    SpanRecord,
)
from runbundle.redaction.configuration import redact_configuration
from runbundle.redaction.floor import safe_identifier, safe_name, sensitive_key
from runbundle.redaction.keys import RESOURCE_KEYS, SPAN_KEYS, Kind
from runbundle.redaction.markers import canonical, is_digest, is_marker, marker, marker_parts
from runbundle.redaction.payload import PayloadRules, compile_payload_rules, redact_payload
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt, parse_receipt
from runbundle.redaction.text import derived_names, message_roles, reduce_stacktrace

RECEIPT = "runbundle.redaction"
MAX_PAYLOAD_BYTES = 262_144
"""A tool payload above this size is not opened: it leaves a marker with digest and size."""

_CACHE_LIMIT = 8192
_K = TypeVar("_K")
_V = TypeVar("_V")
_EVENT_NAMES = frozenset(
    {
        "exception",
        "runbundle.event",
        "runbundle.policy.decision",
        "runbundle.evidence",
        "runbundle.score",
        "runbundle.result",
        "runbundle.usage",
    }
)


class Redactor:
    """Applies one policy. Safe to share between threads: what it keeps are caches of pure functions."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._digest = policy.digester
        self._kinds: dict[str, Kind] = {**dict.fromkeys(policy.safe_keys, cast("Kind", "name")), **SPAN_KEYS}
        self._hidden_keys: dict[str, str] = {}
        # By identity, with the object itself so that its id cannot be reused: a process has a handful of each, and the
        # edges hand the same object for every span.
        self._scopes: dict[int, tuple[ScopeRecord, ScopeRecord]] = {}
        self._resources: dict[int, tuple[ResourceRecord, ResourceRecord]] = {}
        self._rules: dict[tuple[str, str], PayloadRules] = {
            (name, target): compile_payload_rules(contract, target)
            for name, contract in policy.contracts.items()
            for target in ("input", "output", "error")
        }
        self._result_rules = compile_payload_rules(
            ToolContract(name="result", data=DataHandling(rules=policy.result)), "input"
        )

    # -- spans ---------------------------------------------------------------------------------------------------

    def redact_span(self, record: SpanRecord) -> SpanRecord:
        """Return the redacted record; its receipt travels in the attribute `runbundle.redaction`.

        Total: on any internal error the result is a skeleton of ids, times, kind and status code, never the raw
        record. Idempotent: a redacted record comes back unchanged. The input is not modified.
        """
        try:
            return self._span(record)
        except Exception:  # noqa: BLE001 - fail closed: whatever went wrong, the raw record goes no further
            return skeleton(record)

    def _span(self, record: SpanRecord) -> SpanRecord:
        raw = record["attributes"]
        receipt = parse_receipt(raw.get(RECEIPT)) or Receipt()
        tool = raw.get("gen_ai.tool.name")
        tool = tool if isinstance(tool, str) and _name(tool) else ""
        attributes = self._attributes(raw, receipt, "attributes", tool)
        redacted: SpanRecord = {
            **record,
            "name": self.span_name(record["name"], attributes, receipt),
            "trace_state": _trace_state(record["trace_state"]),
            "attributes": attributes,
            "events": [self._event(e, receipt, f"events[{i}]", tool) for i, e in enumerate(record["events"])],
            "links": [self._link(link, receipt, f"links[{i}]") for i, link in enumerate(record["links"])],
            "status_message": self._message(record["status_message"], receipt, "status", tool),
            "scope": self.redact_scope(record["scope"]),
            "resource": self.redact_resource(record["resource"]),
        }
        if redacted["trace_state"] != record["trace_state"]:
            receipt.add("trace_state", "undeclared", "drop")
        attributes[RECEIPT] = receipt.to_text()
        return redacted

    def redact_log(self, record: LogRecordDict) -> LogRecordDict:
        """Return the redacted log record. Total, as `redact_span` is; the input is not modified."""
        try:
            receipt = parse_receipt(record["attributes"].get(RECEIPT)) or Receipt()
            name, body = record["event_name"], record["body"]
            attributes = self._attributes(record["attributes"], receipt, "attributes", "")
            redacted: LogRecordDict = {
                **record,
                "event_name": name if not name or self._event_name(name) else marker("name"),
                "severity_text": record["severity_text"] if _name(record["severity_text"]) else "",
                "body": None if body is None else self._content(body, receipt, "body"),
                "attributes": attributes,
                "scope": self.redact_scope(record["scope"]),
                "resource": self.redact_resource(record["resource"]),
            }
            attributes[RECEIPT] = receipt.to_text()
            return redacted
        except Exception:  # noqa: BLE001 - fail closed, as for spans
            return {
                **record,
                "event_name": "",
                "severity_text": "",
                "body": None,
                "attributes": {RECEIPT: '{"n":[["log","failed","drop"]]}'},
                "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
                "resource": {"attributes": {}, "schema_url": ""},
            }

    def _event_name(self, name: str) -> bool:
        return name in _EVENT_NAMES or name in self.policy.safe_names or _standard_event(name)

    def span_name(self, name: str, attributes: Attributes, receipt: Receipt | None = None) -> str:
        """Return `name` if it follows from the redacted attributes or is declared safe, else a marker."""
        if name in self.policy.safe_names:
            return name
        head, derived = derived_names(attributes)
        if name in derived:
            return name
        hidden = f"{head} {marker('name')}" if head else marker("name")
        if name != hidden and receipt is not None:
            receipt.add("name", "undeclared", "mask")
        return hidden

    def _event(self, event: EventRecord, receipt: Receipt, path: str, tool: str) -> EventRecord:
        name = event["name"]
        if not self._event_name(name):
            if not is_marker(name):
                receipt.add(f"{path}.name", "undeclared", "mask")
            name = marker("name")
        attributes = self._attributes(event["attributes"], receipt, f"{path}.attributes", tool)
        return {"name": name, "time_ns": event["time_ns"], "attributes": attributes, "dropped": event["dropped"]}

    def _link(self, link: LinkRecord, receipt: Receipt, path: str) -> LinkRecord:
        attributes = self._attributes(link["attributes"], receipt, f"{path}.attributes", "")
        return {**link, "trace_state": _trace_state(link["trace_state"]), "attributes": attributes}

    def redact_scope(self, scope: ScopeRecord) -> ScopeRecord:
        """Return the scope: name and version if they are names, no attribute that is not known."""
        known = self._scopes.get(id(scope))
        if known is None or known[0] is not scope:
            known = _remember(self._scopes, id(scope), (scope, self._scope(scope)))
        return known[1]

    def _scope(self, scope: ScopeRecord) -> ScopeRecord:
        return {
            "name": scope["name"] if not scope["name"] or _name(scope["name"]) else marker("name"),
            "version": scope["version"] if not scope["version"] or _name(scope["version"]) else marker("name"),
            "schema_url": scope["schema_url"] if _schema_url(scope["schema_url"]) else "",
            "attributes": self._attributes(scope["attributes"], Receipt(), "scope.attributes", ""),
        }

    def redact_resource(self, resource: ResourceRecord) -> ResourceRecord:
        """Return the resource with the attributes that name a service, a process or a place; no others."""
        known = self._resources.get(id(resource))
        if known is None or known[0] is not resource:
            known = _remember(self._resources, id(resource), (resource, self._resource(resource)))
        return known[1]

    def _resource(self, resource: ResourceRecord) -> ResourceRecord:
        kept: Attributes = {}
        for key, value in resource["attributes"].items():
            kind = RESOURCE_KEYS.get(key) or ("name" if key in self.policy.safe_keys else None)
            if kind is not None and self._allowed(kind, key, value):
                kept[key] = value
        return {"attributes": kept, "schema_url": resource["schema_url"] if _schema_url(resource["schema_url"]) else ""}

    # -- attributes ----------------------------------------------------------------------------------------------

    def _attributes(self, raw: Mapping[str, Any], receipt: Receipt, path: str, tool: str) -> Attributes:
        kept: Attributes = {}
        kinds = self._kinds
        for key, value in raw.items():
            kind = kinds.get(key)
            if kind == "name" or kind == "id":
                if self._allowed(kind, key, value) or is_marker(value):
                    kept[key] = value
                    continue
            elif kind == "number":
                if value.__class__ in (int, float, bool):
                    kept[key] = value
                    continue
            elif kind is None:
                self._undeclared(kept, key, value, receipt, path)
                continue
            elif kind == "own":
                if self._allowed(kind, key, value):
                    kept[key] = value
                continue
            elif kind in ("arguments", "result"):
                self._payload(kept, kind, key, value, receipt, tool)
                continue
            elif kind == "config":
                kept[key] = self._config(value, receipt)
                continue
            elif kind == "user":
                self._user(kept, key, value, receipt, path)
                continue
            elif kind == "stack":
                kept[key] = self._stack(value, receipt, f"{path}.{key}")
                continue
            elif key == "runbundle.result" and self.policy.result:
                kept[key] = self._result(value, receipt)
                continue
            if key == "exception.message":
                kept[key] = self._message(value, receipt, f"{path}.{key}", tool)
                continue
            kept[key] = self._content(value, receipt, f"{path}.{key}", messages=kind == "messages")
        contract = self.policy.contracts.get(tool)
        if contract is not None:
            # Last, so that nothing a span says of its contract stands against the contract itself.
            kept["runbundle.contract.version"] = contract.version if _name(contract.version) else "?"
            kept["runbundle.contract.sha256"] = contract.sha256
            kept["runbundle.tool.side_effects"] = contract.side_effects
        return kept

    def _allowed(self, kind: Kind, key: str, value: Any) -> bool:
        """Tell whether a value has the shape that its key promises."""
        if value.__class__ is str:
            if kind == "name":
                return len(value) <= 256 and safe_name(value)
            if kind == "id":
                return len(value) <= 256 and safe_identifier(value)
            return kind == "own" and _own_value(key, value)
        if isinstance(value, bool | int | float):
            return kind in ("name", "number", "id") or (kind == "own" and key.endswith(".bytes"))
        if isinstance(value, list | tuple) and kind in ("name", "number", "id"):
            items = cast("list[Any]", value)
            return len(items) <= 64 and all(
                not isinstance(i, list | tuple) and self._allowed(kind, key, i) for i in items
            )
        return False

    def _undeclared(self, kept: Attributes, key: str, value: Any, receipt: Receipt, path: str) -> None:
        """Replace a key that nobody declared, and its value: either may be the secret."""
        if key.startswith("runbundle.redacted.") and is_marker(value) and len(key) == 31:
            kept[key] = value
            return
        hidden = self._hidden_keys.get(key)
        if hidden is None:
            digest = self._digest("key", key.encode("utf-8", "replace"))
            hidden = _remember(self._hidden_keys, key, "runbundle.redacted." + digest[12:24].lower())
        receipt.add(f"{path}.{hidden}", "undeclared", "mask" if sensitive_key(key) else "digest")
        if sensitive_key(key):
            kept[hidden] = marker("credential")
        else:
            data = canonical(value)
            kept[hidden] = marker("undeclared", digest=self._digest("attribute", data), size=len(data))

    def _content(self, value: Any, receipt: Receipt, path: str, *, messages: bool = False) -> str:
        if is_marker(value):
            return value
        receipt.add(path, "content", "digest")
        data = canonical(value)
        roles: tuple[str, ...] = ()
        if messages:
            roles = message_roles(value if isinstance(value, str) else data.decode("utf-8", "replace"))
        return marker("content", digest=self._digest("content", data), size=len(data), roles=roles)

    def _message(self, value: Any, receipt: Receipt, path: str, tool: str) -> str:
        """An error's text: a marker, or what the tool's contract says of its errors."""
        if value == "" or is_marker(value):
            return cast("str", value)
        rules = self._rules.get((tool, "error"))
        if rules is not None and isinstance(value, str) and rules.decides:
            kept = redact_payload(value, rules, self._digest, receipt, path)
            return kept if isinstance(kept, str) else marker("error")
        receipt.add(path, "error", "digest")
        data = canonical(value)
        return marker("error", digest=self._digest("error", data), size=len(data))

    def _user(self, kept: Attributes, key: str, value: Any, receipt: Receipt, path: str) -> None:
        action = self.policy.user_id
        if is_digest(value) or (action == "keep" and self._allowed("id", key, value)):
            kept[key] = value
        else:
            receipt.add(f"{path}.{key}", "user_id", "drop" if action == "drop" else "hash")
            if action != "drop":
                kept[key] = self._digest("user", canonical(value))

    def _stack(self, value: Any, receipt: Receipt, path: str) -> str:
        if is_marker(value):
            return value
        reduced = reduce_stacktrace(value) if isinstance(value, str) else ""
        if reduced != value:
            receipt.add(path, "stacktrace", "shorten")
        return reduced or marker("error")

    def _config(self, value: Any, receipt: Receipt) -> Any:
        if is_marker(value):
            return value
        try:
            data = orjson.loads(value) if isinstance(value, str | bytes) else value
        except orjson.JSONDecodeError:
            return self._content(value, receipt, "attributes.runbundle.config")
        return orjson.dumps(redact_configuration(data, receipt), option=orjson.OPT_SORT_KEYS).decode()

    def _result(self, value: Any, receipt: Receipt) -> str:
        if is_marker(value):
            return value
        data = _parsed(value)
        view = redact_payload(data, self._result_rules, self._digest, receipt, "result")
        return view if is_marker(view) else orjson.dumps(view, option=orjson.OPT_SORT_KEYS).decode()

    def _payload(self, kept: Attributes, kind: str, key: str, value: Any, receipt: Receipt, tool: str) -> None:
        """A tool's arguments or result: a digest and a size always, a view if the tool has a contract."""
        key = "gen_ai.tool.call.arguments" if kind == "arguments" else "gen_ai.tool.call.result"
        prefix = f"runbundle.tool.{kind}"
        if is_marker(value):
            kept[key] = value
            return
        rules = self._rules.get((tool, "input" if kind == "arguments" else "output"))
        size = len(value) if isinstance(value, str | bytes) else 0
        data = value if size > MAX_PAYLOAD_BYTES else _parsed(value)
        raw = canonical(data)
        if f"{prefix}.digest" not in kept:
            kept[f"{prefix}.digest"] = self._digest(f"tool|{tool}|{kind}", raw)
            kept[f"{prefix}.bytes"] = len(raw)
        if rules is None:
            receipt.add(kind, "no-contract", "digest")
            kept[key] = marker("undeclared", digest=kept[f"{prefix}.digest"], size=len(raw))
        elif len(raw) > MAX_PAYLOAD_BYTES:
            receipt.add(kind, "oversize", "digest")
            kept[key] = marker("oversize", digest=kept[f"{prefix}.digest"], size=len(raw))
        else:
            view = redact_payload(data, rules, self._digest, receipt, kind)
            kept[key] = view if is_marker(view) else orjson.dumps(view, option=orjson.OPT_SORT_KEYS).decode()


def skeleton(record: SpanRecord) -> SpanRecord:
    """Return what may be said of a span whose redaction failed: ids, times, kind and status code."""
    return {
        **record,
        "name": marker("name"),
        "trace_state": "",
        "attributes": {RECEIPT: '{"n":[["span","failed","drop"]]}'},
        "events": [],
        "links": [],
        "status_message": "",
        "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""},
    }


def _name(text: str) -> bool:
    return len(text) <= 256 and safe_name(text)


def _parsed(value: Any) -> Any:
    if isinstance(value, str | bytes):
        try:
            return orjson.loads(value)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return value
    return value


def _own_value(key: str, value: str) -> bool:
    """Check the values that only a redactor or `configure()` writes."""
    if key == RECEIPT:
        return parse_receipt(value) is not None
    if key.endswith(".digest"):
        return is_digest(value)
    if key == "runbundle.versions":
        return len(value) <= 16_384 and _plain_versions(value)
    return False


def _plain_versions(text: str) -> bool:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    leaves: list[Any] = [data]
    while leaves:
        item = leaves.pop()
        if isinstance(item, dict):
            leaves += [*cast("dict[str, Any]", item), *cast("dict[str, Any]", item).values()]
        elif isinstance(item, str):
            if not safe_identifier(item):
                return False
        elif item is not None and not isinstance(item, bool):
            return False
    return True


def _standard_event(name: str) -> bool:
    return name.startswith("gen_ai.") and len(name) <= 64 and name.replace(".", "").replace("_", "").isalpha()


def _schema_url(url: str) -> bool:
    return (
        url.startswith(("https://opentelemetry.io/schemas/", "https://opentelemetry.io/schemas/gen-ai"))
        and len(url) < 80
    )


def _trace_state(text: str) -> str:
    """Keep only OpenTelemetry's own entry, which samplers need; vendors' entries are free text."""
    for entry in text.split(","):
        key, _, value = entry.strip().partition("=")
        if key == "ot" and len(value) <= 128 and all(c in "0123456789abcdefghijklmnopqrstuvwxyz:;." for c in value):
            return f"ot={value}"
    return ""


def _remember(cache: dict[_K, _V], key: _K, value: _V) -> _V:
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value
    return value


__all__ = ["MAX_PAYLOAD_BYTES", "RECEIPT", "Redactor", "marker_parts", "skeleton"]
