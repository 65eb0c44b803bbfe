"""Checks of ids, numbers and metadata. They run before any backend is called, so every backend refuses the same input.

No error repeats the value that it refuses: it may be secret.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from runbundle.errors import ConfigError
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite

MAX_ID_BYTES = 255
MAX_NS_BYTES = 1024  # names of nested sub-graphs; all parts of a key together must fit an index entry of PostgreSQL
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


def check_text(text: Any, what: str, *, limit: int = MAX_ID_BYTES, empty: bool = False) -> str:
    """Return `text` if a database can hold it as part of a key. Raises `ConfigError` otherwise.

    Allowed are strings that encode to at most `limit` bytes of UTF-8 and hold no NUL; the empty string only with
    `empty`. `what` names the value in the error.
    """
    if isinstance(text, str) and (text or empty) and "\x00" not in text:
        try:
            if len(text.encode()) <= limit:
                return text
        except UnicodeEncodeError:
            pass
    raise ConfigError(f"invalid {what}", hint=f"use text of at most {limit} bytes in UTF-8, without NUL")


def check_key(key: CheckpointKey) -> CheckpointKey:
    """Return `key` if all its parts can be stored. Raises `ConfigError` otherwise."""
    check_text(key.thread_id, "thread id")
    check_text(key.ns, "namespace", limit=MAX_NS_BYTES, empty=True)
    check_text(key.checkpoint_id, "checkpoint id")
    return key


def check_record(record: CheckpointRecord, new_slots: Mapping[str, Payload]) -> None:
    """Raise `ConfigError` if a checkpoint cannot be stored as given, or a new slot is not one of its slots."""
    check_key(record.key)
    check_text(record.engine, "engine name", empty=True)
    for text, what in ((record.parent_id, "checkpoint id"), (record.run_id, "run id")):
        if text is not None:
            check_text(text, what)
    for name, version in record.slots.items():
        check_text(name, "slot name")
        check_text(version, "slot version")
    if any(name not in record.slots for name in new_slots):
        raise ConfigError(
            "a slot in `new_slots` has no version", hint="name each slot of `new_slots` in `record.slots`"
        )
    for payload in (record.head, *new_slots.values()):
        check_text(payload.codec, "codec")


def check_writes(writes: tuple[StepWrite, ...]) -> None:
    """Raise `ConfigError` if one of the writes cannot be stored as given."""
    for write in writes:
        check_text(write.task_id, "task id")
        check_text(write.task_path, "task path", limit=MAX_NS_BYTES, empty=True)
        check_text(write.channel, "channel")
        check_text(write.payload.codec, "codec")
        check_number(write.idx, "write index")


def check_run(run: RunRecord) -> None:
    """Raise `ConfigError` if a run cannot be stored as given. Its metadata is checked by `metadata_json`."""
    check_text(run.run_id, "run id")
    check_text(run.thread_id, "thread id", empty=True)
    check_text(run.status, "status")
    check_number(run.revision, "revision")
    if run.payload is not None:
        check_text(run.payload.codec, "codec")


def check_number(number: int, what: str) -> None:
    """Raise `ConfigError` if an integer needs more than 64 bits. `what` names it in the error."""
    if not _MIN_INT <= number <= _MAX_INT:
        raise ConfigError(f"invalid {what}", hint="use a number of at most 64 bits")


def check_ttl(ttl_s: float) -> None:
    """Raise `ConfigError` unless the duration of a lease, in seconds, is positive and finite."""
    if not 0 < ttl_s < math.inf:
        raise ConfigError("invalid duration of a lease", hint="use a finite number of seconds greater than 0")


def check_limit(limit: int | None) -> int:
    """Return how many rows to ask a database for: `limit`, or for None the greatest 64-bit integer.

    Raises `ConfigError` if the limit is negative.
    """
    if limit is not None and limit < 0:
        raise ConfigError("invalid limit: it is negative", hint="leave it out to get all")
    return _MAX_INT if limit is None else min(limit, _MAX_INT)


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text with sorted keys.

    Raises `ConfigError` for a value that JSON cannot hold, NaN too, and for text with NUL, which PostgreSQL cannot.
    """
    try:
        text = orjson.dumps(dict(metadata), option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError):
        text = ""
    if not text or _holds_odd(metadata):
        raise ConfigError(
            "invalid metadata: it is not JSON",
            hint="use text without NUL, finite numbers, booleans, None, lists and dicts",
        )
    return text


def _holds_odd(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, float):
        return not math.isfinite(value)  # of which null would be stored
    if isinstance(value, Mapping):
        return any(_holds_odd(k) or _holds_odd(v) for k, v in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return any(_holds_odd(v) for v in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return False
