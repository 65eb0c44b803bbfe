"""Views of payloads, of a run's result and of its configuration, one by one."""

import orjson

from runbundle.format.contract import FieldRule, parse_contract
from runbundle.redaction.markers import Digester, is_digest, is_marker
from runbundle.redaction.payloads.payload import mask_if_kept
from runbundle.redaction.payloads.selectors import compile_rules
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.redaction.plan import Tenant, Work, compile_policy
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.views import (
    MAX_OPENED_BYTES,
    put_arguments,
    put_configuration,
    put_outcome,
    put_result,
    write_views,
)
from runbundle.signals.records import Attributes

KEEP = FieldRule(selector="/city", action="keep")
FIND = parse_contract({"name": "find", "data": {"rules": [{"selector": "/city", "action": "keep"}]}})


def work(tool: str = "find") -> Work:
    """Return the data at hand for one record."""
    plan = compile_policy(Policy(contracts={"find": FIND}, result=(KEEP,)))
    return Work(plan, Receipt(), tool, TaintTable(), Tenant(Digester(b"k")), [])


def test_arguments_have_a_digest_a_size_and_a_view() -> None:
    """Without a contract the marker alone; a payload that is too large to be opened has one, too."""
    kept: Attributes = {}
    at_hand = work()
    put_arguments(kept, "gen_ai.tool.call.arguments", '{"city":"Oslo","pin":1}', at_hand, "attributes")
    write_views(at_hand)
    view = orjson.loads(kept["gen_ai.tool.call.arguments"])
    assert view["city"] == "Oslo"
    assert "pin" not in view
    assert is_digest(kept["runbundle.tool.arguments.digest"])
    for tool, value in (("other", '{"city":"Oslo"}'), ("find", "x" * (MAX_OPENED_BYTES + 1))):
        kept = {}
        put_arguments(kept, "gen_ai.tool.call.arguments", value, work(tool), "attributes")
        assert is_marker(kept["gen_ai.tool.call.arguments"])


def test_a_result_has_a_digest_of_its_own_domain() -> None:
    """Equal arguments and results of one tool cannot be told to be equal."""
    kept: Attributes = {}
    at_hand = work()
    put_arguments(kept, "gen_ai.tool.call.arguments", "{}", at_hand, "attributes")
    put_result(kept, "gen_ai.tool.call.result", "{}", at_hand, "attributes")
    assert kept["runbundle.tool.arguments.digest"] != kept["runbundle.tool.result.digest"]


def test_texts_that_say_different_things_have_different_digests() -> None:
    """A parser makes one value of the numbers beyond 64 bits, of long decimals, and of objects with one key twice."""
    for one, other in (
        ('{"city":123456789012345678901234567890}', '{"city":123456789012345678901234567891}'),
        ('{"city":0.10000000000000000001}', '{"city":0.1}'),
        ('{"city":"Oslo","city":"Rome"}', '{"city":"Bonn","city":"Rome"}'),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
    ):
        digests = set[str]()
        for text in (one, other):
            kept: Attributes = {}
            put_result(kept, "gen_ai.tool.call.result", text, work(), "attributes")
            digests.add(kept["runbundle.tool.result.digest"])
        assert len(digests) == 2, one


def test_a_number_that_json_readers_lose_is_kept_as_text() -> None:
    """As that of a live argument is: the digests are equal, too. What repeats a key is withheld under such a rule."""
    for text, view in (
        ('{"city":123456789012345678901234567890}', {"city": "123456789012345678901234567890"}),
        ('{"city":{"n":[0.10000000000000000001]}}', {"city": {"n": ["0.10000000000000000001"]}}),
        ('{"city":"Oslo","city":"SECRETWORD"}', "[REDACTED:undeclared]"),
    ):
        kept: Attributes = {}
        at_hand = work()
        put_arguments(kept, "gen_ai.tool.call.arguments", text, at_hand, "attributes")
        write_views(at_hand)
        written = kept["gen_ai.tool.call.arguments"]
        assert (written if is_marker(written) else orjson.loads(written)) == view


def test_a_runs_result_goes_by_the_policys_rules() -> None:
    """Its own, not those of a tool."""
    kept: Attributes = {}
    at_hand = work("")
    put_outcome(kept, "runbundle.result", '{"city":"Oslo","pin":"SECRETWORD"}', at_hand, "attributes")
    write_views(at_hand)
    assert orjson.loads(kept["runbundle.result"])["city"] == "Oslo"
    assert "SECRETWORD" not in str(kept)


def test_a_configuration_loses_its_secrets_only() -> None:
    """One that cannot be read is content."""
    kept: Attributes = {}
    put_configuration(kept, "runbundle.config", '{"model":"gpt-4o","api_key":"k3Jq9ZxP2wB7"}', work(), "attributes")
    assert orjson.loads(kept["runbundle.config"]) == {"model": "gpt-4o", "api_key": "[REDACTED:credential]"}
    put_configuration(kept, "runbundle.config", "{SECRETWORD", work(), "attributes")
    assert is_marker(kept["runbundle.config"])


def test_a_labelled_value_is_masked_where_a_rule_would_keep_it() -> None:
    """Where a rule withholds it, or none names it, its own treatment says more."""
    keep, hide = (
        compile_rules([FieldRule(selector="", action="keep")]),
        compile_rules([FieldRule(selector="", action="mask")]),
    )
    masked = mask_if_kept("hunter22", "password", keep, None, Receipt(), "p")
    assert masked == "[REDACTED:credential]"
    for state in (hide, ()):
        assert mask_if_kept("hunter22", "password", state, None, Receipt(), "p") == "hunter22"
