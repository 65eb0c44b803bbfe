"""Digests: where they join, where they do not, and that nothing takes one for a credential."""

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.contract import parse_contract
from runbundle.redaction.detectors.detector import default_detector, format_detector
from runbundle.redaction.markers import DIGEST, Digester, blanked, is_digest, is_marker, marker, marker_parts
from runbundle.redaction.permitted.safe_text import has_credential
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.records import LogRecordDict, SpanRecord

CONTRACT = parse_contract(
    {
        "name": "find",
        "data": {
            "rules": [
                {"selector": "/email", "data_class": "personal"},
                {"selector": "/text", "target": "output", "action": "keep"},
                {"selector": "/token", "data_class": "internal", "action": "hash"},
            ]
        },
    }
)
POLICY = Policy(contracts={"find": CONTRACT}, digester=Digester(b"root"), result=())
OLD = "h1:0a1b2c3d:ABCDEFGHIJKLMNOPQRSTUVWXY2"
MILLION = 1_000_000


def span(tenant: str, *, email: str = "ada@example.org", said: str = "hello", extra: str = "app.mine") -> SpanRecord:
    """Return a raw span of a tool that has something of everything that leaves a digest."""
    return {
        "tenant_id": tenant, "run_id": "same", "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": said, "kind": 0, "start_ns": 1, "end_ns": 2,
        "status_code": 2, "status_message": said,
        "attributes": {
            "gen_ai.tool.name": "find", "gen_ai.tool.call.arguments": f'{{"email":"{email}","token":"{email}"}}',
            "gen_ai.tool.call.result": f'{{"text":"it was {email}"}}', "gen_ai.input.messages": said, extra: said,
            "runbundle.result": said, "user.id": email, "enduser.id": email,
        },
        "events": [{"name": said, "time_ns": 1, "attributes": {extra: said, "exception.message": said}, "dropped": 0}],
        "links": [{"trace_id": "a" * 32, "span_id": "b" * 16, "trace_state": "", "attributes": {extra: said},
                   "dropped": 0}],
        "scope": SCOPE, "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    }  # fmt: skip


SCOPE: Any = {"name": "", "version": "", "schema_url": "", "attributes": {"scope.mine": "of the library"}}


def log(tenant: str) -> LogRecordDict:
    """Return a raw log record."""
    return {
        "tenant_id": tenant, "run_id": "same", "trace_id": "a" * 32, "span_id": "b" * 16, "time_ns": 1, "severity": 9,
        "severity_text": "", "event_name": "", "body": "hello", "attributes": {"app.mine": "hello"}, "scope": SCOPE,
        "resource": {"attributes": {}, "schema_url": ""}, "dropped": 0,
    }  # fmt: skip


def keyed(value: Any) -> set[str]:
    """Return everything in a redacted record that a key has gone into."""
    return set(re.findall(rf"{DIGEST}|runbundle\.redacted\.[a-z2-7]{{12}}", repr(value)))


@given(st.sets(st.text(max_size=20), min_size=2, max_size=3), st.text(max_size=40))
def test_nothing_of_one_tenant_joins_with_anything_of_another(tenants: set[str], said: str) -> None:
    """Neither payloads nor user ids, messages, hidden keys, scopes or logs; one redactor serves them all."""
    redactor = Redactor(POLICY)
    found = {t: keyed([redactor.redact_span(span(t, said=said)), redactor.redact_log(log(t))]) for t in tenants}
    for tenant, mine in found.items():
        assert len(mine) >= 8
        assert not mine & set().union(*(other for t, other in found.items() if t != tenant))
        assert mine == keyed([Redactor(POLICY).redact_span(span(tenant, said=said)), redactor.redact_log(log(tenant))])
        assert {d.split(":")[1] for d in mine if d.startswith("h2:")} == {redactor.key_id(tenant)}
    assert len({redactor.key_id(tenant) for tenant in tenants}) == len(tenants)


def test_a_record_without_a_tenant_is_that_of_the_empty_one() -> None:
    """Records made before there were tenants in them have the digests of the policy's own digester."""
    redactor = Redactor(POLICY)
    without = span("")
    del without["tenant_id"]
    assert keyed(redactor.redact_span(without)) == keyed(redactor.redact_span(span("")))
    assert redactor.key_id() == POLICY.digester.key_id == POLICY.digester.for_tenant("").key_id


def test_more_tenants_than_are_remembered_change_nothing() -> None:
    """What was worked out for one is forgotten and worked out again."""
    redactor = Redactor(POLICY)
    first = keyed(redactor.redact_span(span("first")))
    for n in range(300):
        redactor.key_id(f"tenant-{n}")
    assert keyed(redactor.redact_span(span("first"))) == first


def test_what_one_tenant_withheld_is_not_looked_for_in_a_run_of_the_same_name_of_another() -> None:
    """Or one tenant could ask what another had withheld, by what is masked."""
    redactor = Redactor(POLICY)
    assert "personal" in repr(redactor.redact_span(span("a"))["attributes"]["gen_ai.tool.call.result"])
    other = span("b", email="bob@example.org")
    other["attributes"]["gen_ai.tool.call.result"] = '{"text":"it was ada@example.org"}'
    assert "ada@example.org" in redactor.redact_span(other)["attributes"]["gen_ai.tool.call.result"]


def test_a_key_id_names_root_and_tenant() -> None:
    """It is equal exactly where digests are."""
    digesters = [Digester(root, tenant) for root in (b"one", b"other") for tenant in ("", "a", "ab", "\udcff")]
    assert len({d.key_id for d in digesters}) == len({d("x", b"y") for d in digesters}) == 8
    assert digesters[0].for_tenant("a").key_id == digesters[1].key_id == digesters[3].for_tenant("a").key_id
    assert len({d.subkey("carrier") for d in digesters}) == 2
    assert digesters[0].subkey("carrier") != digesters[0].subkey("other")


@given(st.binary(max_size=40), st.text(max_size=20), st.binary(max_size=40))
def test_digests_are_lower_case_and_of_the_grammar(root: bytes, domain: str, data: bytes) -> None:
    """As values, and within markers."""
    digest = Digester(root)(domain, data)
    assert re.fullmatch(r"h2:[0-9a-f]{8}:[a-z2-7]{26}", digest)
    assert is_digest(digest)
    assert marker_parts(marker("content", digest=digest, size=500)) == (digest, 500)


def test_digests_that_were_sealed_earlier_are_read() -> None:
    """In capitals, alone and in markers; mixed forms never were."""
    assert is_digest(OLD)
    assert is_marker(marker("content", digest=OLD, size=1))
    for mixed in (OLD.lower(), OLD.replace("h1", "h2"), "h2:0a1b2c3d:" + "a" * 27, "h3:0a1b2c3d:" + "a" * 26):
        assert not is_digest(mixed)


def lines(numbers: range, digest: Digester, draw: random.Random) -> str:
    """Return what a bundle says of so many spans, as far as it is drawn at random."""
    many = []
    for number in numbers:
        one = digest("result", b"%d" % number)
        run, call = f"{draw.getrandbits(128):032x}", f"call_{draw.getrandbits(96):024x}"
        trace, key = f"{draw.getrandbits(128):032x}", f"{draw.getrandbits(32):08x}"
        many.append(
            f'{{"call_id":"{call}","digest":"{one}","key_id":"{key}","run_id":"{run}","runbundle.redacted.{one[12:24]}"'
            f':"[REDACTED:undeclared:{one}:bytes=9]","span_id":"{run[:16]}","trace_id":"{trace}","user_id":"{one}"}}'
        )
    return "\n".join(many)


def test_of_a_million_digests_and_ids_none_looks_like_a_credential() -> None:
    """To what `verify` asks of every line; each in its usual surroundings."""
    digest, draw = Digester(b"a root for digests"), random.Random(0)
    for start in range(0, MILLION, 10_000):
        assert not has_credential(lines(range(start, start + 10_000), digest, draw))


def test_of_many_digests_and_ids_none_looks_like_a_credential_to_all_rules() -> None:
    """To what is asked before a seal, and to all rules that are installed, as text that a tool hands on."""
    digest, draw = Digester(b"another root"), random.Random(1)
    for start in range(0, 100_000, 2_000):
        text = lines(range(start, start + 2_000), digest, draw)
        assert format_detector().hits(text) == default_detector().find(text) == []


@pytest.mark.parametrize("name", ["password", "api_key", "token", "secret", "authorization"])
@pytest.mark.parametrize("ours", [Digester(b"k")("d", b"v"), OLD, marker("credential", digest=OLD)])
def test_a_digest_is_nobodys_credential_whatever_stands_before_it(name: str, ours: str) -> None:
    """A contract may hash a field of any name; what stands beside it is looked at all the same."""
    for text in (f'{{"{name}":"{ours}"}}', f"{name}={ours}", f"{name}: {ours}, more", f"{name} = '{ours}'"):
        assert not has_credential(text)
        assert default_detector().find(text) == []
        assert has_credential(f"{text} password=hunter2hunter2")
        assert default_detector().find(f"{text} password=hunter2hunter2")


def test_only_the_grammar_is_passed_over() -> None:
    """One character more or less, and the text is anybody's."""
    digest = Digester(b"k")("d", b"v")
    for near in (digest[:-1], digest + "a", digest + "A", digest.replace("h2", "h3"), digest.upper()):
        assert blanked(near, "-") == near
        assert has_credential(f"password={near}")
    assert blanked(f"x{digest}.{OLD}", "-") == f"x{'-' * 38}.{'-' * 38}"
