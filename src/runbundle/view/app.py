"""The page's server as an application that a service can mount: it reads sealed bundles and redacted journals.

It has no say in who may ask; see `guard`, or the service around it. Nothing is written but caches. Nothing raw can be
asked for: the vault and run state have no address here.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runbundle.errors import ConfigError, KeyNotFound, NotComparable, NotSealed, NotVerified, RunbundleError
from runbundle.store import ArtifactStore
from runbundle.store.base import is_key
from runbundle.view import listing, live, runs
from runbundle.view.code import TYPES, static_file

FILTER = "runbundle-filter"
"""The header of a request for the list: the filters as the query of an address, which they are kept out of."""
MOST_BYTES = 1_048_576
"""Limit for one read of a file, in bytes."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
}  # fmt: skip

Listed = Callable[[ArtifactStore, Mapping[str, str]], dict[str, Any]]
"""A function that lists runs of a store by the filters that were asked for."""

Compared = Callable[[ArtifactStore, str, str], dict[str, Any]]
"""A function that compares two runs of a store, named by their keys: the report of `diff --format json`."""


def viewer(store: ArtifactStore, *, listed: Listed = listing.listed, compared: Compared | None = None) -> Starlette:
    """Return the application that shows the runs of a store. Without `compared` it compares none."""

    async def about(request: Request) -> Response:
        said, digest = await run_in_threadpool(runs.about, store, _key(request))
        return _json(said, etag=digest)

    async def columns(request: Request) -> Response:
        run = await run_in_threadpool(runs.opened, store, _key(request), _known(request))
        _same(request, run.digest)
        data = await run_in_threadpool(lambda: run.columns.to_bytes())
        return Response(data, media_type="application/octet-stream", headers={"etag": f'"{run.digest}"'})

    async def some_bytes(request: Request) -> Response:
        key = _key(request)
        query = request.query_params
        at, count = _number(query.get("at", "0")), _number(query.get("bytes", str(MOST_BYTES)))
        if count > MOST_BYTES:
            raise HTTPException(400, f"at most {MOST_BYTES} bytes are read at once")
        run = await run_in_threadpool(runs.opened, store, key, _known(request))
        _same(request, run.digest)
        data = await run_in_threadpool(runs.some_bytes, run.bundle, query.get("file", ""), at, count)
        return Response(data, media_type="application/octet-stream", headers={"etag": f'"{run.digest}"'})

    async def tab(request: Request) -> Response:
        name, whole = request.path_params["name"], "whole" in request.query_params
        return _json(await run_in_threadpool(runs.tab, store, _key(request), name, whole=whole))

    async def compare(request: Request) -> Response:
        key, other = _key(request), request.query_params.get("with", "")
        if compared is None or not is_key(other) or other.count("/") > 1:
            raise HTTPException(404, "there is no such run" if compared is not None else "this server compares no runs")
        return _json(await run_in_threadpool(compared, store, other, key))

    async def listing_of(request: Request) -> Response:
        if request.url.query:  # an address is logged and kept by whoever passes it on; a raw id may be among filters
            raise HTTPException(400, f"filters of the list are in the header {FILTER}, not in the address")
        asked = dict(parse_qsl(request.headers.get(FILTER, ""), keep_blank_values=True))
        return _json(await run_in_threadpool(listed, store, asked))

    async def watched(request: Request) -> Response:
        key = _key(request)
        events = live.events(store, key, request.headers.get("last-event-id", ""), request.is_disconnected)
        return StreamingResponse(events, media_type="text/event-stream")

    async def journalled(request: Request) -> Response:
        query = request.query_params
        place = query.get("writer", ""), _number(query.get("at", "")), _number(query.get("bytes", ""))
        if place[2] > MOST_BYTES:
            raise HTTPException(400, f"at most {MOST_BYTES} bytes are read at once")
        return _json(await run_in_threadpool(live.entry_at, store, _key(request), *place))

    return Starlette(
        routes=[
            Route("/", _page("index.html")),
            Route("/static/{name}", _static),
            Route("/api/runs", listing_of),
            Route("/api/about/{key:path}", about),
            Route("/api/columns/{key:path}", columns),
            Route("/api/bytes/{key:path}", some_bytes),
            Route("/api/tab/{name}/{key:path}", tab),
            Route("/api/compare/{key:path}", compare),
            Route("/api/live/{key:path}", watched),
            Route("/api/journal/{key:path}", journalled),
        ],
        exception_handlers={RunbundleError: _failed, HTTPException: _refused},
    )


class Strict:
    """An ASGI application around another, which adds the headers that keep a page to itself to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers added."""

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, strict)


def _page(name: str) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        return Response(static_file(name), media_type=TYPES["html"])

    return endpoint


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    data = static_file(name)
    if data is None:
        raise HTTPException(404, "the page has no such file")
    return Response(data, media_type=TYPES[name.rpartition(".")[2]])


def _key(request: Request) -> str:
    key: str = request.path_params["key"]
    if not is_key(key) or key.count("/") > 1:
        raise HTTPException(404, "there is no such run")
    return key


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, "a place in a file is given as a number")
    return int(text)


def _known(request: Request) -> str:
    """Return the digest of the revision that the page has, or an empty text."""
    return request.headers.get("if-match", "*").strip('"*')


def _same(request: Request, digest: str) -> None:
    """Refuse if the run is not the revision any more that the page has: 412."""
    if _known(request) not in ("", digest):
        raise HTTPException(412, "this run was sealed anew")


def _json(value: Any, *, etag: str = "") -> Response:
    headers = {"etag": f'"{etag}"'} if etag else None
    return Response(orjson.dumps(value), media_type="application/json", headers=headers)


def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RunbundleError)
    missing = isinstance(error, KeyNotFound | NotSealed)
    refused = isinstance(error, NotComparable | NotVerified)
    status = 404 if missing else 400 if isinstance(error, ConfigError) else 409 if refused else 500
    return Response(
        orjson.dumps({"error": error.message, "hint": error.hint, "code": error.code}),
        status,
        media_type="application/json",
    )


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(orjson.dumps({"error": error.detail}), error.status_code, media_type="application/json")
