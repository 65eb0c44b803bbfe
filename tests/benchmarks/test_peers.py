"""What is worked out from measured figures, and how it is shown: without measuring anything."""

import json
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import compare, emit, instructions, native_spans, peers, receiver, results
from tests.benchmarks import workload as work
from tests.benchmarks.resources import cpu_s, peak_mb
from tests.benchmarks.rounds import median, ratio, ratios, variables_of
from tests.benchmarks.subjects import BY_KEY, FLOOR, SUBJECTS, VARIANTS
from tests.docs import figures_page
from tests.interop.environments import ROOT, pins

COMMANDS = ("peers", "compare", "instructions", "emit", "measures")


def figures(total: float, caller: float = 1.0) -> dict[str, float]:
    """Return what a process measured."""
    return {"total_us": total, "caller_us": caller}


ROUNDS = [
    {FLOOR: figures(10), "native": figures(20), "langfuse": figures(40)},
    {FLOOR: figures(50), "native": figures(150), "langfuse": figures(75)},
    {FLOOR: figures(20), "native": figures(180), "langfuse": figures(60)},
]
FOUND: dict[str, Any] = {
    "machine": {
        "cpus": 2, "python": "3.11.7", "system": "Linux", "load": 0.25, "date": "2026-01-02", "commit": "abc",
        "changed": True,
    },
    "versions": {"opentelemetry-sdk": "1.0", "langfuse": "2.0", "logfire": "3.0"},
    "runs": 7,
    "rounds": ROUNDS,
    "measures": {
        "native": {
            "fixed": {"us": 1234.5}, "tail": {"p50_us": 10.4, "p99_us": 99.6, "sdk_p50_us": 3.4, "sdk_p99_us": 8.0},
            "threads": {"many_over_one": 0.853, "sdk_many_over_one": 1.0},
            "start": {"time_ratio": 3.04, "memory_ratio": 2.0}, "memory": {"early_mb": 70.2, "late_mb": 71.8},
            "long": {"spans": 30000, "seal_ratio": 12.34, "seal_mb": 98.7, "verify_ratio": 1.2, "verify_mb": 130.2},
        },
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _level_of_our_log() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A subject silences our log in its process, which is that of all tests here."""
    logger = logging.getLogger("runbundle")
    level = logger.level
    yield
    logger.setLevel(level)


def test_a_ratio_is_the_median_of_ratios_and_not_a_ratio_of_medians() -> None:
    """A slow round slows both."""
    assert ratios(ROUNDS, "native", FLOOR, "total_us") == [2, 3, 9]
    assert ratio(ROUNDS, "native", FLOOR, "total_us") == 3
    assert median(ROUNDS, "native", "total_us") == 150


def test_a_round_without_one_of_the_two_says_nothing() -> None:
    """What was not measured has no ratio, and is shown as none."""
    rounds = [*ROUNDS, {FLOOR: figures(1)}, {"native": figures(1)}]
    assert ratio(rounds, "native", FLOOR, "total_us") == 3
    assert math.isnan(ratio(rounds, "logfire", FLOOR, "total_us"))
    assert results.times(ratio(rounds, "logfire", FLOOR, "total_us")) == "-"


def test_a_run_costs_beside_its_spans_what_one_span_does_not_explain() -> None:
    """Runs of 1 span and of 31: 30 more spans of 20 us; the root takes 20 of the short run's 120."""
    assert peers.fixed_us([120], [720]) == 100
    assert peers.fixed_us([120, 120, 999], [720, 720, 720]) == 100


def test_only_what_was_measured_has_a_row() -> None:
    """In the order of the table of subjects."""
    rows = list(results.subject_rows(ROUNDS))
    assert [row[0] for row in rows] == ["SDK, batches to nowhere", "runbundle native, raw spans", "Langfuse"]
    assert rows[1][1:] == ("150", "3.0", "1", "1.00", "2.0")


def test_a_measure_has_a_column_for_each_variant() -> None:
    """Its figures are written with the digits that they deserve."""
    rows = dict(row for _, row in results.measure_rows(FOUND["measures"]))
    assert rows["a run beside its spans, CPU"] == "1234 µs"
    assert rows["a decorated tool's call, 200 runs/s: median, p99"] == "10, 100 µs"
    assert rows["the same with the SDK's span alone"] == "3, 8 µs"
    assert rows["8 threads x 8 tasks over one thread, spans/s"] == "0.85"
    assert rows["the same with the SDK's spans alone"] == "1.00"
    assert rows["seal, verify of 30,000 spans over sha256sum"] == "12.3 x, 1.2 x"


@pytest.mark.parametrize("variants", [1, 2])
def test_the_printed_tables_fit_eighty_columns(variants: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all subjects in them, with one variant and with both."""
    more = [VARIANTS[0]._replace(key=f"v{number}", title=f"runbundle core{number}") for number in range(variants)]
    monkeypatch.setattr(results, "VARIANTS", more)
    rounds = [{subject.key: figures(12345, 12345) for subject in SUBJECTS}]
    measures = {variant.key: FOUND["measures"]["native"] for variant in more}
    text = results.printed({**FOUND, "rounds": rounds, "measures": measures})
    assert max(map(len, text.splitlines())) <= 80
    assert all(subject.title in text for subject in SUBJECTS)
    assert f" core{variants - 1}" in text


def test_pages_say_what_was_measured_where_and_when() -> None:
    """Each figure is worked out from the results."""
    page = figures_page.in_page(FOUND)
    assert "2026-01-02 at commit abc with changes: 2 CPUs with a load of 0.2 before it began, Linux" in page
    assert "Langfuse 2.0, Logfire 3.0. The medians of 3 rounds of 7 runs, each of 31 spans." in page
    assert "| runbundle native, raw spans | 150 | 3.0 | 1 | 1.00 | 2.0 |" in page
    assert "| a run beside its spans, CPU | 1234 µs | 150 µs |" in page
    readme = figures_page.in_readme(FOUND)
    assert "going nowhere | Langfuse | runbundle native |\n" in readme
    assert "| CPU of a span over the floor's, whole process | 3.0 | 3.0 |" in readme
    assert "| a run beside its spans, CPU |  | 1234 µs |" in readme
    assert "More CPU than Langfuse: native (2.0 x)." in " ".join(readme.split())


def test_a_peer_that_takes_more_than_all_of_ours_is_named_as_well() -> None:
    """The sentence says none, so that nobody has to wonder whether it was compared."""
    said = results.slower(ROUNDS, {"native": "ours"}, {"langfuse": "A", FLOOR: "B"})
    assert list(said) == ["More CPU than A: ours (2.0 x).", "More CPU than B: ours (3.0 x)."]
    assert list(results.slower(ROUNDS, {FLOOR: "ours"}, {"native": "C"})) == ["More CPU than C: none of ours."]
    both = {"native": "ours", "langfuse": "the other"}
    assert list(results.slower(ROUNDS, both, {FLOOR: "D"})) == ["More CPU than D: all of ours."]


def test_a_file_of_results_names_no_machine_and_no_path(tmp_path: Path) -> None:
    """Neither the one in the repository nor one that is made here."""
    results.write({**FOUND, "machine": results.machine()}, tmp_path / "results" / "found.json")
    assert results.read(tmp_path / "results" / "found.json")["rounds"] == ROUNDS
    name = os.uname().nodename
    for path in (tmp_path / "results" / "found.json", results.PEERS):
        text = path.read_text()
        assert not any(f'"{word}"' in text for word in (name, os.environ.get("USER", name)))
        assert str(ROOT) not in text
        assert "/" not in text.replace("\\/", "")


def test_versions_are_those_of_the_table_of_requirements() -> None:
    """And each of the peers is pinned there."""
    assert results.versions()["langfuse"] == pins("benchmarks/peers")["langfuse"]


def test_a_comparison_shows_the_median_and_the_range_of_both_figures() -> None:
    """A subject that the other commit does not know has none."""
    rounds = [
        {"native": figures(total, 3), "base of native": figures(10, 2), "native-contract": figures(1)}
        for total in (5, 10, 30)
    ]
    assert list(compare.rows(rounds, ["native", "native-contract"])) == [
        ("runbundle native, raw spans", "1.00 (0.50 to 3.00)", "1.50 (1.50 to 1.50)"),
        ("runbundle native, raw spans, contract", "-", "-"),
    ]


def test_another_commit_is_checked_out_beside_and_gone_afterwards() -> None:
    """The checkout that asks for it is not touched."""
    with compare.checked_out("HEAD") as base:
        assert (base / "src" / "runbundle" / "__init__.py").exists()
        assert base != ROOT
    assert not base.exists()


def test_a_process_gets_the_code_it_is_to_run_and_nothing_of_the_user(tmp_path: Path) -> None:
    """Its own subjects and another's package; its keys and caches lie in the benchmark's folder."""
    variables = variables_of(tmp_path, tmp_path / "base", {"RUNBUNDLE_NATIVE": "0"})
    base = tmp_path / "base"
    assert variables["PYTHONPATH"].split(os.pathsep) == [str(base / "src"), str(ROOT), str(base / "native-core")]
    assert variables["RUNBUNDLE_NATIVE"] == "0"
    assert {variables["HOME"], variables["TMPDIR"]} == {str(tmp_path)}


_SLEEPER = """
import pathlib, sys, time
from tests.benchmarks import rounds
rounds.environment, rounds.unpack_native = pathlib.Path, lambda *_: False
with rounds.bench() as on:
    print(on.folder, flush=True)
    time.sleep(60)
"""


def test_a_benchmark_that_is_terminated_leaves_nothing_behind() -> None:
    """Its folder is gone."""
    with subprocess.Popen([sys.executable, "-c", _SLEEPER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not folder.exists()


def test_each_kind_of_instructions_table_entry_is_judged() -> None:
    """Within the tolerance is good, above it is said with the command that records; what has no bound is said too."""
    table = {"tolerance": 0.03, "entries": [{"ratios": {"a": 1.0}}, {"ratios": {"a": 2.0, "b": 2.0}}]}
    found = {FLOOR: 1e6, "a": 2.05, "b": 2.07, "c": 1.0}
    said = instructions.above(found, table)
    assert sorted(said) == ["b", "c"]
    assert "2.07 times the floor's instructions; recorded are 2.00, and 3% more is allowed" in said["b"]
    assert all("--record --reason" in text for text in said.values())


def test_a_new_bound_is_added_with_its_reason() -> None:
    """What was recorded before stays to be read."""
    made = instructions.with_entry(instructions.recorded(), {FLOOR: 1e6, "native-contract": 5.678}, "because")
    assert made["entries"][:-1] == instructions.recorded()["entries"]
    assert made["entries"][-1] == {"reason": "because", "ratios": {"native-contract": 5.68}}
    assert all(entry["reason"] for entry in made["entries"])


def test_the_start_drops_out_of_the_instructions_of_a_span() -> None:
    """What both blocks have is in neither's difference."""
    spans = (instructions.LONG - instructions.SHORT) * 31
    assert instructions.of_a_span(1_000_000, 1_000_000 + spans * 500) == 500
    assert instructions.counted("events: Ir\nsummary: 4711\n\ntotals: 4711\n") == 4711


def test_the_workload_is_as_large_as_the_pages_say() -> None:
    """Runs of 31 spans; prompts of 2 KB; arguments and results of 1.3 KB together."""
    assert work.spans_of(work.STEPS) == 31
    prompts = [len(json.dumps(prompt)) for prompt in work.PROMPTS]
    payloads = [len(json.dumps(a)) + len(json.dumps(r)) for a, r in zip(work.ARGUMENTS, work.RESULTS, strict=True)]
    assert 2000 <= min(prompts) <= max(prompts) <= 2200
    assert 1200 <= sum(payloads) / len(payloads) <= 1400


@pytest.mark.parametrize("key", ["untraced", "sdk", FLOOR, *(k for k in BY_KEY if k.startswith(VARIANTS[0].key))])
def test_each_subject_of_ours_emits_all_its_runs(key: str, tmp_path: Path) -> None:
    """And says so: a subject whose runs do not arrive has no figure."""
    given = emit.parser().parse_args([key, "--runs", "2", "--warm", "1"])
    found = emit.measured(given, str(tmp_path))
    assert found["spans"] == 62
    assert found["total_us"] > 0
    running = BY_KEY[FLOOR].make(emit.setting_of(given, str(tmp_path)))
    with pytest.raises(RuntimeError, match="0 of 1 runs arrived"):
        emit.flush(running, 1)
    running.finish()


def test_the_cores_are_measured_with_every_span_of_the_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever core makes its line; fewer are not measured."""
    records = native_spans.recorded(work.CONTRACTS, 2)
    kinds = [record["attributes"].get("gen_ai.operation.name") for record in records]
    assert (kinds.count("chat"), kinds.count("execute_tool"), len(kinds)) == (20, 40, 62)
    monkeypatch.setattr(work, "spans_of", lambda _: 32)
    with pytest.raises(RuntimeError, match="62 spans were recorded, 64 were emitted"):
        native_spans.recorded([], 2)


def test_the_work_of_a_process_below_is_counted_while_it_lives_and_afterwards() -> None:
    """Once, and its memory while it lives."""
    before, memory = cpu_s(), peak_mb()
    code = "sum(range(20_000_000)); print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        living = cpu_s() - before
        more = peak_mb() - memory
        child.communicate("\n")
    ended = cpu_s() - before
    assert living > 0.1
    assert more > 3
    assert abs(ended - living) < 0.1


def test_the_receiver_takes_everything_and_ends_with_its_input() -> None:
    """Bodies with a length and in chunks."""
    with subprocess.Popen(
        [sys.executable, "-m", receiver.__name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for body in (b"x" * 100_000, iter([b"one", b"two"])):
            assert posted(port, body) == 200
        process.communicate("")
    assert process.returncode == 0


def posted(port: int, body: Any) -> int:
    """Return the status that a body gets."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/traces", body, encode_chunked=not isinstance(body, bytes))
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str) -> None:
    """The example is a line that could be typed."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{command}", "--help"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"python -m tests.benchmarks.{command} ") >= 2 or command == "instructions"
