"""Fixtures shared by all tests."""

import contextvars
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from opentelemetry import context as otel_context

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.contracts.declared import DECLARED
from runbundle.keyring.given_key import stretched
from runbundle.otel import active
from runbundle.otel.belonging.joining import Sender, token_of
from runbundle.otel.composition import set_fallback_redactor
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester
from tests.support import both_ways, databases
from tests.support.both_cores import both_cores

KEY = b"a key for tests only"

# The same examples in every run, so that a failure is a change's doing; HYPOTHESIS_PROFILE=explore looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(autouse=True)
def _nothing_stays_current() -> Iterator[None]:
    """Refuse a test that leaves a run or span current: the tests after it, in its process, would be in that run."""
    before = otel_context.get_current()
    yield
    after = otel_context.get_current()
    if after is not before:
        otel_context.attach(before)
    assert after is before, "a scope that was entered was not left"


@pytest.fixture(autouse=True)
def _clean_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Run each test in its own directory, without settings of the environment; leave nothing configured.

    Digest keys and indexes go to a folder of the test run, its subprocesses' too, and never to the user's.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path_factory.getbasetemp() / "keyring"))
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in (
        "RUNBUNDLE_STORE",
        "RUNBUNDLE_SPOOL",
        "RUNBUNDLE_CONTRACTS",
        "RUNBUNDLE_OTLP",
        "RUNBUNDLE_REDACTION_KEY",
        "RUNBUNDLE_REDACTION_KEY_FILE",
        "RUNBUNDLE_STATE",
        "COLUMNS",  # a worker of pytest-xdist has it from readline; a shell may export it
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    handle = active.get()
    if handle is not None:
        handle.shutdown()
    set_fallback_redactor(None)
    DECLARED.clear()
    KNOWN.clear()


@pytest.fixture(autouse=True)
def _cores_are_equal() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Make each line of a span, and each bundle, by both cores, and fail if any differs."""
    with both_cores() as different, both_ways.watched():
        yield
    assert not different, different[0]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server that runs until the last test is done."""
    with databases.postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty schema of that server."""
    with databases.schema(postgres_server) as url:
        yield url


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., runbundle.Handle]:
    """Configure with a store below the test's directory and a fixed key."""

    def configure(**options: Any) -> runbundle.Handle:
        return runbundle.configure(**{"store": tmp_path / "store", "key": KEY, **options})

    return configure


_SLOW = (
    "browser",
    "crash",
    "collector",
    "benchmarks/test_instructions.py",
    "interop/test_examples.py",
    "interop/test_frameworks.py",
    "conformance/test_objects.py",
    "conformance/test_object_bundles.py",
    "fuzz/test_native_targets.py",
)
"""Folders and files whose tests kill processes, start servers or build programs: what `make test` runs last."""
_FIRST = ("laws", "unit", "crash")
"""The longest, so that of several processes none ends long after the others; fast ones; then those that fork, before
others leave servers and their threads behind."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one half of the tests be asked for."""
    parser.addoption("--half", choices=("fast", "slow"), help="only the tests that take no time, or only those that do")


def pytest_configure(config: pytest.Config) -> None:
    """Let tests fork in a worker of pytest-xdist, in which one more thread talks to the process that started it."""
    if hasattr(config, "workerinput"):
        config.addinivalue_line("filterwarnings", "ignore:.*multi-threaded, use of fork:DeprecationWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other half if one is asked for; run the tests in an order that serves them."""
    root = Path(__file__).parent
    half = config.getoption("--half")
    if half:
        slow = tuple(root / name for name in _SLOW)
        out = [item for item in items if any(item.path.is_relative_to(path) for path in slow) != (half == "slow")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]
    place = {name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(root).parts[0], len(place)))


def left_open(*scopes: Any) -> None:
    """Begin scopes, one in the other, and never end them; the context of the test is as it was afterwards."""
    contextvars.copy_context().run(lambda: [scope().__enter__() for scope in scopes])


def sealed(handle: runbundle.Handle) -> Bundle:
    """Flush, and open the one bundle that was sealed."""
    result = handle.flush()
    assert not result.failed, result
    assert len(result.sealed) == 1, result
    return Bundle.open(handle.store, result.sealed[0])


def headers_from(run_id: str, *, lane: str = "", control: str = "", key: bytes = KEY) -> dict[str, str]:
    """Return what another process with that key would send to have its run continued."""
    token = token_of((Digester(stretched(key)).subkey("carrier"),), Sender("", run_id, lane, control))
    return {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "baggage": f"runbundle.run={token}"}


def all_bytes(folder: Path) -> bytes:
    """Return the bytes of every file below a folder, with names."""
    return b"\n".join(p.name.encode() + b"\n" + p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


class Sink:
    """A real HTTP server that keeps the bodies it is sent."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                sink.bodies.append((self.path, body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Serve an OTLP/HTTP sink for one test."""
    server = Sink()
    yield server
    server.close()
