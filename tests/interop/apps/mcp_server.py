"""A server of MCP with three tools: `python -m tests.interop.apps.mcp_server MODE DIALECT PORT FILE`.

It listens at PORT, or reads its standard input if that is 0; MODE and FILE are as for `run`.
"""

import contextlib
import sys

from mcp.server import MCPServer

from tests.interop.apps import shared
from tests.interop.apps.run import record


def main() -> None:
    """Serve until the client is gone, or until interrupted."""
    mode, dialect, port, file = [*sys.argv[1:], ""][:4]
    if port == "0":  # standard output is the protocol's
        sys.stdout, protocol = sys.stderr, sys.stdout
    end = record(mode, "mcp_server", dialect, file)
    server = MCPServer("shop")
    for tool in (shared.lookup_order, shared.weather, shared.explode):
        server.tool()(tool)
    with contextlib.suppress(KeyboardInterrupt):
        if port == "0":
            sys.stdout = protocol
            server.run("stdio")
            sys.stdout = sys.stderr
        else:
            server.run("streamable-http", host="127.0.0.1", port=int(port))
    end()


if __name__ == "__main__":
    main()
