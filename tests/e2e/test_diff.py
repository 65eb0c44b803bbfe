"""Two runs are compared: the cause is named, and nothing is said to differ that is equal."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import runbundle
from runbundle.cli.main import group
from runbundle.compare.diff_report import DiffReport
from runbundle.compare.report import diff
from runbundle.compare.subjects import subject
from runbundle.errors import NotComparable
from runbundle.store import LocalStore
from tests.support.planted import Planted, run

Compare = Callable[..., DiffReport]


@pytest.fixture
def compare(configured: Callable[..., runbundle.Handle]) -> Iterator[Compare]:
    """Record a baseline and a candidate, and compare them."""
    handle = configured()
    numbers = iter(range(1000))

    def compared(planted: Planted, base: Planted | None = None) -> DiffReport:
        number = next(numbers)
        run(f"a-{number}", base or Planted())
        run(f"b-{number}", planted)
        assert not handle.flush().failed
        return diff(subject(handle.store, f"a-{number}"), subject(handle.store, f"b-{number}"))

    yield compared
    handle.shutdown()


def call(*arguments: str) -> Result:
    """Run `runbundle diff` on the test's store."""
    return CliRunner().invoke(group, ["diff", "--store", "store", *arguments], catch_exceptions=False)


def test_two_runs_of_one_agent_are_the_same(compare: Compare) -> None:
    """Though no time, no span id and no id of a call is."""
    report = compare(Planted())
    assert report.outcome == "same"
    assert (report.cause, report.changes, report.also) == (None, [], [])
    assert report.same_steps == report.a.steps == report.b.steps


@pytest.mark.parametrize(
    ("planted", "code", "op", "words"),
    [
        (Planted(temperature=1), "RB601", None, "/temperature"),
        (Planted(model="m-2"), "RB602", "model", "m-1 became m-2"),
        (Planted(prompt="Be quick."), "RB604", "model", "system prompt"),
        (Planted(question="Where is it?"), "RB605", "model", "asked something else"),
        (Planted(documents=("returns-3", "shipping-2")), "RB606", "retrieval", "handbook"),
        (Planted(documents=("shipping-1", "returns-3")), "RB606", "retrieval", "handbook"),
        (Planted(answer="lost"), "RB607", "tool", "find_order"),
        (Planted(fails=True), "RB607", "tool", "find_order"),
        (Planted(order="B-2002"), "RB608", "tool", "it gave tool find_order other arguments"),
        (Planted(more=(1,)), "RB608", "tool", "only B has tool weather"),
        (Planted(without=(1,)), "RB608", "tool", "only A has tool find_order"),
        (Planted(result="given up"), "RB609", None, "ended otherwise"),
    ],
)
def test_the_cause_that_was_planted_is_named(
    compare: Compare, planted: Planted, code: str, op: str | None, words: str
) -> None:
    """With the step where it shows, and in either direction."""
    report = compare(planted)
    assert report.outcome == "different"
    assert report.cause is not None
    assert report.cause.code == code
    assert words in report.cause.sentence
    spans = {report.cause.a_span_id, report.cause.b_span_id} - {None}
    assert bool(spans) == (op is not None)
    if op is not None:
        (change,) = [one for one in report.changes if {one.a_span_id, one.b_span_id} & spans]
        assert change.op == op
    back = compare(Planted(), base=planted)
    assert back.cause is not None
    assert back.cause.code == code


def test_a_step_that_came_or_went_moves_no_other(compare: Compare) -> None:
    """One call more among many: one difference, and those that follow from it."""
    report = compare(Planted(more=(3,), steps=40), base=Planted(steps=40))
    assert [(one.verdict, one.name) for one in report.changes if not one.follows] == [("added", "weather")]
    assert [(one.tool, one.a, one.b) for one in report.tools if one.a != one.b] == [("weather", 0, 1)]


def test_prompts_that_repeat_a_difference_follow_from_it(compare: Compare) -> None:
    """What a tool answered stands in each later prompt: that is one difference, not thirty."""
    report = compare(Planted(answer="lost", steps=30), base=Planted(steps=30))
    assert [one.name for one in report.changes if not one.follows] == ["find_order"]
    assert {one.op for one in report.changes if one.follows} == {"model"}


def test_branches_that_ran_side_by_side_have_no_order(compare: Compare) -> None:
    """Another order of beginnings is no difference; another city is one."""
    cities = ("Oslo", "Rome", "Bonn", "Nice")
    base = Planted(branches=cities)
    assert compare(Planted(branches=cities[::-1]), base=base).outcome == "same"
    report = compare(Planted(branches=("Nice", "Bonn", "Kyiv", "Oslo")), base=base)
    assert report.cause is not None
    assert report.cause.code == "RB608"
    assert len(report.changes) == 1


def test_steps_in_another_order_have_moved(compare: Compare) -> None:
    """One after the other is an order, which the agent chose."""
    report = compare(Planted(order_of=(0, 3, 1, 2)), base=Planted(order_of=(0, 1, 2, 3)))
    assert [one.name for one in report.changes if one.verdict == "moved"] == ["find_order"]
    assert not [one for one in report.changes if one.verdict in ("added", "removed")]


def test_runs_under_two_keys_are_not_compared(configured: Callable[..., runbundle.Handle], tmp_path: Path) -> None:
    """Their digests differ whatever was said: exit code 3, and how to share a key; never a false difference."""
    for number, key in enumerate((b"a key for tests only", b"another key for tests")):
        handle = configured(store=tmp_path / f"store-{number}", key=key)
        run("r", Planted())
        handle.flush()
        handle.shutdown()
    a, b = (subject(LocalStore(tmp_path / f"store-{number}"), "r") for number in (0, 1))
    with pytest.raises(NotComparable, match="different keys"):
        diff(a, b)
    found = CliRunner().invoke(group, ["diff", "--store", "store-0", "--store-b", "store-1", "r", "r"])
    assert found.exit_code == 3
    assert "RUNBUNDLE_REDACTION_KEY" in found.output


def test_what_is_altered_or_cut_off_is_not_compared(configured: Callable[..., runbundle.Handle]) -> None:
    """Exit code 4 for a bundle that does not verify, 3 for one of which something is missing."""
    handle = configured()
    for name in ("a", "b", "c"):
        run(name, Planted())
    open_run = runbundle.start_run("support", run_id="cut")
    open_run.__enter__()
    runbundle.start_tool("find_order", {"order_id": "A-1"}).start()
    open_run.__exit__(None, None, None)
    assert not handle.flush().failed
    path = Path("store/b/tool_calls.json")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"find_order", b"drop_order"))
    assert call("a", "c").exit_code == 0
    altered = call("a", "b")
    assert altered.exit_code == 4
    assert "RB20" in altered.output
    handle.shutdown()
    missing = call("a", "cut")
    assert missing.exit_code == 3
    assert "--incomplete" in missing.output
    assert call("a", "cut", "--incomplete").exit_code == 1


def test_what_was_not_recorded_whole_is_not_called_the_same(configured: Callable[..., runbundle.Handle]) -> None:
    """Two streams that were read in part have equal beginnings, and nobody knows their ends: exit code 3."""

    @runbundle.tool
    def lines(path: str) -> Iterator[str]:
        yield from ("one", "two", "three")

    handle = configured()
    for name in ("a", "b"):
        with runbundle.start_run("support", run_id=name):
            stream = lines("x")
            next(iter(stream))
            del stream
    assert not handle.flush().failed
    found = call("a", "b")
    assert found.output.startswith("not known: nothing was found to differ")
    assert "not compared: values of 2 steps" in found.output
    assert found.exit_code == 3


def test_null_is_a_value_like_others(configured: Callable[..., runbundle.Handle]) -> None:
    """The report as JSON says from what and to what; a program that applies the patch gets the other run's value."""
    handle = configured()
    for run_id, config in (("a", {"seed": None, "top": {"k": None}}), ("b", {"seed": 7, "stop": None})):
        with runbundle.start_run("r", run_id=run_id, config=config):
            pass
    handle.flush()
    patch = json.loads(call("a", "b", "--format", "json").output)["config"]
    assert sorted(patch, key=lambda one: one["path"]) == [
        {"op": "replace", "path": "/seed", "value": 7, "was": None},
        {"op": "add", "path": "/stop", "value": None},
        {"op": "remove", "path": "/top", "was": {"k": None}},
    ]


def test_every_format_says_the_same(configured: Callable[..., runbundle.Handle]) -> None:
    """For people, as JSON, for a comment on a pull request, and as an annotation."""
    handle = configured()
    run("a", Planted())
    run("b", Planted(temperature=1, order="B-2002"))
    handle.flush()
    human = call("a", "b")
    assert human.exit_code == 1
    assert human.output.splitlines()[0].startswith("RB601  the configuration differs at /temperature")
    assert "~ /temperature: 0 → 1" in human.output
    assert "next: runbundle show a --span" not in human.output  # the cause is of the run as a whole
    report = DiffReport.model_validate(json.loads(call("a", "b", "--format", "json").output))
    assert [one.code for one in report.causes] == ["RB601", "RB608"]
    assert "| status | ok | ok |" in call("a", "b", "--format", "markdown").output
    assert call("a", "b", "--format", "github").output.startswith("::error title=RB601")
    assert call("a", "b", "--exit-zero").exit_code == 0
    beside = call("a", "b", "--side-by-side")
    assert beside.exit_code == 1
    assert call("a", "no-such-run").exit_code == 2
