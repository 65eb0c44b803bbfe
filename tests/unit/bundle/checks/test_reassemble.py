"""A bundle is assembled again from its events, and what differs is named."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.checks.reassemble import Reassembly, differences
from runbundle.bundle.checks.report import ReportBuilder
from runbundle.bundle.reader import Bundle
from runbundle.cli.demo_agent import record
from runbundle.format.canonical import to_json_bytes
from runbundle.store import LocalStore


def codes(report: ReportBuilder) -> list[str]:
    """Return the codes of the findings, sorted."""
    return sorted(report.made.elements())


@pytest.mark.parametrize(
    ("said", "made", "paths"),
    [({"a": 1}, {"a": 1}, []), ({"a": 1}, {"a": 1.0}, ["a"]), ({"a": [1, 2]}, {"a": [1, 3]}, ["a.1"]),
     ({"a": [1]}, {"a": [1, 2]}, ["a"]), ({"a": 1}, {"b": 1}, ["a", "b"]), (1, [], [""])],
)  # fmt: skip
def test_differences_are_told_by_path(said: Any, made: Any, paths: list[str]) -> None:
    """Types count too: what JSON says, not what Python takes for equal."""
    assert differences(said, made) == paths


def test_a_bundle_assembled_again_is_the_same(tmp_path: Path) -> None:
    """Every file of it; an event that is left out shows."""
    store = LocalStore(tmp_path / "store")
    bundle = Bundle.open(store, record(store).sealed[0])
    paths = {entry.path for entry in bundle.index.files}
    for left_out, same in ((-1, True), (5, False)):
        report = ReportBuilder()
        with contextlib.closing(Reassembly(bundle)) as again:
            for number, event in enumerate(bundle.events()):
                if number != left_out:
                    again.event(event, to_json_bytes(event))
            assert (again.compare(paths, report.add) == paths) == same
        assert ("RB212" in codes(report)) == (not same)
