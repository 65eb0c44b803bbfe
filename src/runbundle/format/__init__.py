"""The bundle format, version 1: a model of each file, the layout and the findings. No function here reads files.

The models of contracts are loaded when they are first asked for here: signatures name them, and a process that records
may never need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbundle.format import contract as contract


def __getattr__(name: str) -> Any:
    if name != "contract":
        raise AttributeError(f"module 'runbundle.format' has no attribute {name!r}")
    return import_module("runbundle.format.contract")
