"""Kills real writer processes, and checks what is left against what they had acknowledged.

A child is forked from this process, in which everything is imported already. It says of each record, on a pipe and
only once the call that made the record has returned, that the record is there. Then it is killed, or a system call
fails under it. What it had said must be in the bundles afterwards.
"""

import errno
import fcntl
import itertools
import json
import mmap
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from opentelemetry import trace

import runbundle
from runbundle.bundle.catalog.locate import list_keys
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.journal import mapped
from runbundle.journal.apart import take_apart
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.otel.agent.scopes import SpanScope
from runbundle.process import disk
from runbundle.recording.recovery import recover
from runbundle.recording.writing.segments import Segments
from runbundle.redaction.detectors.detector import default_detector, format_detector
from runbundle.store import ArtifactStore, LocalStore

default_detector()  # compiled once, here: a child inherits it
format_detector()

KEY = b"a key for crash tests only"
GRACE_S = 0.2
_WAIT_S = 60.0  # for a child that should have ended long ago
_write, _kill = os.write, os.kill

WATCHED: tuple[tuple[Any, str], ...] = (
    (os, "open"), (os, "posix_fallocate"), (os, "ftruncate"), (os, "fsync"), (os, "write"), (os, "link"),
    (os, "replace"), (os, "rename"), (os, "unlink"), (os, "mkdir"), (os, "rmdir"), (fcntl, "flock"), (mmap, "mmap"),
    (disk, "sync_file_system"),
)  # fmt: skip
"""The system calls between which a process is killed, or which fail."""


# -- in the child ------------------------------------------------------------------------------------------------


class Teller:
    """What a child says on its pipe: a line is one `write`, so that lines of several processes do not mix."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def say(self, *words: str) -> None:
        """Say one line."""
        _write(self.fd, (" ".join(words) + "\n").encode())

    @contextmanager
    def span(self, scope: SpanScope) -> Iterator[runbundle.RunHandle]:
        """Be in a span; say so when its start has returned, and when its end has."""
        with scope as handle:
            context = trace.get_current_span().get_span_context()
            name = f"{context.trace_id:032x}{context.span_id:016x}"
            run_id = handle.run_id or runbundle.current_run().run_id
            self.say("start", run_id, name)
            yield handle
        self.say("end", run_id, name)

    def log(self) -> None:
        """Emit a log record in the current context, and say so. Its time, which no other has, is its name."""
        handle = active_handle()
        time_ns = time.time_ns()
        handle.logger_provider.get_logger("agent").emit(timestamp=time_ns, body="hello", event_name="said")
        self.say("log", runbundle.current_run().run_id, str(time_ns))

    def flush(self) -> None:
        """Flush, and say what that found."""
        result = active_handle().flush()
        self.say("flush", json.dumps(vars(result)))


def active_handle() -> runbundle.Handle:
    """Return what this process has configured."""
    handle = runbundle.otel.active.get()  # type: ignore[attr-defined]
    assert handle is not None
    return handle


@dataclass(frozen=True)
class Plan:
    """What happens at which of the watched calls."""

    at: int
    """At which call, from 1; 0: at none."""
    how: str
    """`before` or `after` kills the process; the name of an error, such as `EIO`, is what the call fails with."""
    lasting: bool = False
    """Whether all later calls fail, too."""


@dataclass
class Points:
    """Counts the watched calls of this process and carries out the plan. There is no way back: for a child."""

    plan: Plan
    calls: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    over: bool = False
    hit: list[str] = field(default_factory=list)
    """Which calls failed."""

    def install(self) -> "Points":
        """Put itself in front of every watched call."""
        for module, name in WATCHED:
            setattr(module, name, self._watched(name, getattr(module, name)))
        return self

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        plan = self.plan

        def call(*args: Any, **options: Any) -> Any:
            number = next(self.calls)
            due = number == plan.at or (plan.lasting and number > plan.at > 0)
            if not due or self.over:
                return real(*args, **options)
            if plan.how == "before":
                _kill(os.getpid(), signal.SIGKILL)
            if plan.how != "after":
                code = getattr(errno, plan.how)
                self.hit.append(name)
                raise OSError(code, f"{os.strerror(code)} (planned, at {name})")
            try:
                return real(*args, **options)
            finally:
                _kill(os.getpid(), signal.SIGKILL)

        return call


def small_steps() -> None:
    """Let journals grow in small steps, so that a short run meets several."""
    mapped._FIRST_BYTES = 4096  # pyright: ignore[reportPrivateUsage]


def put_runs(where: Literal["journals", "segments"]) -> None:
    """Put the runs that begin from now on into journals of their own, or into segments, however busy this process is.

    There is no way back but this: for a child.
    """

    def is_busy(of: Segments, now: float) -> bool:
        of._begun.append(now)  # pyright: ignore[reportPrivateUsage]
        return where == "segments"

    Segments._is_busy = is_busy  # type: ignore[method-assign] # pyright: ignore[reportPrivateUsage]


# -- in the parent -----------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What children have said."""

    starts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    logs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    flushes: list[dict[str, Any]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take in one line."""
        kind, _, rest = line.partition(" ")
        if kind in ("start", "end", "log"):
            run_id, name = rest.split(" ")
            {"start": self.starts, "end": self.ends, "log": self.logs}[kind][run_id].append(name)
        elif kind == "flush":
            self.flushes.append(json.loads(rest))
        elif kind == "error":
            self.errors.append(json.loads(rest))
        else:
            self.marks.append(line)

    def runs(self) -> set[str]:
        """Return the ids of all runs that were spoken of."""
        return {*self.starts, *self.ends, *self.logs}

    def merge(self, other: "Told") -> None:
        """Take over what `other` was told."""
        for own, others in ((self.starts, other.starts), (self.ends, other.ends), (self.logs, other.logs)):
            for run_id, names in others.items():
                own[run_id] += names


class Child:
    """A forked process that runs `body`, and what it has said."""

    def __init__(self, body: Callable[[Teller], None]) -> None:
        # A child has this thread only: what others held at that moment it would wait for in vain.
        assert threading.active_count() == 1, threading.enumerate()
        self.told = Told()
        self._rest = b""
        self._fd, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._fd)
            _live(body, Teller(theirs))
        os.close(theirs)
        self.status: int | None = None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -signal.SIGKILL

    def listen(self, seconds: float = _WAIT_S, *, until: str = "") -> bool:
        """Take in what it says until it has said a line that begins so, or has ended, or that long has passed.

        Return whether it may say more.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                break
            data = os.read(self._fd, 65_536)
            if not data:
                return False
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self.told.take(line.decode())
            if until and any(line.decode().startswith(until) for line in lines):
                break
        return True

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Wait for its death, which processes that it has forked may outlive."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)

    def wait(self) -> "Child":
        """Listen to its end."""
        if self.listen():
            self.kill()
            os.waitpid(self.pid, 0)
            raise AssertionError(f"a child did not end; it said {self.told}")
        self.reap()
        os.close(self._fd)
        assert not self.told.errors, self.told.errors[0]
        return self


def _live(body: Callable[[Teller], None], teller: Teller) -> None:
    code = 1
    try:
        body(teller)
        code = 0
    except BaseException:
        teller.say("error", json.dumps(traceback.format_exc()))
    finally:
        os._exit(code)


# -- what is left ------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What one bundle shows."""

    key: str
    bundle: Bundle
    ended: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    """Lane and ordinal of the spans that ended."""
    tools: list[tuple[str, str, int]] = field(default_factory=list)
    """Name, lane and ordinal of the tool calls that ended."""

    @property
    def said(self) -> Any:
        """What it says of its completeness."""
        return self.bundle.index.completeness


def look(store: ArtifactStore, key: str) -> Seen:
    """Read a bundle."""
    seen = Seen(key, Bundle.open(store, key))
    for event in seen.bundle.events():
        name = event["trace_id"] + event["span_id"]
        if event["type"] == "span.ended":
            (seen.interrupted if event.get("status") == "interrupted" else seen.ended).append(name)
            if "runbundle.ordinal" in event["attributes"]:
                attributes = event["attributes"]
                seen.places.append((attributes.get("runbundle.lane", ""), attributes["runbundle.ordinal"]))
                if "gen_ai.tool.name" in attributes:
                    seen.tools.append((attributes["gen_ai.tool.name"], *seen.places[-1]))
        elif event["type"] == "log":
            seen.logs.append(event["time_ns"])
    return seen


def never_failed(store: ArtifactStore) -> None:
    """No bundle that is sealed fails verification, whatever has just happened."""
    for key in list_keys(store):
        if store.exists(f"{key}/run.json"):
            report = verify(store, key)
            assert report.verdict != "failed", (key, report.findings)


def recover_all(root: Path) -> None:
    """Recover everything in the spool. Afterwards there is nothing in it."""
    store, spool = LocalStore(root), root / ".spool"
    take_apart(spool)
    for run in spooled_runs(spool):
        empty = is_empty(folder_of(spool, run))
        found = recover(store, spool, run)
        # An empty journal is of a writer that was killed before its first record; see test_known.py.
        assert found.outcome in ("recovered", "gone") or (empty and found.outcome == "part"), found
    left = [run for run in spooled_runs(spool) if not is_empty(folder_of(spool, run))]
    assert left == []


def is_empty(folder: Path) -> bool:
    """Tell whether there is no record in the journals of a run."""
    return not any(path.read_bytes().strip(b"\0") for path in folder.glob("*.jsonl"))


def check(root: Path, told: Told, *, dropped: int = 0) -> dict[str, Seen]:
    """Recover, then hold every bundle against what was acknowledged; return what the bundles show, by run.

    `dropped` records of those acknowledged were lost, and counted as such by whoever lost them: exactly so many.
    """
    store = LocalStore(root)
    never_failed(store)
    recover_all(root)
    never_failed(store)
    found: dict[str, Seen] = {}
    for key in list_keys(store):
        seen = look(store, key)
        run_id = seen.bundle.index.run_id
        assert run_id not in found, f"two bundles of {run_id}"
        found[run_id] = seen
    spans = Counter(name for seen in found.values() for name in (*seen.ended, *seen.interrupted))
    assert set(spans.values()) <= {1}, "a span is there twice"
    missing = 0
    for run_id in told.runs():
        missing += _is_there(told, run_id, found.get(run_id), may_lack=dropped)
    assert missing == dropped
    for seen in found.values():
        true(seen)
    return found


def _is_there(told: Told, run_id: str, seen: Seen | None, *, may_lack: int) -> int:
    """Compare one run; return how many records that were acknowledged are not there."""
    ended, logs = (set(seen.ended), set(seen.logs)) if seen else (set(), set())
    lost = [n for n in told.ends[run_id] if n not in ended] + [n for n in told.logs[run_id] if n not in logs]
    if may_lack:
        return len(lost)
    assert lost == [], f"acknowledged and lost, of {run_id}"
    assert seen is not None
    unknown = set(told.starts[run_id]) - ended - set(seen.interrupted)
    assert unknown == set(), f"started, acknowledged and lost, of {run_id}"
    still_open = set(told.starts[run_id]) - set(told.ends[run_id])
    assert set(seen.interrupted) >= still_open - ended
    if not still_open and told.starts[run_id]:
        assert seen.said.state == "complete", seen.said
        assert not seen.said.open_spans
    return 0


def true(seen: Seen) -> None:
    """What a bundle says of its own completeness is what can be seen in it."""
    said, counts = seen.said, seen.bundle.index.counts
    assert said.spans_seen == counts.spans == len(seen.ended) + len(seen.interrupted)
    assert counts.logs == len(seen.logs)
    assert said.open_spans == sorted(name[32:] for name in seen.interrupted)
    ended = seen.bundle.index.status not in ("interrupted", "incomplete")
    assert (said.state == "crashed") == (not ended), (said, seen.bundle.index.status)
    if said.state == "complete":
        assert (said.open_spans, said.dropped) == ([], {})
        assert said.spans_seen == said.spans_expected


def pipelined(start: Callable[[int], tuple[Path, Child]]) -> Iterator[tuple[int, Path, Child]]:
    """Yield children numbered from 1 that have ended, while the next is at work already."""
    ahead = start(1)
    try:
        for number in itertools.count(1):
            root, child = ahead
            child.wait()
            ahead = start(number + 1)
            yield number, root, child
    finally:
        ahead[1].wait()


def kill_points(
    make: Callable[[int], Path],
    body: Callable[[Path, Teller, Plan], None],
    after: Callable[[Path, Child], None],
    how: str,
) -> int:
    """Kill a child at its first watched call, another at its second, and so on until one runs through.

    What each has left is given to `after`. Return how many were killed.
    """

    def start(number: int) -> tuple[Path, Child]:
        root, plan = make(number), Plan(number, how)
        return root, Child(lambda teller: body(root, teller, plan))

    for number, root, child in pipelined(start):
        where(f"{how} call {number}", root, lambda root=root, child=child: after(root, child))  # type: ignore[misc]
        if not child.killed:
            assert child.status == 0, child.status
            return number - 1
    raise AssertionError


def where(what: str, root: Path, body: Callable[[], None]) -> None:
    """Run `body`; say of what fails in it where that was."""
    try:
        body()
    except AssertionError as error:
        raise AssertionError(f"{what}, in {root}: {error}") from error
