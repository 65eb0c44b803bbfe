"""Built-in scorers say what a run's own records say, or why they cannot."""

from collections import Counter
from typing import Any

import pytest
from pydantic import TypeAdapter

from runbundle.compare.scoring.builtin import PLAIN, Builtin, evaluator_of, score_of
from runbundle.compare.scoring.facts import Facts
from runbundle.format.evaluation import EventRef, Score
from runbundle.format.run import ResultSummary
from tests.support.members import INDEX, call, member

AT = EventRef(seq=4, span_id="4" * 16)
BUILTIN: TypeAdapter[Builtin] = TypeAdapter(Builtin)


def facts(*calls: Any, result: Any = None, usage: dict[str, int] | None = None, **more: Any) -> Facts:
    """Return the facts of a run."""
    index = INDEX.model_copy(update={"result": ResultSummary(kind="dict", view=result), "usage": usage or {}})
    return Facts(member("r", "c").facts.subject, index, tuple(calls), **more)


def scored(settings: dict[str, Any], of: Facts) -> Score:
    """Score with a scorer of these settings."""
    return score_of(BUILTIN.validate_python(settings), of)


def test_scorers_without_settings_count_what_run_json_counts() -> None:
    """Errors, time, tokens, calls, refusals, the end; each is named by what it is."""
    run = facts(
        call("find"), call("pay", 7, decision="blocked"), usage={"input_tokens": 3, "output_tokens": 4}, failed=(AT,)
    )
    found = {score.name: score for score in (score_of(scorer, run) for scorer in PLAIN)}
    counts = run.index.counts
    assert found["error_rate"].value == counts.errors / counts.spans
    assert found["error_rate"].evidence == [AT]
    assert found["latency_s"].value == int(run.index.duration_ns) / 1e9
    assert [found[name].value for name in ("input_tokens", "output_tokens", "total_tokens")] == [3, 4, 7]
    assert found["policy_blocks"].value == 1
    assert found["policy_blocks"].evidence[0].seq == 7
    assert found["ended_ok"].value == float(run.index.status == "ok")
    assert all(score.evaluator == score.name for score in found.values())
    assert score_of(PLAIN[2], facts()).status == "skipped"


def test_a_forbidden_tool_is_named_by_its_event() -> None:
    """A call that the policy refused was tried all the same."""
    found = scored(
        {"use": "forbidden_tools", "tools": ["pay"]}, facts(call("find"), call("pay", 7, decision="blocked"))
    )
    assert (found.value, found.evidence) == (0.0, [EventRef(seq=7, span_id=f"{7:016x}")])
    assert scored({"use": "forbidden_tools", "tools": ["pay"]}, facts(call("find"))).value == 1.0


def test_a_trajectory_scores_one_or_none() -> None:
    """Expected calls by name or with arguments; withheld ones are skipped."""
    run = facts(call("find", view={"id": 1}))
    expected = [{"tool": "find", "arguments": {"id": 1}}]
    assert scored({"use": "trajectory", "expected": ["find"]}, run).value == 1.0
    assert scored({"use": "trajectory", "expected": expected, "arguments": "exact"}, run).value == 1.0
    assert scored({"use": "trajectory", "expected": ["pay"]}, run).evidence[0].seq == 1
    hidden = facts(call("find", view={"id": "[REDACTED:personal]"}))
    assert scored({"use": "trajectory", "expected": expected, "arguments": "exact"}, hidden).status == "skipped"


def test_costs_follow_the_prices_that_are_given() -> None:
    """Cached tokens at their own; a model without a price, or tokens that cannot be told apart, are no zero."""
    prices = {"m": {"input": 2.0, "output": 10.0, "cache_read": 0.5}}
    usage = {"input_tokens": 1_000_000, "output_tokens": 100_000, "cache_read.input_tokens": 400_000}
    tokens = {"m": Counter(usage)}
    assert scored({"use": "cost", "prices": prices}, facts(usage=usage, tokens=tokens)).value == pytest.approx(2.4)
    other = {"m": Counter(usage), "n": Counter(input_tokens=5)}
    assert "cannot be told" in (
        scored({"use": "cost", "prices": prices}, facts(usage=usage, tokens=other)).reason or ""
    )
    both = {"input_tokens": 10, "output_tokens": 0}
    two = {"m": Counter(input_tokens=4), "n": Counter(input_tokens=6)}
    assert "no price of n" in (scored({"use": "cost", "prices": prices}, facts(usage=both, tokens=two)).reason or "")
    assert scored({"use": "cost", "prices": prices}, facts()).status == "skipped"


@pytest.mark.parametrize(
    ("settings", "result", "value"),
    [
        ({"use": "result_matches", "pattern": "^ship"}, "shipped", 1.0),
        ({"use": "result_matches", "pattern": '"n":1'}, {"n": 1}, 1.0),
        ({"use": "result_matches", "pattern": "x"}, {"n": 1}, 0.0),
        ({"use": "result_matches", "pattern": "x"}, {"n": "[REDACTED:undeclared]"}, None),
        ({"use": "result_matches", "pattern": "x"}, "[REDACTED:undeclared]", None),
        ({"use": "result_matches", "pattern": "(a+)+$"}, "a" * 50_000 + "b", 0.0),
        ({"use": "result_fits", "fits": {"required": ["n"]}}, {"n": 1}, 1.0),
        ({"use": "result_fits", "fits": {"required": ["m"]}}, {"n": 1}, 0.0),
        ({"use": "result_fits", "fits": {"required": ["m"]}}, {"[REDACTED:key:1]": 1}, None),
        ({"use": "result_fits", "fits": {"$ref": "https://example.com/schema"}}, {"n": 1}, None),
    ],
    ids=[
        "text",
        "json",
        "no match",
        "withheld part",
        "withheld",
        "linear time",
        "fits",
        "does not",
        "withheld key",
        "remote",
    ],
)
def test_a_result_is_judged_as_far_as_it_is_kept(settings: dict[str, Any], result: Any, value: float | None) -> None:
    """What is withheld might have matched; nothing is fetched."""
    found = scored(settings, facts(result=result))
    assert found.value == value
    if value is None:
        assert found.status in ("skipped", "error")
        assert found.reason


def test_evidence_is_cited_if_the_result_names_a_document() -> None:
    """By its id; without documents or a result there is nothing to say."""
    documents = (("doc-1", AT), ("doc-2", AT))
    assert scored({"use": "evidence_cited"}, facts(result="see doc-2", documents=documents)).value == 1.0
    assert scored({"use": "evidence_cited"}, facts(result="see nothing", documents=documents)).value == 0.0
    assert scored({"use": "evidence_cited"}, facts(result="see doc-2")).status == "skipped"
    assert scored({"use": "evidence_cited"}, facts(documents=documents)).status == "skipped"


def test_an_evaluator_is_told_by_its_settings_and_not_by_its_name() -> None:
    """Another pattern is another configuration."""
    one, other, renamed = (
        evaluator_of(BUILTIN.validate_python({"use": "result_matches", **more}))
        for more in ({"pattern": "a"}, {"pattern": "b"}, {"pattern": "a", "name": "nice"})
    )
    assert one.config_sha256 == renamed.config_sha256 != other.config_sha256
    assert renamed.id == "nice"
