"""Artifact stores: bytes under keys, create-only by default.

Local disk and memory; object stores through `from_url`.
"""

from runbundle.store.base import ArtifactStore
from runbundle.store.local import LocalStore
from runbundle.store.memory import MemoryStore
from runbundle.store.url import from_url

__all__ = ["ArtifactStore", "LocalStore", "MemoryStore", "from_url"]
