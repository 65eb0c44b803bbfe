"""The client of MCP, over the server's standard streams."""

from tests.interop.apps import mcp_app


def main() -> None:
    """One invocation."""
    mcp_app.main()
