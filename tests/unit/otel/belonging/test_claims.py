"""Claims: which run the baggage of a request names, and whether that is believed."""

from opentelemetry import baggage
from opentelemetry.context import Context

from runbundle.otel.belonging.claims import (
    BaggageClaim,
    Claims,
    RunScope,
    remember_trace,
    run_of_trace,
)
from runbundle.otel.belonging.joining import Sender, Trust, token_of
from runbundle.signals import own

KEY, OTHER = b"k" * 32, b"o" * 32
TOKEN = token_of((KEY,), Sender("acme", "run-1", "run:a", "main"))


def judged(trust: Trust, entry: str, value: str, key: bytes = KEY) -> BaggageClaim:
    """Return what is made of one baggage entry."""
    return Claims((key,), trust).judge(baggage.set_baggage(entry, value, Context()))


def test_a_signed_token_is_believed_by_who_has_the_key() -> None:
    """Somebody else takes it for a claim, and nothing is believed where none is to be."""
    scope = judged("signed", own.RUN_TOKEN, TOKEN).scope
    assert scope is not None
    assert (scope.key, scope.joined, scope.lane, scope.control) == (("acme", "run-1"), "signed", "run:a", "main")
    assert judged("signed", own.RUN_TOKEN, TOKEN, OTHER) == BaggageClaim(None, "run-1")
    assert judged("never", own.RUN_TOKEN, TOKEN) == BaggageClaim()


def test_a_plain_id_is_believed_only_by_who_trusts_any() -> None:
    """What is no run id is a claim even then."""
    scope = judged("any", own.RUN_ID, "run-2").scope
    assert scope is not None
    assert (scope.run_id, scope.joined) == ("run-2", "any")
    assert judged("signed", own.RUN_ID, "run-2") == BaggageClaim(None, "run-2")
    assert judged("any", own.RUN_ID, "../x").scope is None


def test_one_token_is_one_scope_also_after_a_fork() -> None:
    """What is counted of a run goes with it."""
    claims = Claims((KEY,), "signed")
    context = baggage.set_baggage(own.RUN_TOKEN, TOKEN, Context())
    first = claims.judge(context).scope
    claims.after_fork_in_child()
    assert claims.judge(context).scope is first


def test_a_trace_is_the_run_that_began_in_it_first() -> None:
    """And of the oldest traces nobody knows it any more."""
    for number in range(3000):
        remember_trace(10**9 + number, RunScope(f"r{number}"))
    remember_trace(10**9 + 2999, RunScope("later"))
    run = run_of_trace(10**9 + 2999)
    assert run is not None
    assert run.run_id == "r2999"
    assert run_of_trace(10**9) is None
