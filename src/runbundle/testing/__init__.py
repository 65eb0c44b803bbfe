"""For tests: deterministic ids and clock, and the suites that every artifact store and every run store must pass."""

from runbundle.testing.determinism import FakeClock, SequentialIds
from runbundle.testing.runstores import RunStoreTests
from runbundle.testing.stores import StoreTests

__all__ = ["FakeClock", "RunStoreTests", "SequentialIds", "StoreTests"]
