"""A real browser, driven by the DevTools protocol over a pipe: no driver program, no port.

`Browser` starts it, `Page` is one tab. Whatever a page asks of the network is noted in `Page.requests`, with what came
back.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless=shell", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-sync", "--disable-extensions", "--mute-audio",
    "--disable-dev-shm-usage", "--disable-breakpad", "--remote-debugging-pipe", "--force-color-profile=srgb",
)  # fmt: skip
_KEYS = {
    "ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "PageDown": 34,
    "PageUp": 33, "Enter": 13, "Escape": 27, "Tab": 9,
}  # fmt: skip


class Failed(AssertionError):
    """The browser refused a command, or a script of the test threw."""


class Browser:
    """A browser process, which ends with `close`."""

    def __init__(self, program: Path, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser reads commands from its descriptor 3 and writes answers to its descriptor 4.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (theirs_in, theirs_out)]
        command = [str(program), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        shell = f'exec 3<&{high[0]} 4>&{high[1]}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *command], pass_fds=high, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(profile)},
        )  # fmt: skip
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self._out, self._in = ours_out, ours_in
        self._held = b""
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError, Failed):
            self.send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def send(self, method: str, session: str = "", /, timeout_s: float = 60, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile go to their pages."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout_s
        while number not in self._answers:
            self.receive(end - time.monotonic())
            if time.monotonic() > end:
                raise Failed(f"{method} was not answered in {timeout_s} s")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def receive(self, timeout_s: float) -> None:
        """Take what the browser says within some time, at least once if it says anything."""
        if not select.select([self._in], [], [], max(0, timeout_s))[0]:
            return
        data = os.read(self._in, 1 << 20)
        if not data:
            raise Failed("the browser has ended")
        *whole, self._held = (self._held + data).split(b"\0")
        for text in whole:
            said = json.loads(text)
            if "id" in said:
                self._answers[said["id"]] = said
            elif said.get("sessionId") in self.pages:
                self.pages[said["sessionId"]].noted(said["method"], said["params"])

    def page(self, *, width: int = 1280, height: int = 800) -> "Page":
        """Open a tab with nothing of another's: cookies and storage are its own."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.size(width, height)
        return page


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self.requests: list[dict[str, Any]] = []
        """The URLs that were asked for, with method, type, and status once it is known."""
        self.complaints: list[str] = []
        """Exceptions, and what the console says at level error: a violated policy is there."""
        self._by_id: dict[str, dict[str, Any]] = {}

    def send(self, method: str, /, timeout_s: float = 60, **params: Any) -> dict[str, Any]:
        """Send a command to this tab."""
        return self._browser.send(method, self._session, timeout_s=timeout_s, **params)

    def noted(self, method: str, said: dict[str, Any]) -> None:
        """Take an event."""
        if method == "Network.requestWillBeSent":
            request = {"url": said["request"]["url"], "method": said["request"]["method"], "type": said.get("type"),
                       "id": said["requestId"], "headers": said["request"]["headers"]}  # fmt: skip
            self._by_id[said["requestId"]] = request
            self.requests.append(request)
        elif method == "Network.responseReceived" and said["requestId"] in self._by_id:
            self._by_id[said["requestId"]] |= {"status": said["response"]["status"], "got": said["response"]["headers"]}
        elif method == "Network.responseReceivedExtraInfo" and said["requestId"] in self._by_id:
            self._by_id[said["requestId"]].setdefault("status", said["statusCode"])  # of one that the page may not see
        elif method == "Network.loadingFailed" and said.get("blockedReason") == "csp":
            self.requests.remove(self._by_id[said["requestId"]])  # the page's policy: nobody was asked
        elif method == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and said["type"] == "error":
            self.complaints.append(str(said["args"]))

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """Give the tab a size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def scheme(self, name: str) -> None:
        """Prefer `dark` or `light`."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url: str) -> None:
        """Begin to open a URL."""
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page, awaited if it is a promise."""
        said = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise Failed(details.get("exception", {}).get("description") or details["text"])
        return said["result"].get("value")

    def wait(self, script: str, timeout_s: float = 20) -> Any:
        """Return the value of an expression as soon as it is true."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with contextlib.suppress(Failed):  # the page is on its way to another
                value = self.run(script)
                if value:
                    return value
            self._browser.receive(0.02)
        raise Failed(
            f"not so within {timeout_s} s: {script}\n{self.complaints}\n{self.run('document.body?.innerText')}"
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other: names such as `ArrowDown`, or characters."""
        for key in keys:
            shift = 8 if len(key) == 1 and (key.isupper() or key in "?+") else 0
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 and key.isalnum() else 0)
            said = {"key": key, "modifiers": shift, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **said)
            self.send("Input.dispatchKeyEvent", type="keyUp", **said)

    def click(self, element: str) -> None:
        """Click on what an expression gives, with the pointer: in its middle, where it can be seen."""
        script = (
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'nearest'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        x, y = self.run(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def picture(self, path: Path) -> Path:
        """Write what is to be seen as a PNG."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def bodies(self) -> Iterator[tuple[str, bytes]]:
        """Yield the URL and the body of each answer that the browser still has."""
        for request in list(self.requests):
            with contextlib.suppress(Failed):
                said = self.send("Network.getResponseBody", requestId=request["id"])
                body = said["body"]
                yield request["url"], base64.b64decode(body) if said["base64Encoded"] else body.encode()

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", targetId=self._target)
        self._browser.pages.pop(self._session, None)
