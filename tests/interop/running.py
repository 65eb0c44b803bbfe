"""Run an application of a framework in its environment, as a process of its own, and keep what it writes."""

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tests.interop import dumps
from tests.interop.apps.instrumentations import classes
from tests.interop.apps.shared import CONTRACT
from tests.interop.environments import ROOT, entry_points, environment
from tests.interop.reading import KEY, files_below, leaks

Mode = Literal["dump", "code", "zero"]
_TIMEOUT_S, _LOOK_S = 120, 0.1


@dataclass
class Ran:
    """How an application ended, and where its files are."""

    folder: Path
    code: int
    output: str
    leaks: Counter[str]
    """Canaries that were in its files while it ran."""
    journals: int
    """How often a look at its files met a journal, of a run that was not sealed."""

    @property
    def store(self) -> Path:
        """Where its bundles are."""
        return self.folder / "store"


def run(application: str, dialect: str, environment_name: str, mode: Mode, folder: Path, url: str) -> Ran:
    """Run an application against a stub; its store, spool, keys and index lie below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = environment(environment_name) / "bin"
    (folder / "contract.json").write_text(json.dumps(CONTRACT))
    python = [str(programs / "python"), "-m", "tests.interop.apps.run", mode, application, dialect, url]
    if mode == "dump":
        python.append(str(folder / "dump.json"))
    instrument = [str(programs / "opentelemetry-instrument"), "--traces_exporter", "runbundle"]
    command = [*instrument, "--logs_exporter", "runbundle", *python] if mode == "zero" else python
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT, entry_points(folder / "site")))),
        "RUNBUNDLE_STORE": str(folder / "store"),
        "RUNBUNDLE_KEYS": str(folder / "keys"),
        "RUNBUNDLE_REDACTION_KEY": KEY.decode(),
        "RUNBUNDLE_CACHE": str(folder / "cache"),
        "RUNBUNDLE_CONTRACTS": str(folder / "contract.json"),
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(_others(environment_name, classes(application, dialect))),
        "LANGSMITH_TRACING": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1",
    }
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
        found, journals = _watched(process, folder)
        output.seek(0)
        return Ran(folder, process.returncode, output.read(), found, journals)


def _watched(process: subprocess.Popen[bytes], folder: Path) -> tuple[Counter[str], int]:
    """Wait for a process; return the canaries that were in its files meanwhile, and how often journals were met."""
    found, journals = Counter[str](), 0
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            journals += any(file.suffix == ".jsonl" for file in files_below(folder / "store" / ".spool"))
            found |= leaks(folder)
            if time.monotonic() > until:
                process.kill()
        else:
            return found, journals


def dump(application: str, dialect: str, environment_name: str, folder: Path, url: str) -> dumps.Dump:
    """Run an application and return what its framework emitted, in all its processes."""
    ran = run(application, dialect, environment_name, "dump", folder, url)
    if ran.code:
        raise RuntimeError(ran.output)
    return dumps.load(*sorted(folder.glob("dump.json*")))


@cache
def _others(environment_name: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the instrumentations of an environment that are not wanted: zero code loads all others."""
    ask = "import importlib.metadata as m; [print(e.name, e.value) for e in m.entry_points(group=%r)]"
    python = environment(environment_name) / "bin" / "python"
    done = subprocess.run(
        [python, "-c", ask % "opentelemetry_instrumentor"], capture_output=True, text=True, check=True
    )
    entries = [line.split() for line in done.stdout.splitlines()]
    return tuple(sorted({name for name, value in entries if value not in wanted}))
