"""The conformance suite of stores, and a store that fails when it is told to."""

from runbundle.testing.stores.faults import Fault, FaultyStore
from runbundle.testing.stores.suite import StoreTests

__all__ = ["Fault", "FaultyStore", "StoreTests"]
