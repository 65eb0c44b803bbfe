"""For tests: deterministic ids and a clock, a store that fails on demand, and the suites that every store must pass."""

from runbundle.testing.determinism import FakeClock, SequentialIds
from runbundle.testing.runstores import RunStoreTests
from runbundle.testing.stores.faults import Fault, FaultyStore
from runbundle.testing.stores.suite import StoreTests

__all__ = ["FakeClock", "Fault", "FaultyStore", "RunStoreTests", "SequentialIds", "StoreTests"]
