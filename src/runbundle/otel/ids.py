"""Draws ids from the operating system, so that an application which seeds `random` does not decide them.

Two tasks that both call `random.seed(42)` would get the same trace ids from the SDK's generator, and one bundle for two
runs.
"""

import os
import struct
from collections import deque

from opentelemetry.sdk.trace.id_generator import IdGenerator

from runbundle.process import forks

_WORDS = 512  # 4 KiB at a time: a system call for each id would cost more than the span, and lets go of the interpreter
_UNPACK = struct.Struct(f"={_WORDS}Q").unpack
_pool: deque[int] = deque()
# A child that went on with its parent's would give its spans the same ids.
forks.in_child(forks.Stage.RANDOM, _pool.clear)


def _word() -> int:
    """Return 64 random bits. Thread-safe without a lock: each word is taken from the pool once."""
    while True:
        try:
            return _pool.pop()
        except IndexError:
            _pool.extend(_UNPACK(os.urandom(8 * _WORDS)))


def new_run_id() -> str:
    """Return 128 random bits as 32 hex digits."""
    return f"{_word():016x}{_word():016x}"


def new_call_id() -> str:
    """Return an id for a tool call without one: `call_` and 96 random bits as hex digits."""
    return f"call_{_word():016x}{_word() >> 32:08x}"


class SystemIdGenerator(IdGenerator):
    """Draws trace and span ids from the operating system."""

    def generate_span_id(self) -> int:
        """Return 64 random bits, not all zero."""
        return _word() or self.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return 128 random bits, not all zero."""
        return (_word() << 64 | _word()) or self.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Return True: samplers may use the bits of a trace id as random ones."""
        return True
