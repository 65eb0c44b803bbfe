"""The Model Context Protocol: its SDK's own spans, FastMCP's, and those of others that name the protocol's methods.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/ and the spans of `mcp-python-sdk`, whose client says
the name of a tool in the span's name alone. Methods other than a tool's call are steps, each called as its method.
"""

from typing import Any, cast

import orjson

from runbundle.process.regex import later
from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import EXECUTE_TOOL, STEP
from runbundle.signals.reading import json_of

_CALL = "tools/call"
_NAMED = later(r"(?:MCP send )?tools/call ([A-Za-z0-9_./-]{1,128})")
"""Names of spans that say a tool's, in the alphabet that the protocol has for it: any other name may say anything."""
_ENVELOPE = {"content", "isError", "structuredContent", "_meta", "meta", "resultType"}
_REQUEST = "mcp.request.argument"


def _work(reading: Reading) -> str:
    method = reading.text(semconv.MCP_METHOD)
    if method == _CALL:
        reading.put(semconv.OPERATION, EXECUTE_TOOL)
    elif method and semconv.OPERATION not in reading.attributes:
        reading.put(own.OP, STEP)
        reading.put(own.NAME, method)
    return method


def _finish(reading: Reading) -> None:
    if reading.op != _CALL:
        return
    attributes = reading.attributes
    if _REQUEST in attributes:
        _read_request(reading)
    if semconv.TOOL_NAME not in attributes:
        named = _NAMED.fullmatch(reading.name)
        if named is not None:
            attributes[semconv.TOOL_NAME] = named[1]
    result = _alone(attributes.get(semconv.RESULT))
    if result is not None:
        attributes[semconv.RESULT] = result


def _read_request(reading: Reading) -> None:
    """Take tool and arguments out of a request's JSON."""
    found = json_of(reading.attributes[_REQUEST])
    params: Any = cast("dict[str, Any]", found).get("params") if isinstance(found, dict) else None
    if not isinstance(params, dict):
        return
    said = cast("dict[str, Any]", params)
    if isinstance(said.get("name"), str):
        reading.put(semconv.TOOL_NAME, said["name"])
    if isinstance(said.get("arguments"), dict):
        reading.put(semconv.ARGUMENTS, orjson.dumps(said["arguments"]).decode())


def _alone(value: Any) -> str | None:
    """Return the text that a result consists of; None if it has several parts, or others than text."""
    found = json_of(value) if isinstance(value, str) and value[:1] in ("{", "[") else None
    if isinstance(found, dict):
        said = cast("dict[str, Any]", found)
        found = said.get("content") if said.keys() <= _ENVELOPE else None
    if not isinstance(found, list) or len(cast("list[Any]", found)) != 1 or not isinstance(found[0], dict):
        return None
    part = cast("dict[str, Any]", found[0])
    if part.get("type") != "text" or not part.keys() <= {"type", "text", "annotations", "_meta", "meta"}:
        return None
    return part["text"] if isinstance(part.get("text"), str) else None


MCP = Dialect(
    name="",
    signs=frozenset({semconv.MCP_METHOD}),
    kinds={
        **keys_of(
            "name",
            "gen_ai.prompt.name jsonrpc.protocol.version fastmcp.server.name fastmcp.provider.type mcp.transport",
            "fastmcp.component.type mcp.server.name mcp.server.version mcp.client.name mcp.client.version",
        ),
        **keys_of("id", "mcp.request.id"),
        **keys_of("number", "client.port mcp.tool.result.is_error mcp.tool.result.content_count"),
        **keys_of(
            "content",
            "fastmcp.component.key fastmcp.delegate.original_name mcp.session.init_options mcp.request.argument",
        ),
    },
    work=_work,
    rows=(
        Row(own.USER_ID, ("enduser.id",)),
        Row("jsonrpc.request.id", ("mcp.request.id",)),
        Row("rpc.response.status_code", ("rpc.jsonrpc.error_code",)),
        Row("jsonrpc.protocol.version", ("rpc.jsonrpc.version",)),
    ),
    rows_of={
        _CALL: (
            Row(semconv.TOOL_NAME, ("mcp.tool.name",)),
            Row(semconv.ARGUMENTS, ("mcp.tool.arguments",)),
            Row(semconv.RESULT, ("mcp.response.value", "mcp.tool.result.content", "mcp.tool.result")),
        ),
    },
    finish=_finish,
)
