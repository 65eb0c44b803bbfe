"""How a run came out, in words: its error, what was blocked or lost. For a line of a list, in a terminal or a page."""

from typing import Any, cast

import orjson

from runbundle.bundle.catalog.facts import acts_of
from runbundle.bundle.catalog.rows import Row
from runbundle.recording.waiting import Unsealed

_REASONS = {
    "torn_lines": "torn line", "malformed_records": "malformed record", "collided": "doubled span",
    "journal": "span lost ahead of the journal", "live_spans": "span not followed",
    "parents": "missing parent",
}  # fmt: skip
_NAMED_ERRORS = 3
_NEXT = {
    "live": "wait for it to end; handle.flush() in its process waits for the seal",
    "waiting": "runbundle recover {run} seals it now, if no process does",
    "part": "it joins its run when that is sealed here; runbundle recover {run} seals it by itself",
    "crashed": "runbundle recover {run} seals what was recorded",
    "quarantined": "runbundle explain RB407",
    "failed": "runbundle recover {run} tries again",
}


def outcome_of(row: Row, *, held: bool = False) -> list[str]:
    """Return what is to be said of a bundle beyond its status: its hold, its error, what was blocked or lost."""
    if row.problem:
        return [] if row.problem == "unsealed" else [row.problem]
    found = ["on hold"] if held else []
    found += [why] if (why := why_failed(row)) else []
    blocked = sorted({act.name for act in acts_of(row.acts) if act.status == "blocked"})
    if row.blocked:
        found.append(f"blocked: {', '.join(blocked)}" if blocked else f"{_several(row.blocked, 'call')} blocked")
    found += [lost] if (lost := what_was_lost(row)) else []
    return found


def next_step(run: Unsealed) -> str:
    """Return what to do about a run that is not sealed."""
    return _NEXT["part" if run.part else run.state].format(run=run.key.path)


def why_failed(row: Row) -> str:
    """Return why a run ended in an error, and else which of its calls did: type and kept message, and the tools."""
    failed = [act for act in acts_of(row.acts) if act.status == "error"]
    if row.status == "error":
        of = [act.name for act in failed if act.error == row.error_type]
        text = f"{row.error_type}: {row.error}" if row.error else _kept(row, row.error_type)
        return f"{of[0]}: {text}" if of and text else text
    said = list(dict.fromkeys(f"{act.name}: {_kept(row, act.error)}".removesuffix(": ") for act in failed))
    more = f" and {len(said) - _NAMED_ERRORS} more" if len(said) > _NAMED_ERRORS else ""
    return f"failed: {', '.join(said[:_NAMED_ERRORS])}{more}" if said else ""


def _kept(row: Row, error_type: str) -> str:
    """Return an error's type, with the first message that a contract kept of one of that type."""
    lines = (row.errors or "").split("\n")
    return next((line for line in lines if line.startswith(f"{error_type}: ")), error_type)


def what_was_lost(row: Row) -> str:
    """Return what is missing of a run: `lossy: 2 of 12 spans, 1 torn line`."""
    if row.completeness in ("", "complete"):
        return ""
    if row.completeness == "unknown":
        return "not known whether it is complete"
    said = parsed_lost(row.lost)
    parts: list[str] = []
    expected, seen = said.get("spans_expected"), said.get("spans_seen")
    if isinstance(expected, int) and isinstance(seen, int) and seen < expected:
        parts.append(f"{expected - seen} of {_several(expected, 'span')} missing")
    unended = said.get("open")
    parts += [_several(unended, "span that never ended")] if isinstance(unended, int) and unended else []
    dropped = said.get("dropped")
    for reason, count in sorted(cast("dict[str, Any]", dropped).items()) if isinstance(dropped, dict) else ():
        what = (
            _REASONS.get(reason) or reason.removeprefix("sdk_limit_").removesuffix("s").replace("_", " ") + " cut off"
        )
        parts += [_several(count, what)] if isinstance(count, int) and count else []
    roots = said.get("roots")
    if isinstance(roots, int) and roots > 1:
        parts.append(f"{roots} runs under one id")
    return f"{row.completeness}: {', '.join(parts)}" if parts else row.completeness


def _several(count: int, what: str) -> str:
    """Return a count of something named by several words, of which the first noun takes the plural."""
    for noun in ("line", "record", "span", "parent", "attribute", "event", "link", "call"):
        if count != 1 and noun in what:
            return f"{count} {what.replace(noun, noun + 's', 1)}"
    return f"{count} {what}"


def parsed_lost(text: str) -> dict[str, Any]:
    """Return the numbers behind an incomplete run, as a row has them. Total: {} for what is none."""
    try:
        value: Any = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
