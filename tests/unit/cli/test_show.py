"""`show` leads with the failure, draws when each span ran, and prints what else only files hold."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.bundle.custody.holds import hold
from runbundle.bundle.reader import Bundle
from runbundle.cli import altered
from runbundle.cli.commands.show_run import Look, print_run
from runbundle.cli.demo_agent import record
from runbundle.cli.main import group
from runbundle.cli.waterfall import label, lines, slowest, tree
from runbundle.inspect.columns import SpanColumns, columns_from, columns_of
from runbundle.store import LocalStore, MemoryStore
from tests.support import handmade
from tests.support.golden import KEY, V1
from tests.support.handmade import dump, event

Configured = Callable[..., runbundle.Handle]
LONG = ("declined by the bank: " + "why " * 200).strip()


def call(*arguments: str, columns: int | None = None, **variables: str) -> str:
    """Return what a command prints: on a terminal of so many columns, or in a pipe."""
    env = {"COLUMNS": str(columns) if columns else None, **variables}
    done = CliRunner().invoke(group, arguments, env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def failed(configured: Configured) -> list[str]:
    """A run in which a tool raised, ten scopes down; its contract keeps message and order. How commands name it."""
    rules = [{"selector": "/order", "action": "keep"}, {"selector": "", "target": "error", "action": "keep"}]
    handle = configured(contracts=[{"name": "charge", "data": {"rules": rules}}])

    @runbundle.tool
    def charge(order: str, iban: str) -> None:
        raise ValueError(LONG)

    def down(level: int) -> None:
        if not level:
            charge("A-1", "DE89")
        else:
            with runbundle.start_step(f"look-for-the-customer-and-the-order-{level}"):
                down(level - 1)

    with pytest.raises(ValueError, match="declined"), runbundle.start_run("checkout", run_id="r-1"):
        down(10)
    handle.shutdown()
    return ["r-1", "--store", str(handle.store.folder)]


def test_the_failure_comes_first(failed: list[str]) -> None:
    """The chain to the span, the message and arguments that the contract keeps, the frame that raised."""
    output = call("show", *failed, columns=80)
    head = output[: output.index("name      checkout")]
    for words in ("failed    run checkout", "└ tool: execute_tool charge", "error     ValueError: declined by the bank",
                  "in charge", '"order":"A-1"', "… 5 more", "… --full shows all of it"):  # fmt: skip
        assert words in head
    assert "DE89" not in output
    assert max(len(line) for line in output.splitlines() if not line.startswith("next: ")) <= 80


def test_nothing_is_cut_in_a_pipe(failed: list[str]) -> None:
    """Names, messages and ids of any length; with --full chains too."""
    output = call("show", *failed)
    assert LONG in output
    assert "look-for-the-customer-and-the-order-1" in output
    assert call("show", *failed, "--full").count("look-for-the-customer") == 20


def test_the_next_commands_name_the_store_and_can_be_typed(failed: list[str]) -> None:
    """Each of them works; without --store where it is the default one."""
    import shlex

    found = [line.removeprefix("next: ") for line in call("show", *failed).splitlines() if line.startswith("next: ")]
    assert len(found) == 4
    for command in found:
        assert f"--store {failed[2]}" in command
        served = ["--no-open", "--idle", "1s"] if command.startswith("runbundle view ") else []
        call(*shlex.split(command)[1:], *served)
    assert "--store" not in call("show", "r-1", RUNBUNDLE_STORE=failed[2])
    by_path = call("show", f"{failed[2]}/r-1")
    assert f"next: runbundle verify r-1 --store file://{failed[2]}" in by_path


def test_errors_are_listed_where_they_began(failed: list[str], tmp_path: Path) -> None:
    """One, of the eleven spans that ended in error; also of a run that went on, with the decision of policy."""
    assert call("show", *failed, "--errors").count("failed    ") == 1
    (one,) = json.loads(call("show", *failed, "--errors", "--format", "json"))
    assert (one["path"][-1], one["type"], one["message"]) == ("execute_tool charge", "ValueError", LONG)
    record(LocalStore(tmp_path / ".runbundle"))
    output = call("show", "@last", "--errors")
    assert "policy    blocked by contract:refund:require_approval" in output
    assert "No span failed." in call("show", *well(tmp_path), "--errors")


def well(tmp_path: Path) -> list[str]:
    """A run without errors, written by hand."""
    handmade.build(LocalStore(tmp_path / "hand"))
    return [handmade.KEY, "--store", str(tmp_path / "hand")]


def test_parts_print_what_the_files_hold(tmp_path: Path) -> None:
    """As JSON the file itself; for people all of it."""
    store = LocalStore(tmp_path / ".runbundle")
    bundle = Bundle.open(store, record(store).sealed[0])
    assert json.loads(call("show", "@last", "--config", "--format", "json")) == json.loads(
        store.get(f"{bundle.key}/config.snapshot.json")
    )
    assert json.loads(call("show", "@last", "--config")) == bundle.config().config
    assert json.loads(call("show", "@last", "--evidence", "--format", "json")) == json.loads(
        store.get(f"{bundle.key}/evidence.json")
    )
    assert "returns-3    0.91" in call("show", "@last", "--evidence")
    assert json.loads(call("show", "@last", "--events", "--format", "json")) == list(bundle.events())
    assert len(call("show", "@last", "--events").splitlines()) == bundle.index.counts.events
    assert "gen_ai.tool.name = find_order" in call("show", "@last", "--events", "--full")
    said = json.loads(call("show", "@last", "--redaction", "--format", "json"))
    assert sum(span["withheld"] for span in said["spans"]) == sum(total["count"] for total in said["totals"])
    for total in bundle.index.redaction.totals:
        assert total.rule in call("show", "@last", "--redaction")
    assert json.loads(call("show", "@last", "--slow", "--format", "json"))[0].keys() >= {"own_ns", "duration_ns"}


def test_parts_of_a_run_without_them_say_so(tmp_path: Path) -> None:
    """No configuration, nothing retrieved, nothing withheld."""
    with runbundle.configure(store=tmp_path / "bare"), runbundle.start_run("r", run_id="bare"):
        pass
    where = ["bare", "--store", str(tmp_path / "bare")]
    assert "without a configuration" in call("show", *where, "--config")
    assert "Nothing was retrieved." in call("show", *where, "--evidence")
    assert "Nothing was withheld." in call("show", *where, "--redaction")
    assert json.loads(call("show", *where, "--evidence", "--format", "json")) is None


def test_a_run_says_whose_it_is_and_what_was_noted(configured: Configured) -> None:
    """Scores, own events, hold, state, parent, traces and rules of redaction."""
    handle = configured()
    with runbundle.start_run("outer", run_id="outer"), runbundle.start_run("inner", run_id="inner") as run:
        run.event("checked", step=3)
        run.score("quality", 0.5, label="fair")
    handle.flush()
    hold(handle.store, "inner", "asked for by audit")
    where = ["inner", "--store", str(handle.store.folder)]
    output = call("show", *where)
    for words in ("state     sealed", "asked for by audit", "inside    outer, span ", "score     quality  0.5  fair",
                  "event     checked"):  # fmt: skip
        assert words in output
    assert "child     inner  inner" in call("show", "outer", "--store", where[2])
    trace = Bundle.open(handle.store, "inner").index.trace_ids[0]
    assert f"trace     {trace}" in output
    linked = call("show", *where, RUNBUNDLE_TRACE_URL="https://traces.example.com/t/{trace_id}?x=1")
    assert f"trace     https://traces.example.com/t/{trace}?x=1" in linked
    for odd in ("https://traces.example.com", "javascript:{trace_id}"):
        output = call("show", *where, RUNBUNDLE_TRACE_URL=odd)
        assert f"trace     {trace}" in output
        assert "RUNBUNDLE_TRACE_URL is not used" in output


def test_a_long_run_is_shown_from_its_columns(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """No file of events is read from the beginning, and only the first spans are drawn."""
    opened: list[str] = []

    class Watched(MemoryStore):
        def open(self, key: str) -> Any:
            opened.append(key)
            return super().open(key)

    spans = [f"{n:016x}" for n in range(1, 301)]
    begun = [event(n, "span.started", span, op="step") for n, span in enumerate(spans)]
    ended = [handmade.ended(400 + n, span, "step", 5) for n, span in enumerate(spans)]
    store = handmade.build(Watched(), lines=[*begun, *ended])
    bundle = Bundle.open(store, handmade.KEY)
    columns = columns_of(bundle)
    opened.clear()
    print_run(bundle, columns, Look(), "r", "")
    assert not any(key.endswith("events.jsonl") for key in opened)
    output = capsys.readouterr().out
    assert output.count("step: x") == 60
    assert "… 240 more spans; --all shows them" in output


def test_of_a_large_run_the_sizes_are_compared_and_that_is_said(
    failed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another size, or none, is a warning and exit code 4."""
    monkeypatch.setattr(altered, "_DIGESTED_BYTES", 10)
    assert "only the sizes of the files were compared" in call("show", *failed)
    path = Path(failed[2]) / "r-1" / "tool_calls.json"
    path.write_bytes(path.read_bytes() + b"\n")
    done = CliRunner().invoke(group, ["show", *failed])
    assert (done.exit_code, "tool_calls.json: has another size" in done.output) == (4, True)
    path.unlink()
    done = CliRunner().invoke(group, ["show", *failed])
    assert (done.exit_code, "tool_calls.json: is not there" in done.output) == (4, True)


def test_tools_says_what_is_not_as_it_was_sealed(failed: list[str]) -> None:
    """Its table is of a file that anybody may have written: a warning comes first, for programs on standard error."""
    assert CliRunner().invoke(group, ["tools", *failed]).exit_code == 0
    path = Path(failed[2]) / "r-1" / "tool_calls.json"
    path.write_bytes(path.read_bytes().replace(b'"charge"', b'"refund"'))
    done = CliRunner().invoke(group, ["tools", *failed])
    assert done.exit_code == 4
    assert done.output.startswith("WARNING: this bundle is not what was sealed")
    done = CliRunner().invoke(group, ["tools", *failed, "--format", "json"])
    assert done.exit_code == 4
    assert "WARNING" in done.stderr
    assert json.loads(done.stdout)["calls"]


def test_tokens_that_no_span_says_are_no_number(failed: list[str]) -> None:
    """Nobody knows that there were none."""
    assert "tokens    not said" in call("stats", *failed[1:])


def made(*spans: tuple[str, int, int | None, str | None]) -> SpanColumns:
    """Return columns of spans by id, start, duration and parent."""
    found = []
    for span, start, took, parent in spans:
        above = {"parent_span_id": parent} if parent else {}
        found.append(event(start, "span.started", span, op="step", **above))
        if took is not None:
            found.append(event(start + took, "span.ended", span, status="ok", duration_ns=str(took)))
    return columns_from(map(dump, found))


A, B, C = "a" * 16, "b" * 16, "c" * 16


def test_a_run_in_the_folder_of_another_is_not_shown_as_that(tmp_path: Path) -> None:
    """A warning comes first, and the next commands name what is shown: the other would verify."""
    shutil.copytree(V1.root / KEY, tmp_path / "s" / KEY)
    shutil.copytree(V1.root / KEY, tmp_path / "s" / "victim")
    done = CliRunner().invoke(group, ["show", "victim", "--store", str(tmp_path / "s")])
    assert done.exit_code == 4
    assert done.output.startswith("WARNING: this bundle is not what was sealed")
    assert "RB505  run.json: run.json is of another run than its folder's name says" in done.output
    assert "next: runbundle verify victim" in done.output
    done = CliRunner().invoke(group, ["tools", "victim", "--store", str(tmp_path / "s")])
    assert (done.exit_code, "RB505" in done.output) == (4, True)
    done = CliRunner().invoke(group, ["tail", "victim", "--store", str(tmp_path / "s"), "--format", "json"])
    said = json.loads(done.output)
    assert (done.exit_code, said["verdict"], "of another run" in said["note"]) == (3, "gone", True)
    done = CliRunner().invoke(group, ["tail", KEY, "--store", str(tmp_path / "s"), "--format", "json"])
    assert (done.exit_code, json.loads(done.output)["verdict"]) == (0, "sealed")
    done = CliRunner().invoke(group, ["stats", "--store", str(tmp_path / "s"), "--format", "json"])
    assert json.loads(done.output)["runs"] == 1
    for kind in ("html", "zip"):
        to = ["--to", kind, "-o", str(tmp_path / kind), "--store", str(tmp_path / "s")]
        assert CliRunner().invoke(group, ["export", "victim", *to]).exit_code == 4
        assert CliRunner().invoke(group, ["export", KEY, *to]).exit_code == 0


def test_bars_show_offset_and_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sixteenths of the whole time; what never ended is open; a moment is one cell."""
    monkeypatch.setenv("COLUMNS", "80")
    columns = made((A, 0, 1600, None), (B, 400, 800, A), (C, 1200, None, A))
    drawn = [text[text.index("  ", 14) :] for text in lines(columns, tree(columns, None), bars=True)]
    assert ["█" * 16 in drawn[0], "    ████████    " in drawn[1], "╌" * 4 in drawn[2]] == [True] * 3
    assert drawn[2].count("╌") == 4
    (text,) = lines(made((A, 0, 0, None)), tree(made((A, 0, 0, None)), None), bars=True)
    assert "█" in text


def test_spans_before_the_first_and_deep_below_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was behind, and forty levels: each line fits."""
    monkeypatch.setenv("COLUMNS", "60")
    chain = [(f"{n + 1:016x}", -n, 10, f"{n:016x}" if n else None) for n in range(40)]
    columns = made(*chain)
    drawn = list(lines(columns, tree(columns, None), bars=True))
    assert len(drawn) == 40
    assert max(map(len, drawn)) <= 60
    assert "39: step: x" in drawn[-1]


def test_own_time_is_without_the_spans_below() -> None:
    """The longest own time first; those beside each other never make it negative."""
    columns = made((A, 0, 100, None), (B, 0, 70, A), (C, 0, 80, A))
    assert slowest(columns, None) == [(2, 80, 80), (1, 70, 70), (0, 100, 0)]
    assert slowest(columns, 1) == [(2, 80, 80)]
    assert label(columns, 0) == "step: x"
