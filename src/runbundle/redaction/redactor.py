"""The redactor: one raw span record in, one redacted record and a receipt out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from runbundle.format.contract import ToolContract
from runbundle.redaction.attributes import Tenant, Values, Work
from runbundle.redaction.captured import CAPTURE, parse_capture
from runbundle.redaction.detectors.credential_words import credential_key, is_credential
from runbundle.redaction.foreign import count_markers, receipt_of
from runbundle.redaction.markers import HIDDEN, SMALL, canonical, is_marker, marker, told_size
from runbundle.redaction.messages import MESSAGES, messages_text, parse_messages
from runbundle.redaction.payloads.taint import Table, Taint
from runbundle.redaction.permitted.globs import key_matcher, name_matcher
from runbundle.redaction.permitted.kept_text import is_known_number
from runbundle.redaction.permitted.values import (
    RECEIPT,
    allowed,
    is_flag,
    is_name,
    kept_trace_state,
    schema_url,
    standard_event,
)
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS, Kind
from runbundle.signals.names import derived_names
from runbundle.signals.records import (
    Attributes,
    EventRecord,
    LinkRecord,
    LogRecordDict,
    ResourceRecord,
    ScopeRecord,
    SpanRecord,
)

_CACHE_LIMIT = 2048
_TENANTS = 128
_K = TypeVar("_K")
_V = TypeVar("_V")
_EVENT_NAMES = frozenset(
    {
        "exception",
        "runbundle.event",
        "runbundle.child",
        "runbundle.policy.decision",
        "runbundle.evidence",
        "runbundle.score",
        "runbundle.result",
        "runbundle.usage",
    }
)


class Redactor:
    """Applies one policy, to each record with the key of its tenant: no digest of one joins with one of another.

    Safe to share between threads: what it keeps are caches of pure functions.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._nobody = Tenant(policy.digester)
        self._tenants: dict[str, Tenant] = {}
        self._kinds: dict[str, Kind] = {**dict.fromkeys(policy.safe_keys, cast("Kind", "name")), **SPAN_KEYS}
        self._safe_key, self._safe_name = key_matcher(policy.safe_keys), name_matcher(policy.safe_names)
        self._values = Values(policy)
        self._taint = Taint()

    def go_by(self, contracts: Mapping[str, ToolContract]) -> None:
        """Apply other contracts from now on. A record that is being redacted is finished under the old ones."""
        policy = replace(self.policy, contracts=contracts)
        self.policy, self._values = policy, Values(policy)

    def key_id(self, tenant_id: str = "") -> str:
        """Return the name of the key of a tenant's digests."""
        return self._tenant(tenant_id).digest.key_id

    def _tenant(self, tenant_id: str) -> Tenant:
        if not tenant_id:
            return self._nobody
        known = self._tenants.get(tenant_id)
        if known is None:
            if len(self._tenants) >= _TENANTS:
                self._tenants.clear()  # what was worked out is worked out again
            known = self._tenants[tenant_id] = Tenant(self.policy.digester.for_tenant(tenant_id))
        return known

    # -- spans ---------------------------------------------------------------------------------------------------

    def redact_span(self, record: SpanRecord, *, first_event: int = 0) -> SpanRecord:
        """Return the redacted record; its receipt travels in the attribute `runbundle.redaction`.

        Total: on any internal error the result is a skeleton of ids, times, kind and status code, never the raw
        record. Idempotent: a redacted record comes back unchanged. The input is not modified. `first_event`: the
        number of its first event, where the record is a part of one.
        """
        try:
            return self._span(record, first_event)
        except Exception:  # noqa: BLE001 - fail closed: whatever went wrong, the raw record goes no further
            return skeleton(record)

    def _span(self, record: SpanRecord, first_event: int) -> SpanRecord:
        raw = record["attributes"]
        tool = raw.get("gen_ai.tool.name")
        tool = tool if isinstance(tool, str) and is_name(tool, "gen_ai.tool.name") else ""
        tenant_id = record.get("tenant_id", "")
        tenant = self._tenant(tenant_id)
        receipt, new = receipt_of(raw.get(RECEIPT), tenant.digest.key_id)
        if new:
            count_markers(raw, tenant.digest.key_id, receipt)
            for event in record["events"]:
                count_markers(event["attributes"], tenant.digest.key_id, receipt)
        work = Work(receipt, tool, self._taint.table(tenant_id, record["run_id"]), tenant, [])
        attributes = self._attributes(raw, work, "attributes")
        redacted: SpanRecord = {
            **record,
            "name": self.span_name(record["name"], attributes, work),
            "trace_state": kept_trace_state(record["trace_state"]),
            "attributes": attributes,
            "events": [self._event(e, work, f"events[{i}]") for i, e in enumerate(record["events"], first_event)],
            "links": [self._link(link, work, f"links[{i}]") for i, link in enumerate(record["links"])],
            "status_message": self._values.message(record["status_message"], work, "status"),
            "scope": self._scope(record["scope"], tenant),
            "resource": self._resource(record["resource"], tenant),
        }
        self._values.finish(work)
        if redacted["trace_state"] != record["trace_state"]:
            receipt.add("trace_state", "undeclared", "drop")
        attributes[RECEIPT] = receipt.to_text()
        return redacted

    def redact_log(self, record: LogRecordDict) -> LogRecordDict:
        """Return the redacted log record. Total, as `redact_span` is; the input is not modified."""
        try:
            name, body = record["event_name"], record["body"]
            tenant_id = record.get("tenant_id", "")
            tenant = self._tenant(tenant_id)
            receipt, new = receipt_of(record["attributes"].get(RECEIPT), tenant.digest.key_id)
            if new:
                count_markers(record["attributes"], tenant.digest.key_id, receipt)
            work = Work(receipt, "", self._taint.table(tenant_id, record["run_id"]), tenant, [])
            attributes = self._attributes(record["attributes"], work, "attributes")
            redacted: LogRecordDict = {
                **record,
                "event_name": name if not name or self._event_name(name) else self._hidden_name(name, tenant),
                "severity_text": record["severity_text"] if is_name(record["severity_text"]) else "",
                "body": None if body is None else self._values.content("body", body, work, ""),
                "attributes": attributes,
                "scope": self._scope(record["scope"], tenant),
                "resource": self._resource(record["resource"], tenant),
            }
            self._values.finish(work)
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
        return name in _EVENT_NAMES or self._declared(name) or standard_event(name)

    def _declared(self, name: str) -> bool:
        return name in self.policy.safe_names or self._safe_name(name)

    def span_name(self, name: str, attributes: Attributes, work: Work) -> str:
        """Return `name` if it follows from the redacted attributes or is declared safe, else a marker with a digest."""
        if self._declared(name):
            return name
        head, derived = derived_names(attributes)
        if name in derived:
            return name
        rest = name.removeprefix(head).removeprefix(" ") if head else name
        if is_marker(rest) and name == (f"{head} {rest}" if head else rest):
            return name
        work.receipt.add("name", "undeclared", "mask")
        hidden = self._hidden_name(name, work.tenant)
        return f"{head} {hidden}" if head else hidden

    def shown_name(self, name: str, attributes: Attributes, tenant_id: str) -> str:
        """Return what `span_name` makes of a name, for a span that is not redacted here."""
        return self.span_name(name, attributes, Work(Receipt(), "", Table(), self._tenant(tenant_id), []))

    def _hidden_name(self, name: str, tenant: Tenant) -> str:
        """Return what stands for a name that is none: a digest with a size."""
        if is_marker(name):
            return name
        data = name.encode("utf-8", "replace")
        return marker("name", digest=tenant.digest("name", data), size=len(data))

    def _event(self, event: EventRecord, work: Work, path: str) -> EventRecord:
        name = event["name"]
        if not self._event_name(name):
            if not is_marker(name):
                work.receipt.add(f"{path}.name", "undeclared", "mask")
            name = self._hidden_name(name, work.tenant)
        attributes = self._attributes(event["attributes"], work, f"{path}.attributes")
        return {"name": name, "time_ns": event["time_ns"], "attributes": attributes, "dropped": event["dropped"]}

    def _link(self, link: LinkRecord, work: Work, path: str) -> LinkRecord:
        attributes = self._attributes(link["attributes"], work._replace(tool=""), f"{path}.attributes")
        return {**link, "trace_state": kept_trace_state(link["trace_state"]), "attributes": attributes}

    def _scope(self, scope: ScopeRecord, tenant: Tenant) -> ScopeRecord:
        """Return the scope: name and version if they are names, no attribute that is not known."""
        known = tenant.scopes.get(id(scope))
        if known is None or known[0] is not scope:
            work = Work(Receipt(), "", Table(), tenant, [])
            redacted: ScopeRecord = {
                "name": self._name(scope["name"], tenant),
                "version": self._name(scope["version"], tenant),
                "schema_url": schema_url(scope["schema_url"]),
                "attributes": self._attributes(scope["attributes"], work, "scope.attributes"),
            }
            known = _remember(tenant.scopes, id(scope), (scope, redacted))
        return known[1]

    def _name(self, name: str, tenant: Tenant) -> str:
        return name if not name or is_name(name) else self._hidden_name(name, tenant)

    def _resource(self, resource: ResourceRecord, tenant: Tenant) -> ResourceRecord:
        """Return the resource with the attributes that name a service, a process or a place; no others."""
        known = tenant.resources.get(id(resource))
        if known is None or known[0] is not resource:
            kept: Attributes = {}
            for key, value in resource["attributes"].items():
                kind = RESOURCE_KEYS.get(key) or (
                    "name" if key in self.policy.safe_keys or self._safe_key(key) else None
                )
                if kind is None:
                    continue
                if allowed(kind, key, value) or is_marker(value):
                    kept[key] = value
                elif value.__class__ is str and kind != "own":
                    kept[key] = self._hidden_name(value, tenant)
            redacted: ResourceRecord = {"attributes": kept, "schema_url": schema_url(resource["schema_url"])}
            known = _remember(tenant.resources, id(resource), (resource, redacted))
        return known[1]

    # -- attributes ----------------------------------------------------------------------------------------------

    def _attributes(self, raw: Mapping[str, Any], work: Work, path: str) -> Attributes:
        kept: Attributes = {}
        kinds, values = self._kinds, self._values
        messages: dict[str, Any] | None = None
        said = parse_capture(raw[CAPTURE]) if CAPTURE in raw else None
        if work.said is not said:
            work = work._replace(said=said)
        for key, value in raw.items():
            kind = kinds.get(key)
            if kind == "name" or kind == "id":
                if allowed(kind, key, value) or is_marker(value):
                    kept[key] = value
                    continue
            elif kind == "number":
                if value.__class__ in (int, float, bool):
                    if not (value >= 10_000_000 or value <= -10_000_000) or not is_known_number(value):
                        kept[key] = value
                        continue
                    work.receipt.add(f"{path}.{key}", "detector:known-secret", "mask")
                    kept[key] = marker("credential")
                    continue
            elif kind is None:
                if self._safe_key(key) and (
                    is_marker(value) or (allowed("name", key, value) and not is_credential(key, value))
                ):
                    kept[key] = value
                    continue
                self._undeclared(kept, key, value, work, path)
                continue
            elif kind == "own":
                if allowed(kind, key, value):
                    kept[key] = told_size(value) if value.__class__ is int and value < SMALL else value
                continue
            elif kind == "flag":
                if is_flag(value):
                    kept[key] = value
                    continue
            elif kind in ("arguments", "result"):
                values.payload(kept, kind, value, work)
                continue
            elif kind == "messages":
                kept[key], about = values.messages(key, value, work, path)
                if about is not None:
                    messages = {**(messages or {}), key: about}
                continue
            elif kind == "config":
                kept[key] = values.config(value, work)
                continue
            elif kind == "user":
                values.user(kept, key, value, work, path)
                continue
            elif kind == "free_id":
                values.free_id(kept, key, value, work, path)
                continue
            elif kind == "stack":
                kept[key] = values.stack(value, work, f"{path}.{key}")
                continue
            elif key == "runbundle.result" and self.policy.result:
                values.result(kept, key, value, work)
                continue
            if key == "exception.message":
                kept[key] = values.message(value, work, f"{path}.{key}")
                continue
            kept[key] = values.content(key, value, work, path)
        if messages is not None:
            before = parse_messages(kept[MESSAGES]) if MESSAGES in kept else None
            kept[MESSAGES] = messages_text({**before, **messages} if before else messages)
        if said is not None:
            kept[CAPTURE] = values.keyed(said, work)
        contract = self.policy.contracts.get(work.tool)
        if contract is not None:
            # Last, so that nothing a span says of its contract stands against the contract itself.
            kept["runbundle.contract.version"] = contract.version if is_name(contract.version) else "?"
            kept["runbundle.contract.sha256"] = contract.sha256
            kept["runbundle.tool.side_effects"] = contract.side_effects
        return kept

    def _undeclared(self, kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
        """Replace a key that nobody declared, and its value: either may be the secret."""
        if key.startswith(HIDDEN) and is_marker(value) and len(key) == 31:
            kept[key] = value
            return
        tenant = work.tenant
        hidden = tenant.hidden_keys.get(key)
        if hidden is None:
            digest = tenant.digest("key", key.encode("utf-8", "replace"))
            hidden = _remember(tenant.hidden_keys, key, HIDDEN + digest[12:24])
        if is_marker(value) and credential_key(key) != "strong":
            kept[hidden] = value  # it says what became of the value: a digest of it would be one of nothing
            return
        credential = is_credential(key, value)
        work.receipt.add(f"{path}.{hidden}", "undeclared", "mask" if credential else "digest")
        if credential:
            kept[hidden] = marker("credential")
        else:
            data = canonical(value)
            digest, size = ("", None) if data is None else (tenant.digest("attribute", data), len(data))
            kept[hidden] = marker("undeclared", digest=digest, size=size)


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


def _remember(cache: dict[_K, _V], key: _K, value: _V) -> _V:
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value
    return value
