"""One S3 server for all tests of this folder that ask for it."""

from collections.abc import Iterator

import pytest

from runbundle.store.objects.store import ObjectStore
from tests.support.servers import KEYS, Proxy, Seaweed, s3_url


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """Serve S3 from a new folder."""
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def s3_proxy(seaweed: Seaweed) -> Iterator[Proxy]:
    """Stand before the server, to count requests and to fail them."""
    proxy = Proxy(seaweed.url)
    yield proxy
    proxy.close()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the provider's conventions say, as a user would; nothing of the machine's own."""
    for name in ("AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_store(seaweed: Seaweed) -> ObjectStore:
    """Return a new, empty store on the server."""
    return ObjectStore.from_url(s3_url(seaweed.url))


@pytest.fixture
def calm_proxy(s3_proxy: Proxy) -> Iterator[Proxy]:
    """Hand out the proxy with its counts at zero, and take the faults back afterwards."""
    s3_proxy.counts.clear()
    s3_proxy.at_once = 0
    yield s3_proxy
    s3_proxy.calm()
    s3_proxy.before = s3_proxy.after = None
