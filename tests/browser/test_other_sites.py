"""Another site, open in the same browser as the page: it reads nothing, embeds nothing, posts nothing."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

import runbundle
from runbundle.store import ArtifactStore
from runbundle.view.server import Server
from tests.browser import runs
from tests.browser.chromium import Browser
from tests.browser.conftest import opened

_PAGE = b"<!doctype html><title>evil</title><iframe name=inner></iframe><p id=p>evil</p>"

_SCRIPT = """
new Promise((done) => {
  const script = document.createElement("script");
  script.src = "%s";
  script.onload = () => done("ran");
  script.onerror = () => done("refused");
  document.body.append(script);
})
"""
_FORM = """
const form = document.createElement("form");
Object.assign(form, { method: "post", target: "inner", action: "%s" });
document.body.append(form);
form.submit();
0
"""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of another site on this machine."""

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(_PAGE)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_another_site_gets_nothing_by_fetch_form_script_or_frame(
    browser: Browser, configured: Callable[..., runbundle.Handle], served: Callable[[ArtifactStore], Server],
    elsewhere: str,
) -> None:  # fmt: skip
    """The browser has the cookie; it is not sent, and the server would refuse."""
    bundle = runs.eventful(configured())
    server = served(bundle.store)
    page = browser.page()
    opened(page, server.link(bundle.key))
    page.open(elsewhere)
    page.wait("document.getElementById('p') !== null")
    before = len(page.requests)
    asked = f"{server.url}api/about/{bundle.key}"
    for options in ("{credentials: 'include'}", "{mode: 'no-cors', credentials: 'include'}"):
        assert page.run(f"fetch('{asked}', {options}).then(answer => answer.text()).catch(() => '')") == ""
    assert page.run(_SCRIPT % f"{server.url}static/main.js") == "refused"
    page.run(f"document.querySelector('iframe').src = '{server.url}'; 0")
    page.run(_FORM % f"{server.url}api/enter")
    page.wait("true")
    answered = [request["status"] for request in page.requests[before:] if "status" in request]
    assert len(answered) >= 2
    assert set(answered) == {403}
    page.close()
