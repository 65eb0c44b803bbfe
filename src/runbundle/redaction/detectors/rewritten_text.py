"""Text that was rewritten for a second search, with the way back from each position in it to the original."""

from bisect import bisect_right
from collections.abc import Iterable


class RewrittenText:
    """A text made from an original by replacing some spans. Its positions map back to the original."""

    def __init__(self, original: str, replacements: Iterable[tuple[int, int, str]]) -> None:
        """Replace spans of `original` by new text. `replacements`: (start, end, new text), in order and apart."""
        pieces: list[str] = []
        self._new: list[int] = []
        self._old: list[int] = []
        self._kept: list[bool] = []
        at = new = 0
        for start, end, text in replacements:
            new = self._piece(pieces, new, at, original[at:start], kept=True)
            new = self._piece(pieces, new, start, text, kept=False)
            at = end
        new = self._piece(pieces, new, at, original[at:], kept=True)
        self._new.append(new)
        self._old.append(len(original))
        self._kept.append(True)
        self.text = "".join(pieces)

    def _piece(self, pieces: list[str], new: int, old: int, text: str, *, kept: bool) -> int:
        self._new.append(new)
        self._old.append(old)
        self._kept.append(kept)
        pieces.append(text)
        return new + len(text)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original that the span of the new text was made from."""
        first = bisect_right(self._new, start) - 1
        last = bisect_right(self._new, max(start, end - 1)) - 1
        begin = self._old[first] + (start - self._new[first] if self._kept[first] else 0)
        stop = self._old[last] + end - self._new[last] if self._kept[last] else self._old[last + 1]
        return begin, stop

    def untouched(self, start: int, end: int) -> bool:
        """Tell whether any character of the span comes from the original unchanged."""
        first = bisect_right(self._new, start) - 1
        last = bisect_right(self._new, max(start, end - 1)) - 1
        return any(self._kept[i] and self._new[i + 1] > self._new[i] for i in range(first, last + 1))
