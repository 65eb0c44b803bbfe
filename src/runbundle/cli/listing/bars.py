"""Bars and lines of small blocks, by which a table shows how numbers compare."""

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def bar(value: float, largest: float, width: int) -> str:
    """Return a bar whose length is to `width` as `value` to `largest`; a value that is not 0 has at least a sliver."""
    if value <= 0 or largest <= 0:
        return ""
    eighths = max(1, round(min(value / largest, 1) * width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def line(values: Sequence[int], width: int) -> str:
    """Return a line of blocks, as high as the values; `·` for 0. More values than `width` are added up in groups."""
    if len(values) > width:
        size = -(-len(values) // width)
        values = [sum(values[start : start + size]) for start in range(0, len(values), size)]
    largest = max(values, default=0)
    return "".join(_HEIGHTS[-(-value * 8 // largest) - 1] if value else "·" for value in values)
