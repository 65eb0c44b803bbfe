"""How long `runbundle ls` takes on a store of many runs, over the start of the program.

python -m tests.benchmarks.listing [RUNS]
python -m tests.benchmarks.listing s3 [RUNS]

Makes a local store of so many folders (100,000), each with a run.json of the usual size, in the folder for temporary
files. Each figure is the best of several processes, less that of `runbundle --help`; `cold` is one process, and reads
every run.json. With `s3` the store is on a SeaweedFS of its own, and the runs (2,000) are all noted.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runbundle.bundle.catalog.cache_file import index_file
from runbundle.bundle.catalog.index import add_to_index, index_of
from runbundle.bundle.search.filters import RunFilter
from runbundle.store import LocalStore, from_url
from tests.support.servers import BUCKET, KEYS, Proxy, Seaweed

GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "golden-v1"
RUN = (GOLDEN / "run.json").read_text()


def make(root: Path, runs: int) -> None:
    """Write the folders, as seals would have left them. All share their files by links, but for run.json."""
    for number in range(runs):
        folder = root / f"run-{number:07}"
        folder.mkdir(parents=True)
        started = (
            f"2026-{number // 86400 % 12 + 1:02}-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
        )
        status = "error" if number % 50 == 0 else "ok"
        for name in ("events.jsonl", "tool_calls.json"):
            source = root.parent / f"{number // 50_000}-{name}"  # a file has some 65,000 names at most
            if not source.exists():
                source.write_bytes((GOLDEN / name).read_bytes())
            (folder / name).hardlink_to(source)
        text = RUN.replace('"run_id": "golden-v1"', f'"run_id": "{folder.name}"').replace(
            '"status": "ok"', f'"status": "{status}"'
        )
        at = text.index('"started_at": "') + 15
        (folder / "run.json").write_text(text[:at] + started + text[at + 19 :])


def timed(*arguments: str, times: int = 1) -> float:
    """Run a command several times; return the milliseconds of the fastest."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "runbundle", *arguments], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - began)
    return best * 1000


def main(runs: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        began = time.perf_counter()
        make(root, runs)
        print(f"{runs:,} runs written in {time.perf_counter() - began:.0f} s")
        store = ("--store", str(root))
        start = timed("--help", times=7)
        print(f"start (runbundle --help)                {start:9.0f} ms")
        time.sleep(2.1)  # a folder that has changed within two seconds is listed again

        def line(what: str, *arguments: str, times: int = 5) -> None:
            print(f"{what:<40}{timed(*arguments, times=times) - start:9.0f} ms over start")

        line("ls, cold: no index yet", "ls", *store, times=1)
        line("ls, warm", "ls", *store)
        line("ls --format json --limit 1000", "ls", *store, "--format", "json", "--limit", "1000")
        line("ls --status error --since 2026-02-01", "ls", *store, "--status", "error", "--since", "2026-02-01")
        line("ls --text demo-model", "ls", *store, "--text", "demo-model", times=2)
        line("ls --error: first, all files are read", "ls", *store, "--error", "policyblocked", times=1)
        line("ls --error policyblocked: all", "ls", *store, "--error", "policyblocked")
        line("ls --error nothing has", "ls", *store, "--error", "no such text")
        line("ls --tool-error refund: none", "ls", *store, "--tool-error", "refund")
        line("ls --where, two conditions", "ls", *store, "--where", "duration > 1ms and tool.refund.status = blocked")
        line("ls --count-by tool", "ls", *store, "--count-by", "tool", times=2)
        line("stats", "stats", *store, times=2)
        line("ls --after the middle", "ls", *store, "--after", f"run-{runs // 2:07}")
        for number in range(3):
            (root / f"new{number}").mkdir()
            (root / f"new{number}" / "run.json").write_text(RUN.replace("golden-v1", f"new{number}"))
            line("ls, after a run that nobody has noted", "ls", *store, times=1)
        os.utime(root, (1_700_000_000, 1_700_000_000))
        line("ls, once more: the folder has changed", "ls", *store, times=1)
        line("ls, warm again", "ls", *store)
        line("verify --help (for comparison)", "verify", "--help")
        line("ls --refresh: every run.json compared", "ls", *store, "--refresh", times=1)
        place = index_file(LocalStore(root))
        assert place is not None
        size = place.stat().st_size
        print(f"index: {size / 1e6:.1f} MB, {size / runs:.0f} B a run")


def main_s3(runs: int) -> None:
    """Print the table for an object store."""
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory() as folder:
        server = Seaweed(Path(folder)).start()
        proxy = Proxy(server.url)
        try:
            store = from_url(f"s3://{BUCKET}/p?endpoint={proxy.url}&region=us-east-1")
            for first in range(0, runs, 500):
                texts = {n: RUN.replace("golden-v1", f"run-{n:07}") for n in range(first, min(runs, first + 500))}
                store.put_all({f"run-{n:07}/run.json": text.encode() for n, text in texts.items()})
                for number, text in texts.items():
                    add_to_index(store, f"run-{number:07}", text.encode())
            for what in ("first", "second", "index --rebuild", "after it"):
                proxy.counts.clear()
                began = time.perf_counter()
                index = index_of(store, rebuild="rebuild" in what, keep="rebuild" in what)
                assert len(index.runs(RunFilter(), 50)) == 50
                index.close()
                took = (time.perf_counter() - began) * 1000
                print(f"{runs:,} runs on S3, {what:<24}{took:9.0f} ms, {proxy.counts.total()} requests")
        finally:
            proxy.close()
            server.kill()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:] if argument != "s3"]
    if "s3" in sys.argv:
        main_s3(*given or [2_000])
    else:
        main(*given or [100_000])
