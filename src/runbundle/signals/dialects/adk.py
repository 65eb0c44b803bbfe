"""Google's Agent Development Kit: the GenAI conventions, and what it said before it had them.

Source: https://github.com/google/adk-python/tree/main/src/google/adk/telemetry
"""

from typing import Any, cast

import orjson

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, STEP
from runbundle.signals.reading import json_of

_SCOPE = "gcp.vertex.agent"
_SUM = "(merged tools)"
"""Name of a span that sums up calls which have spans of their own."""


def _work(reading: Reading) -> str:
    work = reading.text(semconv.OPERATION)
    if reading.attributes.get(semconv.TOOL_NAME) == _SUM:
        reading.put(own.OP, STEP)
        reading.put(own.NAME, "merged tools")
    elif not work and reading.name == "call_llm":
        reading.put(semconv.OPERATION, CHAT)
    return work


def _finish(reading: Reading) -> None:
    result: Any = reading.attributes.get(semconv.RESULT)
    if reading.scope != _SCOPE or not isinstance(result, str) or not result.startswith('{"result":'):
        return
    found = json_of(result)
    said = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if said.keys() == {"result"}:
        value = said["result"]
        reading.attributes[semconv.RESULT] = value if isinstance(value, str) else orjson.dumps(value).decode()


ADK = Dialect(
    name="",
    signs=frozenset({"gcp.vertex.agent.event_id", "gcp.vertex.agent.invocation_id", "gcp.vertex.agent.tool_call_args"}),
    kinds={
        **keys_of("id", "gcp.vertex.agent.event_id gcp.vertex.agent.invocation_id"),
        **keys_of("content", "gcp.vertex.agent.llm_request gcp.vertex.agent.llm_response gcp.vertex.agent.data"),
    },
    work=_work,
    rows=(
        Row(own.SESSION_ID, ("gcp.vertex.agent.session_id",)),
        Row(semconv.ARGUMENTS, ("gcp.vertex.agent.tool_call_args",)),
        Row(semconv.RESULT, ("gcp.vertex.agent.tool_response",)),
    ),
    finish=_finish,
)
