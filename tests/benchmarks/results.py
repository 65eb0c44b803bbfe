"""What a run of the benchmarks found, as a file of the repository, and the tables that are made from it.

`benchmarks/results/peers.json` holds every round's figures as they were measured; medians and ratios are worked out
when they are shown. The file names no machine and no path.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import workload as work
from tests.benchmarks.rounds import Round, median, ratio
from tests.benchmarks.subjects import FLOOR, PEER, SUBJECTS, VARIANTS, Variant
from tests.interop.environments import ROOT, pins

PEERS = ROOT / "benchmarks" / "results" / "peers.json"
_SHOWN = ("langfuse", "logfire", "opentelemetry-sdk")
Row = tuple[str, ...]
_TITLES = {subject.key: subject.title for subject in SUBJECTS}


def machine() -> dict[str, Any]:
    """Return what is said of this machine as it is now, and of the code."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "changed": bool(git("status", "--porcelain", "--", "src")),
    }


def git(*words: str) -> str:
    """Return what git prints, or nothing where there is no git."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of what was compared."""
    pinned = pins("benchmarks/peers")
    return {name: pinned[name] for name in _SHOWN}


def read(path: Path = PEERS) -> dict[str, Any]:
    """Return a file of results."""
    return json.loads(path.read_text())


def write(found: Mapping[str, Any], path: Path = PEERS) -> None:
    """Write a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(found), indent=1) + "\n")


def rounded(value: Any) -> Any:
    """Keep four digits of a number: more are noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def subject_rows(rounds: Sequence[Round]) -> Iterator[Row]:
    """Yield a row for each subject that was measured.

    Its title; the process's CPU and the caller's in microseconds a span, and each over the floor's; the process's over
    Langfuse's.
    """
    for key, title in _TITLES.items():
        if any(key in each for each in rounds):
            yield (
                title,
                f"{median(rounds, key, 'total_us'):.0f}",
                times(ratio(rounds, key, FLOOR, "total_us")),
                f"{median(rounds, key, 'caller_us'):.0f}",
                times(ratio(rounds, key, FLOOR, "caller_us")),
                times(ratio(rounds, key, PEER, "total_us")),
            )


def times(value: float) -> str:
    """Return a ratio with as many digits as it deserves; a dash if it is none."""
    return "-" if value != value else f"{value:.1f}" if value >= 1.95 else f"{value:.2f}"


class Measure(NamedTuple):
    """A row of the measures that only runbundle has."""

    key: str
    title: str
    form: str
    """How its figures are written."""
    wanted: str
    in_readme: bool = True


MEASURES = (
    Measure("fixed", "a run beside its spans, CPU", "{us:.0f} µs", "150 µs"),
    Measure("tail", "a decorated tool's call, 200 runs/s: median, p99", "{p50_us:.0f}, {p99_us:.0f} µs", "p99 100 µs"),
    Measure("tail", "the same with the SDK's span alone", "{sdk_p50_us:.0f}, {sdk_p99_us:.0f} µs", ""),
    Measure("threads", "8 threads x 8 tasks over one thread, spans/s", "{many_over_one:.2f}", "0.95"),
    Measure("threads", "the same with the SDK's spans alone", "{sdk_many_over_one:.2f}", ""),
    Measure(
        "start", "import to first run over the SDK's: time, memory", "{time_ratio:.1f} x, {memory_ratio:.1f} x",
        "1.5 x, 1.5 x",
    ),
    Measure(
        "long", "seal, verify of {spans:,} spans over sha256sum", "{seal_ratio:.1f} x, {verify_ratio:.1f} x", "3 x, 4 x"
    ),
    Measure("long", "memory of these two", "{seal_mb:.0f}, {verify_mb:.0f} MB", "200 MB each", in_readme=False),
    Measure(
        "memory", "memory after a tenth of the runs, and after all", "{early_mb:.0f}, {late_mb:.0f} MB", "equal",
        in_readme=False,
    ),
)  # fmt: skip


def measure_rows(measures: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Measure, Row]]:
    """Yield each measure that was taken: its row's title, and its value for each variant."""
    found = [measures[variant.key] for variant in measured_variants(measures)]
    for measure in MEASURES:
        if found and all(measure.key in each for each in found):
            title = measure.title.format(**found[0][measure.key])
            yield measure, (title, *(measure.form.format(**each[measure.key]) for each in found))


def measured_variants(measures: Mapping[str, Any]) -> list[Variant]:
    """Return the variants that have measures."""
    return [variant for variant in VARIANTS if variant.key in measures]


def printed(found: Mapping[str, Any]) -> str:
    """Return the tables as a terminal shows them, in at most 80 columns."""
    lines = [f"{'':<38}{'process':>16}{'caller':>16}{'over':>10}"]
    lines += [f"{'CPU of a span':<38}{'us':>8}{'x floor':>8}{'us':>8}{'x floor':>8}{'Langfuse':>10}"]
    lines += ["{:<38}{:>8}{:>8}{:>8}{:>8}{:>10}".format(*row) for row in subject_rows(found["rounds"])]
    variants = measured_variants(found["measures"])
    if variants:
        width = 30 // len(variants)
        lines += ["", f"{'':<50}" + "".join(f"{each.title.split()[-1]:>{width}}" for each in variants)]
        lines += [f"{row[0]:<50}" + "".join(f"{each:>{width}}" for each in row[1:])
                  for _, row in measure_rows(found["measures"])]  # fmt: skip
    return "\n".join(lines)


def slower(rounds: Sequence[Round], columns: Mapping[str, str], peers: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each peer: which of the columns, ours, take more CPU than it does."""
    for peer, name in peers.items():
        over = {title: ratio(rounds, key, peer, "total_us") for key, title in columns.items()}
        more = [f"{title} ({times(value)} x)" for title, value in over.items() if value > 1]
        said = "all of ours" if len(more) == len(over) > 1 else "; ".join(more) or "none of ours"
        yield f"More CPU than {name}: {said}."


def said_of(found: Mapping[str, Any]) -> str:
    """Return the sentences that say what was measured, where and when."""
    on, of = found["machine"], found["versions"]
    rounds, changed = len(found["rounds"]), " with changes" if on["changed"] else ""
    return (
        f"Measured on {on['date']} at commit {on['commit']}{changed}: {on['cpus']} CPUs with a load of "
        f"{on['load']:.1f} before it began, {on['system']}, "
        f"Python {on['python']}, OpenTelemetry SDK {of['opentelemetry-sdk']}, Langfuse {of['langfuse']}, "
        f"Logfire {of['logfire']}. The medians of {rounds} rounds of {found['runs']} runs, each of "
        f"{work.spans_of(work.STEPS)} spans."
    )
