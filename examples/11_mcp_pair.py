"""An MCP client and its server, two processes that run this file: one bundle has the work of both.

Needs `pip install mcp`. The client starts the server over standard input and output; the SDK's own spans carry the
trace from one to the other. Both processes call `configure()`, with the same store.
"""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server import MCPServer

import runbundle


def lookup_order(order_id: str) -> str:
    """Say where an order is."""
    return f"{order_id} is in Bremen"


def serve() -> None:
    server = MCPServer("shop")
    server.tool()(lookup_order)
    with runbundle.configure():
        server.run("stdio")


@runbundle.agent(name="concierge")
async def ask(order_id: str) -> str:
    command = StdioServerParameters(command=sys.executable, args=[__file__, "serve"], env={**os.environ})
    async with stdio_client(command) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("lookup_order", {"order_id": order_id})
        return str(result.content[0])


def main() -> None:
    with runbundle.configure() as handle:
        print(asyncio.run(ask("A-1001")))
        print(f"sealed: {handle.flush().sealed[-1]}")
    print("next: runbundle show @last")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
