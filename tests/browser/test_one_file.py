"""A run as one HTML file, opened from disk by a browser."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.cli.main import group
from runbundle.otel.inspection.canaries import CONTRACT, RESOURCE, found_in, plant_spans
from runbundle.otel.inspection.planting import plant_own
from runbundle.store import LocalStore
from runbundle.view.one_file import write_page
from tests.browser import environment, runs
from tests.browser.chromium import Page
from tests.browser.conftest import opened, picture_of
from tests.browser.test_page import TABS

Configure = Callable[..., runbundle.Handle]


@pytest.fixture
def exported(configured: Configure, tmp_path: Path) -> Path:
    """The file of a run in which everything happens."""
    bundle = runs.eventful(configured())
    path = tmp_path / "run.html"
    done = CliRunner().invoke(group, ["export", bundle.key, "--store", "store", "--to", "html", "--output", str(path)])
    assert done.exit_code == 0, done.output
    return path


def test_it_opens_from_disk_and_asks_nobody_for_anything(exported: Path, page: Page) -> None:
    """Every tab says what it says on the server's page; the one request is for the file."""
    opened(page, exported.as_uri())
    page.wait("document.querySelector('.lead').innerText.includes('execute_tool refund: ValueError')")
    said = {
        "tools": "find_order", "evidence": "doc-1", "redaction": "values withheld", "config": "steps",
        "integrity": "when this page was written", "raw": "span.ended",
        "scores": "No scorecard", "compare": "runbundle diff A B --format html",
    }  # fmt: skip
    for name in TABS:
        page.run(f"document.getElementById('tab-{name}').click()")
        page.wait(f"document.getElementById('panel').innerText.includes({said.get(name, '')!r})")
    picture_of(page, "file-raw")
    assert {request["url"].split("#")[0] for request in page.requests} == {exported.as_uri()}
    assert page.complaints == []


def test_its_policy_lets_nothing_else_run_and_nothing_out(exported: Path, page: Page) -> None:
    """A script that was put in, a handler in markup, a request: each is refused by the browser."""
    text = exported.read_text()
    put_in = "<script>window.hacked = 1</script><img src=x onerror='hacked = 2'>"
    exported.write_text(text.replace("</body>", f"{put_in}</body>"))
    opened(page, exported.as_uri())
    assert page.run("window.hacked") is None
    assert page.run("fetch('http://127.0.0.1:9/').then(() => 'out', error => error.name)") == "TypeError"
    assert {request["url"].split("#")[0] for request in page.requests} == {exported.as_uri()}


def test_it_has_no_fault_of_accessibility(exported: Path, page: Page) -> None:
    """The same page, the same law."""
    opened(page, exported.as_uri())
    page.send("Page.setBypassCSP", enabled=True)
    page.run(f"{environment.axe()}; true")
    found = page.run("axe.run(document).then(said => said.violations.map(one => one.id + one.nodes.map(n => n.html)))")
    assert found == []


def test_names_and_canaries_are_not_in_it_as_anything_but_text(
    configured: Configure, tmp_path: Path, page: Page
) -> None:
    """Markup in names stays text; a canary of every channel is in no piece of it, unpacked."""
    store = LocalStore(tmp_path / "hostile")
    out = BytesIO()
    write_page(Bundle.open(store, runs.hostile(store)), out, most_bytes=50_000_000)
    (tmp_path / "hostile.html").write_bytes(out.getvalue())
    opened(page, (tmp_path / "hostile.html").as_uri())
    assert page.run("window.hacked") is None
    assert out.getvalue().count(b"</script>") == 3
    handle = configured(resource=RESOURCE, contracts=[CONTRACT])
    with runbundle.start_run("leak"):
        plant_spans(handle.tracer_provider)
    plant_own()
    for key in handle.flush().sealed:
        made = BytesIO()
        write_page(Bundle.open(handle.store, key), made, most_bytes=50_000_000)
        assert found_in(made.getvalue()) == []
        assert found_in(b"".join(_unpacked(made.getvalue().decode()))) == []


def _unpacked(text: str) -> list[bytes]:
    import base64
    import gzip
    import json

    held = json.loads(re.search(r'id="held">(.*?)</script>', text, re.DOTALL)[1])  # pyright: ignore[reportOptionalSubscript]
    packed = re.search(r'id="packed">(.*?)</script>', text, re.DOTALL)[1]  # pyright: ignore[reportOptionalSubscript]
    pieces = [held["columns"], *(piece for pieces in held["files"].values() for piece in pieces)]
    return [gzip.decompress(base64.b64decode(packed[at : at + count])) for _, _, at, count in pieces]
