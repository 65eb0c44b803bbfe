"""run.json checked without its models: what they accept, of the values that assembly writes, and nothing else.

To load the models takes ten times as long as to seal a short run, and 10 MB. So a seal asks here first. Whatever is not
known here, a type, a field, a form, is left to the models, which say what is wrong with it or that nothing is. What is
accepted here they accept too, and write with the same bytes: tests hold the tables of both together, and compare the
two on run.json files that are changed at random.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from runbundle.format.words import RUN_SCHEMA, require_moment
from runbundle.process.regex import later

Check = Callable[[Any], Any]
"""Returns a value as it is written. Raises an error for a value that is left to the models."""

_MOST = 2**63 - 1
_PATH = later(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_RUN_ID = later(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NANOSECONDS = later(r"[0-9]{1,20}")


class NotPlain(Exception):
    """A value is left to the models."""


class Default(NamedTuple):
    """A field that is written also where it is not given."""

    check: Check
    value: Any


class PlainModel:
    """The fields of one model, by the names in the file. A call checks an object as the others check values."""

    def __init__(self, needed: Mapping[str, Check], optional: Mapping[str, Check | Default]) -> None:
        self.needed = needed
        self.optional = optional
        """Those that may be None or left out, and then are not written; and those with a default."""
        self._names = needed.keys() | optional.keys()

    def __call__(self, value: Any) -> dict[str, Any]:
        """Return the object as it is written, in no order."""
        if type(value) is not dict:
            raise NotPlain
        given = cast("dict[Any, Any]", value)
        if not self._names >= given.keys():
            raise NotPlain
        made = {name: check(given[name]) for name, check in self.needed.items()}
        for name, check in self.optional.items():
            if isinstance(check, Default):
                made[name] = check.check(given[name]) if name in given else check.value
            elif given.get(name) is not None:
                made[name] = check(given[name])
        return made


def _text(value: Any) -> str:
    if type(value) is not str:
        raise NotPlain
    if not value.isascii():
        value.encode()  # raises for what is half a character
    return value


def _form(pattern: Any) -> Check:
    def check(value: Any) -> str:
        if pattern.fullmatch(_text(value)) is None:
            raise NotPlain
        return value

    return check


def _one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if _text(value) not in words:
            raise NotPlain
        return value

    return check


def _moment(value: Any) -> str:
    return require_moment(_text(value))


def _number(value: Any) -> int:
    if type(value) is not int:
        raise NotPlain
    return value


def _count(value: Any) -> int:
    if not 0 <= _number(value) <= _MOST:
        raise NotPlain
    return value


def _finite(value: Any) -> float:
    if type(value) is not float or not math.isfinite(value):
        raise NotPlain
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise NotPlain
    return value


def _left(_: Any) -> Any:
    raise NotPlain


def _list(check: Check) -> Check:
    def check_all(value: Any) -> list[Any]:
        if type(value) is not list:
            raise NotPlain
        return [check(item) for item in cast("list[Any]", value)]

    return check_all


def _map(check: Check, name: Check = _text) -> Check:
    def check_all(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise NotPlain
        return {name(key): check(item) for key, item in cast("dict[Any, Any]", value).items()}

    return check_all


_CAPTURES = _one_of("whole", "cut", "not_consumed", "abandoned", "oversize", "unserialisable")
ERROR = PlainModel({"type": _text}, {"message": _text, "span_id": _text})
CONTRACT = PlainModel({"sha256": _text}, {"version": Default(_text, "")})
CONFIG = PlainModel({"path": _form(_PATH), "sha256": _text}, {})
PARENT = PlainModel({"run_id": _text}, {"span_id": Default(_text, "")})
CHILD = PlainModel({"run_id": _text, "span_id": _text}, {"name": _text})
ENGINE = PlainModel({"name": _text, "version": _text}, {})
GIT = PlainModel({"commit": _text, "dirty": _flag}, {})
VERSIONS = PlainModel(
    {"semconv": _text},
    {
        "ai_agents": _text, "runbundle": _text, "engine": ENGINE, "git": GIT, "python": _text, "otel_sdk": _text,
        "providers": Default(_map(_text), {}), "models": Default(_list(_text), []),
    },
)  # fmt: skip
RESULT = PlainModel({"kind": _text}, {"digest": _text, "bytes": _count, "view": _left})
FILE = PlainModel({"path": _form(_PATH), "bytes": _count, "sha256": _text, "media_type": _text}, {})
COUNTS = PlainModel(
    dict.fromkeys(
        ("events", "spans", "logs", "tool_calls", "model_calls", "retrievals", "policy_blocks", "errors"), _count
    ),
    {"embeddings": _count},
)
TOTAL = PlainModel({"rule": _text, "action": _text, "count": _count}, {})
REDACTION = PlainModel(
    {},
    {
        "policy": _text, "contracts": Default(_map(CONTRACT), {}), "key_id": _text,
        "totals": Default(_list(TOTAL), []), "masked": _map(_number),
        "content_mode": Default(_one_of("digest", "debug"), "digest"),
    },
)  # fmt: skip
COMPLETENESS = PlainModel(
    {"state": _one_of("complete", "crashed", "lossy", "unknown"), "spans_seen": _count},
    {
        "spans_expected": _count, "open_spans": Default(_list(_text), []), "cut_off": _list(_text),
        "dropped": Default(_map(_count), {}), "late": Default(_count, 0), "roots": Default(_count, 1),
        "capture": _map(_count, _CAPTURES), "unread": _map(_count), "grace_s": _finite,
    },
)  # fmt: skip
INDEX = PlainModel(
    {
        "run_id": _form(_RUN_ID), "started_at": _moment, "ended_at": _moment, "duration_ns": _form(_NANOSECONDS),
        "status": _one_of(
            "ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting"
        ),
        "config": CONFIG, "versions": VERSIONS, "files": _list(FILE), "counts": COUNTS, "trace_ids": _list(_text),
        "redaction": REDACTION, "completeness": COMPLETENESS,
    },
    {
        "schema": Default(_one_of(RUN_SCHEMA), RUN_SCHEMA), "rules": _number, "self_sha256": _text, "name": _text,
        "attempt": _count, "case_id": _text, "repeat": _count, "request_id": _text, "tenant_id": _text,
        "user_id": _text, "session_id": _text, "parent_run": PARENT, "children": _list(CHILD), "claimed": _text,
        "resumed_from": _text, "error": ERROR, "result": RESULT, "usage": Default(_map(_count), {}),
        "revision": Default(_count, 1), "supersedes": _text, "determinism": _left,
    },
)  # fmt: skip


def written(model: PlainModel, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of an object as its model writes them, without those that are None, in no order.

    None if that is for the model to say. Never raises.
    """
    try:
        return model(fields)
    except Exception:  # noqa: BLE001 - another type, a missing field, half a character: all are left to the model
        return None
