"""The comparison of a store with a dictionary finds a store that is wrong."""

from collections.abc import Callable, Iterator

import pytest

from runbundle.store import ArtifactStore, MemoryStore
from runbundle.store.base import Body
from runbundle.testing.stores.machine import StoreMachine, check_against_a_dict


class Overwrites(MemoryStore):
    """Is never create-only."""

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Put."""
        super().put(key, data, overwrite=True)


class Forgets(MemoryStore):
    """Lists all keys but the last."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """List."""
        yield from [*super().list(prefix)][:-1]


class Replaces(MemoryStore):
    """Replaces whatever is there."""

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Replace."""
        super().replace(key, data, expected=self.get(key))


class Shifts(MemoryStore):
    """Counts ranges from one."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Get."""
        return super().get_range(key, start + 1, length)


class Keeps(MemoryStore):
    """Deletes nothing."""

    def delete(self, key: str) -> None:
        """Delete."""
        self.get(key)


def test_a_right_store_passes() -> None:
    """Each sequence begins with a new store."""
    made: list[ArtifactStore] = []

    def make() -> ArtifactStore:
        made.append(MemoryStore())
        return made[-1]

    check_against_a_dict(make, examples=5)
    assert len(made) >= 5


@pytest.mark.parametrize("make", [Overwrites, Forgets, Replaces, Shifts, Keeps])
def test_a_wrong_store_is_found_out(make: Callable[[], ArtifactStore]) -> None:
    """Whichever method is wrong. Which examples are tried depends on the modules that other tests have loaded."""
    with pytest.raises(AssertionError):
        check_against_a_dict(make, examples=400)


def test_the_model_follows_each_step() -> None:
    """Steps that are refused change neither the store nor the model."""
    machine = StoreMachine(MemoryStore())
    machine.put(key="a", data=b"1", overwrite=False)
    machine.put(key="a", data=b"2", overwrite=False)
    machine.replace(key="a", data=b"3", expected=b"9", right=False)
    assert machine.model == {"a": b"1"}
    machine.replace(key="a", data=b"3", expected=b"", right=True)
    machine.delete(key="b/y")
    machine.agrees()
    assert machine.model == {"a": b"3"}
