"""Object stores, against a real S3 server: the suite, its own faults, and what URLs may say."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from runbundle import AlreadyExists, ConfigError, KeyNotFound, StoreUnavailable
from runbundle.bundle.catalog.index import add_to_index
from runbundle.errors import KeyChanged
from runbundle.store import ArtifactStore, from_url
from runbundle.store.objects import reads as object_reads
from runbundle.store.objects import store as objects
from runbundle.store.objects.store import ObjectStore
from runbundle.testing import StoreTests
from tests.support.golden import FILES, INDEX, KEY, seal_golden
from tests.support.servers import BUCKET, Proxy, Seaweed, ask, free_ports, program, s3_url


class TestS3Store(StoreTests):
    """SeaweedFS, behind a proxy that fails when told to; the raw hooks go to its filer, past S3."""

    faults = ("timeout", "throttled", "partial write", "lost answer")
    examples = 2

    @pytest.fixture(autouse=True)
    def _server(self, seaweed: Seaweed, calm_proxy: Proxy) -> None:
        self.server, self.proxy = seaweed, calm_proxy

    def make_store(self) -> ObjectStore:
        """Return a store below a prefix of its own."""
        return ObjectStore.from_url(s3_url(self.proxy.url, timeout_s="1"))

    def raw_put(self, store: ArtifactStore, key: str, data: bytes) -> None:
        """Write by the filer."""
        assert isinstance(store, ObjectStore)
        ask("PUT", f"{self.server.filer}/buckets/{BUCKET}/{store.settings.prefix}/{key}", data)

    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Read by the filer."""
        assert isinstance(store, ObjectStore)
        return ask("GET", f"{self.server.filer}/buckets/{BUCKET}/{store.settings.prefix}/{key}")

    def failing(self, store: ArtifactStore, kind: str) -> AbstractContextManager[None]:
        """Fail the next two writes."""

        @contextlib.contextmanager
        def failing() -> Iterator[None]:
            self.proxy.fail(kind, "PUT", times=2)
            yield
            self.proxy.calm()

        return failing()


@pytest.mark.parametrize("kind", ["throttled", "lost answer", "partial write"])
def test_writes_are_tried_again_and_know_their_own(calm_proxy: Proxy, kind: str) -> None:
    """A put whose first answer was lost finds its own bytes and succeeds; somebody else's bytes are refused."""
    store = ObjectStore.from_url(s3_url(calm_proxy.url, timeout_s="1"))
    store.put("run/first", b"")
    calm_proxy.fail(kind)
    store.put("run/a", b"mine")
    assert store.get("run/a") == b"mine"
    calm_proxy.fail(kind)
    with pytest.raises(AlreadyExists):
        store.put("run/a", b"other")
    calm_proxy.fail(kind)
    store.replace("run/a", b"newer", expected=b"mine")
    assert store.get("run/a") == b"newer"
    calm_proxy.fail(kind)
    with pytest.raises(KeyChanged):
        store.replace("run/a", b"other", expected=b"mine")


def test_a_server_that_keeps_failing_is_unavailable(calm_proxy: Proxy) -> None:
    """After the retries StoreUnavailable says why, with a hint and without the URL that was signed."""
    store = ObjectStore.from_url(s3_url(calm_proxy.url, timeout_s="0.5", retries="1"))
    store.put("run/first", b"")
    calm_proxy.fail("throttled", times=2)
    with pytest.raises(StoreUnavailable, match="503 SlowDown"):
        store.put("run/a", b"")
    calm_proxy.fail("timeout", times=2)
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        store.put("run/b", b"")


def test_errors_say_what_to_do(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, wrong keys and no keys are told apart, and nothing else is ever raised."""
    (port,) = free_ports(1)
    nowhere = from_url(s3_url(f"http://127.0.0.1:{port}", retries="0"))
    for call in (lambda: nowhere.get("a"), lambda: nowhere.put("a", b""), lambda: list(nowhere.list()),
                 lambda: list(nowhere.list_dirs()), lambda: nowhere.size("a"), lambda: nowhere.delete("a"),
                 lambda: nowhere.get_range("a", 0, 1), lambda: nowhere.open("a"),
                 lambda: nowhere.replace("a", b"", expected=b""),
                 lambda: nowhere.put_all({"a": b"", "b": b""})):  # fmt: skip
        with pytest.raises(StoreUnavailable, match="no connection"):
            call()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StoreUnavailable, match="refused") as caught:
        from_url(s3_url(seaweed.url)).get("a")
    assert "credentials" in caught.value.hint
    assert "another" not in str(caught.value)
    assert caught.value.__cause__ is None  # the client's own text holds the URL, which may be signed
    assert caught.value.__suppress_context__


def test_large_files_go_in_parts_and_stay_create_only(calm_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts go up under a name of their own; the key is taken whole or not at all; progress is told."""
    monkeypatch.setattr(objects, "MULTIPART_BYTES", 6 * 1024 * 1024)
    store = ObjectStore.from_url(s3_url(calm_proxy.url))
    told: list[tuple[str, int]] = []
    store.progress = lambda key, sent: told.append((key, sent))
    data = os.urandom(1024 * 1024) * 20
    with io.BytesIO(data) as file:
        store.put("run/large", file)
    assert store.get("run/large") == data
    assert store.size("run/large") == len(data)
    assert store.get_range("run/large", 9_000_000, 10) == data[9_000_000:9_000_010]
    with store.open("run/large") as file:
        assert b"".join(iter(lambda: file.read(3_000_000), b"")) == data
    assert told[-1] == ("run/large", len(data))
    before = calm_proxy.counts.total()
    with pytest.raises(AlreadyExists):
        store.put("run/large", data[::-1])
    assert calm_proxy.counts.total() == before + 1  # nothing is sent for a key that is taken
    assert store.get("run/large") == data
    store.put("run/large", data[1:], overwrite=True)
    assert store.size("run/large") == len(data) - 1
    assert list(store.list()) == ["run/large"]
    store.put_all({"run/x": io.BytesIO(data), "run/y": b"", "run/z": data})
    assert store.get("run/x") == store.get("run/z") == data


def test_of_two_large_uploads_at_once_one_wins(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy into place is create-only: both were sent, one is kept, and it is whole."""
    monkeypatch.setattr(objects, "MULTIPART_BYTES", 6 * 1024 * 1024)
    store = ObjectStore.from_url(s3_url(seaweed.url))
    bodies = [bytes([n]) * 7_000_000 for n in range(2)]
    monkeypatch.setattr(ObjectStore, "exists", lambda self, key: False)  # both looked before either was there
    store.put("run/a", bodies[0])
    with pytest.raises(AlreadyExists):
        store.put("run/a", bodies[1])
    assert store.get("run/a") == bodies[0]


def test_a_replaced_object_is_not_read_in_two_halves(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is half read when its object is replaced fails instead of mixing both."""
    monkeypatch.setattr(object_reads, "PART_BYTES", 1000)
    store = ObjectStore.from_url(s3_url(seaweed.url))
    store.put("run/a", b"1" * 5000)
    with store.open("run/a") as file:
        file.read(500)
        store.put("run/a", b"2" * 5000, overwrite=True)
        with pytest.raises(StoreUnavailable, match="replaced while it was read"):
            file.read()
    assert store.get("run/a") == b"2" * 5000


def test_a_seal_takes_few_round_trips_and_some_at_once(calm_proxy: Proxy) -> None:
    """One request a file, run.json is one of them, one to look whether it is sealed, one for the index."""
    store = ObjectStore.from_url(s3_url(calm_proxy.url))
    store.put("other/a", b"")  # the probe is once a process
    calm_proxy.counts.clear()
    calm_proxy.at_once = 0
    calm_proxy.before = lambda method, path: time.sleep(0.05)
    seal_golden(store)
    add_to_index(store, KEY, INDEX, FILES)
    requests = calm_proxy.counts.total()
    assert requests <= len(list(store.list(f"{KEY}/"))) + 2
    assert calm_proxy.at_once >= 2


def test_the_server_is_probed_once(calm_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write of a process asks whether conditions are honoured, the first replacement too; no other does."""
    monkeypatch.setattr(objects, "_honoured", set())
    url = s3_url(calm_proxy.url)
    ObjectStore.from_url(url).put("run/a", b"")
    assert calm_proxy.counts == {"PUT": 3}  # the probe is created, refused, and then the file
    ObjectStore.from_url(url).put("run/b", b"")
    assert calm_proxy.counts == {"PUT": 4}
    monkeypatch.setattr(objects, "_honoured", set())
    ObjectStore.from_url(url).put("run/c", b"")
    assert calm_proxy.counts == {"PUT": 6}  # the probe is there from the first time
    assert list(ObjectStore.from_url(url).list()) == ["run/a", "run/b", "run/c"]


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[str]:
    """Serve S3 by rclone, which ignores If-None-Match."""
    (tmp_path / "data" / BUCKET).mkdir(parents=True)
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "test,for-tests-only",
         "--config", str(tmp_path / "none"), str(tmp_path / "data")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_server_that_overwrites_is_refused_before_anything_is_lost(rclone: str) -> None:
    """The probe finds it out, says what it means, and no bundle is written."""
    store = ObjectStore.from_url(s3_url(rclone, "p"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="ignores if-none-match") as caught:
            store.put("run/a", b"x")
    assert "honours conditional writes" in caught.value.hint
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://AKIAABCDEFGHIJKLMNOP:abc@bucket/p", "contains a user or password"),
        ("s3://bucket?secret_access_key=abc123", "contains a credential"),
        ("az://box?sas_token=abc123", "contains a credential"),
        ("s3://bucket?x=AKIAABCDEFGHIJKLMNOP", "contains a credential"),
        ("s3://bucket/AKIAABCDEFGHIJKLMNOP", "looks like a credential"),
        ("s3://bucket?prefix=AKIAABCDEFGHIJKLMNOP", "looks like a credential"),
        ("s3://bucket?endpoint=https://u:abc123@host", "contains a user, password"),
        ("s3://bucket?endpoint=https://host/?X-Amz-Signature=abc123", "contains a user, password"),
        ("s3://bucket?endpoint=host", "not the URL"),
        ("s3://bucket?timout_s=3", "unknown option of s3:// URLs: timout_s"),
        ("gs://bucket?region=x", "option of s3://"),
        ("s3://bucket?retries=abc123", "invalid retries"),
        ("s3://bucket?timeout_s=0", "invalid timeout_s"),
        ("s3://bucket?retries=1&retries=2", "given twice"),
        ("s3://bucket/../abc123", "invalid prefix"),
        ("s3://bucket?tenant=.abc123", "invalid prefix"),
        ("s3://", "names no bucket"),
    ],
)
def test_urls_are_checked_and_never_repeated(url: str, says: str) -> None:
    """What is wrong is named; no value comes back, since it may be a credential."""
    with pytest.raises(ConfigError, match=says) as caught:
        from_url(url)
    for value in ("abc123", "AKIA"):
        assert value not in str(caught.value)


def test_urls_round_trip() -> None:
    """What a store shows as its URL names it again; prefix and tenant become one prefix."""
    store = from_url("s3://bucket/a/b/?prefix=c&tenant=acme&endpoint=http://127.0.0.1:9/&region=eu-1&timeout_s=5")
    assert isinstance(store, ObjectStore)
    assert store.url == "s3://bucket/a/b/c/acme?endpoint=http://127.0.0.1:9&region=eu-1&timeout_s=5"
    again = from_url(store.url)
    assert isinstance(again, ObjectStore)
    assert again.settings == store.settings
    long = "s3://bucket/a-team/a-project/an-environment/production/0123456789abcdef0123456789abcdef01234567"
    assert from_url(long).url == long
    assert from_url("gs://bucket/p?retries=1").url == "gs://bucket/p?retries=1"
    assert from_url("az://box?account=acc").url == "az://box?account=acc"


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare install says which extra object stores need; other stores do not import it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError, match=r"runbundle\[objects\]"):
        from_url("s3://bucket")
    code = (
        "import sys, runbundle.store as s; s.from_url('memory://'); s.from_url('/x'); print('obstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_what_others_put_into_the_bucket_is_no_key(seaweed: Seaweed) -> None:
    """Objects whose names are no keys are passed over; the hidden store beside is not listed."""
    store = ObjectStore.from_url(s3_url(seaweed.url))
    store.put("run/a", b"")
    ask("PUT", f"{seaweed.filer}/buckets/{BUCKET}/{store.settings.prefix}/run/a%20b", b"x")
    store.beside("index").put("rows/x", b"1")
    assert list(store.list()) == ["run/a"]
    assert list(store.list_dirs()) == ["run"]
    assert list(store.beside("index").list()) == ["rows/x"]
    with pytest.raises(KeyNotFound):
        store.get("rows/x")
