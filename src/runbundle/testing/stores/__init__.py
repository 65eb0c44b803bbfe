"""The conformance suite of artifact stores, and a store that fails on demand."""

from runbundle.testing.stores.faults import Fault, FaultyStore
from runbundle.testing.stores.suite import StoreTests

__all__ = ["Fault", "FaultyStore", "StoreTests"]
