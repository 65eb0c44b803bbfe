"""The types of the options of `configure()`, each loaded when it is first asked for here.

The signature names them, and much is loaded with them: the SDK, recorders, what forwards. Whoever calls `configure()`
has the digest key stretched meanwhile.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as TracerProvider

    from runbundle.contracts.approval import Decider as Decider
    from runbundle.otel.belonging.joining import Trust as Trust
    from runbundle.otel.belonging.run_names import Grouping as Grouping
    from runbundle.otel.composition import Redacted as Redacted
    from runbundle.otel.forwarding.option import Otlp as Otlp
    from runbundle.otel.handle import Handle as Handle
    from runbundle.recording.sealing.publisher import SealedBy as SealedBy
    from runbundle.recording.writing.open_runs import Durability as Durability
    from runbundle.store import ArtifactStore as ArtifactStore

_PLACES = {
    "TracerProvider": "opentelemetry.sdk.trace",
    "Decider": "runbundle.contracts.approval",
    "Trust": "runbundle.otel.belonging.joining",
    "Grouping": "runbundle.otel.belonging.run_names",
    "Redacted": "runbundle.otel.composition",
    "Otlp": "runbundle.otel.forwarding.option",
    "Handle": "runbundle.otel.handle",
    "Durability": "runbundle.recording.recorder",
    "SealedBy": "runbundle.recording.sealing.publisher",
    "ArtifactStore": "runbundle.store",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'runbundle.otel.option_types' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
