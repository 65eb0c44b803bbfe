"""Comparing two long runs against parsing their events: `python -m tests.benchmarks.diff [STEPS EDITS]`.

B is A with edits: calls with other arguments, calls left out, calls more. Printed are the CPU time of the comparison
over that of orjson for all lines of both events.jsonl, the bytes a step that its columns and pairs take, and how many
differences were found. Verification is apart: it is remembered by the digest of run.json.
"""

import random
import re
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import orjson

from runbundle.bundle.reader import Bundle
from runbundle.compare.pairs import paired
from runbundle.compare.report import diff
from runbundle.compare.steps import Numbers, steps_of
from runbundle.format.identity import RunKey
from runbundle.journal.lines import parse_line
from runbundle.recording.publish import publish
from runbundle.store import LocalStore
from tests.benchmarks.large import RUN, write_journal

_DIGEST = re.compile(rb"h2:[0-9a-f]{8}:[a-z2-7]{26}")


def edited(lines: list[bytes], edits: int) -> list[bytes]:
    """Return the lines of a journal with so many of its tool calls changed, left out or doubled."""
    from runbundle.journal import lines as journal

    drawn, out = random.Random(5), list[bytes]()
    calls = [n for n, line in enumerate(lines) if b'"k":"span"' in line and b"execute_tool" in line]
    chosen = set(drawn.sample(calls, edits))
    for number, line in enumerate(lines):
        if number not in chosen:
            out.append(line)
            continue
        kind = number % 3
        entry = parse_line(line)
        assert entry is not None
        if kind == 0:  # its start stands on the line before
            out.pop()
            continue
        body = orjson.dumps(entry)
        if kind == 2:
            out.append(line)
            body = body.replace(entry["span_id"].encode(), f"{number:08x}deadbeef".encode())
        body = _DIGEST.sub(
            b"h2:00000000:" + f"{number:026d}".translate({48 + d: 97 + d for d in range(10)}).encode(), body
        )
        out.append(journal._line(orjson.loads(body)))  # pyright: ignore[reportPrivateUsage]
    return out


def bundles(folder: Path, steps: int, edits: int) -> tuple[Bundle, Bundle]:
    """Seal A and B into a store each; return them."""
    found: list[Bundle] = []
    for name in ("a", "b"):
        store = LocalStore(folder / name)
        directory = folder / name / ".spool" / RUN
        if name == "a":
            write_journal(directory, steps)
            lines = (directory / "w.jsonl").read_bytes().splitlines(keepends=True)
        else:
            directory.mkdir(parents=True, mode=0o700)
            (directory.parent).chmod(0o700)
            (directory / "w.jsonl").write_bytes(b"".join(edited(lines, edits)))  # pyright: ignore[reportPossiblyUnboundVariable]
        assert publish(store, directory.parent, RunKey("", RUN), own="w") is not None
        found.append(Bundle.open(store, RUN))
    return found[0], found[1]


def measure(steps: int, edits: int) -> None:
    """Print what the comparison costs."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = bundles(Path(folder), steps, edits)
        parse, compare = float("inf"), float("inf")
        for _ in range(3 if steps <= 20_000 else 1):
            begun = time.process_time()
            for bundle in (a, b):
                with bundle.store.open(f"{RUN}/events.jsonl") as file:
                    for line in file:
                        orjson.loads(line)
            parse = min(parse, time.process_time() - begun)
            begun = time.process_time()
            report = diff(a, b)
            compare = min(compare, time.process_time() - begun)
        tracemalloc.start()
        numbers = Numbers()
        kept = steps_of(a, numbers), steps_of(b, numbers)
        pairs = paired(*kept)
        size = tracemalloc.get_traced_memory()[0] / (len(kept[0]) + len(kept[1]))
        tracemalloc.stop()
        print(
            f"{steps} steps, {edits} edits: {compare:.2f} s, {compare / parse:.2f} x orjson ({parse:.2f} s);"
            f" {size:.0f} B a step; {report.changes_total} differences, fewest: {pairs.is_fewest}"
        )


def main() -> None:
    """Measure the two sizes, or what is given."""
    given = [int(one) for one in sys.argv[1:3]]
    for steps, edits in [(given[0], given[1])] if given else [(10_000, 200), (100_000, 2_000)]:
        measure(steps, edits)


if __name__ == "__main__":
    main()
