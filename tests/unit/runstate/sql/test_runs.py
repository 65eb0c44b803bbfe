"""Leases in a database fence writes."""

import pytest

from runbundle.errors import StateConflict
from runbundle.runstate import Lease, RunRecord
from runbundle.runstate.sql import SqlRunStore
from runbundle.runstate.sql.runs import check_fence


def test_only_the_latest_lease_of_a_run_passes_the_fence(store: SqlRunStore) -> None:
    """No fence passes; a lease that was renewed passes; one that was taken over, given up or invented does not."""
    store.create_run(RunRecord("r"))
    old = store.acquire_lease("r", "a", 60)
    new = store.acquire_lease("r", "a", 60)
    with store._writing() as tx:
        for passing in (None, new):
            check_fence(tx, "default", passing)
    for refused in (old, new._replace(owner="b"), Lease("none", "a", 1, 0.0)):
        with pytest.raises(StateConflict), store._writing() as tx:
            check_fence(tx, "default", refused)
    renewed = store.renew_lease(new, 120)
    assert (renewed.token, renewed.owner) == (new.token, "a")
    assert renewed.expires_at > new.expires_at
    with store._writing() as tx:
        check_fence(tx, "default", renewed)
    store.release_lease(renewed)
    with pytest.raises(StateConflict), store._writing() as tx:
        check_fence(tx, "default", renewed)


def test_a_lease_past_its_expiry_fences_nobody_out(store: SqlRunStore) -> None:
    """As long as nobody else has acquired the run, its holder may write and renew."""
    store.create_run(RunRecord("r"))
    lease = store.acquire_lease("r", "a", 0.001)
    with store._writing() as tx:
        check_fence(tx, "default", lease)
    assert store.renew_lease(lease, 60).token == lease.token
