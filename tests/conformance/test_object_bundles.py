"""Bundles in an object store: the same bytes as anywhere, whole or absent after a kill, indexed, copied to and fro."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbundle.bundle.catalog import objects as index_objects
from runbundle.bundle.catalog.index import add_to_index, index_of
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.catalog.locate import resolve
from runbundle.bundle.catalog.rows import Row
from runbundle.bundle.custody.transfer import copy, copy_all
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.verify import verify
from runbundle.errors import KeyNotFound, StoreUnavailable
from runbundle.format.canonical import sha256_hex
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.store.objects.store import ObjectStore
from runbundle.testing import FaultyStore
from tests.support.golden import CALLS, EVENTS, FILES, INDEX, KEY, V1, add, run_json, seal_golden
from tests.support.servers import Proxy, Seaweed, s3_url
from tests.support.stores import contents, keys


def digest(store: ArtifactStore) -> str:
    """Return one SHA-256 over the names and bytes of everything in a store."""
    return sha256_hex(b"".join(f"{k} {sha256_hex(data)}\n".encode() for k, data in contents(store).items()))


def test_a_run_is_the_same_bytes_in_every_store(tmp_path: Path, s3_store: ObjectStore) -> None:
    """Local disk, memory and S3: one SHA-256 over all files."""
    stores = [LocalStore(tmp_path / "s"), MemoryStore(), s3_store]
    for store in stores:
        seal_golden(store)
        add_to_index(store, KEY, INDEX, FILES)
        assert verify(store, KEY).verdict == "unchanged"
    assert len({digest(store) for store in stores}) == 1


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """Serve S3 for tests that kill the server."""
    server = Seaweed(tmp_path_factory.mktemp("mortal"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.mark.parametrize(("nth", "moment"), [(1, "before"), (3, "at once"), (5, "before"), (5, "after")])
def test_a_server_killed_in_the_middle_of_a_seal_leaves_all_or_nothing(mortal: Seaweed, nth: int, moment: str) -> None:
    """Before or after the nth file, or while several are under way: whole or absent, and sealing again succeeds."""
    proxy = Proxy(mortal.url)
    try:
        store = ObjectStore.from_url(s3_url(proxy.url, timeout_s="2", retries="1"))
        store.put("other/a", b"")
        puts, lock = [0], threading.Lock()

        def strike(method: str, path: str) -> None:
            with lock:
                puts[0] += method == "PUT"
                if puts[0] == nth and method == "PUT":
                    if moment == "at once":  # the request goes on while the server dies
                        threading.Thread(target=mortal.kill).start()
                    elif moment == "before":
                        mortal.kill()

        proxy.before = strike
        if moment == "after":
            proxy.after = lambda method, path: (method, path[-9:]) == ("PUT", "/run.json") and not mortal.kill()
        with pytest.raises(StoreUnavailable):
            seal_golden(store)
        proxy.before = proxy.after = None
        mortal.kill()
        mortal.start()
        left = ObjectStore.from_url(store.url)
        if left.exists(f"{KEY}/run.json"):
            assert moment == "after"
            assert verify(left, KEY).verdict == "unchanged"
        else:
            assert moment != "after"
            assert {name.rpartition("/")[2] for name in left.list(f"{KEY}/")} <= set(FILES)
            seal_golden(left)
        assert verify(left, KEY).verdict == "unchanged"
        assert left.get("other/a") == b""
    finally:
        proxy.close()


def test_an_object_store_is_listed_from_its_index(calm_proxy: Proxy) -> None:
    """Noted runs are not read again; what was not noted is found, and read once; nothing is written there."""
    store = ObjectStore.from_url(s3_url(calm_proxy.url))
    for number in range(6):
        data = add(store, f"run{number}", number)
        if number < 4:
            add_to_index(store, f"run{number}", data, {"tool_calls.json": CALLS, "events.jsonl": EVENTS})
    add(store, "acme/t1", 9)
    written = list(store.beside("index").list())
    assert keys(store) == ["acme/t1", *(f"run{n}" for n in reversed(range(6)))]
    assert list(store.beside("index").list()) == written
    calm_proxy.counts.clear()
    paths: list[str] = []
    calm_proxy.before = lambda method, path: paths.append(path)
    assert len(keys(store)) == 7
    assert not [path for path in paths if "run.json" in path]
    calm_proxy.before = None
    assert resolve(store, "@last")[1] == "acme/t1"
    assert keys(store, tool="weather", limit=1) == ["acme/t1"]
    assert sorted(list_keys(store)) == sorted(keys(store))
    newer = run_json("run1", 1, revision=2, status="error")
    store.replace("run1/run.json", newer, expected=store.get("run1/run.json"))
    add_to_index(store, "run1", newer)
    assert keys(store, status="error") == ["run1"]
    store.delete("run0/run.json")
    store.delete("run0/tool_calls.json")
    store.delete("run0/events.jsonl")
    index = index_of(store, rebuild=True)  # this server goes on listing the folder, with nothing in it
    assert "run0" not in [row.key for row in index.runs(RunFilter())]
    index.close()


def _row(key: str) -> Row:
    return Row(
        key, key, started_at="2026-11-27T00:00:00.000000000Z", duration_ns=1, status="ok", completeness="complete",
        revision=1,
    )  # fmt: skip


def test_many_rows_are_packed_and_nothing_is_lost_when_two_do_it(s3_store: ObjectStore) -> None:
    """Loose rows become one object; several at once, readers, and a new row meanwhile, leave every row."""
    beside = s3_store.beside("index")
    for number in range(30):
        index_objects.add_row(beside, _row(f"run{number}"))
    names = list(beside.list())
    assert len(index_objects.load_rows(beside)) == 30
    assert list(beside.list()) == names  # who reads writes nothing
    found: list[int] = []

    def pack() -> None:
        with contextlib.suppress(KeyNotFound):
            index_objects.pack(beside)

    threads = [threading.Thread(target=pack) for _ in range(4)]
    threads += [threading.Thread(target=lambda: found.append(len(index_objects.load_rows(beside)))) for _ in range(2)]
    threads.append(threading.Thread(target=index_objects.add_row, args=(beside, _row("new"))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {30, 31}
    assert len(index_objects.load_rows(beside)) == 31
    assert len(list(beside.list())) <= 3


def test_an_index_that_is_lost_is_made_again(s3_store: ObjectStore) -> None:
    """Deleting its objects loses nothing; rebuilding leaves one of them."""
    for number in range(3):
        add_to_index(s3_store, f"run{number}", add(s3_store, f"run{number}", number))
    beside = s3_store.beside("index")
    beside.discard(list(beside.list()))
    assert keys(s3_store) == ["run2", "run1", "run0"]
    old = s3_store.get("run0/run.json")
    s3_store.replace("run0/run.json", run_json("run0", 0, revision=2, status="error"), expected=old)
    assert keys(s3_store, status="error") == []  # nobody has noted it
    index = index_of(s3_store, rebuild=True, keep=True)
    assert [row.key for row in index.runs(RunFilter(status="error"))] == ["run0"]
    index.close()
    assert keys(s3_store, status="error") == ["run0"]
    assert len(list(beside.list())) == 1


def test_a_run_called_index_is_a_run(s3_store: ObjectStore) -> None:
    """The index lies where no key leads, so it takes no name away."""
    for key in ("index", "rows", "acme/index"):
        add_to_index(s3_store, key, add(s3_store, key))
    assert sorted(keys(s3_store)) == sorted(list_keys(s3_store)) == ["acme/index", "index", "rows"]


def test_a_store_without_an_index_is_listed_in_few_requests(calm_proxy: Proxy) -> None:
    """Of many unknown folders one listing of everything tells what they are."""
    store = ObjectStore.from_url(s3_url(calm_proxy.url))
    store.put_all({f"run{number:03}/run.json": run_json(f"run{number:03}", number) for number in range(80)})
    calm_proxy.counts.clear()
    assert len(list(list_keys(store))) == 80
    assert calm_proxy.counts.total() <= 4


def test_copies_go_there_and_back(tmp_path: Path, calm_proxy: Proxy) -> None:
    """Local to S3 to local: the same bytes; a copy that the network has cut off is resumed."""
    local, back = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    copy(V1, KEY, local)
    store = ObjectStore.from_url(s3_url(calm_proxy.url, timeout_s="1", retries="0"))
    store.put("x/a", b"")
    calm_proxy.after = lambda method, path: (method, path[-14:]) == ("PUT", "/evidence.json")
    with pytest.raises(StoreUnavailable):
        copy(local, KEY, store)
    calm_proxy.after = None
    assert not store.exists(f"{KEY}/run.json")
    counted = FaultyStore(store)
    assert copy(local, KEY, counted).outcome == "copied"
    assert counted.calls["put"] < 5
    store.delete("x/a")
    assert [result.outcome for result in copy_all(store, back)] == ["copied"]
    assert digest(back) == digest(local) == digest(store)
    assert json.loads(back.get(f"{KEY}/run.json"))["run_id"] == KEY
