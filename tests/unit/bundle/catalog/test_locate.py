"""A run is found by each of its names, in flat stores and in tenants' folders."""

import json
from pathlib import Path

import pytest

from runbundle.bundle.catalog.locate import list_runs, resolve
from runbundle.errors import KeyNotFound
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support.handmade import KEY, build


def add(store: ArtifactStore, key: str, started_at: str) -> None:
    """Put a run.json of another run into the store."""
    run = json.loads(build().get(f"{KEY}/run.json"))
    run |= {"run_id": key.rpartition("/")[2], "started_at": started_at}
    store.put(f"{key}/run.json", json.dumps(run).encode())


@pytest.fixture
def store() -> ArtifactStore:
    """Return a store of three sealed runs, one of them a tenant's, and one that is not sealed."""
    store = MemoryStore()
    add(store, "alpha-1", "2027-01-01T00:00:00.000000000Z")
    add(store, "acme/alpha-2", "2027-01-03T00:00:00.000000000Z")
    add(store, "beta", "2027-01-02T00:00:00.000000000Z")
    store.put("gamma/events.jsonl", b"")
    return store


@pytest.mark.parametrize(
    ("name", "key"),
    [("alpha-1", "alpha-1"), ("be", "beta"), ("alpha-2", "acme/alpha-2"), ("acme/alpha-2", "acme/alpha-2"),
     ("@last", "acme/alpha-2"), ("gam", "gamma")],
)  # fmt: skip
def test_every_name_finds_its_run(store: ArtifactStore, name: str, key: str) -> None:
    """Id, prefix, tenant and id, the latest by start; unsealed runs have names too."""
    assert resolve(store, name) == (store, key)


@pytest.mark.parametrize(("name", "said"), [("alpha", "2 runs begin with alpha"), ("zeta", "no run zeta")])
def test_an_unclear_name_is_explained(store: ArtifactStore, name: str, said: str) -> None:
    """Ambiguous and unknown names raise with a hint."""
    with pytest.raises(KeyNotFound, match=said) as caught:
        resolve(store, name)
    assert caught.value.hint


def test_an_exact_id_wins_over_a_prefix(store: ArtifactStore) -> None:
    """`beta` is beta although `beta-2` begins so."""
    add(store, "beta-2", "2027-01-01T00:00:00.000000000Z")
    assert resolve(store, "beta") == (store, "beta")


def test_a_path_is_a_store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, its run.json, and both as seen from within."""
    build(LocalStore(tmp_path))
    monkeypatch.chdir(tmp_path / KEY)
    for name in (str(tmp_path / KEY), str(tmp_path / KEY / "run.json"), "run.json", ".", f"../{KEY}"):
        found, key = resolve(MemoryStore(), name)
        assert isinstance(found, LocalStore)
        assert (found.root, key) == (tmp_path.resolve(), KEY)


def test_a_listing_shows_what_is_not_sealed_or_not_readable(store: ArtifactStore) -> None:
    """Each has its reason; none stops the listing."""
    store.put("delta/run.json", b"{")
    found = {entry.key: entry.problem for entry in list_runs(store)}
    assert found.keys() == {"alpha-1", "acme/alpha-2", "beta", "gamma", "delta"}
    assert found["gamma"] == "unsealed"
    assert "not JSON" in found["delta"]
