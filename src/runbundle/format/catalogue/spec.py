"""The form of an entry of the catalogue of findings."""

from typing import NamedTuple


class FindingSpec(NamedTuple):
    """The meaning of one code."""

    title: str
    """The fault, in a few words."""
    severity: str
    """`error` or `warning`; `information` for rules of receipts."""
    dimension: str
    """The part of the bundle or set-up that the code is about."""
    why: str
    """The meaning of the code: what was found."""
    what_to_do: str
    """The remedy."""
