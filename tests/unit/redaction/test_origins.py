"""Scopes and resources: names are kept, anything else becomes a marker or goes."""

from runbundle.redaction.markers import Digester, is_marker
from runbundle.redaction.origins import hidden_name, redacted_resource, redacted_scope
from runbundle.redaction.plan import Tenant, compile_policy
from runbundle.redaction.policy import Policy
from runbundle.signals.records import ResourceRecord, ScopeRecord

PLAN = compile_policy(Policy())


def test_a_scope_keeps_names_and_hides_the_rest() -> None:
    """The same object is redacted once for a tenant, and a marker stays a marker."""
    tenant = Tenant(Digester(b"k"))
    scope: ScopeRecord = {
        "name": "app.tools", "version": "for ada@example.org", "schema_url": "https://example.org/x",
        "attributes": {"customer": "SECRETWORD"},
    }  # fmt: skip
    found = redacted_scope(scope, tenant, PLAN)
    assert found["name"] == "app.tools"
    assert is_marker(found["version"])
    assert found["schema_url"] == ""
    assert "SECRETWORD" not in str(found)
    assert redacted_scope(scope, tenant, PLAN) is found
    assert redacted_scope(found, tenant, PLAN) == found


def test_a_resource_keeps_only_known_keys() -> None:
    """An unknown attribute is dropped with its key; a value that is no name becomes a marker."""
    tenant = Tenant(Digester(b"k"))
    resource: ResourceRecord = {
        "attributes": {"service.name": "shop", "host.name": "ada@example.org", "customer": "SECRETWORD"},
        "schema_url": "https://opentelemetry.io/schemas/1.30.0",
    }
    found = redacted_resource(resource, tenant, PLAN)
    assert found["attributes"]["service.name"] == "shop"
    assert "customer" not in found["attributes"]
    assert "ada" not in str(found)
    assert found["schema_url"] == resource["schema_url"]
    assert redacted_resource(resource, tenant, PLAN) is found


def test_a_hidden_name_has_a_digest_of_its_tenant() -> None:
    """Equal names are equal for one tenant only; a marker is left alone."""
    one, other = Tenant(Digester(b"k")), Tenant(Digester(b"k").for_tenant("acme"))
    hidden = hidden_name("Ada's run", one)
    assert is_marker(hidden)
    assert hidden == hidden_name("Ada's run", one)
    assert hidden != hidden_name("Ada's run", other)
    assert hidden_name(hidden, other) == hidden
