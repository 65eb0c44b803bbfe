"""JSON Schemas of the bundle's files, generated from the models."""

from typing import Any

from pydantic import BaseModel

from runbundle.format.contract import ToolContract
from runbundle.format.evaluation import Baseline, Gate, Scorecard
from runbundle.format.events import Event
from runbundle.format.evidence import Evidence
from runbundle.format.run import ConfigSnapshot, RunIndex
from runbundle.format.tool_calls import ToolCalls
from runbundle.format.verify_report import VerifyReport

SCHEMAS: dict[str, type[BaseModel]] = {
    "run": RunIndex,
    "config": ConfigSnapshot,
    "event": Event,
    "tool_calls": ToolCalls,
    "evidence": Evidence,
    "scorecard": Scorecard,
    "gate": Gate,
    "baseline": Baseline,
    "contract": ToolContract,
    "verify_report": VerifyReport,
}
"""The models, by the name that `runbundle schema NAME` takes."""


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one model. Raises `KeyError` for a name that is not in `SCHEMAS`."""
    schema = SCHEMAS[name].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
