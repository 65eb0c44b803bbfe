"""The tripwire searches what is to be published, and says what it masked."""

import logging
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

import runbundle
from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.format.identity import RunKey
from runbundle.recording.tripwire import search_bundle, state_masked
from tests.conftest import sealed

TOKEN = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X"
Configured = Callable[..., runbundle.Handle]


@contextmanager
def assembled(configured: Configured, scratch: Path, **more: Any) -> Generator[Assembled]:
    """Assemble the bundle of a run, with more attributes on its spans than the recorder has let through."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        pass
    bundle = sealed(handle)
    with closing(GatheredRun(RunKey("", "r"), scratch)) as gathered:
        gathered.add({**e, "attributes": {**e["attributes"], **more}} for e in entries_of_bundle(bundle, scratch))
        with closing(assemble(gathered)) as made:
            yield made


def masked_in(made: Assembled) -> dict[str, int]:
    """Return what run.json says was masked."""
    return orjson.loads(made.index())["redaction"].get("masked", {})


def test_run_json_is_searched_as_it_will_be_written(configured: Configured, tmp_path: Path) -> None:
    """One without a credential has no hit; a hit names the file, the line and the rule, never the credential."""
    with assembled(configured, tmp_path) as made:
        assert search_bundle(made) == []
        made.set_run_fields({**made.run_fields, "run_id": TOKEN})
        hits = search_bundle(made)
        assert {(hit.file, hit.rule) for hit in hits} == {("run.json", "github-token")}
        assert orjson.loads(made.index())["run_id"] == TOKEN
        assert TOKEN in made.index().decode().splitlines()[hits[0].line - 1]
        assert TOKEN not in repr(hits)


def test_a_credential_in_an_event_is_found_where_it_stands(configured: Configured, tmp_path: Path) -> None:
    """In the line of the file that is to be published."""
    with assembled(configured, tmp_path, **{"gen_ai.response.id": TOKEN}) as made:
        hits = [hit for hit in search_bundle(made) if hit.file == "events.jsonl"]
        lines = next(file.body for file in made.files if file.name == "events.jsonl").splitlines()
    assert hits
    assert all(TOKEN.encode() in lines[hit.line - 1] for hit in hits)


def test_the_bundle_and_the_log_state_what_was_masked(
    configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The bundle with what the revision before masked; the log only what is new; other fields stay."""
    with assembled(configured, tmp_path) as made, caplog.at_level(logging.CRITICAL, "runbundle"):
        before = made.run_fields
        state_masked(made, Counter({"github-token": 2}), {"github-token": 1, "aws-access-key-id": 3})
        assert masked_in(made) == {"aws-access-key-id": 3, "github-token": 3}
        after = made.run_fields
        assert {**after, "redaction": before["redaction"]} == before
        assert before["redaction"].items() <= after["redaction"].items()
    [record] = [record for record in caplog.records if "RB413" in record.getMessage()]
    assert "run r: RB413: 2 credentials" in record.getMessage()
    assert "aws" not in record.getMessage()


def test_a_later_revision_repeats_what_was_masked_without_a_new_line_in_the_log(
    configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing new was found; what was masked before is no less leaked."""
    with assembled(configured, tmp_path) as made, caplog.at_level(logging.CRITICAL, "runbundle"):
        state_masked(made, Counter(), {"github-token": 1})
        assert masked_in(made) == {"github-token": 1}
    assert "RB413" not in caplog.text


@pytest.mark.parametrize("before", [None, {}])
def test_where_nothing_was_masked_run_json_is_as_it_was(
    configured: Configured, tmp_path: Path, before: dict[str, int] | None
) -> None:
    """To the byte."""
    with assembled(configured, tmp_path) as made:
        index = made.index()
        state_masked(made, Counter(), before)
        assert made.index() == index
