"""Real backends receive forwarded runs, and are asked for them: `make interop`, or `python -m tests.interop.backends`.

Phoenix and an MLflow server are started as their users start them. Golden dumps of several dialects are replayed
through `configure(otlp=[...])`, and the sealed bundles are pushed once more to show that nothing doubles. Then each
backend's own API must have every span, and neither its answers nor its files may hold a canary. Prints a table; exits
1 on a failure.

The two environments take about 2 GB of disk and some minutes when they are made. They are no part of `make test`.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import runbundle
from tests.interop.dumps import FOLDER, Dump, load
from tests.interop.environments import environment
from tests.interop.replay import replay

PROJECT = "runbundle-interop"
DUMPS = ("openai_agents.*", "langgraph.*", "pydantic_ai.*", "anthropic.openllmetry.*")
CANARY = "zebra-"
"""With which everything begins that an application of the dumps keeps to itself."""
_STARTS_S, _INGESTS_S = 180, 120
_PAGE = 500
_COMMAND = (sys.executable, "-c", "from runbundle.cli.main import main; main()")


class Backend(NamedTuple):
    """A server and how to ask it."""

    name: str
    command: Callable[[Path, int], list[str]]
    variables: dict[str, str]
    health: str
    """The path that answers 200 when it is ready."""
    begin: Callable[[str], dict[str, str]]
    """Makes a project there; returns the headers that name it."""
    spans: Callable[[str, dict[str, str]], Iterator[dict[str, Any]]]
    """Yields what it has of the project, span by span."""


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """Return the JSON answer to a GET, or to a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _phoenix_spans(url: str, _: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = ask(f"{url}/v1/projects/{PROJECT}/spans?limit={_PAGE}{cursor and '&cursor='}{cursor}")
        yield from page["data"]
        if not page.get("next_cursor"):
            return
        cursor = page["next_cursor"]


def _mlflow_experiment(url: str) -> dict[str, str]:
    made = ask(f"{url}/api/2.0/mlflow/experiments/create", {"name": PROJECT})
    return {"x-mlflow-experiment-id": made["experiment_id"]}


def _mlflow_spans(url: str, headers: dict[str, str]) -> Iterator[dict[str, Any]]:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": headers["x-mlflow-experiment-id"]}}
    asked: dict[str, Any] = {"locations": [place], "max_results": 100}
    while True:
        page = ask(f"{url}/api/3.0/mlflow/traces/search", asked)
        for trace in page.get("traces", ()):
            whole = ask(f"{url}/api/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")
            yield from whole["trace"]["spans"]
        if not page.get("next_page_token"):
            return
        asked["page_token"] = page["next_page_token"]


BACKENDS = (
    Backend(
        "phoenix",
        lambda home, _: [str(home / "phoenix"), "serve"],
        {"PHOENIX_HOST": "127.0.0.1", "PHOENIX_TELEMETRY_ENABLED": "false"},
        "/healthz",
        lambda _: {},
        _phoenix_spans,
    ),
    Backend(
        "mlflow",
        lambda home, port: [
            str(home / "mlflow"), "server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination",
            "artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        ],
        {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        "/health",
        _mlflow_experiment,
        _mlflow_spans,
    ),
)  # fmt: skip


@contextlib.contextmanager
def running(backend: Backend, folder: Path) -> Iterator[str]:
    """Start a backend with its files in a folder; give its URL when it is ready, and stop it."""
    port, other = _free_port(), _free_port()
    folder.mkdir()
    home = environment(f"backends/{backend.name}") / "bin"
    # Its own interpreter finds its own packages: nothing of this process may lie in front of them.
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables |= {**backend.variables, "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_PORT": str(port)}
    variables |= {"PHOENIX_GRPC_PORT": str(other), "HOME": str(folder), "PATH": f"{home}:{os.environ['PATH']}"}
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(
        backend.command(home, port), cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: urllib.request.urlopen(url + backend.health, timeout=5).status == 200, _STARTS_S, server)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        log.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(ready: Callable[[], bool], seconds: float, server: "subprocess.Popen[bytes]") -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            if ready():
                return True
        if server.poll() is not None:
            raise SystemExit(f"the server has ended with {server.returncode}")
        time.sleep(0.5)
    return False


def forward(folder: Path, destinations: list[Any]) -> dict[str, int]:
    """Replay the dumps with forwarding to the destinations, then push the bundles; return the numbers of spans."""
    sent = 0
    paths = sorted({path for pattern in DUMPS for path in FOLDER.glob(pattern)})
    resource = {"service.name": PROJECT, "openinference.project.name": PROJECT}
    for number, path in enumerate(paths, 1):
        dump = _renumbered(load(path), number)
        sent += len(dump["spans"])
        with runbundle.configure(
            store=str(folder / "runs"), otlp=destinations, set_global=False, resource=resource,
            safe_keys=["openinference.project.name"],
        ) as handle:  # fmt: skip
            replay(dump, handle)
            result = handle.flush(timeout_s=_INGESTS_S)
        if not result:
            raise SystemExit(f"{path.name}: not everything was sealed and forwarded: {result}")
    return {"dumps": len(paths), "spans": sent}


def _renumbered(dump: Dump, number: int) -> Dump:
    """Give a dump's spans ids that no other dump has: in each the first trace is number 1."""
    for span in dump["spans"]:
        for one in (span, *span["links"]):
            for key in ("trace_id", "span_id", "parent_span_id"):
                if one.get(key):
                    one[key] = f"{number:04x}{one[key][4:]}"
    return dump


def main() -> int:
    """Run all of it; return 1 if a span is missing or a canary is found."""
    failed = False
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as servers:
        folder = Path(made)
        urls = {one.name: servers.enter_context(running(one, folder / one.name)) for one in BACKENDS}
        headers = {one.name: one.begin(urls[one.name]) for one in BACKENDS}
        destinations = [
            runbundle.Otlp(urls[one.name], headers=headers[one.name], timeout_s=_INGESTS_S) for one in BACKENDS
        ]
        counted = forward(folder, destinations)
        for one in BACKENDS:
            have = _asked(one, urls[one.name], headers[one.name], counted["spans"])
            pushed = _push(folder, urls[one.name], headers[one.name])
            again = _asked(one, urls[one.name], headers[one.name], counted["spans"])
            raw = sum(CANARY in json.dumps(span) for span in again)
            in_files = _files_with(CANARY, folder / one.name)
            right = len(have) == len(again) == counted["spans"] and not raw and not in_files and pushed
            failed |= not right
            print(
                f"{one.name:<8} {counted['dumps']} dumps, {counted['spans']} spans sent, {len(have)} there,"
                f" {len(again)} after a push, canaries: {raw} spans, {in_files} files: {'ok' if right else 'FAILED'}"
            )
    return int(failed)


def _asked(backend: Backend, url: str, headers: dict[str, str], wanted: int) -> list[dict[str, Any]]:
    """Return a backend's spans when it has as many as wanted, or after a minute."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + _INGESTS_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            found = list(backend.spans(url, headers))
            if len(found) >= wanted:
                break
        time.sleep(1)
    return found


def _push(folder: Path, url: str, headers: dict[str, str]) -> bool:
    store = str(folder / "runs")
    listed = subprocess.run(
        [*_COMMAND, "ls", "--format", "json", "--store", store, "--limit", "1000"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    runs = [run["run_id"] for run in json.loads(listed.stdout)]
    said = [word for name, value in headers.items() for word in ("--header", f"{name}={value}")]
    done = subprocess.run(
        [*_COMMAND, "push", *runs, "--store", store, "--otlp", url, *said],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def _files_with(canary: str, folder: Path) -> int:
    return sum(canary.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
