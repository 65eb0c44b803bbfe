"""For tests: deterministic ids and clock, stores that fail, and the suites that every store and run store must pass."""

from runbundle.testing.determinism import FakeClock, SequentialIds
from runbundle.testing.runstores import RunStoreTests
from runbundle.testing.stores.faults import Fault, FaultyStore
from runbundle.testing.stores.suite import StoreTests

__all__ = ["FakeClock", "Fault", "FaultyStore", "RunStoreTests", "SequentialIds", "StoreTests"]
