"""The process of ours that seals, so that sealing takes the interpreter lock from nobody: one for each process.

It is a new interpreter, not a fork. In it runs `sealing.child`, connected by one socket that is its standard input and
output, on which both say lines of JSON (`sealing.words`). It is started at the first seal, and asked once it says that
it is ready. It gets no other descriptor, and of the environment only what `_ENVIRONMENT` names.

What it is given it needs: journals and bundles are redacted and on disk. Known secrets, for which it searches bundles,
go over the socket, which is memory of two processes of one user: whoever could read it there could read the agent. They
never are in its arguments, its environment or a file, and it dumps no core. One that is registered while a run is being
sealed may be missed, as a thread would miss it.

It costs 40 MB of memory and half a second of another core. An agent that waits for any child of its own, as by
`os.wait()`, sees one that it did not start.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import orjson

from runbundle.process import forks
from runbundle.recording.sealing.words import READY, Answer, Request, answer_of, path_as_text, request_line
from runbundle.redaction.detectors.known_secrets import KNOWN

START_S = 60.0
"""For which it may take to get ready; nobody waits for it."""
_STARTS = 3  # of one that has died, or had to be killed
_ENDS_S = 2.0
_LEAVES_S = 0.2
_MOST_BYTES = 64 * 1024 * 1024  # of an answer
_ENVIRONMENT = (
    "DYLD_LIBRARY_PATH", "HOME", "LD_LIBRARY_PATH", "RUNBUNDLE_CACHE", "RUNBUNDLE_NATIVE", "TMPDIR", "XDG_CACHE_HOME",
)  # fmt: skip
_PROGRAM = """
import json, os, sys
said = json.loads(sys.stdin.buffer.readline())
sys.path += [os.fsdecode(one.encode("latin-1")) for one in said["path"]]
from runbundle.recording.sealing.child import main
main(said["agent"])
"""
# On a Mac it is an option of the socket; SIGPIPE would end an agent that has asked for it.
_SEND: int = getattr(socket, "MSG_NOSIGNAL", 0)
_SO_NOSIGPIPE = 0x1022


class NotAsked(Exception):
    """The process cannot be asked just now, and was not: it is not ready, or somebody else asks it."""


class Failed(Exception):
    """The process died, did not answer in time, or answered nonsense. It is gone; the runs may be sealed, or not."""


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    line: socket.socket
    user: tuple[int, int]
    """Who it runs as: an agent may lay down rights that it had."""
    until: float
    """When it must be ready."""
    state: dict[str, int]
    """`ready`, and how many known `secrets` it has."""


class SealProcess:
    """The process that seals for this one, whoever of this process asks. Thread-safe."""

    def __init__(self) -> None:
        self._users = 0
        self._reset()

    def _reset(self) -> None:
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._child: _Child | None = None
        self._sockets: list[socket.socket] = []
        self._starts = 0

    def after_fork(self) -> None:
        """Leave the parent's process to the parent, in a forked child: it starts one of its own."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.close()
        if self._child is not None:
            self._child.process.returncode = 0  # not ours to wait for
        self._reset()

    def join(self) -> None:
        """Take note of one more who asks. Waits for nobody who is asking."""
        with self._counting:
            self._users += 1

    def leave(self) -> None:
        """Take note that one asks no more; after the last one the process is ended, and waited for."""
        with self._counting:
            self._users -= 1
        if self._lock.acquire(timeout=_LEAVES_S):  # else who asks it just now ends it
            try:
                self._end_unused()
            finally:
                self._lock.release()

    @property
    def pid(self) -> int:
        """The id of the process; 0 if there is none."""
        child = self._child
        return child.process.pid if child is not None else 0

    def ready(self, timeout_s: float = 0.0) -> bool:
        """Start the process if it is not there; tell whether it is ready, or is so within `timeout_s`.

        Raises `Failed` if it cannot be started, or does not get ready.
        """
        with self._lock:
            child = self._started()
            try:
                return self._is_ready(child, timeout_s)
            except (OSError, ValueError) as error:
                self._end()
                raise Failed(_because(error)) from None

    def ask(self, request: Request, within_s: float) -> Answer:
        """Have runs published; return what became of them. Raises `NotAsked` and `Failed`."""
        if not self._lock.acquire(blocking=False):
            raise NotAsked
        try:
            child = self._started()
            try:
                if not self._is_ready(child, 0.0):
                    raise NotAsked
                return self._asked(child, request, time.monotonic() + within_s)
            except NotAsked:
                raise
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                self._end()
                raise Failed(_because(error)) from None
            except BaseException:  # a signal's handler has raised in the middle of it: what comes next is no answer
                self._end()
                raise
            finally:
                self._end_unused()
        finally:
            self._lock.release()

    def _asked(self, child: _Child, request: Request, deadline: float) -> Answer:
        secrets = KNOWN.after(child.state["secrets"])
        child.line.settimeout(max(0.001, deadline - time.monotonic()))
        child.line.sendall(request_line(request._replace(secrets=secrets)), _SEND)
        child.state["secrets"] += len(secrets)
        return answer_of(_read_line(child.line, deadline))

    def _started(self) -> _Child:
        child, user = self._child, (os.geteuid(), os.getegid())
        if child is not None and (child.user != user or child.state["secrets"] > len(KNOWN)):
            self._end()
            child, self._starts = None, self._starts - 1
        if child is None:
            if self._starts >= _STARTS:
                raise NotAsked
            self._starts += 1
            try:
                child = self._start(user)
            except (OSError, ValueError, subprocess.SubprocessError, RuntimeError) as error:
                self._end()
                raise Failed(f"could not be started ({type(error).__name__})") from None
        return child

    def _start(self, user: tuple[int, int]) -> _Child:
        program = Path(sys.executable or "").name.lower()
        if getattr(sys, "frozen", False) or not program.startswith(("python", "pypy")):
            raise ValueError("it would be the agent itself")
        ours, theirs = self._sockets = list(socket.socketpair())
        if sys.platform == "darwin":
            ours.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)
        flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, *flags, "-c", _PROGRAM],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            process_group=0,  # a signal from the keyboard is for the agent
        )
        theirs.close()
        self._sockets = [ours]
        self._child = child = _Child(process, ours, user, time.monotonic() + START_S, {"ready": 0, "secrets": 0})
        said = {"path": _path(), "agent": os.getpid()}
        ours.settimeout(1.0)
        ours.sendall(orjson.dumps(said) + b"\n", _SEND)
        return child

    def _is_ready(self, child: _Child, timeout_s: float) -> bool:
        if child.state["ready"]:
            return True
        try:
            if _read_line(child.line, time.monotonic() + timeout_s) != READY:
                raise ValueError("other code")
        except TimeoutError:
            if time.monotonic() > child.until:
                raise
            return False
        child.state["ready"] = 1
        return True

    def _end_unused(self) -> None:
        if not self._users:
            self._end(kill=False)
            self._starts = 0

    def _end(self, *, kill: bool = True) -> None:
        """End the process and wait for it: with `kill` at once, else when it sees that nobody is there."""
        child, self._child = self._child, None
        self._close_sockets()
        if child is None:
            return
        for at_once in (kill or not child.state["ready"], True):
            if at_once:
                with contextlib.suppress(OSError):  # it runs as somebody we are no more, and sees that nobody is there
                    child.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # else stuck in the kernel
                child.process.wait(_ENDS_S)
                return

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets = []


SEAL_PROCESS = SealProcess()
"""That of this process."""

forks.in_child(forks.Stage.INHERITED, SEAL_PROCESS.after_fork)


def _path() -> list[str]:
    """Return where modules are looked for, ours first; the new interpreter looks into its own library before."""
    here = path_as_text(Path(__file__).parents[3])
    return list(dict.fromkeys([here, *(path_as_text(Path(one)) for one in sys.path if Path(one).is_absolute())]))


def _read_line(line: socket.socket, deadline: float) -> bytes:
    """Return the next line. Raises `TimeoutError`, and `ValueError` if there is none or it is longer than any."""
    read = bytearray()
    while not read.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if read and left_s <= 0:
            raise TimeoutError
        line.settimeout(max(0.0005, left_s))
        piece = line.recv(65_536)
        if not piece:
            raise ConnectionResetError
        read += piece
        if len(read) > _MOST_BYTES:
            raise ValueError("it says too much")
    return bytes(read)


def _because(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    return "ended" if isinstance(error, OSError) else "answered nonsense"
