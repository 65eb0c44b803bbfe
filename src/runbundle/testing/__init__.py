"""For tests: deterministic ids and clock, and the suite that every artifact store must pass."""

from runbundle.testing.determinism import FakeClock, SequentialIds
from runbundle.testing.stores import StoreTests

__all__ = ["FakeClock", "SequentialIds", "StoreTests"]
