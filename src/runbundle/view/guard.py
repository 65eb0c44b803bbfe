"""Who may ask the page's server: the browser of the person who started it, and nobody else.

A server on a loopback address can be reached by every program and every web page on the machine. So each request must
name this server as its host (no other name leads here, which stops DNS rebinding), must not come from another site,
and must carry a cookie. The cookie is given once, for the token in the link that was printed.
"""

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

ENTER = "/api/enter"
"""The path to which the page posts the token; the only one that is not read with GET."""
_OPEN = ("/", "/static/", "/favicon.ico")
"""What needs no cookie: the page itself, which holds nothing of any run."""


class Guard:
    """An ASGI application around another, which refuses requests of others before the inner one sees them.

    Not guarded against: other programs of the same user, which can read the store itself.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], cookie: str) -> None:
        """Let through what names one of `hosts`, such as `127.0.0.1:8080`. `cookie` is the name of the cookie."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._name = cookie
        self._value = secrets.token_urlsafe(32)
        self.token = secrets.token_urlsafe(32)
        """The token, which is good for one exchange."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket is not accepted
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        path, method = scope["path"], scope["method"]
        if headers.get("host", "").lower() not in self._hosts:
            return _no("this server answers only to its own address", 421)
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self._hosts}:
            return _no("the request comes from another site", 403)
        opened = (path, headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("/", "navigate", "document")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return _no("the request comes from another site", 403)
        if path == ENTER:
            return self._enter(headers) if method == "POST" else _no("the token is posted here", 405)
        if method not in ("GET", "HEAD"):
            return _no("only GET is answered", 405)
        if path in _OPEN or path.startswith(_OPEN[1]) or self._known(headers):
            return None
        return _no(
            "open the link that runbundle view printed; a link works once, and its browser is let in after that", 401
        )

    def _enter(self, headers: Headers) -> Response:
        if self._known(headers):
            return Response(status_code=204)
        said = headers.get("authorization", "")
        if not self.token or not compare_digest(said.encode(), f"Bearer {self.token}".encode()):
            return _no("this link was used before, or is not one of this server; start runbundle view again", 403)
        self.token = ""
        answer = Response(status_code=204)
        answer.set_cookie(self._name, self._value, httponly=True, samesite="strict", path="/")
        return answer

    def _known(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._name)
        except CookieError:
            return False
        return found is not None and compare_digest(found.value.encode(), self._value.encode())


def _no(why: str, status: int) -> Response:
    return JSONResponse({"error": why}, status)
