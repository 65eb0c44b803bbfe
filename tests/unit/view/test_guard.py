"""Who is let in to the page's server, and what every answer forbids the browser."""

import asyncio
from typing import Any

import pytest

from runbundle.store import MemoryStore
from runbundle.view.app import POLICY, Strict, viewer
from runbundle.view.guard import Guard
from tests.support import handmade

HOST = "127.0.0.1:8080"


class Asked:
    """The server without a socket: `ask` gives status, headers and body of an answer."""

    def __init__(self) -> None:
        self.guard = Guard(viewer(handmade.build()), hosts=[HOST, "localhost:8080"], cookie="c")
        self.app = Strict(self.guard)
        self.cookie = ""

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        path, _, query = path.partition("?")
        given = {"host": HOST, **({"cookie": f"c={self.cookie}"} if self.cookie else {})}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()], "root_path": "",
            "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        asyncio.run(self.app(scope, receive, send))
        got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], got, b"".join(message.get("body", b"") for message in sent[1:])

    def enter(self) -> int:
        status, headers, _ = self.ask("/api/enter", "POST", authorization=f"Bearer {self.guard.token}")
        self.cookie = headers.get("set-cookie", "c=;").split(";")[0].removeprefix("c=") or self.cookie
        return status


@pytest.fixture
def server() -> Asked:
    """A server that nobody has entered."""
    return Asked()


@pytest.fixture
def entered(server: Asked) -> Asked:
    """A server whose cookie is known."""
    assert server.enter() == 204
    return server


API = (
    "/api/runs",
    "/api/about/hand-1",
    "/api/columns/hand-1",
    "/api/bytes/hand-1?file=run.json",
    "/api/tab/integrity/hand-1",
)


def test_without_the_cookie_only_the_empty_page_is_given(server: Asked) -> None:
    """The page and its code hold nothing of any run; everything else is refused."""
    assert server.ask("/")[0] == 200
    assert server.ask("/static/page.js")[0] == 200
    for path in (*API, "/api/live/hand-1", "/api/journal/hand-1?writer=a&at=0&bytes=1"):
        assert server.ask(path)[0] == 401, path


def test_the_token_is_good_for_one_cookie(server: Asked) -> None:
    """A second browser with the same link is refused; the first may ask again; a cookie is for this site alone."""
    token = server.guard.token
    status, headers, _ = server.ask("/api/enter", "POST", authorization=f"Bearer {token}")
    assert status == 204
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(headers["set-cookie"].split("; "))
    assert server.ask("/api/enter", "POST", authorization=f"Bearer {token}")[0] == 403
    assert server.ask("/api/enter", "POST", authorization="Bearer ")[0] == 403
    server.cookie = headers["set-cookie"].split(";")[0].removeprefix("c=")
    assert server.ask("/api/enter", "POST", authorization="Bearer x")[0] == 204
    assert [server.ask(path)[0] for path in API] == [200] * len(API)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1", "127.0.0.1:80", "", "[::1]:8080"])
def test_no_other_name_leads_here(entered: Asked, host: str) -> None:
    """A name that was bound to this address by its owner is not ours, whatever cookie comes with it."""
    for path in ("/", *API):
        assert entered.ask(path, host=host)[0] == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:8081"}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ],
)  # fmt: skip
def test_no_other_site_is_answered(entered: Asked, headers: dict[str, str]) -> None:
    """Its fetch, its form, its frame; another port on this machine is another site."""
    for path in ("/", *API):
        assert entered.ask(path, **headers)[0] == 403, path
    assert entered.ask("/api/enter", "POST", **headers)[0] == 403


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else(entered: Asked) -> None:
    """A ticket may link to the page; the answer of a read is no page."""
    linked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert entered.ask("/", **linked)[0] == 200
    assert entered.ask("/api/about/hand-1", **linked)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_get_is_answered(entered: Asked, method: str) -> None:
    """The page only looks."""
    for path in ("/", *API):
        assert entered.ask(path, method)[0] == 405


def test_every_answer_keeps_the_page_to_itself(entered: Asked) -> None:
    """Refusals too: no script but ours, no frame around it, no other origin asked, nothing kept by the browser."""
    for path, headers in (("/", {}), ("/api/runs", {}), ("/api/about/none", {}), ("/", {"host": "evil"})):
        got = entered.ask(path, **headers)[1]
        assert got["content-security-policy"] == POLICY
        assert got["x-content-type-options"] == "nosniff"
        assert got["referrer-policy"] == "no-referrer"
        assert got["cache-control"] == "no-store"
        assert got["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in got
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_only_sealed_files_are_read_and_a_mebibyte_at_most(entered: Asked) -> None:
    """No path leads out of the bundle, beside it, or to what run.json does not list."""
    ask = entered.ask
    assert ask("/api/bytes/hand-1?file=events.jsonl&at=1&bytes=10")[2] == handmade.files()["events.jsonl"][1:11]
    for file in (
        "hold.json",
        "../hand-1/run.json",
        "/etc/passwd",
        "",
        "revisions/1/run.json",
        ".vault/x",
        "attestation.dsse.json",
    ):
        assert ask(f"/api/bytes/hand-1?file={file}")[0] == 404, file
    for key in ("..", "../x", "%2e%2e", ".spool", ".vault", "a/b/c", "hand-1/events.jsonl", ""):
        assert ask(f"/api/about/{key}")[0] == 404, key
    for wrong in ("at=-1", "at=x", "bytes=1048577", "at=1e3", "at=99999999999999999999", "bytes=²"):
        assert ask(f"/api/bytes/hand-1?file=run.json&{wrong}")[0] == 400, wrong
    for name in ("../app.py", "..%2fapp.py", "tsconfig.json", "__init__.py", "x.js", "main.js"):
        assert ask(f"/static/{name}")[0] == 404, name


def test_a_page_of_another_revision_is_refused_its_bytes(entered: Asked) -> None:
    """The tag is the SHA-256 of run.json; with another the answer is 412."""
    tag = entered.ask("/api/about/hand-1")[1]["etag"]
    assert len(tag) == 66
    assert entered.ask("/api/bytes/hand-1?file=run.json", if_match=tag)[0] == 200
    assert entered.ask("/api/columns/hand-1", if_match=tag)[0] == 200
    other = '"' + "0" * 64 + '"'
    assert entered.ask("/api/bytes/hand-1?file=run.json", if_match=other)[0] == 412
    assert entered.ask("/api/columns/hand-1", if_match=other)[0] == 412


def test_an_odd_cookie_is_no_cookie(server: Asked) -> None:
    """Whatever the header holds, the answer is a refusal."""
    for cookie in ("", "x", "=;=", "\x7f", "a" * 5000, '"'):
        server.cookie = cookie
        assert server.ask("/api/runs")[0] == 401


def test_a_store_of_others_answers_for_its_own_runs_only() -> None:
    """The application can be mounted without the guard; it still has no way to another run's files."""
    store = MemoryStore()
    store.put("other/run.json", b"{}")
    store.put("other/secret.txt", b"raw")
    app = Asked()
    app.app = Strict(viewer(store))  # pyright: ignore[reportArgumentType]
    assert app.ask("/api/about/other")[0] == 500
    assert b"raw" not in app.ask("/api/bytes/other?file=secret.txt")[2]
