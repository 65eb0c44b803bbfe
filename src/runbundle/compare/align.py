"""Aligning two sequences of keys: which places of one are those of the other.

Equal places are found by Myers' algorithm, which gives the fewest edits [1]. Its work grows with the square of the
edits, so it has a budget: over that, keys that occur once on each side divide the sequence (patience diff [2]), and
what lies between is aligned by itself. A piece that is over the budget and has no such key is aligned from its
beginning, as far as the budget goes, and so on; the edits may then be more than are needed, and the alignment says so.

[1] E. Myers, An O(ND) Difference Algorithm and Its Variations, 1986. [2] B. Cohen's patience diff, as in bzr and git.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_MOST_EDITS = 128
"""Edits that are looked for at once: 8,000 steps of work."""
_KEPT = 0.75
"""Of the edits of a piece that goes on: the last of them are those that what follows may show to be wrong."""


class _Piece(NamedTuple):
    """Places that are to be aligned: from and to in A, from and to in B."""

    start_a: int
    end_a: int
    start_b: int
    end_b: int


class Alignment:
    """Which places of A and of B are paired: 4 bytes a place. Pairs never cross."""

    def __init__(self, length_a: int, length_b: int) -> None:
        self.of_a = array("i", [-1]) * length_a
        """For each place of A that of B, or -1."""
        self.of_b = array("i", [-1]) * length_b
        """For each place of B that of A, or -1."""
        self.is_fewest = True
        """Whether all of it was within the budget; if not, other pairs might leave fewer edits."""

    def pair(self, place_a: int, place_b: int) -> None:
        """Pair two places."""
        self.of_a[place_a], self.of_b[place_b] = place_b, place_a


def aligned(a: Sequence[int], b: Sequence[int]) -> Alignment:
    """Pair equal keys of two sequences, in order; the most that can be paired, if at most 128 edits lie between them.

    Takes time linear in the sequences, and works without recursion.
    """
    found = Alignment(len(a), len(b))
    pieces = [_Piece(0, len(a), 0, len(b))]
    while pieces:
        piece = _trimmed(a, b, pieces.pop(), found)
        if piece.start_a == piece.end_a or piece.start_b == piece.end_b:
            continue
        rows, reached = _edits(a, b, piece)
        if reached is None:
            _pair_back(rows, piece.end_a - piece.start_a, piece.end_b - piece.start_b, len(rows) - 1, piece, found)
            continue
        anchors = _anchors(a, b, piece)
        if anchors:
            pieces += _between(anchors, piece, found)
        else:
            found.is_fewest = False
            pieces.append(_begun(rows, reached, piece, found))
    return found


def _trimmed(a: Sequence[int], b: Sequence[int], piece: _Piece, found: Alignment) -> _Piece:
    """Pair what is equal at both ends of a piece; return what is left."""
    start_a, end_a, start_b, end_b = piece
    while start_a < end_a and start_b < end_b and a[start_a] == b[start_b]:
        found.pair(start_a, start_b)
        start_a, start_b = start_a + 1, start_b + 1
    while start_a < end_a and start_b < end_b and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
        found.pair(end_a, end_b)
    return _Piece(start_a, end_a, start_b, end_b)


def _edits(a: Sequence[int], b: Sequence[int], piece: _Piece) -> "tuple[list[array[int]], tuple[int, int] | None]":
    """Look for the fewest edits of a piece: a row for each number of edits, and None if the end was reached.

    A row says of each diagonal (place in A less place in B) how far in A it was reached. If the edits were too many,
    the furthest place comes with the rows.
    """
    start_a, end_a, start_b, end_b = piece
    length_a, length_b = end_a - start_a, end_b - start_b
    rows: list[array[int]] = []
    before = array("i", [0])
    for edits in range(_MOST_EDITS + 1):
        row = array("i", [0]) * (edits + 1)
        for number in range(edits + 1):
            diagonal = 2 * number - edits
            x = _step(before, number, edits) if edits else 0
            y = x - diagonal
            while 0 <= y < length_b and x < length_a and a[start_a + x] == b[start_b + y]:
                x, y = x + 1, y + 1
            row[number] = x
            if x >= length_a and y >= length_b:
                rows.append(row)
                return rows, None
        rows.append(row)
        before = row
    inside = [
        (2 * x - (2 * number - _MOST_EDITS), x)
        for number, x in enumerate(before)
        if x <= length_a and 0 <= x - (2 * number - _MOST_EDITS) <= length_b
    ]
    furthest, x = max(inside)
    return rows, (x, furthest - x)


def _step(before: "array[int]", number: int, edits: int) -> int:
    """Return where one edit more leads to on a diagonal: down from the one above it, or right from the one below."""
    if number == 0:
        return before[0]
    if number == edits:
        return before[number - 1] + 1
    return max(before[number], before[number - 1] + 1)


def _pair_back(
    rows: "list[array[int]]", x: int, y: int, edits: int, piece: _Piece, found: Alignment | None
) -> list[tuple[int, int]]:
    """Go back from a place that was reached with so many edits, and pair the equal places on the way.

    Returns the places that were reached with each number of edits, the last first; without `found` nothing is paired.
    """
    way = [(x, y)]
    for left in range(edits, -1, -1):
        number = (x - y + left) // 2
        from_x = _step(rows[left - 1], number, left) if left else 0
        if found is not None:
            for back in range(1, x - from_x + 1):
                found.pair(piece.start_a + x - back, piece.start_b + y - back)
        x, y = from_x, from_x - (x - y)
        if left:
            is_down = number == 0 or (number < left and rows[left - 1][number] == x)
            x, y = (x, y - 1) if is_down else (x - 1, y)
            way.append((x, y))
    return way


def _begun(rows: "list[array[int]]", reached: tuple[int, int], piece: _Piece, found: Alignment) -> _Piece:
    """Pair the first part of a piece that needs too many edits; return what is left of it."""
    way = _pair_back(rows, *reached, len(rows) - 1, piece, None)
    kept = int((len(rows) - 1) * _KEPT)
    x, y = way[len(rows) - 1 - kept]
    _pair_back(rows, x, y, kept, piece, found)
    return _Piece(piece.start_a + x, piece.end_a, piece.start_b + y, piece.end_b)


def _anchors(a: Sequence[int], b: Sequence[int], piece: _Piece) -> list[tuple[int, int]]:
    """Return pairs of places whose keys occur once on each side of a piece: the most that do not cross."""
    start_a, end_a, start_b, end_b = piece
    counts_a, counts_b = Counter(a[start_a:end_a]), Counter(b[start_b:end_b])
    place_of = {b[place]: place for place in range(start_b, end_b) if counts_b[b[place]] == 1}
    pairs = [
        (place, place_of[a[place]])
        for place in range(start_a, end_a)
        if counts_a[a[place]] == 1 and a[place] in place_of
    ]
    # The longest increasing subsequence of the places in B: of each length the chain with the least end, and who came
    # before.
    ends: list[int] = []
    last: list[int] = []
    before = array("i", [-1]) * len(pairs)
    for number, (_, place_b) in enumerate(pairs):
        length = bisect_left(ends, place_b)
        if length:
            before[number] = last[length - 1]
        if length == len(ends):
            ends.append(place_b)
            last.append(number)
        else:
            ends[length], last[length] = place_b, number
    chain: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    chain.reverse()
    return chain


def _between(anchors: list[tuple[int, int]], piece: _Piece, found: Alignment) -> list[_Piece]:
    """Pair the anchors; return the pieces between them."""
    start_a, end_a, start_b, end_b = piece
    pieces: list[_Piece] = []
    for place_a, place_b in anchors:
        found.pair(place_a, place_b)
        if start_a < place_a or start_b < place_b:
            pieces.append(_Piece(start_a, place_a, start_b, place_b))
        start_a, start_b = place_a + 1, place_b + 1
    pieces.append(_Piece(start_a, end_a, start_b, end_b))
    return pieces
