"""Start-up: of the command line over bare Python, and of recording over the SDK alone. `make bench`.

Each program is a process of its own; the least of several is printed, of programs that take turns. The package is
compiled to bytecode in a folder of this benchmark before, whatever the environment says of that. The SDK alone is what
an application without us has: a provider with a batch processor that exports nowhere, and for the run a span.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TIMES = 15
SOURCE = Path(__file__).parents[2] / "src"
SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
class Nothing(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Nothing()))
trace.set_tracer_provider(provider)
"""
SDK_RUN = f"""{SDK}
with trace.get_tracer("app").start_as_current_span("work"):
    pass
provider.shutdown()
"""
OURS = """
import sys, runbundle
handle = runbundle.configure(store=sys.argv[1], recover={recover})
"""
RUN = """
with runbundle.start_run("work"):
    pass
assert handle.flush()
"""
ENDS = """
import os
os._exit(0)
"""
"""Without what is done at the end of a process: the seal, and what a destructor takes."""
PROGRAMS = {
    "sdk": SDK + ENDS,
    "configure": OURS.format(recover=True) + ENDS,
    "sdk, run": SDK_RUN + ENDS,
    "run": OURS.format(recover=True) + RUN + ENDS,
}


class Cost(NamedTuple):
    """Of one process, in seconds."""

    wall_s: float
    cpu_s: float


def cost_of(arguments: list[str], environment: dict[str, str]) -> Cost:
    """Run Python once."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def least(programs: dict[str, list[str]], environment: dict[str, str], times: int = TIMES) -> dict[str, Cost]:
    """Run each program several times in turn; return the least that each took."""
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(times):
        for name, arguments in programs.items():
            costs[name].append(cost_of(arguments, environment))
    return {name: Cost(*map(min, zip(*each, strict=True))) for name, each in costs.items()}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="runbundle-startup-") as folder:
        environment = {
            **os.environ, "PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
            "RUNBUNDLE_CACHE": f"{folder}/cache", "RUNBUNDLE_KEYS": f"{folder}/keys",
        }  # fmt: skip
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        programs = {"python": ["-c", "pass"], "help": ["-m", "runbundle", "--help"]}
        programs |= {name: ["-c", text, f"{folder}/store"] for name, text in PROGRAMS.items()}
        for arguments in programs.values():  # the first compiles
            cost_of(arguments, environment)
        found = least(programs, environment)
    bare = found["python"]
    print(f"runbundle --help: {1000 * (found['help'].wall_s - bare.wall_s):.0f} ms over bare Python (target 100)")
    for name, base, what in (
        ("configure", "sdk", "import and configure()"), ("run", "sdk, run", "import, configure() and a sealed run"),
    ):  # fmt: skip
        wall, cpu = (getattr(found[name], field) / getattr(found[base], field) for field in Cost._fields)
        print(
            f"{what}: {1000 * found[name].wall_s:.0f} ms, {1000 * found[name].cpu_s:.0f} ms of CPU;"
            f" over the SDK alone {wall:.2f} and {cpu:.2f} (target 1.5)"
        )


if __name__ == "__main__":
    main()
