"""A run that is still being written, in a browser: its spans as they come, its seal, its crash."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbundle.store import ArtifactStore, LocalStore
from runbundle.view.server import Server
from tests.browser.chromium import Page
from tests.browser.conftest import READY, picture_of

Serve = Callable[[ArtifactStore], Server]
_AGENT = """
import sys, runbundle
handle = runbundle.configure(store="store", key=b"a key for tests only")
with runbundle.start_run("watched", run_id="live-1"):
    with runbundle.start_step("first"):
        pass
    for line in sys.stdin:
        tool = runbundle.start_tool(line.strip(), {"card": "4111 1111 1111 1111"})
        with tool:
            tool.set_output({"ok": True})
        print("done", flush=True)
handle.flush()
"""


class Agent:
    """A process with a run that goes on as it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def call(self, tool: str) -> None:
        """Have a tool called, and wait until it was."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{tool}\n")
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent at work."""
    agent = Agent()
    agent.call("look_up")
    yield agent
    agent.process.kill()
    agent.process.wait()
    for pipe in (agent.process.stdin, agent.process.stdout):
        if pipe is not None:
            pipe.close()


def _names(page: Page) -> list[str]:
    return page.run(
        "[...document.querySelectorAll('.spans .body .row:not([hidden])')].map(r => r.children[0].innerText.trim())"
    )


@pytest.mark.alone
def test_spans_are_on_the_page_half_a_second_after_they_ended(agent: Agent, served: Serve, page: Page) -> None:
    """Open ones are drawn as open; the seal puts the sealed run in the place, with the same span chosen."""
    page.open(served(LocalStore(Path("store"))).link("live-1"))
    page.wait(f"{READY} && document.body.innerText.includes('look_up')")
    assert page.run("document.querySelector('header .pill').innerText") == "● live"
    assert page.run(
        "[...document.querySelectorAll('.row')].some(r => r.getAttribute('aria-label').includes(', open,'))"
    )
    waited: list[float] = []
    for number in range(5):
        agent.call(f"tool_{number}")
        began = time.monotonic()
        page.wait(f"document.querySelector('.spans').innerText.includes('tool_{number}')")
        waited.append(time.monotonic() - began)
    assert sorted(waited)[2] <= 0.5, waited
    page.press("End")
    page.wait("document.querySelector('.detail').innerText.includes('tool_4')")
    assert "4111 11" not in page.run("document.body.innerText")
    picture_of(page, "light-live")
    chosen = page.run("location.hash")
    agent.process.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
    agent.process.wait(30)
    page.wait("document.querySelector('header .pill').innerText === '✓ ok'")
    page.wait("document.querySelector('.row.active') !== null")
    assert page.run("location.hash") == chosen
    page.press("g", "i")
    page.wait("document.body.innerText.includes('unchanged')")
    assert page.complaints == []


def test_every_tab_says_what_is_known_before_the_seal(agent: Agent, served: Serve, page: Page) -> None:
    """From the journals, and that nothing of it is verified; a tab that is opened again has what was recorded since."""
    page.open(served(LocalStore(Path("store"))).link("live-1"))
    page.wait(f"{READY} && document.body.innerText.includes('look_up')")
    said = {
        "o": ("look_up", "not verified"), "p": ("No policy decided",), "v": ("retrieved nothing",),
        "r": ("withheld", "not verified"), "i": ("Not sealed yet", "a process writes it"),
        "c": ("Configuration", "live-1"), "w": ("span.started", "Not sealed"),
    }  # fmt: skip
    for key, words in said.items():
        page.press("g", key)
        for word in words:
            page.wait(f"document.getElementById('panel').innerText.includes({word!r})")
        text = page.run("document.body.innerText")
        assert "4111 11" not in text
        assert "interrupted" not in text
        picture_of(page, f"live-{key}")
    assert not page.run("document.getElementById('panel').innerText.includes('later_tool')")
    page.run("document.querySelector('.lines').focus()")
    page.press("Home", "ArrowDown")
    page.wait("document.querySelector('.below pre')?.innerText.includes('span_id')")
    agent.call("later_tool")
    for key in ("o", "w"):
        page.press("g", key)
        page.wait("document.getElementById('panel').innerText.includes('later_tool')")
    assert page.complaints == []


def test_a_run_whose_process_was_killed_is_called_crashed(agent: Agent, served: Serve, page: Page) -> None:
    """The page says so within seconds, and shows what was recorded."""
    page.open(served(LocalStore(Path("store"))).link("live-1"))
    page.wait(f"{READY} && document.body.innerText.includes('look_up')")
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    page.wait("document.querySelector('header .pill').innerText === '↯ crashed'", 10)
    assert any("look_up" in name for name in _names(page))


def test_following_keeps_the_newest_row_in_sight_until_the_wheel_is_turned(
    agent: Agent, served: Serve, page: Page
) -> None:
    """With `l` it begins."""
    page.open(served(LocalStore(Path("store"))).link("live-1"))
    page.wait(f"{READY} && document.body.innerText.includes('look_up')")
    page.press("l")
    for number in range(60):
        agent.call(f"tool_{number}")
    page.wait("document.querySelector('.row.active')?.innerText.includes('tool_59')")
    page.run("document.querySelector('.rows').dispatchEvent(new WheelEvent('wheel', {bubbles: true}))")
    page.wait("document.querySelector('[aria-pressed]').getAttribute('aria-pressed') === 'false'")
    agent.call("tool_60")
    page.wait("document.querySelector('header').innerText.includes('63 spans')")
    assert page.run("document.querySelector('.row.active')?.innerText.includes('tool_59')")
