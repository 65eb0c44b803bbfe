"""Make the coverage table: `python -m tests.interop.coverage`.

It runs each application in its environment, by `configure()` and by `opentelemetry-instrument`, reads the bundles, and
prints a row for each combination; what is wrong follows, cell by cell. `--write` puts the table into
docs/frameworks.md. `--from-dumps` replays the golden dumps in this process instead, and takes seconds; with files after
it, it reads those and prints what their bundles say. `--only NAME` makes rows whose name holds NAME.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import runbundle
from runbundle.otel.exporters import BundleLogExporter, BundleSpanExporter
from tests.interop import dumps
from tests.interop.apps.shared import CONTRACT
from tests.interop.cells import CELLS, spans_of
from tests.interop.combinations import COMBINATIONS, Combination
from tests.interop.environments import ROOT
from tests.interop.reading import KEY, Reading, read
from tests.interop.replay import export, replay
from tests.interop.running import run
from tests.interop.stub import Stub

MODES = ("code", "zero")
PAGE = ROOT / "docs" / "frameworks.md"
_BEGIN, _END = "<!-- made by python -m tests.interop.coverage --write -->", "<!-- end of what is made -->"
Readings = dict[str, Reading]


def replayed(dump: dumps.Dump, mode: str, folder: Path) -> Reading:
    """Replay a dump in this process, as in code or by exporters, into a store below a folder; read it."""
    if mode == "code":
        handle = runbundle.configure(
            store=folder / "store", contracts=[CONTRACT], key=KEY, set_global=False, grace_s=0.0
        )
        replay(dump, handle)
        handle.flush()
        handle.shutdown()
    else:
        contract = folder / "contract.json"
        folder.mkdir(parents=True, exist_ok=True)
        contract.write_text(json.dumps(CONTRACT))
        spans = BundleSpanExporter(store=str(folder / "store"), contracts=str(contract))
        logs = BundleLogExporter(store=str(folder / "store"), contracts=str(contract))
        export(dump, spans, logs)
        spans.force_flush()
        spans.shutdown()
        logs.shutdown()
    reading = read(folder, dumps.keys(dump))
    reading.exported = mode == "zero"
    return reading


def real(combination: Combination, mode: str, folder: Path, url: str) -> Reading:
    """Run the application of a combination and read what it left. Raises `RuntimeError` if it failed."""
    ran = run(combination.application, combination.dialect, combination.environment, mode, folder, url)
    if ran.code:
        raise RuntimeError(f"{combination.name} {mode}: exit code {ran.code}\n{ran.output[-3000:]}")
    reading = read(folder, dumps.keys(dumps.load(combination.golden)))
    reading.leaks |= ran.leaks
    reading.journals = ran.journals
    return reading


def wrong(combination: Combination, readings: Readings, spans: int) -> list[str]:
    """Return what is wrong with a combination's bundles, one line a cell."""
    checked = [
        (mode, name, cell(combination, reading, spans))
        for mode, reading in readings.items()
        for name, cell in CELLS.items()
    ]
    return [f"{combination.name} {mode} {name}: {cell.wrong}" for mode, name, cell in checked if cell.wrong]


def row(combination: Combination, readings: Readings, spans: int) -> str:
    """Return one row of the table."""
    cells = {
        mode: {name: cell(combination, reading, spans) for name, cell in CELLS.items()}
        for mode, reading in readings.items()
    }
    versions = ", ".join(f"{package} {version}" for package, version in combination.versions.items())
    truth = f"{spans}/{combination.bundles}/{_or_none(combination, 'tools')}/{_or_none(combination, 'models')}"
    columns = [f"{combination.application}, {combination.dialect} ({versions})", truth]
    counts = ("bundles", "spans", "tools", "models")
    for mode in MODES:
        said = [cells[mode][name] for name in counts]
        columns.append(", ".join(f"**{cell.shown}**" if cell.wrong else cell.shown for cell in said))
    columns += [_both(cells, name) for name in ("contract", "agents", "usage", "names", "undeclared")]
    notes = [combination.note] if combination.note else []
    notes += [f"{readings['code'].documents} documents"] if combination.documents else []
    notes += [
        f"{mode}: {cells[mode][name].wrong}"
        for mode in MODES
        for name in ("documents", "verify", "canaries")
        if cells[mode][name].wrong
    ]
    columns.append("; ".join(notes))
    return "| " + " | ".join(column.replace("|", "\\|") for column in columns) + " |"


def _or_none(combination: Combination, cell: str) -> str:
    return "not emitted" if cell in combination.lacks else str(getattr(combination, cell))


def _both(cells: dict[str, dict[str, object]], name: str) -> str:
    shown = [getattr(cells[mode][name], "shown", "") for mode in MODES]
    return shown[0] if shown[0] == shown[1] else f"code {shown[0]}, zero {shown[1]}"


HEAD = (
    "| framework, dialect (versions) | truth: spans/bundles/tools/models | code: bundles, spans, tools, models"
    " | zero code: the same | contract of `lookup_order` | agents | usage | names masked | undeclared attributes"
    " | notes |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Make the table; return 1 if a cell is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from-dumps", nargs="*", metavar="FILE")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keep", type=Path, help="where the stores are left")
    arguments = parser.parse_args()
    scratch = arguments.keep or Path(tempfile.mkdtemp())
    os.environ |= {"RUNBUNDLE_REDACTION_KEY": KEY.decode(), "RUNBUNDLE_CACHE": str(scratch / "cache")}
    try:
        if arguments.from_dumps:
            _say(map(Path, arguments.from_dumps), scratch)
            return 0
        return _table(arguments, scratch)
    finally:
        if arguments.keep is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _table(arguments: argparse.Namespace, scratch: Path) -> int:
    chosen = [combination for combination in COMBINATIONS if arguments.only in combination.name]
    found: dict[str, Readings] = {}
    if arguments.from_dumps is None:
        with Stub() as stub, ThreadPoolExecutor(2) as pool:
            jobs = {
                (combination.name, mode): pool.submit(
                    real, combination, mode, scratch / combination.name / mode, stub.url
                )
                for combination in chosen
                for mode in MODES
            }
            for combination in chosen:
                found[combination.name] = {mode: jobs[combination.name, mode].result() for mode in MODES}
    else:
        for combination in chosen:
            found[combination.name] = {
                mode: replayed(dumps.load(combination.golden), mode, scratch / combination.name / mode)
                for mode in MODES
            }
    rows, faults = [HEAD], list[str]()
    for combination in chosen:
        spans = spans_of(combination, dumps.load(combination.golden))
        rows.append(row(combination, found[combination.name], spans))
        faults += wrong(combination, found[combination.name], spans)
    table = "\n".join(rows)
    print(table, *faults, f"{len(faults)} cells are wrong", sep="\n")
    if arguments.write:
        write(table)
    return 1 if faults else 0


def write(table: str) -> None:
    """Put the table into the page, between its marks."""
    page = PAGE.read_text()
    made = re.sub(
        f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: f"{_BEGIN}\n\n{table}\n\n{_END}", page, flags=re.DOTALL
    )
    PAGE.write_text(made)


def _say(files: Iterable[Path], scratch: Path) -> None:
    """Print what the bundles of any dumps say; nobody knows what they should."""
    for number, file in enumerate(files):
        for mode in MODES:
            dump = dumps.load(file)
            reading = replayed(dump, mode, scratch / str(number) / mode)
            print(f"{file.name} {mode}: {len(dump['spans'])} spans, expected {dump['expected']}")
            for name, value in vars(reading).items():
                print(f"    {name}: {dict(value) if isinstance(value, dict) else value}")


if __name__ == "__main__":
    sys.exit(main())
