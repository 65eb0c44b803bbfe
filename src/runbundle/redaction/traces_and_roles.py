"""Two known forms of text: stack traces, reduced to their frames, and JSON messages, reduced to their roles."""

import re

from runbundle.process.regex import later
from runbundle.redaction.permitted.safe_text import safe_name

_FRAME = later(r'^ {0,8}File "([^"\n]{1,512})", line (\d{1,9}), in ([^\n]{1,128})$', re.MULTILINE)
# A place has no blanks, or a sentence could pass for one; that of a frozen module has one, and a form of its own.
_REDUCED = later(r"([A-Za-z0-9_./<>\[\]:-]{1,128}|<frozen [A-Za-z0-9_.]{1,100}>):\d{1,9} in ([A-Za-z0-9_.<>]{1,128})")
_FROZEN = "<frozen "
_ROLE = later(r'"role"\s?:\s?"(system|user|assistant|tool|developer|model|function)"')
MAX_FRAMES = 64


def reduce_stacktrace(text: str) -> str:
    """Reduce a Python stack trace to lines `file.py:line in function`, innermost last, at most 64.

    Source lines, exception messages and notes are dropped, since they quote data; so are directories above the last
    two, which name users and machines. Any other text gives "". A reduced trace comes back unchanged.
    """
    if _is_reduced(text):
        return text
    frames: list[str] = []
    for match in _FRAME.finditer(text[-262_144:]):
        path, line, function = match.groups()
        place = "/".join(path.replace("\\", "/").split("/")[-2:])
        place = place if place.startswith(_FROZEN) else place.replace(" ", "_")
        frame = f"{place}:{line} in {function}"
        frames.append(frame if _is_frame(frame) else f"<withheld>:{line} in <withheld>")
    return "\n".join(frames[-MAX_FRAMES:])


def _is_reduced(text: str) -> bool:
    lines = text.split("\n", MAX_FRAMES + 1)
    return len(lines) <= MAX_FRAMES and all(_is_frame(line) for line in lines)


def _is_frame(line: str) -> bool:
    match = _REDUCED.fullmatch(line)
    return match is not None and safe_name(match[1]) and safe_name(match[2])


def message_roles(text: str) -> tuple[str, ...]:
    """Return the roles of messages in JSON text, equal neighbours merged, at most eight."""
    roles: list[str] = []
    for match in _ROLE.finditer(text[:1_048_576]):
        if not roles or roles[-1] != match[1]:
            roles.append(match[1])
            if len(roles) == 8:
                break
    return tuple(roles)
