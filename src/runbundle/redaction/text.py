"""Text with a known shape: stack traces, span names, message roles."""

import re
from typing import Any

from runbundle.redaction.floor import safe_name

_FRAME = re.compile(r'^ {0,8}File "([^"\n]{1,512})", line (\d{1,9}), in ([^\n]{1,128})$', re.MULTILINE)
_REDUCED = re.compile(r"[A-Za-z0-9_./<>\[\]: -]{1,200}")
_ROLE = re.compile(r'"role"\s?:\s?"(system|user|assistant|tool|developer|model|function)"')
MAX_FRAMES = 64


def reduce_stacktrace(text: str) -> str:
    """Reduce a Python stack trace to `file.py:line in function` lines, innermost last.

    Source lines, exception messages and notes go: they quote data. So do directories above the last two, which name
    users and machines. Text in any other format gives "". A reduced trace comes back as it is.
    """
    if _is_reduced(text):
        return text
    frames: list[str] = []
    for match in _FRAME.finditer(text[-262_144:]):
        path, line, function = match.groups()
        place = "/".join(path.replace("\\", "/").split("/")[-2:])
        frame = f"{place}:{line} in {function}"
        if _REDUCED.fullmatch(frame) and safe_name(place) and safe_name(function):
            frames.append(frame)
        else:
            frames.append(f"<withheld>:{line} in <withheld>")
    return "\n".join(frames[-MAX_FRAMES:])


def _is_reduced(text: str) -> bool:
    lines = text.split("\n", MAX_FRAMES + 1)
    return len(lines) <= MAX_FRAMES and all(_reduced_frame(line) for line in lines)


_REDUCED_FRAME = re.compile(r"([A-Za-z0-9_./<>-]{1,128}):\d{1,9} in ([A-Za-z0-9_.<>]{1,128})")


def _reduced_frame(line: str) -> bool:
    match = _REDUCED_FRAME.fullmatch(line)
    return match is not None and safe_name(match[1]) and safe_name(match[2])


def message_roles(text: str) -> tuple[str, ...]:
    """Return the roles of messages in JSON text, neighbours merged, at most eight."""
    roles: list[str] = []
    for match in _ROLE.finditer(text[:1_048_576]):
        if not roles or roles[-1] != match[1]:
            roles.append(match[1])
            if len(roles) == 8:
                break
    return tuple(roles)


_NAME_PARTS = (
    ("gen_ai.operation.name", ("gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.request.model",
                               "gen_ai.data_source.id", "gen_ai.workflow.name")),
    ("runbundle.op", ("runbundle.name",)),
    ("http.request.method", ("http.route",)),
    ("http.method", ("http.route",)),
    ("db.operation.name", ("db.collection.name", "db.namespace")),
    ("db.operation", ("db.sql.table", "db.name")),
    ("messaging.operation.name", ("messaging.destination.name",)),
    ("mcp.method.name", ("gen_ai.tool.name",)),
    ("rpc.service", ()),
)  # fmt: skip


def derived_names(attributes: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the first word a span's name may have, and all names that follow from its redacted attributes.

    The semantic conventions build span names from low-cardinality attributes. A name that can be built from kept
    attributes says nothing more than they do; any other name is free text.
    """
    head, names = "", set[str]()
    for key, targets in _NAME_PARTS:
        first = attributes.get(key)
        if isinstance(first, str):
            head = head or first
            names.add(first)
            for target in targets:
                value = attributes.get(target)
                if isinstance(value, str):
                    names.add(f"{first} {value}")
    method = attributes.get("rpc.method")
    if isinstance(method, str) and head:
        names.add(f"{head}/{method}")
    return head, names
