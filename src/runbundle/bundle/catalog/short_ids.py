"""Short ids: beginnings of run ids that name one run of a store each, for tables on a terminal."""

from collections.abc import Iterable

from runbundle.bundle.catalog.index import Index

_SHORTEST, _WHOLE = 8, 12


def short_ids(index: Index, run_ids: Iterable[str]) -> dict[str, str]:
    """Return for each run id the shortest beginning, of at least 8 characters, that no other run of the index shares.

    An id of up to 12 characters stays whole, as does one that is the beginning of another.
    """
    found: dict[str, str] = {}
    for run_id in run_ids:
        shared = max(_shared(run_id, other) for other in index.beside(run_id))
        size = max(_SHORTEST, shared + 1)
        found[run_id] = run_id if len(run_id) <= max(_WHOLE, size) else run_id[:size]
    return found


def _shared(one: str, other: str) -> int:
    """Return how many characters two ids have in common at their beginnings."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                min(len(one), len(other)))  # fmt: skip
