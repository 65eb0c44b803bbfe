"""The limits of a name: its length, its blanks, and patterns that no name contains. They stand here and nowhere else.

A name is what a developer called something: an agent, a tool, a model, a step, an event, a label, a type. It is short,
has few blanks, and names no person. Any other value under a key for names becomes a digest with a size.
"""

import re

from runbundle.process.regex import later
from runbundle.signals import own, semconv

CHARS = 64
"""The most characters of a name."""
BLANKS = 3
"""The most blanks in a name."""
LONGER: dict[str, int] = {
    **dict.fromkeys((semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, "model_name", "http.route"), 256),
    **dict.fromkeys((semconv.TOOL_NAME, own.POLICY_TOOL), 128),
    **dict.fromkeys((own.LANE, own.EFFECT), 200),
}
"""Keys whose names may be longer: models, routes, tools, lanes and effects."""
LONGEST = max(LONGER.values())

_MAIL = later(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_USER_INFO = later(r"[^\s/@:]+:[^\s/@]+@(?![0-9a-f]{15}(?![0-9a-f]))[^\s/@]")
"""`user:password@host`; a digest of a lane begins with an `@` too, and has 15 hex digits."""
_GROUPED = later(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){8,22}(?![0-9])")
_NUMBERS = (
    later(r"(?<!\d)\d{3}[- ]\d{2}[- ]\d{4}(?!\d)"),  # United States
    later(r"(?<![A-Za-z])[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}(?![A-Za-z0-9])"),  # bank accounts
    later(r"(?<![A-Za-z0-9])[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?![A-Za-z0-9])"),  # United Kingdom
    later(r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"),  # Brazil
    later(r"(?<!\d)\d{3}[- ]\d{3}[- ]\d{3}(?!\d)"),  # Canada
    later(r"(?<!\d)\d{4}[- ]\d{4}[- ]\d{4}(?!\d)"),  # India
    later(r"(?<!\d)\d{6,8}[-+]\d{4}(?!\d)"),  # Nordic countries
    later(r"(?<![A-Za-z0-9])(?:\d{8}|[XYZ]\d{7})-?[A-Z](?![A-Za-z0-9])"),  # Spain
    later(r"(?<![A-Za-z0-9])\d{17}[\dXx](?![A-Za-z0-9])"),  # China
    later(r"(?<![A-Za-z0-9])[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?![A-Za-z0-9])"),  # Italy
    later(r"(?<![A-Za-z0-9.])\+\d[\d ().-]{6,}\d"),  # telephones
    later(r"(?<!\d)(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?!\d)"),
    later(r"(?<![0-9A-Za-z.])\d{9,11}(?![0-9A-Za-z.])"),  # undivided: telephones, numbers of many countries
)
_DATE = later(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])")


def names_a_person(text: str) -> bool:
    """Tell whether a text holds an e-mail address, or the number of a card, a bank account, a person or a telephone, or
    user information before a host.

    For short texts only: it is no search for such data in content.
    """
    if "@" in text and (_MAIL.search(text) is not None or _USER_INFO.search(text) is not None):
        return True
    return has_number_of_person(text)


def has_number_of_person(text: str) -> bool:
    """Tell whether a text holds the number of a card, a bank account, a person or a telephone, in a form that tells it
    from other numbers.
    """
    if sum(c.isdigit() for c in text) < 6:
        return False
    return any(_counts(found) for pattern in _NUMBERS for found in pattern.finditer(text)) or any(
        _is_card(found[0]) for found in _GROUPED.finditer(text)
    )


def _counts(found: "re.Match[str]") -> bool:
    return _DATE.match(found[0]) is None


def _is_card(text: str) -> bool:
    """Tell whether the digits in `text` are a card's: so many, in no date's form, and their sum after Luhn is right."""
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    if not 13 <= len(digits) <= 19 or _DATE.match(text) is not None:
        return False
    return sum(d if i % 2 == 0 else 2 * d - 9 * (d > 4) for i, d in enumerate(digits)) % 10 == 0
