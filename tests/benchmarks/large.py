"""One very long run: seal, verify and show it in bounded memory, each in a process of its own.

python -m tests.benchmarks.large [SPANS] [--json]

Seal is compared with `sha256sum` and `sort` over the same bytes, the journal's; verify with `sha256sum` over the
bundle's. Memory is the peak of the resident set.
"""

import json
import os
import re
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
    """Write what a run of `spans` spans leaves: steps, with model calls and tool calls in turn below each.

    All are redacted by the real redactor, once; the digests in the place of payloads differ from span to span.
    """
    step, model, tool, root = _recorded()
    writer = JournalWriter(directory / "w.jsonl")
    trace = "ab" * 16
    for number in range(1, spans):
        first = number % 20 == 1
        parent = "f" * 16 if first else f"{number - (number - 2) % 20 - 1:016x}"
        start_ns = START_NS + number * 1000
        ids = {"run_id": RUN, "trace_id": trace, "span_id": f"{number:016x}", "parent_span_id": parent}
        writer.append(start_line(trace, ids["span_id"], parent, start_ns, "/run#0/step#0"))
        kind = step if first else (model, tool)[number % 2]
        record: Any = kind | ids | {"start_ns": start_ns, "end_ns": start_ns + 50_000}
        record["attributes"] = {key: _varied(value, number) for key, value in kind["attributes"].items()}
        writer.write(line_of("span", record))
    root |= {"run_id": RUN, "trace_id": trace, "span_id": "f" * 16, "start_ns": START_NS}
    root |= {"end_ns": START_NS + spans * 1000 + 60_000}
    root["attributes"] |= {"runbundle.spans.started": spans, "runbundle.run.id": RUN}
    writer.write(line_of("span", root))
    writer.close()


_DIGEST = re.compile(r"(?<=h2:[0-9a-f]{8}:)[a-z2-7]{10}")


def _varied(value: Any, number: int) -> Any:
    if not isinstance(value, str) or "h2:" not in value:
        return value
    letters = f"{number:010d}".translate(str.maketrans("0123456789", "abcdefghij"))
    return _DIGEST.sub(letters, value)


def _recorded() -> list[dict[str, Any]]:
    """Return spans as the boundary redacts them: of a step, a model call, a tool call and a run."""
    from runbundle.journal.reader import JournalReader

    with tempfile.TemporaryDirectory() as folder:
        handle = runbundle.configure(store=folder, key=b"a key for benchmarks", grace_s=60)
        with runbundle.start_run("r", run_id="model") as run:
            with runbundle.start_step("plan"):
                pass
            model = runbundle.start_model("m", [{"role": "user", "content": "b" * 2000}])
            with model:
                model.set_output([{"role": "assistant", "content": "c" * 2000}])
                run.usage(input_tokens=500, output_tokens=200)
            tool = runbundle.start_tool("lookup", {"word": "bundle", "page": 3})
            with tool:
                tool.set_output({"found": ["a", "b"], "note": "x" * 200})
            files = journal_files(Path(folder) / ".spool" / "model")
            recorded = [e for e in JournalReader(files, live=files) if e["k"] == "span"]
        handle.shutdown()
    resource_of: Any = {"attributes": {"telemetry.sdk.version": "1.45.2"}, "schema_url": ""}
    for span in recorded:
        span |= {"resource": resource_of}
        span["attributes"] = {k: v for k, v in span["attributes"].items() if k != "runbundle.run.id"}
    root = recorded[-1] | {"parent_span_id": "", "name": "run r", "events": []}
    root["attributes"] = {"runbundle.op": "run", "runbundle.name": "r", "runbundle.redaction": '{"n":[]}'}
    for record in (*recorded, root):
        del record["k"]
    return [*recorded, root]


def measured(step: str, store: Path) -> dict[str, float]:
    """Run one step in a process of its own; return seconds and peak MB."""
    out = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.large", "--step", step, str(store)], capture_output=True, check=True
    )
    return json.loads(out.stdout.splitlines()[-1])


def step(name: str, store: Path) -> None:
    """Do one step and print its figures."""
    begun, spent = time.perf_counter(), time.process_time()
    if name == "seal":
        published = publish(LocalStore(store), store / ".spool", RunKey("", RUN), own="w")
        assert published is not None, RUN
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
    print(json.dumps({"s": seconds, "mb": peak, "cpu_s": time.process_time() - spent}))


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
            "again": measured("show", store),
        }


def printed(found: dict[str, Any]) -> str:
    """Return the figures as lines."""
    lines = [f"{found['spans']} spans, journal {found['journal_mb']:.0f} MB, bundle {found['bundle_mb']:.0f} MB"]
    beside = {
        "seal": f"sha256sum, sort {found['sha256sum_sort_s']:.1f} s",
        "verify": f"sha256sum {found['sha256sum_s']:.1f} s",
        "quick": "(verify --quick)",
        "show": "",
        "again": "(show, with its columns kept)",
    }
    for name, text in beside.items():
        lines.append(f"{name:<7} {found[name]['s']:6.1f} s  peak {found[name]['mb']:4.0f} MB  {text}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]))
    else:
        numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
        found = measure(*numbers or [1_000_000])
        print(json.dumps(found) if "--json" in sys.argv else printed(found))
