"""Examples whose packages are in an environment for frameworks, and how each is started."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.interop.environments import ROOT, entry_points, environment

FOLDER = ROOT / "examples"
_ZERO_CODE = (
    "opentelemetry-instrument", "--traces_exporter", "runbundle,console", "--logs_exporter", "runbundle",
    "--metrics_exporter", "none",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """One example."""

    name: str
    environment: str
    """Which has its packages."""
    before: tuple[str, ...] = ()
    """The command behind which Python stands; its first word is a program of the environment."""

    def run(self, folder: Path) -> str:
        """Run it with its store below a folder; return what it printed. Warnings of Python are errors."""
        programs = environment(self.environment) / "bin"
        first = [str(programs / self.before[0]), *self.before[1:]] if self.before else []
        strict = [] if self.before else ["-W", "error"]
        variables = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", entry_points(folder / "site")))),
        }
        done = subprocess.run(
            [*first, str(programs / "python"), *strict, str(FOLDER / self.name)],
            cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


EXAMPLES = {
    example.name: example
    for example in (
        Example("08_fastapi_otlp.py", "genai"),
        Example("09_zero_code.py", "genai", _ZERO_CODE),
        Example("10_openai_agents.py", "openinference"),
        Example("11_mcp_pair.py", "genai"),
    )
}
