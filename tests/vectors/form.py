"""The form in which vectors are stored: JSON lines, with a few signs for what JSON cannot say; see README.md."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from zlib import crc32

FOLDER = Path(__file__).parent
SHARED, REDACTION, LAWS, ASSEMBLY = "shared.json", "redaction.jsonl", "laws.jsonl", "assembly.jsonl"
VECTORS = (REDACTION, LAWS, ASSEMBLY)

SPLIT = "{{}}"
"""Stands for nothing, in the middle of what a scanner of secrets would take for one."""
_PIECE = 8
_INT = range(-(2**63), 2**64)

Vector = dict[str, Any]

_NOWHERE: dict[str, Any] = {"name": "", "version": "", "schema_url": "", "attributes": {}}
DEFAULTS: dict[str, dict[str, Any]] = {
    "span": {
        "run_id": "r", "tenant_id": "", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "parent_span_id": "", "remote_parent": False, "trace_state": "", "name": "[REDACTED:name]", "kind": 0,
        "start_ns": 1_790_000_000_000_000_000, "end_ns": 1_790_000_000_001_000_000, "status_code": 0,
        "status_message": "", "attributes": {}, "events": [], "links": [], "scope": _NOWHERE,
        "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    },
    "log": {
        "run_id": "r", "tenant_id": "", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "time_ns": 1_790_000_000_000_000_500, "observed_ns": None, "severity": 9, "severity_text": "", "event_name": "",
        "body": None, "attributes": {}, "scope": _NOWHERE, "resource": {"attributes": {}, "schema_url": ""},
        "dropped": 0,
    },
    "events": {"name": "", "time_ns": 1_790_000_000_000_000_500, "attributes": {}, "dropped": 0},
    "links": {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b8", "trace_state": "",
        "attributes": {}, "dropped": 0,
    },
    "lines.span": {
        "k": "span", "run_id": "r", "tenant_id": "", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "parent_span_id": "", "remote_parent": False, "trace_state": "", "name": "x", "kind": 0, "status_code": 0,
        "status_message": "", "events": [], "links": [], "dropped": {}, "resource": 1,
        "scope": {"name": "acme", "version": "1", "schema_url": "", "attributes": {}},
    },
    "lines.log": {
        "k": "log", "run_id": "r", "tenant_id": "", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "0000000000000000", "severity": 9, "severity_text": "", "event_name": "", "body": None,
        "scope": _NOWHERE, "dropped": 0, "resource": 1,
    },
    "lines.start": {
        "k": "start", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "parent_span_id": "", "lane": "", "label": "",
        "is_run": False,
    },
    "lines.resource": {"k": "resource", "resource": 1, "value": {"attributes": {}, "schema_url": ""}},
}  # fmt: skip
"""What a record has where a vector says nothing of it."""


def filled(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole record that a vector says a part of."""
    record = {**DEFAULTS[kind], **said}
    for name in ("scope", "resource"):
        if name in record:
            record[name] = {**DEFAULTS[kind][name], **record[name]}
    for name in ("events", "links"):
        if name in record:
            record[name] = [filled(name, item) for item in record[name]]
    return record


# -- values ------------------------------------------------------------------------------------------------------------


def encoded(value: Any) -> Any:
    """Return a value as JSON can say it: what it cannot is an object whose one key begins with `$`."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"$text": value.encode("utf-8", "surrogatepass").hex()}
        return value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if value in _INT else {"$int": hex(value)}
    if isinstance(value, float):
        return value if value - value == 0 else {"$float": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in cast("list[Any]", value)]
    if isinstance(value, Made):
        return value.said
    fields = cast("dict[Any, Any]", value)
    plain = all(isinstance(key, str) and isinstance(encoded(key), str) for key in fields)
    if not plain or (len(fields) == 1 and next(iter(fields)).startswith("$")):
        return {"$map": [[encoded(key), encoded(item)] for key, item in fields.items()]}
    return {key: encoded(item) for key, item in fields.items()}


class Made:
    """A value that the generator has no need to write out: it is stored as it is said, and read as what that means."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said


def decoded(value: Any) -> Any:
    """Return the value that was encoded."""
    if isinstance(value, list):
        return [decoded(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    if len(fields) != 1 or not next(iter(fields)).startswith("$"):
        return {key: decoded(item) for key, item in fields.items()}
    ((sign, said),) = fields.items()
    return _SIGNS[sign](said)


def _nested(said: list[Any]) -> Any:
    depth, value = said
    value = decoded(value)
    for _ in range(depth):
        value = [value]
    return value


_SIGNS = {
    "$text": lambda said: bytes.fromhex(said).decode("utf-8", "surrogatepass"),
    "$bytes": bytes.fromhex,
    "$int": lambda said: int(said, 16),
    "$float": float,
    "$map": lambda said: {decoded(key): decoded(item) for key, item in said},
    "$repeat": lambda said: said[0] * said[1],
    "$join": lambda said: "".join(map(decoded, said)),
    "$nest": _nested,
}


# -- lines of journals -------------------------------------------------------------------------------------------------


def journal_line(said: Any) -> bytes:
    """Return the line that an object stands for, or a text, which is a line as it is: one that was cut off."""
    if isinstance(said, str):
        return said.encode()
    body = json.dumps({**DEFAULTS[f"lines.{said['k']}"], **said}, separators=(",", ":")).encode()
    return b"%08x %b\n" % (crc32(body), body)


def said_of_line(line: Any) -> Any:
    """Return what a vector says of a line: of a whole record what is not as in others, else the text itself."""
    if isinstance(line, str):
        return line
    defaults = DEFAULTS.get(f"lines.{line['k']}", {})
    if not defaults or set(defaults) - set(line):
        body = json.dumps(line, separators=(",", ":"))
        return f"{crc32(body.encode()):08x} {body}\n"
    short = {key: v for key, v in line.items() if key not in defaults or any(differences(defaults[key], v))}
    return {"k": line["k"], **short}


# -- files -------------------------------------------------------------------------------------------------------------


def dumped(value: Any) -> str:
    """Return JSON of one line, ASCII alone."""
    return json.dumps(value, separators=(",", ":"))


def split(value: Any, spans: Any) -> Any:
    """Return a value with `SPLIT` within every part of a text, and of a key, that `spans(text)` finds."""
    if isinstance(value, str):
        pieces: list[str] = []
        at = 0
        for start, end, _ in spans(value):
            for cut in range(start + 2, end, _PIECE):
                pieces.append(value[at:cut])
                at = cut
        return SPLIT.join([*pieces, value[at:]])
    if isinstance(value, list):
        return [split(item, spans) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {split(k, spans): split(v, spans) for k, v in cast("dict[str, Any]", value).items()}
    return value


def parsed(text: str) -> Any:
    """Return the value of one line."""
    return json.loads(text.replace(SPLIT, ""))


def read(name: str, folder: Path = FOLDER) -> list[Vector]:
    """Return the vectors of a file; none if it is not there."""
    path = folder / name
    return [parsed(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def shared(folder: Path = FOLDER) -> dict[str, Any]:
    """Return what vectors have in common: their policies, and what records have where nothing is said."""
    path = folder / SHARED
    return parsed(path.read_text("ascii")) if path.exists() else {}


def shared_text(policies: Mapping[str, Any]) -> str:
    """Return the file of what vectors have in common, a policy a line."""
    lines = [f"  {dumped(name)}: {dumped(policy)}" for name, policy in policies.items()]
    defaults = [f"  {dumped(kind)}: {dumped(record)}" for kind, record in DEFAULTS.items()]
    return '{"policies": {\n' + ",\n".join(lines) + '\n},\n"defaults": {\n' + ",\n".join(defaults) + "\n}}\n"


# -- differences -------------------------------------------------------------------------------------------------------


def differences(recorded: Any, given: Any, path: str = "", *, ordered: bool = False) -> Iterator[tuple[str, Any, Any]]:
    """Yield where two JSON values differ, with what is there; `ordered`: the order of keys counts too.

    1, 1.0 and true are three values.
    """
    if type(recorded) is not type(given):
        yield path, recorded, given
    elif isinstance(recorded, dict):
        one, other = cast("dict[str, Any]", recorded), cast("dict[str, Any]", given)
        for key in dict.fromkeys([*one, *other]):
            below = f"{path}.{key}" if path else key
            if key not in one or key not in other:
                yield below, one.get(key, ABSENT), other.get(key, ABSENT)
            else:
                yield from differences(one[key], other[key], below, ordered=ordered or key == "receipt")
        if ordered and list(one) != list(other) and set(one) == set(other):
            yield path, list(one), list(other)
    elif isinstance(recorded, list):
        first, second = cast("list[Any]", recorded), cast("list[Any]", given)
        for number in range(max(len(first), len(second))):
            a = first[number] if number < len(first) else ABSENT
            b = second[number] if number < len(second) else ABSENT
            yield from differences(a, b, f"{path}.{number}" if path else str(number), ordered=ordered)
    elif recorded != given:
        yield path, recorded, given


ABSENT = "(nothing)"


def shown(value: Any) -> str:
    """Return a value, cut to what fits on a line."""
    text = value if value is ABSENT else dumped(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def by_id(vectors: Iterable[Vector]) -> dict[str, Vector]:
    """Return vectors by their ids."""
    return {vector["id"]: vector for vector in vectors}
