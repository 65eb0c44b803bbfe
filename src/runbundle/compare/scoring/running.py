"""Running scorers of the user: each in a process of its own, on a copy of the bundle, within a time limit."""

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import orjson
from pydantic import ValidationError

from runbundle.bundle.reader import Bundle
from runbundle.compare.scoring.scorer import failed
from runbundle.errors import ConfigError, MalformedBundle
from runbundle.format.evaluation import Evaluator, Score
from runbundle.format.layout import RUN
from runbundle.store import LocalStore

TIMEOUT_S = 60.0
_MOST_ANSWER_BYTES = 4 * 1024 * 1024
_CHUNK = 1_048_576


class ScorerProcess:
    """A scorer `module:name` in a process of its own, which serves one bundle after another.

    It has what this user has: the process is a bound on time, and on what a fault of the scorer can break. It is no
    sandbox. The bundle is a copy, so no write of the scorer to it reaches the store.
    """

    def __init__(self, identity: str, *, timeout_s: float = TIMEOUT_S) -> None:
        module, _, name = identity.partition(":")
        if not module or not name:
            raise ConfigError(f"{identity!r} names no scorer", hint="as in mypackage.scorers:helpful")
        self.identity, self.timeout_s = identity, timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self.evaluator = self._start()

    def __enter__(self) -> "ScorerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def scores(self, bundle: Bundle) -> list[Score]:
        """Return the scores of one bundle. A fault of the scorer, or its end by the time limit, is a score's error."""
        with _copied(bundle) as folder:
            before = _digest(folder)
            if self._process is None:
                self._start()
            try:
                answer = self._ask({"folder": str(folder), "key": bundle.key})
            except TimeoutError:
                self.close()
                return [failed(self.identity, f"gave no answer within {self.timeout_s:g} s")]
            except OSError as error:
                self.close()
                return [failed(self.identity, str(error))]
            if _digest(folder) != before:
                return [failed(self.identity, "changed its copy of the bundle, so its scores are not believed")]
        try:
            scores = [Score.model_validate(one) for one in answer["scores"]]
        except (ValidationError, KeyError, TypeError):
            return [failed(self.identity, "gave an answer that is none")]
        return _with_true_evidence(bundle, scores, self.identity)

    def close(self) -> None:
        """End the process, and all that it has started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # its group is its own
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()

    def _start(self) -> Evaluator:
        self._process = subprocess.Popen(  # noqa: S603 - what the user names, by this interpreter
            [sys.executable, "-m", "runbundle.compare.scoring.child", self.identity],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            hello = self._read()
            if "refused" in hello:
                raise ConfigError(
                    f"the scorer {self.identity} could not be loaded: {hello['refused']}",
                    hint="run it from the folder of the module",
                )
            return Evaluator.model_validate(hello["evaluator"])
        except (OSError, KeyError, ValidationError):
            self.close()
            raise ConfigError(f"the scorer {self.identity} did not start", hint="import its module by hand") from None
        except ConfigError:
            self.close()
            raise

    def _ask(self, question: dict[str, str]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(question) + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        """Return the next answer. Raises `TimeoutError`, or `OSError` if the process ended or says too much."""
        assert self._process is not None
        assert self._process.stdout is not None
        fd, deadline, data = self._process.stdout.fileno(), time.monotonic() + self.timeout_s, b""
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(fd, _CHUNK)
            data += chunk
            if not chunk:
                raise OSError("ended its process")
            if len(data) > _MOST_ANSWER_BYTES:
                raise OSError("gave an answer larger than 4 MiB")
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise OSError("gave an answer that is none") from None
        return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


@contextlib.contextmanager
def _copied(bundle: Bundle) -> Generator[Path]:
    """Copy the sealed files of a bundle into a private folder, as a store; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="runbundle-score-", ignore_cleanup_errors=True) as name:
        store = LocalStore(Path(name))
        for entry in bundle.index.files:
            with bundle.store.open(f"{bundle.key}/{entry.path}") as file:
                store.put(f"{bundle.key}/{entry.path}", file)
        store.put(f"{bundle.key}/{RUN}", bundle.index_bytes)
        yield Path(name)


def _digest(folder: Path) -> str:
    """Return one digest of all names and contents below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path).encode() + b"\0")
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _with_true_evidence(bundle: Bundle, scores: list[Score], identity: str) -> list[Score]:
    """Replace scores that name events which the bundle does not have by errors."""
    wanted = {(ref.seq, ref.span_id) for score in scores for ref in score.evidence}
    if not wanted:
        return scores
    try:
        there = {place for event in bundle.events() if (place := (event.get("seq"), event["span_id"])) in wanted}
    except MalformedBundle:
        there = set[tuple[Any, str]]()
    return [
        score
        if all((ref.seq, ref.span_id) in there for ref in score.evidence)
        else failed(identity, "names an event as evidence that the bundle does not have", score.name)
        for score in scores
    ]
