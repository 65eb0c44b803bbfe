"""The last check of text that a contract or a configuration keeps: detectors, then formats of credentials."""

from collections.abc import Iterable, Sequence

from runbundle.process.regex import later
from runbundle.redaction.detectors.detector import CredentialSpan, default_detector, masked
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.detectors.known_values import MIN_CHARS
from runbundle.redaction.permitted.safe_text import has_credential, has_credential_format, until_more_is_known
from runbundle.redaction.receipt import Receipt, withhold

SHORTEST_KNOWN = 10 ** (MIN_CHARS - 1)
"""A number closer to 0 is no known secret."""
_CONTROL = later(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SHORT_CHARS = 256  # short texts repeat: a query, a city, a status


@until_more_is_known(8192)
def credential_in_key(key: str) -> bool:
    """Tell whether a key that would be kept is a credential or holds one."""
    return has_credential(key) or bool(default_detector().find(key))


@until_more_is_known(4096)
def _found_in_short(text: str) -> list[CredentialSpan]:
    return default_detector().find(text)


@until_more_is_known(4096)  # of a text that was met before it takes 0.2 µs instead of 1.2
def _judged_short(text: str) -> tuple[str | None, tuple[str, ...]]:
    return _judged(text)


_MOST = 8192
_staying: dict[str, None] = {}
"""Short texts that were looked at together, and stay."""


def _forget() -> None:
    global _staying
    _staying = {}  # another one: what is being looked at just now is added to the old one


KNOWN.on_change(_forget)


def is_known_number(value: float) -> bool:
    """Tell whether a number is a known secret: a PIN, an account number, a numeric key."""
    return (value >= SHORTEST_KNOWN or value <= -SHORTEST_KNOWN) and bool(KNOWN.find(str(value)))


def rule_matching_whole(text: str) -> str:
    """Return the detector rule that matches a text as a whole, or ""."""
    found = _found_in_short(text) if len(text) <= _SHORT_CHARS else default_detector().find(text)
    return found[0].rule if len(found) == 1 and found[0].end - found[0].start == len(text) else ""


def redact_text(text: str, receipt: Receipt, path: str) -> str:
    """Return `text` with its credentials masked, each noted by rule. No contract and no option switches this off.

    If a credential's format is still there after the detectors, the whole text is masked. Lone surrogates, which UTF-8
    cannot hold, become `?`.
    """
    if text in _staying:
        return text
    kept, rules = _judged_short(text) if len(text) <= _SHORT_CHARS else _judged(text)
    for rule in rules:
        receipt.add(path, f"detector:{rule}", "mask")
    if kept is None:
        # `floor` is a word of the format: bundles that were sealed earlier hold it.
        return withhold(receipt, path, "floor", "credential", action="floor")
    return kept


def stays(text: str) -> bool:
    """Tell whether `redact_text` would return a short text as it is, and note nothing; False for a longer one."""
    return text in _staying or (len(text) <= _SHORT_CHARS and _judged_short(text) == (text, ()))


def look_together(texts: Iterable[str]) -> None:
    """Look at several texts that may be kept, so that `redact_text` need not look at each: of ten it takes a tenth."""
    staying = _staying
    new = [text for text in texts if len(text) <= _SHORT_CHARS and text not in staying]
    if len(new) > 1 and surely_stay(new):
        if len(staying) + len(new) > _MOST:
            staying.clear()
        staying.update(dict.fromkeys(new))


def surely_stay(texts: Sequence[str]) -> bool:
    """Tell whether `redact_text` would surely return each text as it is and note nothing; False: it has to be asked.

    Texts are looked at together, which costs as much as one of them: each between line ends, so that a rule which holds
    at the end of a text holds there too.
    """
    text = "\n".join(texts)
    # Of other control characters the engines do not agree which are blanks.
    return _CONTROL.search(text) is None and default_detector().is_clear(text) and not has_credential_format(text)


def _judged(text: str) -> tuple[str | None, tuple[str, ...]]:
    """Return a text with its credentials masked, None if it still has one, and the rules that have found some."""
    text = text.encode("utf-8", "replace").decode()
    found = _found_in_short(text) if len(text) <= _SHORT_CHARS else default_detector().find(text)
    text = masked(text, found)
    return None if has_credential(text) else text, tuple(span.rule for span in found)
