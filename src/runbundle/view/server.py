"""The server of `runbundle view`: one page, for one person, on this machine, until it is ended."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from runbundle.errors import ConfigError
from runbundle.store import ArtifactStore
from runbundle.view.app import Compared, Strict, viewer
from runbundle.view.guard import Guard

_HOST = "127.0.0.1"


class Server:
    """A server on a loopback address. `link` is what lets a browser in, once."""

    def __init__(self, store: ArtifactStore, *, port: int = 0, compared: Compared | None = None) -> None:
        """Take a port, a free one if `port` is 0. Raises `ConfigError` if it is taken. `compared`: see `viewer`."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((_HOST, port))
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"port {port} cannot be used: {error.strerror}", hint="leave --port out") from None
        self.port: int = self._socket.getsockname()[1]
        hosts = [f"{name}:{self.port}" for name in (_HOST, "localhost")]
        guard = Guard(viewer(store, compared=compared), hosts=hosts, cookie=f"runbundle-view-{self.port}")
        self._token = guard.token
        self._asked = _Asked(Strict(guard))
        config = uvicorn.Config(
            self._asked, log_level="critical", access_log=False, lifespan="off", server_header=False,
            date_header=False, ws="none", timeout_graceful_shutdown=1, h11_max_incomplete_event_size=65_536,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The address, without the token."""
        return f"http://{_HOST}:{self.port}/"

    def link(self, run: str = "", span: str = "") -> str:
        """Return the link that lets a browser in, to a run and a span if they are named. The token is in its fragment,
        which a browser sends to nobody.
        """
        from urllib.parse import quote

        place = f"&/run/{quote(run, safe='')}" if run else ""
        return f"{self.url}#token={self._token}{place}{f'?span={span}' if span and run else ''}"

    def run(self, *, idle_s: float | None = None, began: Callable[[], None] | None = None) -> None:
        """Serve until the process is interrupted, or nothing was asked for `idle_s` seconds. Raises
        `KeyboardInterrupt` after an interrupt.
        """
        asyncio.run(self._run(idle_s, began))

    def stop(self) -> None:
        """End the server; for another thread."""
        self._server.should_exit = True

    async def _run(self, idle_s: float | None, began: Callable[[], None] | None) -> None:
        watching = asyncio.ensure_future(self._watch(idle_s, began))
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            self._socket.close()

    async def _watch(self, idle_s: float | None, began: Callable[[], None] | None) -> None:
        while not self._server.started:
            await asyncio.sleep(0.02)
        if began is not None:
            began()
        while idle_s is not None:
            await asyncio.sleep(min(1.0, idle_s))
            if not self._asked.now and time.monotonic() - self._asked.last_s > idle_s:
                self._server.should_exit = True
                return


class _Asked:
    """Notes when something was last asked for, and how many answers are on their way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.now = 0
        self.last_s = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.now += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.now -= 1
            self.last_s = time.monotonic()
