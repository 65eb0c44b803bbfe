"""One very long run: seal, verify and show it in bounded memory, each in a process of its own.

python -m tests.benchmarks.large [SPANS]

Seal is compared with `sha256sum` and `sort` over the same bytes, the journal's; verify with `sha256sum` over the
bundle's. Memory is the peak of the resident set.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import runbundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal.lines import line_of, start_line
from runbundle.journal.reader import journal_files
from runbundle.journal.writer import JournalWriter
from runbundle.recording.publish import publish
from runbundle.store import LocalStore

RUN = "long"
START_NS = 1_800_000_000_000_000_000


def write_journal(directory: Path, spans: int) -> None:
    """Write what a run of `spans` spans leaves: tools under steps, all redacted by the real redactor, once."""
    model, root = _recorded()
    writer = JournalWriter(directory / "w.jsonl")
    trace = "ab" * 16
    for number in range(1, spans):
        parent = "f" * 16 if number % 20 == 1 else f"{number - (number - 2) % 20 - 1:016x}"
        start_ns = START_NS + number * 1000
        ids = {"run_id": RUN, "trace_id": trace, "span_id": f"{number:016x}", "parent_span_id": parent}
        writer.append(start_line(trace, ids["span_id"], parent, start_ns, "/run#0/step#0"))
        record: Any = model | ids | {"start_ns": start_ns, "end_ns": start_ns + 50_000}
        writer.write(line_of("span", record))
    root |= {"run_id": RUN, "trace_id": trace, "span_id": "f" * 16, "start_ns": START_NS}
    root |= {"end_ns": START_NS + spans * 1000 + 60_000}
    root["attributes"] |= {"runbundle.spans.started": spans, "runbundle.run.id": RUN}
    writer.write(line_of("span", root))
    writer.close()


def _recorded() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a tool span and a run span, as the boundary redacts them."""
    from runbundle.journal.reader import JournalReader

    with tempfile.TemporaryDirectory() as folder:
        handle = runbundle.configure(store=folder, key=b"a key for benchmarks", grace_s=60)
        with runbundle.start_run("r", run_id="model"):
            with runbundle.start_tool("lookup", {"word": "bundle", "page": 3}) as tool:
                tool.set_result({"found": ["a", "b"], "note": "x" * 200})
            files = journal_files(Path(folder) / ".spool" / "model")
            [tool_span] = [e for e in JournalReader(files, live=files) if e["k"] == "span"]
        handle.shutdown()
    resource_of: Any = {"attributes": {"telemetry.sdk.version": "1.45.2"}, "schema_url": ""}
    tool_span |= {"resource": resource_of}
    tool_span["attributes"] = {k: v for k, v in tool_span["attributes"].items() if k != "runbundle.run.id"}
    root = tool_span | {"parent_span_id": "", "name": "run r", "events": []}
    root["attributes"] = {"runbundle.op": "run", "runbundle.name": "r", "runbundle.redaction": '{"n":[]}'}
    for record in (tool_span, root):
        record.pop("k")
    return tool_span, root


def measured(step: str, store: Path) -> dict[str, float]:
    """Run one step in a process of its own; return seconds and peak MB."""
    out = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.large", "--step", step, str(store)], capture_output=True, check=True
    )
    return json.loads(out.stdout.splitlines()[-1])


def step(name: str, store: Path) -> None:
    """Do one step and print its figures."""
    begun = time.perf_counter()
    if name == "seal":
        assert publish(LocalStore(store), store / ".spool", RunKey("", RUN)) == (RUN, {})
    elif name == "verify":
        report = verify(LocalStore(store), RUN)
        assert report.verdict == "verified", report
    elif name == "quick":
        assert verify(LocalStore(store), RUN, quick=True).verdict == "unchanged"
    elif name == "show":
        from click.testing import CliRunner

        from runbundle.cli.main import group

        assert CliRunner().invoke(group, ["show", RUN, "--store", str(store)]).exit_code == 0
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "mb": peak}))


def shell(command: str) -> float:
    """Return the seconds a shell command takes."""
    begun = time.perf_counter()
    subprocess.run(command, shell=True, check=True, env={**os.environ, "LC_ALL": "C"})
    return time.perf_counter() - begun


def measure(spans: int) -> dict[str, Any]:
    """Measure everything once."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        directory = store / ".spool" / RUN
        write_journal(directory, spans)
        journal = directory / "w.jsonl"
        size = journal.stat().st_size
        peer = shell(f"sha256sum {journal} >/dev/null && sort {journal} -T {folder} >/dev/null")
        seal = measured("seal", store)
        bundle = store / RUN
        digest = shell(f"sha256sum {bundle}/*.json* >/dev/null")
        return {
            "spans": spans,
            "journal_mb": size / 1e6,
            "bundle_mb": sum(f.stat().st_size for f in bundle.iterdir()) / 1e6,
            "seal": seal,
            "sha256sum_sort_s": peer,
            "verify": measured("verify", store),
            "quick": measured("quick", store),
            "sha256sum_s": digest,
            "show": measured("show", store),
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]))
    else:
        found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
        print(f"{found['spans']} spans, journal {found['journal_mb']:.0f} MB, bundle {found['bundle_mb']:.0f} MB")
        seal, check, quick, show = found["seal"], found["verify"], found["quick"], found["show"]
        print(
            f"seal    {seal['s']:6.1f} s  peak {seal['mb']:4.0f} MB  sha256sum, sort {found['sha256sum_sort_s']:.1f} s"
        )
        print(f"verify  {check['s']:6.1f} s  peak {check['mb']:4.0f} MB  sha256sum {found['sha256sum_s']:.1f} s")
        print(f"quick   {quick['s']:6.1f} s  peak {quick['mb']:4.0f} MB  (verify --quick)")
        print(f"show    {show['s']:6.1f} s  peak {show['mb']:4.0f} MB")
