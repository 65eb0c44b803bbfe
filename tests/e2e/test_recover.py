"""`runbundle recover`: what a killed process left behind becomes a bundle."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.recording.recovery import recover
from runbundle.store import LocalStore
from tests.conftest import headers_from
from tests.support.processes import killed

Configured = Callable[..., runbundle.Handle]
CRASH = """
with runbundle.start_run("r", run_id="crashed") as run:
    with runbundle.start_tool("done", {"n": 1}):
        pass
    tool = runbundle.start_tool("open", {"n": 2})
    tool.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def cli(*arguments: str) -> tuple[int, str]:
    """Run a command; return exit code and output."""
    result = CliRunner().invoke(group, list(arguments))
    return result.exit_code, result.output


def test_a_run_cut_off_by_a_kill_is_sealed_with_what_it_had(tmp_path: Path) -> None:
    """The ended call is there, the open spans are interrupted, the state is crashed; doing it again does nothing."""
    killed(tmp_path, CRASH)
    code, output = cli("recover", "--all", "--store", str(tmp_path / "store"))
    assert (code, "recovered" in output) == (0, True)
    store = LocalStore(tmp_path / "store")
    bundle = Bundle.open(store, "crashed")
    assert bundle.index.completeness.state == "crashed"
    assert [(call.tool, call.status) for call in bundle.tool_calls().calls] == [
        ("done", "unset"), ("open", "interrupted"),
    ]  # fmt: skip
    assert len(bundle.index.completeness.open_spans) == 2
    report = verify(store, "crashed")
    assert report.verdict == "incomplete"
    assert {f.code for f in report.findings} <= {"RB302", "RB304", "RB307"}
    assert spooled_runs(tmp_path / "store" / ".spool") == []
    assert cli("recover", "--all", "--store", str(tmp_path / "store"))[0] == 0


def test_a_live_run_is_left_alone(configured: Configured, tmp_path: Path) -> None:
    """While its writer holds the journal nothing of it is touched, and afterwards it is sealed as ever."""
    handle = configured()
    with runbundle.start_run("r", run_id="live"), runbundle.start_tool("t"):
        outcome = recover(handle.store, tmp_path / "store" / ".spool", RunKey("", "live"))
        assert outcome.outcome == "alive"
        assert cli("recover", "live", "--store", str(tmp_path / "store"))[0] == 1
        assert cli("recover", "--all", "--store", str(tmp_path / "store"))[0] == 0
    assert handle.flush().sealed == ["live"]
    assert Bundle.open(handle.store, "live").index.completeness.state == "complete"


def test_two_at_once_make_one_bundle(tmp_path: Path) -> None:
    """Two processes that recover the same runs: each run is recovered once, none fails."""
    killed(tmp_path, "".join(f"runbundle.start_run('r', run_id='c{n}').__enter__()\n" for n in range(10)))
    command = [sys.executable, "-m", "runbundle", "recover", "--all", "--store", "store", "--format", "json"]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)]
    outcomes: list[str] = []
    for process in both:
        out, _ = process.communicate()
        outcomes += [run["outcome"] for run in json.loads(out)["runs"]]
    assert outcomes.count("recovered") == 10
    assert "failed" not in outcomes
    assert sorted(LocalStore(tmp_path / "store").list_dirs()) == [f"c{n}" for n in range(10)]


def test_a_part_of_a_run_begun_elsewhere_waits(configured: Configured, tmp_path: Path) -> None:
    """Sealed here it would take the place of the whole; named explicitly, it is sealed all the same."""
    handle = configured()
    with runbundle.continue_run(headers_from("elsewhere")), runbundle.start_tool("t"):
        pass
    handle.flush()
    spool = tmp_path / "store" / ".spool"
    assert spooled_runs(spool) == [RunKey("", "elsewhere")]
    assert recover(handle.store, spool, RunKey("", "elsewhere")).outcome == "part"
    assert recover(handle.store, spool, RunKey("", "elsewhere"), parts=True).outcome == "recovered"


def test_a_torn_line_is_counted(tmp_path: Path) -> None:
    """A journal cut within its last line: the lines before it are sealed, the loss is in the bundle."""
    killed(tmp_path, CRASH)
    journal = next((tmp_path / "store" / ".spool" / "crashed").glob("*.jsonl"))
    journal.write_bytes(journal.read_bytes().rstrip(b"\0")[:-5])
    assert recover(LocalStore(tmp_path / "store"), journal.parent.parent, RunKey("", "crashed")).outcome == "recovered"
    assert Bundle.open(LocalStore(tmp_path / "store"), "crashed").index.completeness.dropped["torn_lines"] == 1


def test_a_journal_without_one_record_is_an_outcome(tmp_path: Path) -> None:
    """Its checksums are right and its fields are not there: nothing is sealed, raised or removed."""
    from zlib import crc32

    folder = tmp_path / "store" / ".spool" / "odd"
    folder.mkdir(parents=True)
    body = b'{"k":"span"}'
    (folder / "w.jsonl").write_bytes(b"%08x %b\n" % (crc32(body), body))
    outcome = recover(LocalStore(tmp_path / "store"), folder.parent, RunKey("", "odd"))
    assert (outcome.outcome, "no recorder writes" in outcome.note) == ("failed", True)
    assert spooled_runs(folder.parent) == [RunKey("", "odd")]


def test_what_cannot_be_recovered_stays(tmp_path: Path) -> None:
    """Beside a run.json that is none, nothing is sealed: the records are kept, and the next word is the reader's."""
    killed(tmp_path, CRASH)
    spool = tmp_path / "store" / ".spool"
    store = LocalStore(tmp_path / "store")
    store.put("crashed/run.json", b"{}")
    outcome = recover(store, spool, RunKey("", "crashed"))
    assert outcome.outcome == "failed"
    assert "run.json: run_id" in outcome.note
    assert spooled_runs(spool) == [RunKey("", "crashed")]
    code, output = cli("recover", "--all", "--store", str(tmp_path / "store"))
    assert code == 1
    assert "failed" in output


@pytest.mark.parametrize("arguments", [[], ["x", "--all"], ["no-such-run"]])
def test_usage(arguments: list[str], tmp_path: Path) -> None:
    """Nothing, both, and a run that is not there: exit code 2 and a word on what to do."""
    code, output = cli("recover", *arguments, "--store", str(tmp_path))
    assert code == 2
    assert "hint:" in output


def test_an_empty_spool_is_nothing_to_do(tmp_path: Path) -> None:
    """Exit code 0, and it says where it looked."""
    assert cli("recover", "--all", "--store", str(tmp_path)) == (0, f"Nothing to recover in {tmp_path / '.spool'}.\n")
    assert list(tmp_path.iterdir()) == []
