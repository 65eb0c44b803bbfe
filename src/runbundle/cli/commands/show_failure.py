"""The failure of a run, as `runbundle show` leads with it, and all failures of a run."""

import textwrap
from itertools import islice
from typing import TYPE_CHECKING, Any

from runbundle.cli.options import print_json
from runbundle.cli.printing import say
from runbundle.process.printable import printable

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle
    from runbundle.inspect.columns import SpanColumns
    from runbundle.inspect.failure import Failure

_LABEL, _MOST_LINES = 10, 6
_FIRST, _LAST = 2, 5
"""Levels of a long chain that are shown."""
_FRAMES = 5


def print_failure(columns: "SpanColumns", failure: "Failure", *, full: bool) -> None:
    """Print one failure: the chain down to its span, error, frame, arguments, result, and the decision of policy."""
    from runbundle.cli.render import duration, line, status_word, width
    from runbundle.cli.waterfall import label

    names = [label(columns, row) for row in failure.chain]
    for depth, name in enumerate(names):
        deepest = depth == len(names) - 1
        if len(names) > _FIRST + _LAST + 1 and not full and _FIRST <= depth < len(names) - _LAST:
            if depth == _FIRST:
                say(f"{'':{_LABEL}}{'  ' * depth}… {len(names) - _FIRST - _LAST} more")
            continue
        head = "failed" if depth == 0 else ""
        indent = "  " * min(depth, 12) + ("└ " if depth else "")
        after = columns.data["start_ns"][failure.row] - columns.data["start_ns"][failure.chain[0]]
        when = f"+{duration(after)}  " if after >= 0 else ""
        right = f"{when}{columns.span_id(failure.row)[: 16 if width() >= 90 or full else 6]}" if deepest else ""
        say(line(f"{head:{_LABEL}}{indent}{name}", right))
    kind = failure.type or {"interrupted": "never ended"}.get(failure.status, failure.status)
    block("error", f"{kind}: {failure.message}" if failure.message else kind, full=full)
    if failure.status not in ("error", "interrupted"):
        say(f"{'ended':{_LABEL}}", status_word(failure.status))
    frames = failure.frames[-1:] if not full else failure.frames[::-1]
    for number, frame in enumerate(frames):
        say(f"{'at' if not number else '':{_LABEL}}{frame}")
    for name, view in (("arguments", failure.arguments), ("result", failure.result)):
        if view is not None:
            block(name, _text(view), full=full)
    if failure.policy:
        block("policy", _decision(failure.policy), full=full)


def print_failures(bundle: "Bundle", columns: "SpanColumns", *, most: int | None, full: bool, as_json: bool) -> int:
    """Print every span that failed by itself; return how many there were, at most `most`."""
    from runbundle.inspect.failure import failures

    found = list(islice(failures(bundle, columns), None if most is None else most + 1))
    shown = found[:most]
    if as_json:
        print_json([_as_json(columns, failure) for failure in found[:most]])
        return len(shown)
    for number, failure in enumerate(shown):
        if number:
            say()
        print_failure(columns, failure, full=full)
    if len(found) > len(shown):
        say()
        say("… more errors; --all shows them")
    return len(shown)


def block(label: str, text: str, *, full: bool = False) -> None:
    """Print a label and text: on a terminal wrapped to its width, six lines at most, in a pipe or `full` whole."""
    from runbundle.cli.render import limit

    most = limit()
    text = printable(text)
    if most is None:
        say(f"{label:{_LABEL}}{text}")
        return
    wrapped = textwrap.wrap(text, most - _LABEL, break_on_hyphens=False, drop_whitespace=False) or [""]
    cut = wrapped if full or len(wrapped) <= _MOST_LINES else [*wrapped[:_MOST_LINES], "… --full shows all of it"]
    for number, part in enumerate(cut):
        say(f"{'' if number else label:{_LABEL}}{part}".rstrip())


def _decision(policy: dict[str, str]) -> str:
    by = f" by {policy['rule']}" if "rule" in policy else ""
    return f"{policy.get('decision', 'decided')}{by}" + (f": {policy['reason']}" if "reason" in policy else "")


def _text(view: Any) -> str:
    from runbundle.format.canonical import to_json_bytes

    return view if isinstance(view, str) else to_json_bytes(view).decode().rstrip("\n")


def _as_json(columns: "SpanColumns", failure: "Failure") -> dict[str, Any]:
    return {
        "span_id": columns.span_id(failure.row), "trace_id": columns.trace_id(failure.row),
        "path": [columns.text("name", row) for row in failure.chain], "status": failure.status, "type": failure.type,
        "message": failure.message, "frames": failure.frames, "arguments": failure.arguments, "result": failure.result,
        "policy": failure.policy,
    }  # fmt: skip
