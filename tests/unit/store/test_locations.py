"""Where the spool, the vault and the run state of a store lie."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.store.locations import DEFAULT_STORE, run_state_of, spool_of, vault_of

OF: dict[str, Callable[[ArtifactStore], Path]] = {
    "RUNBUNDLE_SPOOL": spool_of,
    "RUNBUNDLE_VAULT": vault_of,
    "RUNBUNDLE_STATE": lambda store: run_state_of(store).parent,
}


@pytest.mark.parametrize("variable", OF)
def test_a_local_store_holds_them_where_no_key_leads(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store elsewhere has them in the working directory; a variable names another folder for either."""
    monkeypatch.delenv(variable, raising=False)
    local, memory = LocalStore(tmp_path / "s"), MemoryStore()
    inside = OF[variable](local)
    assert inside.parent == local.root
    assert inside.name.startswith(".")
    assert OF[variable](memory) == Path(DEFAULT_STORE) / inside.name
    monkeypatch.setenv(variable, str(tmp_path / "named"))
    assert OF[variable](local) == OF[variable](memory) == tmp_path / "named"


def test_each_has_a_place_of_its_own(tmp_path: Path) -> None:
    """And the state is one file in its folder."""
    places = [of(LocalStore(tmp_path)) for of in OF.values()]
    assert len(set(places)) == len(places)
    assert run_state_of(LocalStore(tmp_path)).name == "runbundle.sqlite"
