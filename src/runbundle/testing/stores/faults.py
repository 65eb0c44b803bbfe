"""A store that fails on demand, to test the code that uses a store."""

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
    """A failure: the `nth` call of an operation, counted from 1, raises `StoreUnavailable`."""

    operation: Operation
    """The method. Each file of `put_all` and `commit` counts as a `put`, and `exists` as a `size`."""
    nth: int = 1
    """The number of the call that fails, from 1."""
    reason: Literal["ENOSPC", "EIO", "EROFS", "timeout", "throttled"] = "timeout"
    """The reason in the text of the error."""
    after: bool = False
    """Whether the operation takes effect before it fails, as if only the answer was lost."""
    times: int = 1
    """The number of calls in a row that fail."""


class FaultyStore(ArtifactStore):
    """Passes every call on to `store`, except those that `plan` makes fail. `calls` counts the calls of each operation.

    With `listing_lag` a key is listed only after that many further puts, as in an eventually consistent store; reading
    is never late. Thread-safe: of concurrent calls, exactly one is the nth.

        store = FaultyStore(MemoryStore(), [Fault("put", nth=2, reason="ENOSPC")])
    """

    def __init__(self, store: ArtifactStore, plan: Sequence[Fault] = (), *, listing_lag: int = 0) -> None:
        self.store = store
        self.plan = list(plan)
        self.calls: Counter[str] = Counter()
        self._lag = listing_lag
        self._put_keys: list[str] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL of the store behind."""
        return self.store.url

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store, or fail as planned."""
        self._call("put", lambda: self.store.put(key, data, overwrite=overwrite))
        with self._lock:
            self._put_keys.append(key)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Replace, or fail as planned."""
        self._call("replace", lambda: self.store.replace(key, data, expected=expected))

    def get(self, key: str) -> bytes:
        """Return all bytes, or fail as planned."""
        return self._call("get", lambda: self.store.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range, or fail as planned."""
        return self._call("get_range", lambda: self.store.get_range(key, start, length))

    def open(self, key: str) -> BinaryIO:
        """Open, or fail as planned."""
        return self._call("open", lambda: self.store.open(key))

    def size(self, key: str) -> int:
        """Return the size, or fail as planned."""
        return self._call("size", lambda: self.store.size(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys, late with a lag, or fail as planned."""
        late = set(self._put_keys[-self._lag :]) if self._lag else set[str]()
        yield from (key for key in self._call("list", lambda: [*self.store.list(prefix)]) if key not in late)

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the folders, late with a lag, or fail as planned."""
        found = self._call("list_dirs", lambda: [*self.store.list_dirs(prefix)])
        if self._lag:
            base = f"{prefix.rstrip('/')}/" if prefix else ""
            seen = {key[len(base) :].split("/")[0] for key in self.list(base)}
            found = [name for name in found if name in seen]
        yield from found

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:
        """Pass the call on. Never fails as planned."""
        return self.store.odd(prefix, deep=deep)

    def delete(self, key: str) -> None:
        """Delete, or fail as planned."""
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
