"""For tests: deterministic ids and a clock, a store that fails on demand, suites for stores, and the pytest fixture.

Each name is loaded when it is first used, since pytest imports this package with its plugin in every project.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbundle.testing.assertions import RecordedRuns
    from runbundle.testing.determinism import FakeClock, SequentialIds
    from runbundle.testing.gated_runs import GatedRuns
    from runbundle.testing.runstores import RunStoreTests
    from runbundle.testing.stores.faults import Fault, FaultyStore
    from runbundle.testing.stores.suite import StoreTests

_HOME = {
    "FakeClock": "runbundle.testing.determinism",
    "Fault": "runbundle.testing.stores.faults",
    "FaultyStore": "runbundle.testing.stores.faults",
    "GatedRuns": "runbundle.testing.gated_runs",
    "RecordedRuns": "runbundle.testing.assertions",
    "RunStoreTests": "runbundle.testing.runstores",
    "SequentialIds": "runbundle.testing.determinism",
    "StoreTests": "runbundle.testing.stores.suite",
}

__all__ = [
    "FakeClock",
    "Fault",
    "FaultyStore",
    "GatedRuns",
    "RecordedRuns",
    "RunStoreTests",
    "SequentialIds",
    "StoreTests",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'runbundle.testing' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
