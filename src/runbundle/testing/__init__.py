"""For tests: deterministic ids and clock, stores that fail, and the suite that every artifact store must pass."""

from runbundle.testing.determinism import FakeClock, SequentialIds
from runbundle.testing.faults import Fault, FaultyStore
from runbundle.testing.stores import StoreTests

__all__ = ["FakeClock", "Fault", "FaultyStore", "SequentialIds", "StoreTests"]
