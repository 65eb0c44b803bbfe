"""Raw ids of users and sessions are found by the digests that bundles have of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

import runbundle
from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.search.raw_ids import stored_forms
from runbundle.store import LocalStore
from tests.conftest import KEY

ADA = "ada@example.com"


def _record(store: Path, **options: object) -> None:
    with runbundle.configure(store=store, **options) as handle:  # type: ignore[arg-type]
        for run_id, tenant in (("one", None), ("two", "acme")):
            with runbundle.start_run("r", run_id=run_id, user_id=ADA, session_id=f"of {ADA}", tenant_id=tenant):
                pass
        handle.flush()


def _found(store: Path, **raw: str) -> list[str]:
    index = index_of(LocalStore(store))
    forms = {f"{kind}s": stored_forms(str(store), kind, value, index.tenants()).forms for kind, value in raw.items()}  # type: ignore[arg-type]
    rows = index.runs(RunFilter(**forms))  # type: ignore[arg-type]
    index.close()
    return sorted(row.key for row in rows)


@pytest.mark.parametrize("given", [True, False])
def test_a_raw_id_is_found_in_every_tenant_by_the_key_that_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """A key of the environment, or the one that this user keeps for the store."""
    _record(tmp_path / "s", **({"key": KEY} if given else {}))
    if given:
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY.decode())
    assert _found(tmp_path / "s", user=ADA) == _found(tmp_path / "s", session=f"of {ADA}") == ["acme/two", "one"]
    assert _found(tmp_path / "s", user="bob@example.com") == []


def test_without_the_key_that_is_said(tmp_path: Path, configured: Callable[..., runbundle.Handle]) -> None:
    """Of each digest under another key; of an id that was kept as it is nothing is lacking."""
    configured().shutdown()
    _record(tmp_path / "s", key=KEY)
    index = index_of(LocalStore(tmp_path / "s"))
    forms = stored_forms(str(tmp_path / "s"), "user", ADA, index.tenants())
    digests = index.ids_of("user")
    index.close()
    assert len(digests) == 2
    assert all(map(forms.lacks, digests))
    assert not forms.lacks("u-7")
    assert not stored_forms(str(tmp_path / "s"), "user", digests[0], [""]).lacks(digests[0])
