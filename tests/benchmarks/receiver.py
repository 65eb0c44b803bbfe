"""`python -m tests.benchmarks.receiver`: an HTTP server on this machine that takes everything and keeps nothing.

It prints its port, and ends with its standard input, so that it never outlives who has started it.
"""

import asyncio
import sys

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
_MOST_BYTES = 1 << 26


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            fields = dict(line.split(b":", 1) for line in head.split(b"\r\n") if b":" in line)
            if b"chunked" in fields.get(b"transfer-encoding", b""):
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                await reader.readexactly(int(fields.get(b"content-length", 0)))
            writer.write(_OK)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        writer.close()


async def main() -> None:
    """Serve until the standard input ends."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=_MOST_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
