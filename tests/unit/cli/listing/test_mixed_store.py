"""What somebody finds in a store of mixed runs, by one command each: who, what, why, when."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runbundle.cli.main import group
from runbundle.otel import active
from tests.support.mixed_store import (
    CRASHED,
    HELD,
    KEY,
    LIVE,
    QUARANTINED,
    RUNS,
    Mixed,
    mixed_store,
    own_folders,
    run_id,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """The store, with its live run."""
    with own_folders(tmp_path_factory), mixed_store(tmp_path_factory.mktemp("mixed") / "s") as store:
        assert active.get() is None
        yield store


@pytest.fixture
def call(made: Mixed, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call a command over the store, in a folder without one, and with its key."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY)

    def called(*arguments: str, columns: int | None = None, **options: Any) -> Result:
        env = {"COLUMNS": str(columns)} if columns else {}
        command = [*arguments, "--store", made.url]
        return CliRunner(env=env).invoke(group, command, catch_exceptions=False, **options)

    return called


def listed(call: Any, *options: str) -> list[dict[str, Any]]:
    """Return what `ls --format json` has."""
    return json.loads(call("ls", "--format", "json", "--limit", "500", *options).stdout)


def test_every_run_is_listed_with_its_state(call: Any) -> None:
    """Those in the spool before those in the store."""
    rows = listed(call)
    states = [row["state"] for row in rows]
    assert states[:4] == ["live", "crashed", "quarantined", "unsealed"]
    assert len(rows) == RUNS + 5
    assert {row["run_id"] for row in rows[:3]} == {LIVE, CRASHED, QUARANTINED}
    assert [row["run_id"] for row in rows if row.get("held")] == [HELD]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--tool-error", "refund"], 12), (["--tool-error", "*"], 16), (["--error", "PAYMENTS did not"], 12),
        (["--error", "no such order"], 4), (["--status", "error", "--tool-error", "refund"], 6),
        (["--tenant", "acme", "--state", "sealed"], 20), (["--state", "live"], 1), (["--state", "crashed"], 1),
        (["--model", "demo-large"], 15), (["--agent", "triage", "--state", "sealed"], 30),
        (["--user", "mallory", "--state", "sealed"], 15), (["--session", "s-2"], 5), (["--min-duration", "8s"], 6),
        (["--name", "SUPP", "--state", "sealed"], 20), (["--parent", run_id(8)[:6]], 1), (["--until", "3d"], 0),
        (["--since", "1d", "--tool-error", "refund"], 6), (["--where", "blocked > 0"], 8),
        (["--where", "duration > 2s and tool.refund.status = \"error\""], 9), (["--score", "helpfulness > 2"], 0),
        (["--tool", "refund", "--state", "live"], 0), (["--tool", "find_order", "--state", "live"], 1),
        (["--text", run_id(9)[:10]], 1), (["--state", "unsealed"], 1), (["--tenant", "nobody"], 0),
    ],
)  # fmt: skip
def test_one_question_is_one_command(call: Any, options: list[str], count: int) -> None:
    """Conditions on the store, and on live runs as far as they have come."""
    found = listed(call, *options)
    if options[-1].endswith('"error"'):
        count = sum(int(row["duration_ns"]) > 2e9 for row in listed(call, "--tool-error", "refund"))
    assert len(found) == count


def test_a_trace_finds_its_run(call: Any) -> None:
    """By its id, or the beginning of it; and `show` says whose an id of a trace is."""
    row = listed(call, "--status", "error")[0]
    (trace,) = row["trace_ids"]
    assert [found["key"] for found in listed(call, "--trace", trace)] == [row["key"]]
    assert row["key"] in [found["key"] for found in listed(call, "--trace", trace[:8])]
    said = call("tools", trace)
    assert said.exit_code == 2
    assert f"did you mean {row['key']}?" in said.output


def test_why_a_run_failed_stands_in_its_line(call: Any) -> None:
    """The tool, the type and the kept message; what was blocked; the hold; and in JSON every field."""
    text = call("ls", "--limit", "500").output
    assert "refund: TimeoutError: payments did not answer within 8 s" in text
    assert "find_order: ValueError: no such order: A-4" in text
    assert "demo-small: ConnectionError" in text
    assert "blocked: wire_money" in text
    assert len(re.findall("on hold", text)) == 1
    row = listed(call, "--tool-error", "refund", "--status", "error")[0]
    assert row["error"]["type"] == "TimeoutError"
    assert row["errors"] == ["TimeoutError: payments did not answer within 8 s"]
    (refund,) = [tool for tool in row["tools"] if tool["name"] == "refund"]
    assert (refund["status"], refund["calls"], refund["longest_ns"]) == ("error", 1, "8000000000")
    assert row["models"][0]["input_tokens"] == row["input_tokens"]
    assert row["agents"] in (["triage"], ["closer"])


def test_in_eighty_columns_ids_are_short_and_name_their_run(call: Any) -> None:
    """Whole words of the table, times as how long ago, and ids that other commands take."""
    lines = call("ls", "--limit", "500", columns=80).output.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].split()[:4] == ["RUN", "TENANT", "NAME", "AGO"]
    ids = [line.split()[0] for line in lines[1 : RUNS + 6]]
    assert len(set(ids)) == len(ids)
    for run in (ids[5], ids[20], ids[50]):
        assert call("tools", run).exit_code == 0
    twice = [run for run in ids if "/" in run]
    assert sorted(run.partition("/")[0] for run in twice) == ["acme", "initech"]
    assert all(call("tools", run).exit_code == 0 for run in twice)


def test_in_a_pipe_lines_are_whole(call: Any) -> None:
    """Whole ids and messages; times with their zone, or as they were asked for."""
    lines = call("ls", "--limit", "500").output.splitlines()
    assert sum(bool(re.match(r"[0-9a-f]{32} ", line)) for line in lines) >= RUNS
    assert not any("…" in line for line in lines)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d ", lines[8])
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", call("ls", "--utc").output.splitlines()[8])
    assert re.search(r"T\d\d:\d\d:\d\d\.\d{9}Z ", call("ls", "--iso").output.splitlines()[8])


def test_a_name_that_several_runs_have_lists_them(call: Any) -> None:
    """And one that nearly fits names what is near: ids, tools, commands, fields."""
    said = call("tools", run_id(20))
    assert said.exit_code == 2
    assert "2 runs have the id" in said.output
    assert f"acme/{run_id(20)}" in said.output
    assert f"initech/{run_id(20)}" in said.output
    assert "did you mean" in call("tools", run_id(9)[:20] + "zzz").output
    assert "did you mean refund?" in call("ls", "--tool", "refnd").output
    assert "did you mean demo-large?" in call("ls", "--model", "demo-larg").output
    assert "Did you mean stats?" in CliRunner().invoke(group, ["stat"]).output
    wrong = call("ls", "--where", "durration > 2s")
    assert (wrong.exit_code, "did you mean duration?" in wrong.output) == (2, True)


def test_another_key_is_said_to_be_another(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw id that is not found may be behind a digest of a key that is not here."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "another-key-0123456789abcdef-here")
    said = call("ls", "--user", "mallory")
    assert "digested with a key that is not here" in said.stderr
    assert "holds no such runs" in said.stdout


def test_counts_have_bars_and_stretches(call: Any) -> None:
    """By tool, status, model and error, for all time and hour by hour."""
    by = {row["tool"]: row for row in json.loads(call("ls", "--count-by", "tool", "--format", "json").stdout)}
    assert (by["refund"]["errors"], by["wire_money"]["runs"]) == (12, 8)
    text = call("ls", "--count-by", "tool", columns=80).output
    assert re.search(r"^refund +\d+ +\d+ +12 +█+", text, re.MULTILINE)
    over = json.loads(call("ls", "--count-by", "error", "--over", "12h", "--format", "json").stdout)
    assert sum(row["runs"] for row in over if row["error"] == "TimeoutError") == 12
    assert max(map(len, call("ls", "--count-by", "status", "--over", "6h", columns=80).output.splitlines())) <= 80
    assert call("ls", "--over", "6h").exit_code == call("ls", "--count-by", "tool", "--over", "1ms").exit_code == 2


def test_stats_add_up(call: Any) -> None:
    """Errors, percentiles, tokens, and the use of each tool and model."""
    said = json.loads(call("stats", "--format", "json").stdout)
    assert (said["runs"], said["errors"]) == (RUNS + 1, 13)
    tools = {tool["name"]: tool for tool in said["tools"]}
    assert (tools["refund"]["errors"], sum(tools["refund"]["errors_over_time"])) == (12, 12)
    assert said["percentiles_ns"]["max"] > 8_000_000_000
    text = call("stats", "--tenant", "acme", columns=80).output
    assert text.startswith("runs      20, of which ")
    assert max(map(len, text.splitlines())) <= 80
    assert "holds no such sealed runs" in call("stats", "--tenant", "nobody").output


def test_runs_are_sorted_by_what_is_asked_for(call: Any) -> None:
    """Largest first, or smallest; a page goes on only in the order of time."""
    took = [int(row["duration_ns"]) for row in listed(call, "--sort", "duration", "--state", "sealed")]
    assert took == sorted(took, reverse=True)
    took = [int(row["duration_ns"]) for row in listed(call, "--sort", "-duration", "--state", "sealed")]
    assert took == sorted(took)
    assert call("ls", "--sort", "durtion").exit_code == call("ls", "--sort", "name", "--after", "x").exit_code == 2


def test_tail_prints_what_a_live_run_does_until_its_verdict(call: Any, made: Mixed) -> None:
    """What is there; what comes; and how it came out."""
    said = call("tail", LIVE[:8])
    assert said.exit_code == 3
    assert re.search(r"acme/[0-9a-f]{8}  < tool find_order  ok", said.output)
    assert "live: a process is writing it" in said.output
    crashed = call("tail", "-f", CRASHED)
    assert (crashed.exit_code, "== crashed: its process died" in crashed.output) == (3, True)
    one = [json.loads(line) for line in call("tail", LIVE, "--format", "json").stdout.splitlines()]
    assert [(line["event"], line["op"], line["name"]) for line in one[:2]] == [
        ("begins", "run", "support"), ("begins", "agent", "triage"),
    ]  # fmt: skip
    assert call("tail").exit_code == call("tail", LIVE, "--all").exit_code == call("tail", "nothing").exit_code == 2


def test_a_run_is_removed_by_name_and_a_held_one_is_not(call: Any, made: Mixed) -> None:
    """Nothing without a yes where nobody can be asked; nothing if one name is wrong."""
    old = run_id(0)
    assert (call("rm", old).exit_code, call("rm", old, "nothing", "--yes").exit_code) == (2, 2)
    assert call("rm", old, "--dry-run").output.strip() == f"acme/{old}  would be removed"
    held = call("rm", HELD, "--yes")
    assert (held.exit_code, "is on hold" in held.output) == (1, True)
    assert call("rm", old[:12], "--yes").exit_code == 0
    assert not (made.store.root / "acme" / old).exists()
    assert (made.store.root / "acme" / HELD).exists()
    assert call("gc", "--older-than", "0h", "--tenant", "globex").exit_code == 2
    dry = json.loads(
        call(
            "gc", "--older-than", "0h", "--tenant", "globex", "--status", "error", "--dry-run", "--format", "json"
        ).stdout
    )
    assert dry["bundles"]
    assert all(each["key"].startswith("globex/") for each in dry["bundles"])


def test_a_scorecard_that_comes_later_is_found(call: Any, made: Mixed) -> None:
    """When its run is shown, or the index is refreshed."""
    folder = made.store.root / "globex" / run_id(1) / "eval"
    folder.mkdir()
    card = {"schema": "runbundle/scorecard/v1", "subject": {"run_id": run_id(1), "run_sha256": ""},
            "scores": [{"name": "late", "value": 7}]}  # fmt: skip
    (folder / "scorecard.json").write_text(json.dumps(card))
    assert listed(call, "--score", "late > 5") == []
    assert [row["run_id"] for row in listed(call, "--refresh", "--score", "late > 5")] == [run_id(1)]
