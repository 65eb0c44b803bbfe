"""The redactor: one raw record in, one redacted record with its receipt out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runbundle.redaction.attributes import redact_attributes
from runbundle.redaction.captured import with_capture_of_others
from runbundle.redaction.contents import content_marker, error_text
from runbundle.redaction.markers import is_marker, marker
from runbundle.redaction.origins import hidden_name, redacted_resource, redacted_scope
from runbundle.redaction.payloads.bare_arguments import remember_calls, with_named_argument
from runbundle.redaction.payloads.taint import TaintTable, TaintTables
from runbundle.redaction.permitted.values import is_name, kept_trace_state, standard_event
from runbundle.redaction.plan import Tenant, Work, compile_policy
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt, count_markers, receipt_of, unclaimed
from runbundle.redaction.views import write_views
from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import canonical, canonical_log, is_unread
from runbundle.signals.names import derived_names, full_name
from runbundle.signals.records import Attributes, EventRecord, LinkRecord, LogRecordDict, ResourceRecord, SpanRecord

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract

_TENANTS = 128
_CLAIMS = own.NOT_OF_OTHERS | {own.CAPTURE}
_EVENT_NAMES = own.EVENTS | {semconv.EXCEPTION}


class Redactor:
    """Applies one policy, and to each record the key of its tenant, so no digest of one tenant equals one of another.

    Thread-safe. It keeps caches, and the values that were withheld in each run.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.plan = compile_policy(policy)
        """What is applied at present: `use_contracts` makes another."""
        self._nobody = Tenant(policy.digester)
        self._tenants: dict[str, Tenant] = {}
        self._taint = TaintTables()

    def use_contracts(self, contracts: Mapping[str, ToolContract]) -> None:
        """Use other contracts from now on. A record that is being redacted is finished under the old ones."""
        policy = replace(self.policy, contracts=contracts)
        self.policy, self.plan = policy, compile_policy(policy)

    def key_id(self, tenant_id: str = "") -> str:
        """Return the id of the key of a tenant's digests."""
        return self.tenant(tenant_id).digest.key_id

    def tenant(self, tenant_id: str) -> Tenant:
        """Return the digester and the caches of a tenant; of nobody for ""."""
        if not tenant_id:
            return self._nobody
        known = self._tenants.get(tenant_id)
        if known is None:
            if len(self._tenants) >= _TENANTS:
                self._tenants.clear()  # what was worked out is worked out again
            known = self._tenants[tenant_id] = Tenant(self.policy.digester.for_tenant(tenant_id))
        return known

    def taint_table(self, tenant_id: str, run_id: str) -> TaintTable:
        """Return the values that were withheld in a run so far."""
        return self._taint.table(tenant_id, run_id)

    def redacted_resource(self, record: SpanRecord) -> ResourceRecord:
        """Return the redacted resource of a record; the same object for the same resource of a tenant."""
        return redacted_resource(record["resource"], self.tenant(record.get("tenant_id", "")), self.plan)

    # -- spans ---------------------------------------------------------------------------------------------------

    def redact_span(self, record: SpanRecord, *, first_event: int = 0) -> SpanRecord:
        """Return the redacted record; its receipt is in the attribute `runbundle.redaction`.

        Total: on an internal error the result is a skeleton of ids, times, kind and status code, never the raw record.
        Idempotent: a redacted record comes back unchanged. The input is not modified. `first_event` is the number of
        its first event, for a record that is a part of a larger one.
        """
        try:
            return self._span(record, first_event)
        except Exception:  # noqa: BLE001 - fail closed: whatever went wrong, the raw record goes no further
            return skeleton(record, self._failed("span", record))

    def _span(self, record: SpanRecord, first_event: int) -> SpanRecord:
        plan = self.plan
        tenant_id = record.get("tenant_id", "")
        tenant = self.tenant(tenant_id)
        scope = record["scope"]["name"]
        receipt, new = receipt_of(record["attributes"].get(own.RECEIPT), tenant.digest.key_id, scope)
        if scope != own.SCOPE:  # our own spans have our names from the beginning
            claimed = new and claims(record)
            if claimed:
                record = _unclaimed(record, receipt, first_event)
            if new or is_unread(record["attributes"]):  # by who had us redact some of a live span
                record = canonical(record)
            if claimed:
                record = _with_captures_of_others(record, receipt, first_event)
        raw = record["attributes"]
        tool = raw.get(semconv.TOOL_NAME)
        tool = tool if isinstance(tool, str) and is_name(tool, semconv.TOOL_NAME) else ""
        if new:
            count_markers(raw, tenant.digest.key_id, receipt)
            for event in record["events"]:
                count_markers(event["attributes"], tenant.digest.key_id, receipt)
        taint = self.taint_table(tenant_id, record["run_id"])
        if new and own.DIALECT in raw:
            raw = with_named_argument(raw, tool, plan.sole_arguments.get(tool, ""), taint)
            remember_calls(raw.get(semconv.OUTPUT_MESSAGES), taint)
        work = Work(plan, receipt, tool, taint, tenant, [])
        attributes = redact_attributes(raw, work, "attributes")
        name = self.span_name(record["name"], attributes, work)
        if name != record["name"] and "[REDACTED:" not in name:
            attributes[own.NAME_DIGEST] = tenant.digest("name", record["name"].encode("utf-8", "replace"))
        redacted: SpanRecord = {
            **record,
            "name": name,
            "trace_state": kept_trace_state(record["trace_state"]),
            "attributes": attributes,
            "events": [self._event(e, work, f"events[{i}]") for i, e in enumerate(record["events"], first_event)],
            "links": [self._link(link, work, f"links[{i}]") for i, link in enumerate(record["links"])],
            "status_message": error_text(record["status_message"], work, "status"),
            "scope": redacted_scope(record["scope"], tenant, plan),
            "resource": redacted_resource(record["resource"], tenant, plan),
        }
        write_views(work)
        if redacted["trace_state"] != record["trace_state"]:
            receipt.add("trace_state", "undeclared", "drop")
        attributes[own.RECEIPT] = receipt.to_text()
        return redacted

    def redact_log(self, record: LogRecordDict) -> LogRecordDict:
        """Return the redacted log record; its receipt is in the attribute `runbundle.redaction`.

        Total and idempotent as `redact_span`. The input is not modified.
        """
        try:
            plan, scope = self.plan, record["scope"]["name"]
            tenant_id = record.get("tenant_id", "")
            tenant = self.tenant(tenant_id)
            receipt, new = receipt_of(record["attributes"].get(own.RECEIPT), tenant.digest.key_id, scope)
            if new and scope != own.SCOPE:
                record = {**record, "attributes": unclaimed(record["attributes"], receipt, "attributes")}
                record = canonical_log(record)
            name, body = record["event_name"], record["body"]
            if new:
                count_markers(record["attributes"], tenant.digest.key_id, receipt)
            work = Work(plan, receipt, "", self.taint_table(tenant_id, record["run_id"]), tenant, [])
            attributes = redact_attributes(record["attributes"], work, "attributes")
            redacted: LogRecordDict = {
                **record,
                "event_name": name if not name or self._may_name_event(name) else hidden_name(name, tenant),
                "severity_text": record["severity_text"] if is_name(record["severity_text"]) else "",
                "body": None if body is None else content_marker("body", body, work, ""),
                "attributes": attributes,
                "scope": redacted_scope(record["scope"], tenant, plan),
                "resource": redacted_resource(record["resource"], tenant, plan),
            }
            write_views(work)
            attributes[own.RECEIPT] = receipt.to_text()
            return redacted
        except Exception:  # noqa: BLE001 - fail closed, as for spans
            return {
                **record,
                "event_name": "",
                "severity_text": "",
                "body": None,
                "attributes": {own.RECEIPT: self._failed("log", record)},
                "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
                "resource": {"attributes": {}, "schema_url": ""},
            }

    def _failed(self, kind: str, record: SpanRecord | LogRecordDict) -> str:
        """Return the receipt of a record whose redaction failed. With the key's name nobody else has written it."""
        receipt = Receipt()
        with contextlib.suppress(Exception):  # it may be the key that failed
            receipt.by = self.key_id(record.get("tenant_id", ""))
        receipt.add(kind, "failed", "drop")
        return receipt.to_text()

    def event_name(self, name: str, path: str, work: Work) -> str:
        """Return the name of a span event if it is known, standard or declared safe, else a marker."""
        if self._may_name_event(name):
            return name
        if not is_marker(name):
            work.receipt.add(path, "undeclared", "mask")
        return hidden_name(name, work.tenant)

    def _may_name_event(self, name: str) -> bool:
        return name in _EVENT_NAMES or self._declared(name) or standard_event(name)

    def _declared(self, name: str) -> bool:
        plan = self.plan
        return name in plan.safe_names or (plan.safe_name is not None and plan.safe_name(name))

    def span_name(self, name: str, attributes: Attributes, work: Work) -> str:
        """Return `name` if it follows from the redacted attributes or is declared safe, else one that does follow.

        Where they say the kind of work and the name of its thing, that is `full_name`; the original leaves a digest in
        `runbundle.name.digest`. Otherwise it is the first word that is known, and a marker with the digest.
        """
        if self._declared(name):
            return name
        head, derived = derived_names(attributes)
        if name in derived:
            return name
        rest = name.removeprefix(head).removeprefix(" ") if head else name
        if is_marker(rest) and name == (f"{head} {rest}" if head else rest):
            return name
        full = full_name(attributes)
        work.receipt.add("name", "undeclared", "digest" if full else "mask")
        if full:
            return full
        hidden = hidden_name(name, work.tenant)
        return f"{head} {hidden}" if head else hidden

    def shown_name(self, name: str, attributes: Attributes, tenant_id: str) -> str:
        """Return the name that `span_name` gives, for a span that is not redacted here; nothing is noted."""
        return self.span_name(
            name, attributes, Work(self.plan, Receipt(), "", TaintTable(), self.tenant(tenant_id), [])
        )

    def _event(self, event: EventRecord, work: Work, path: str) -> EventRecord:
        name = self.event_name(event["name"], f"{path}.name", work)
        attributes = redact_attributes(event["attributes"], work, f"{path}.attributes")
        return {"name": name, "time_ns": event["time_ns"], "attributes": attributes, "dropped": event["dropped"]}

    def _link(self, link: LinkRecord, work: Work, path: str) -> LinkRecord:
        attributes = redact_attributes(link["attributes"], work._replace(tool=""), f"{path}.attributes")
        return {**link, "trace_state": kept_trace_state(link["trace_state"]), "attributes": attributes}


def claims(record: SpanRecord) -> bool:
    """Tell whether a record says in our words what of others' is not believed. Plain loops: it is asked of each."""
    if not record["attributes"].keys().isdisjoint(_CLAIMS):
        return True
    for event in record["events"]:
        if not event["attributes"].keys().isdisjoint(_CLAIMS):
            return True
    for link in record["links"]:  # noqa: SIM110 - as above
        if not link["attributes"].keys().isdisjoint(_CLAIMS):
            return True
    return False


def _unclaimed(record: SpanRecord, receipt: Receipt, first_event: int) -> SpanRecord:
    """Return a record of others without what only we may say."""
    events, links = record["events"], record["links"]
    return {
        **record,
        "attributes": unclaimed(record["attributes"], receipt, "attributes"),
        "events": [
            {**event, "attributes": unclaimed(event["attributes"], receipt, f"events[{i}].attributes")}
            for i, event in enumerate(events, first_event)
        ],
        "links": [
            {**link, "attributes": unclaimed(link["attributes"], receipt, f"links[{i}].attributes")}
            for i, link in enumerate(links)
        ],
    }


def _with_captures_of_others(record: SpanRecord, receipt: Receipt, first_event: int) -> SpanRecord:
    """Return a record of others with what they may say of captures."""
    events = record["events"]
    parts = [("attributes", record["attributes"])]
    parts += [(f"events[{i}].attributes", event["attributes"]) for i, event in enumerate(events, first_event)]
    first, *others = [with_capture_of_others(attributes) for _, attributes in parts]
    for (path, before), after in zip(parts, (first, *others), strict=True):
        if after is not before:
            receipt.add(f"{path}.{own.CAPTURE}", "malformed", "drop")
    of_events: list[EventRecord] = [{**event, "attributes": after} for event, after in zip(events, others, strict=True)]
    return {**record, "attributes": first, "events": of_events}


def skeleton(record: SpanRecord, receipt: str) -> SpanRecord:
    """Return what may be said of a span whose redaction failed: ids, times, kind and status code, and the receipt."""
    return {
        **record,
        "name": marker("name"),
        "trace_state": "",
        "attributes": {own.RECEIPT: receipt},
        "events": [],
        "links": [],
        "status_message": "",
        "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""},
    }
