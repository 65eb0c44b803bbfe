"""A record says of which run it is a part."""

from typing import Any

import pytest

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.signals.records import run_of
from tests.support.records import record


@pytest.mark.parametrize(("tenant", "run"), [("", "r"), ("acme", "r"), ("", "")])
def test_a_record_is_a_part_of_the_run_of_its_tenant_and_id(tenant: str, run: str) -> None:
    """Two tenants' runs of one id are two; what attributes claim plays no part."""
    claimed: dict[str, Any] = {"runbundle.run.id": "other", "runbundle.tenant.id": "others"}
    span = record(claimed)
    span["tenant_id"], span["run_id"] = tenant, run
    assert run_of(span) == RunKey(tenant, run)
    assert (run_of(span) == NO_RUN) is (run == "")
