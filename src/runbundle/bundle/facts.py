"""What searches need of a bundle and its run.json does not have. Whoever makes the bundle may know it already."""

from typing import NamedTuple


class Act(NamedTuple):
    """Calls of one tool or model that came out alike, added up."""

    kind: str
    """`tool` or `model`."""
    name: str
    status: str
    """`ok`, `error`, `blocked`, …"""
    error: str
    """Type of the error, or empty."""
    calls: int
    total_ns: int
    longest_ns: int
    input_tokens: int
    output_tokens: int


class Facts(NamedTuple):
    """What the files of one bundle say."""

    acts: list[Act]
    agents: list[str]
    errors: str
    """Types and kept messages of all errors, each on a line."""
    scores: list[tuple[str, float, str]]
    """Name, value and label of each score."""
