"""A store that fails when it is told to: for tests of whatever writes to one."""

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeVar

from runbundle.errors import StoreUnavailable
from runbundle.store import ArtifactStore
from runbundle.store.base import Body

T = TypeVar("T")
Operation = Literal["put", "replace", "get", "get_range", "open", "size", "list", "list_dirs", "delete"]
_TEXTS = {"timeout": "no answer in time", "throttled": "the server answered 503 SlowDown"}


@dataclass(frozen=True)
class Fault:
    """One failure: the `nth` call of an operation, counted from 1, raises `StoreUnavailable`."""

    operation: Operation
    """Which method; each file of `put_all` is a `put`, and `exists` is a `size`."""
    nth: int = 1
    """Which call of it."""
    reason: Literal["ENOSPC", "EIO", "EROFS", "timeout", "throttled"] = "timeout"
    """What the error says."""
    after: bool = False
    """Whether the operation takes effect all the same: the answer is lost, not the request."""
    times: int = 1
    """How many calls in a row fail."""


class FaultyStore(ArtifactStore):
    """Passes everything on to `store`, but for what `plan` says; `calls` counts the operations.

    With `listing_lag` a key is listed only once so many others were put after it: what an eventually consistent
    listing looks like. Reading is never late. Thread-safe; of calls at once one is the nth.
    """

    def __init__(self, store: ArtifactStore, plan: Sequence[Fault] = (), *, listing_lag: int = 0) -> None:
        self.store = store
        self.plan = list(plan)
        self.calls: Counter[str] = Counter()
        self._lag = listing_lag
        self._recent: list[str] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL of the store behind."""
        return self.store.url

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Put, or fail."""
        self._call("put", lambda: self.store.put(key, data, overwrite=overwrite))
        with self._lock:
            self._recent.append(key)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Replace, or fail."""
        self._call("replace", lambda: self.store.replace(key, data, expected=expected))

    def get(self, key: str) -> bytes:
        """Get, or fail."""
        return self._call("get", lambda: self.store.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Get a part, or fail."""
        return self._call("get_range", lambda: self.store.get_range(key, start, length))

    def open(self, key: str) -> BinaryIO:
        """Open, or fail."""
        return self._call("open", lambda: self.store.open(key))

    def size(self, key: str) -> int:
        """Tell the size, or fail."""
        return self._call("size", lambda: self.store.size(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """List, late if there is a lag, or fail."""
        late = set(self._recent[-self._lag :]) if self._lag else set[str]()
        yield from (key for key in self._call("list", lambda: [*self.store.list(prefix)]) if key not in late)

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """List folders, late if there is a lag, or fail."""
        found = self._call("list_dirs", lambda: [*self.store.list_dirs(prefix)])
        if self._lag:
            base = f"{prefix.rstrip('/')}/" if prefix else ""
            seen = {key[len(base) :].split("/")[0] for key in self.list(base)}
            found = [name for name in found if name in seen]
        yield from found

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:
        """Pass on; never fails."""
        return self.store.odd(prefix, deep=deep)

    def delete(self, key: str) -> None:
        """Delete, or fail."""
        self._call("delete", lambda: self.store.delete(key))

    def _call(self, operation: Operation, work: Callable[[], T]) -> T:
        with self._lock:
            self.calls[operation] += 1
            count = self.calls[operation]
        fault = next(
            (f for f in self.plan if f.operation == operation and f.nth <= count < f.nth + f.times), None
        )  # fmt: skip
        if fault is None:
            return work()
        if fault.after:
            work()
        text = _TEXTS.get(fault.reason) or os.strerror(getattr(errno, fault.reason))
        raise StoreUnavailable(f"call {count} of {operation} failed: {text}", hint="this is a test")
