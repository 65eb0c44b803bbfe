"""The process that seals for another: it reads requests, publishes runs, and answers. `sealing.process` starts it.

It has nothing of the agent: not its files, its environment, its `sitecustomize`, its signals, its standard output. It
ends when the other end of its connection is closed, which the death of the agent does; the runs it has in hand it
finishes before. What it does not come to stays in the spool and is recovered. It may be killed at any moment, as any
process that seals may.
"""

import contextlib
import logging
import os
import resource
import select
import signal
from typing import Any, BinaryIO

from runbundle.errors import RunbundleError
from runbundle.format.identity import RunKey
from runbundle.recording.publish import publish, publish_together
from runbundle.recording.sealing.words import READY, Answer, Outcome, Request, answer_line, request_of
from runbundle.redaction.detectors.detector import format_detector
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.store import LocalStore

_LOOK_EVERY_MS = 30_000  # whether the agent lives: a process that it forked behind our back may keep the connection


class _Collects(logging.Handler):
    """Keeps what is logged, for the agent to log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.logged: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.logged.append((record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[int, str]]:
        """Return what was kept, and keep it no longer."""
        logged, self.logged = self.logged, []
        return logged


def main(agent: int) -> None:
    """Serve the process `agent` until it closes the connection, or is gone. Does not return."""
    with contextlib.suppress(BaseException):
        _serve(agent)
    os._exit(0)  # nothing is to be done at the end, and nobody is to wait for it


def _serve(agent: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the agent, which may have runs to seal before it ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # known secrets are in this memory
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    logger, logs = logging.getLogger("runbundle"), _Collects()
    logger.addHandler(logs)
    logger.propagate = False
    format_detector()
    _say(answers, READY)
    while _lives_until_asked(agent, asked):
        line = asked.readline()
        if not line.endswith(b"\n"):
            return
        outcomes = _published(request_of(line))
        _say(answers, answer_line(Answer(outcomes, logs.taken())))


def _lives_until_asked(agent: int, asked: BinaryIO) -> bool:
    waits = select.poll()
    waits.register(asked.fileno(), select.POLLIN)
    while not waits.poll(_LOOK_EVERY_MS):
        if os.getppid() != agent:
            return False
    return True


def _say(answers: BinaryIO, line: bytes) -> None:
    answers.write(line)
    answers.flush()


def _published(request: Request) -> dict[RunKey, Outcome]:
    for as_is in (False, True):
        KNOWN.register(*(text for text, exact in request.secrets if exact is as_is), as_is=as_is)
    store = LocalStore(request.store)
    if request.together:
        return dict(publish_together(store, request.spool, request.runs, own=request.own))
    outcomes: dict[RunKey, Outcome] = {}
    for run, wait, grace_s, _ in request.runs:
        more: dict[str, Any] = {"wait": wait, "grace_s": grace_s, "own": request.own, "parts": request.parts}
        try:
            outcomes[run] = publish(store, request.spool, run, **more)
        except RunbundleError as error:
            outcomes[run] = error
        except Exception:  # noqa: BLE001, S112 - the agent's thread will meet it, and say what is to be said
            continue
    return outcomes
