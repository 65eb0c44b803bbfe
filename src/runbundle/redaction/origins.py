"""The scope and the resource of a record, each redacted once for as long as callers pass the same object."""

from typing import TypeVar

from runbundle.redaction.attributes import redact_attributes
from runbundle.redaction.markers import is_marker, marker
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.redaction.permitted.values import allowed, is_name, schema_url
from runbundle.redaction.plan import Plan, Tenant, Work
from runbundle.redaction.receipt import Receipt
from runbundle.signals.records import Attributes, ResourceRecord, ScopeRecord

_MOST = 2048
_V = TypeVar("_V")


def redacted_scope(scope: ScopeRecord, tenant: Tenant, plan: Plan) -> ScopeRecord:
    """Return the scope with its name and version if they are names, else markers; its attributes are redacted."""
    known = tenant.scopes.get(id(scope))
    if known is None or known[0] is not scope:
        work = Work(plan, Receipt(), "", TaintTable(), tenant, [])
        redacted: ScopeRecord = {
            "name": _name(scope["name"], tenant),
            "version": _name(scope["version"], tenant),
            "schema_url": schema_url(scope["schema_url"]),
            "attributes": redact_attributes(scope["attributes"], work, "scope.attributes"),
        }
        known = _remember(tenant.scopes, id(scope), (scope, redacted))
    return known[1]


def redacted_resource(resource: ResourceRecord, tenant: Tenant, plan: Plan) -> ResourceRecord:
    """Return the resource with the attributes that name a service, a process or a place; others are dropped."""
    known = tenant.resources.get(id(resource))
    if known is None or known[0] is not resource:
        kept: Attributes = {}
        for key, value in resource["attributes"].items():
            kind = plan.resource_keys.get(key) or ("name" if plan.safe_key and plan.safe_key(key) else None)
            if kind is None:
                continue
            if allowed(kind, key, value) or is_marker(value):
                kept[key] = value
            elif value.__class__ is str and kind != "own":
                kept[key] = hidden_name(value, tenant)
        redacted: ResourceRecord = {"attributes": kept, "schema_url": schema_url(resource["schema_url"])}
        known = _remember(tenant.resources, id(resource), (resource, redacted))
    return known[1]


def hidden_name(name: str, tenant: Tenant) -> str:
    """Return the marker, with digest and size, of a text that may not be kept as a name. A marker is kept."""
    if is_marker(name):
        return name
    data = name.encode("utf-8", "replace")
    return marker("name", digest=tenant.digest("name", data), size=len(data))


def _name(name: str, tenant: Tenant) -> str:
    return name if not name or is_name(name) else hidden_name(name, tenant)


def _remember(cache: dict[int, _V], key: int, value: _V) -> _V:
    if len(cache) >= _MOST:
        cache.clear()
    cache[key] = value
    return value
