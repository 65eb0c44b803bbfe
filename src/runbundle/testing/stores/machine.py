"""Compares an artifact store with a dictionary, in random sequences of operations. Needs hypothesis."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound
from runbundle.store import ArtifactStore

_KEYS = st.sampled_from(["a", "a1/x", "b/y", "b/sub/z", "c/w"])
_DATA = st.binary(max_size=8)


def check_against_a_dict(make_store: Any, *, examples: int, steps: int = 20) -> None:
    """Run `examples` random sequences of up to `steps` operations, each on a new store of `make_store`.

    Raises `AssertionError` where the store differs from a dictionary.
    """

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(make_store())

    run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip


class StoreMachine(RuleBasedStateMachine):
    """A store, and a dictionary as its model. Each rule does the same to both."""

    def __init__(self, store: ArtifactStore) -> None:
        super().__init__()
        self.store = store
        self.model: dict[str, bytes] = {}

    @rule(key=_KEYS, data=_DATA, overwrite=st.booleans())
    def put(self, key: str, data: bytes, overwrite: bool) -> None:
        """Store bytes, create-only or overwriting."""
        try:
            self.store.put(key, data, overwrite=overwrite)
        except AlreadyExists:
            assert key in self.model
            assert not overwrite
        else:
            assert overwrite or key not in self.model
            self.model[key] = data

    @rule(key=_KEYS, data=_DATA, expected=_DATA, right=st.booleans())
    def replace(self, key: str, data: bytes, expected: bytes, right: bool) -> None:
        """Replace bytes, with right or random bytes expected."""
        expected = self.model.get(key, expected) if right else expected
        try:
            self.store.replace(key, data, expected=expected)
        except KeyNotFound:
            assert key not in self.model
        except KeyChanged:
            assert self.model[key] != expected
        else:
            assert self.model[key] == expected
            self.model[key] = data

    @rule(key=_KEYS)
    def delete(self, key: str) -> None:
        """Delete a key that may not exist."""
        try:
            self.store.delete(key)
        except KeyNotFound:
            assert key not in self.model
        else:
            del self.model[key]

    @rule(key=_KEYS, start=st.integers(0, 9), length=st.integers(0, 9))
    def get_range(self, key: str, start: int, length: int) -> None:
        """Read a range of a key that may not exist."""
        try:
            assert self.store.get_range(key, start, length) == self.model[key][start : start + length]
        except KeyNotFound:
            assert key not in self.model

    @invariant()
    def agrees(self) -> None:
        """Assert that the store lists and returns the data of the model."""
        assert {key: self.store.get(key) for key in self.store.list()} == self.model
