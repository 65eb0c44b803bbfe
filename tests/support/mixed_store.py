"""A store with mixed runs of three tenants: what lists, searches and pages about a store are tried on.

    python -m tests.support.mixed_store FOLDER [RUNS]

makes one and keeps its live run alive until Ctrl-C. In a test, `mixed_store(folder)` is a context. Apart from the ids
of spans and traces it is the same each time: run ids are digests of their number, and the clock is set.

Of each 60 runs, in the last two days, some end in an error of `refund`, `find_order` or the model, some have calls that
the policy blocked, some score low. One is on hold, one belongs to another run, one id is that of two tenants. Beside
them are a live run, a crashed one and one in quarantine, and a folder that is not sealed.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import runbundle
from runbundle.bundle.custody.holds import hold
from runbundle.store import LocalStore

ROOT = Path(__file__).parents[2]
KEY = "mixed-store-0123456789abcdef-key"
"""The key of its digests, as `RUNBUNDLE_REDACTION_KEY` gives it."""
TENANTS = ("acme", "globex", "initech")
RUNS = 60
_KEPT_ERROR = [{"selector": "", "target": "error", "action": "keep"}]
CONTRACTS: list[dict[str, Any]] = [
    {"name": "find_order", "side_effects": "read", "data": {"rules": _KEPT_ERROR}},
    {"name": "refund", "side_effects": "write", "data": {"rules": _KEPT_ERROR}},
    {"name": "wire_money", "side_effects": "destructive", "data": {}},
    {"name": "search_web", "side_effects": "read", "data": {}},
]
_LIVE = """
import sys, time, runbundle
from tests.support.mixed_store import CONTRACTS, KEY, LIVE
handle = runbundle.configure(store=sys.argv[1], key=KEY.encode(), contracts=CONTRACTS, recover=False, otlp=False)
with runbundle.start_run("support", run_id=sys.argv[2], tenant_id="acme", user_id="mallory", session_id="s-live"):
    with runbundle.start_agent("triage"):
        with runbundle.start_tool("find_order", {"order_id": "A-1"}):
            pass
        with runbundle.start_tool("refund", {"order_id": "A-1"}):
            print("ready", flush=True)
            for line in sys.stdin:
                with runbundle.start_tool("search_web", {"query": line}):
                    pass
                print("done", flush=True)
handle.flush()
"""


def run_id(number: int | str) -> str:
    """Return the id of a run of the store."""
    return hashlib.sha256(f"run {number}".encode()).hexdigest()[:32]


LIVE, CRASHED, QUARANTINED, HELD, CHILD = (run_id(word) for word in ("live", "crashed", "quarantined", 3, 8))


class Mixed(NamedTuple):
    """What was made."""

    store: LocalStore
    live: subprocess.Popen[str]
    """The process of the live run: a line to it is one more tool call; closing its input ends the run."""

    @property
    def url(self) -> str:
        """What `--store` takes."""
        return str(self.store.root)


class _Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def take(self, ms: float) -> None:
        """Let time pass."""
        self.now_ns += int(ms * 1e6)


def make_runs(root: Path, runs: int = RUNS, *, now_ns: int | None = None) -> None:
    """Seal runs into a store; the last began an hour ago at most, the first two days before."""
    draw, clock = random.Random(15), _Clock()
    now_ns = now_ns or time.time_ns()
    handle = runbundle.configure(
        store=root, key=KEY.encode(), contracts=CONTRACTS, grace_s=0, recover=False, otlp=False, set_global=False
    )
    try:
        with mock.patch("opentelemetry.sdk.trace.time_ns", clock):
            for number in range(runs):
                clock.now_ns = now_ns - int((runs - number) * 48 / runs * 3600e9) + 600_000_000_000
                with contextlib.suppress(TimeoutError, ValueError, ConnectionError):
                    _run(number, draw, clock)
        handle.flush()
    finally:
        handle.shutdown()


def _run(number: int, draw: random.Random, clock: _Clock) -> None:
    tenant = TENANTS[number % 3]
    # The same id in two tenants: 20 is initech's, 21 acme's.
    name = ("support", "billing", "research")[number // 2 % 3]
    with runbundle.start_run(
        name, run_id=run_id(20 if number == 21 else number), tenant_id=tenant, session_id=f"s-{number // 4}",
        user_id=("mallory", "alice", "bob", "carol")[number % 4],
        case_id=f"case-{number % 5}" if number % 6 == 0 else None,
        config={"model": "demo-1"},
    ) as run, runbundle.start_agent("triage" if number % 2 else "closer"):  # fmt: skip
        _model(clock, draw, "demo-large" if number % 4 == 0 else "demo-small", fails=number % 20 == 7)
        with runbundle.start_tool("find_order", {"order_id": f"A-{number}"}):
            clock.take(draw.uniform(5, 90))
            if number % 15 == 4:
                raise ValueError("no such order: A-" + str(number))
        with (
            contextlib.suppress(TimeoutError if number % 10 else ()),
            runbundle.start_tool("refund", {"amount": number}),
        ):
            clock.take(draw.uniform(20, 400) if number % 10 else 8_000)
            if number % 5 == 0:
                raise TimeoutError("payments did not answer within 8 s")
        if number % 7 == 2:
            with contextlib.suppress(runbundle.PolicyBlocked):
                _wire_money(number)
        if number == 7 or number % 3 == 1:
            with runbundle.start_tool("search_web", {"query": "weather"}):
                clock.take(draw.uniform(100, 3000))
        if number == 8:
            with runbundle.start_run("inner", run_id=run_id("inner")):
                clock.take(3)
        run.score("helpfulness", round(draw.uniform(0, 1), 2), label="judge")


def _model(clock: _Clock, draw: random.Random, name: str, *, fails: bool) -> None:
    with runbundle.start_model(name, provider="demo") as call:
        clock.take(draw.uniform(200, 2500))
        if fails:
            raise ConnectionError("the model's connection was reset")
        call.usage(input_tokens=draw.randrange(200, 4000), output_tokens=draw.randrange(20, 600))


@runbundle.tool(name="wire_money")
def _wire_money(amount: int) -> None:
    """Never runs: the contract asks for an approval that nobody gives."""


def live_run(root: Path, run: str = LIVE) -> subprocess.Popen[str]:
    """Begin a run of tenant acme in a process of its own, and return that when the run stands in its second call."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-c", _LIVE, str(root), run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@contextlib.contextmanager
def mixed_store(root: Path, runs: int = RUNS) -> Iterator[Mixed]:
    """Make the store below `root`, a folder that need not exist, with its live run in a process of its own."""
    make_runs(root, runs)
    store = LocalStore(root)
    hold(store, f"{TENANTS[0]}/{HELD}", "case 4711")
    (root / TENANTS[1] / "half-written").mkdir()
    (root / TENANTS[1] / "half-written" / "events.jsonl").write_bytes(b"")
    for name in (CRASHED, QUARANTINED):
        process = live_run(root, name)
        process.kill()
        process.communicate()
    aside = root / ".spool" / ".quarantine" / f"@{TENANTS[0]}"
    aside.mkdir(parents=True)
    shutil.move(root / ".spool" / f"@{TENANTS[0]}" / QUARANTINED, aside / QUARANTINED)
    reason = {"code": "RB407", "run_id": QUARANTINED, "tenant_id": TENANTS[0], "hits": []}
    (aside / QUARANTINED / "reason.json").write_text(json.dumps(reason))
    live = live_run(root)
    try:
        yield Mixed(store, live)
    finally:
        live.kill()
        live.communicate()


@contextlib.contextmanager
def own_folders(base: Any) -> Iterator[None]:
    """Have keys and caches of a module's store kept below pytest's folder. `base`: its `tmp_path_factory`."""
    named = {f"RUNBUNDLE_{name}": str(base.getbasetemp() / name.lower()) for name in ("KEYS", "CACHE")}
    with mock.patch.dict(os.environ, named):
        yield


if __name__ == "__main__":
    with mixed_store(Path(sys.argv[1]), *map(int, sys.argv[2:3])) as made:
        print(f"{made.url} is there; RUNBUNDLE_REDACTION_KEY={KEY}; Ctrl-C ends its live run")
        with contextlib.suppress(KeyboardInterrupt):
            made.live.wait()
