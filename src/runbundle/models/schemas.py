"""JSON Schemas, generated from the models."""

from typing import Any

from pydantic import BaseModel

from runbundle.models.bundle import ConfigSnapshot, RunIndex
from runbundle.models.contract import ToolContract
from runbundle.models.events import Event
from runbundle.models.evidence import Evidence
from runbundle.models.report import VerifyReport
from runbundle.models.scores import Gate, Scorecard
from runbundle.models.tools import ToolCalls

SCHEMAS: dict[str, type[BaseModel]] = {
    "run": RunIndex,
    "config": ConfigSnapshot,
    "event": Event,
    "tool_calls": ToolCalls,
    "evidence": Evidence,
    "scorecard": Scorecard,
    "gate": Gate,
    "contract": ToolContract,
    "verify_report": VerifyReport,
}
"""By the name that `runbundle schema NAME` takes."""


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a file of the bundle. Raises `KeyError` for a name not in `SCHEMAS`."""
    schema = SCHEMAS[name].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
