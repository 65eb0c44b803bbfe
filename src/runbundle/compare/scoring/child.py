"""The process in which a scorer of the user runs: python -m runbundle.compare.scoring.child MODULE:NAME.

It reads one JSON line for each bundle and answers with one. What the scorer prints goes to standard error. The scorer
is given a bundle whose store refuses every change.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from runbundle.bundle.evaluations import stamped
from runbundle.bundle.reader import Bundle
from runbundle.compare.scoring.scorer import Scorer, evaluator_from, failed, scores_from
from runbundle.errors import StoreUnavailable
from runbundle.store import ArtifactStore, LocalStore
from runbundle.store.base import Body


class _ReadOnly(ArtifactStore):
    """A store that can be read and not changed."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    @property
    def url(self) -> str:
        return "memory://"

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:  # noqa: ARG002
        raise StoreUnavailable("a scorer cannot change a bundle", hint="return scores; runbundle writes them")

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:  # noqa: ARG002
        self.put(key, data)

    def delete(self, key: str) -> None:
        self.put(key, b"")

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._store.get_range(key, start, length)

    def open(self, key: str) -> BinaryIO:
        return self._store.open(key)

    def size(self, key: str) -> int:
        return self._store.size(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        return self._store.list(prefix)

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        return self._store.list_dirs(prefix)


def main() -> None:
    """Load the scorer, say who it is, and score bundles until there are no more."""
    identity = sys.argv[1]
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever the scorer prints must not be taken for an answer
    sys.path.insert(0, str(Path.cwd()))
    module, _, name = identity.partition(":")
    try:
        scorer: Scorer = getattr(import_module(module), name)
        if not callable(scorer):
            raise TypeError("is no function of a bundle")
        hello: dict[str, Any] = {"evaluator": stamped(evaluator_from(scorer, identity))}
    except Exception as error:  # noqa: BLE001 - whatever its module does when it is imported
        _say(answers, {"refused": f"{type(error).__name__}: {error}"[:500]})
        return
    _say(answers, hello)
    for line in sys.stdin.buffer:
        asked = orjson.loads(line)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                bundle = Bundle.open(_ReadOnly(LocalStore(asked["folder"])), asked["key"])
                scores = scores_from(scorer(bundle), identity)
        except Exception as error:  # noqa: BLE001 - a scorer that raises is that score's error
            scores = [failed(identity, f"raised {type(error).__name__}")]
        _say(answers, {"scores": [stamped(score) for score in scores]})


def _say(answers: Any, value: Any) -> None:
    answers.write(orjson.dumps(value) + b"\n")


if __name__ == "__main__":
    main()
