"""The client of MCP, over streamable HTTP."""

import socket

from tests.interop.apps import mcp_app


def main() -> None:
    """One invocation."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mcp_app.main(port)
