"""Fixtures of the tests with a browser."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbundle.compare.report import between
from runbundle.store import ArtifactStore
from runbundle.view.server import Server
from tests.browser import environment
from tests.browser.chromium import Browser, Page

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that runs until the last test is done."""
    missing = environment.why_not()
    if missing and not os.environ.get("CI"):
        pytest.skip(missing)
    browser = Browser(environment.chromium(), tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of its own."""
    page = browser.page()
    yield page
    page.close()


@pytest.fixture
def served() -> Iterator[Callable[[ArtifactStore], Server]]:
    """Serve a store until the test is done."""
    running: list[tuple[Server, threading.Thread]] = []

    def serve(store: ArtifactStore) -> Server:
        server = Server(store, compared=between)
        began = threading.Event()
        thread = threading.Thread(target=server.run, kwargs={"began": began.set}, daemon=True)
        thread.start()
        assert began.wait(10)
        running.append((server, thread))
        return server

    yield serve
    for server, thread in running:
        server.stop()
        thread.join(10)


READY = "document.documentElement.dataset.ready"
ROWS = "document.querySelectorAll('.spans .body .row:not([hidden])').length"


def opened(page: Page, url: str) -> Page:
    """Open a run, and wait until its rows are there."""
    page.open(url)
    page.wait(f"{READY} && {ROWS} > 0")
    return page


def picture_of(page: Page, name: str) -> Path | None:
    """Write a picture of the page where RUNBUNDLE_TEST_PICTURES names a folder; else do nothing."""
    folder = os.environ.get("RUNBUNDLE_TEST_PICTURES")
    return page.picture(Path(folder) / f"{name}.png") if folder else None
