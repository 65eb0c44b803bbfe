"""A bundle that is not in a store yet: its files, and what its run.json will say."""

import contextlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.format.identity import RunKey
from tests.unit.bundle.assembly.spans import entry


def assembled(tmp_path: Path) -> Assembled:
    """Assemble a run of two spans."""
    with contextlib.closing(GatheredRun(RunKey("t", "r"), tmp_path)) as gathered:
        gathered.add([entry(1, attributes={"runbundle.op": "run", "runbundle.spans.started": 2}), entry(2, 1)])
        return assemble(gathered)


def test_run_json_lists_each_file_by_its_path_and_says_what_it_is_given(tmp_path: Path) -> None:
    """Where the files lie is said when they are stored; the rest can be replaced until then."""
    bundle = assembled(tmp_path)
    assert [file.name for file in bundle.files] == ["config.snapshot.json", "events.jsonl", "tool_calls.json"]
    said = json.loads(bundle.index({"events.jsonl": "revisions/2/events.jsonl"}, revision=2))
    assert {listed["path"] for listed in said["files"]} == {
        "config.snapshot.json", "revisions/2/events.jsonl", "tool_calls.json",
    }  # fmt: skip
    assert (bundle.key, said["revision"], said["completeness"]["state"]) == ("t/r", 2, "complete")
    bundle.set_run_fields({**bundle.run_fields, "name": "other"})
    assert json.loads(bundle.index())["name"] == "other"
    bundle.close()


def test_what_does_not_fit_its_own_schema_is_not_written(tmp_path: Path) -> None:
    """It raises before anything is sealed."""
    bundle = assembled(tmp_path)
    bundle.set_run_fields({**bundle.run_fields, "status": "no status"})
    with pytest.raises(ValidationError):
        bundle.index()
    bundle.close()
