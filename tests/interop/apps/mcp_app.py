"""A client of MCP that stands for an agent: it asks a server, which is another process, for three tools."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry import trace

from tests.interop.apps.shared import CITY, EMAIL, ORDER_ID

_AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "concierge"}


def main(port: int = 0) -> None:
    """One invocation; over HTTP if there is a port, else over stdio."""
    if port:
        server = subprocess.Popen(command(port))
        try:
            _wait_for(port)
            asyncio.run(_invoke(f"http://127.0.0.1:{port}/mcp"))
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    else:
        asyncio.run(_invoke(""))


def command(port: int) -> list[str]:
    """Return the command of the server, which keeps its spans as this process does."""
    mode, _, dialect = sys.argv[1:4]
    file = f"{sys.argv[5]}.server" if len(sys.argv) > 5 else ""
    python = [sys.executable, "-m", "tests.interop.apps.mcp_server", mode, dialect, str(port), file]
    if mode != "zero":
        return python
    return [str(Path(sys.executable).with_name("opentelemetry-instrument")), *python]


async def _invoke(url: str) -> None:
    with trace.get_tracer("shop").start_as_current_span("invoke_agent concierge", attributes=_AGENT):
        async with AsyncExitStack() as stack:
            if url:
                streams: Any = await stack.enter_async_context(streamable_http_client(url))
            else:
                program, *arguments = command(0)
                parameters = StdioServerParameters(command=program, args=arguments, env={**os.environ})
                streams = await stack.enter_async_context(stdio_client(parameters))
            session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
            await session.initialize()
            await session.list_tools()
            await session.call_tool("lookup_order", {"order_id": ORDER_ID, "email": EMAIL})
            await session.call_tool("weather", {"city": CITY})
            await session.call_tool("explode", {"reason": "a test"})


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/mcp", timeout=5)
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the server has not begun to listen")
