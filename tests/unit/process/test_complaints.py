"""A fault that goes on is logged once in a while."""

import logging

import pytest

from runbundle.process import complaints
from runbundle.process.complaints import EVERY_S, Complaints


def test_a_topic_is_quiet_after_it_was_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For thirty seconds; other topics are not."""
    now = [100.0]
    monkeypatch.setattr(complaints.time, "monotonic", lambda: now[0])
    told = Complaints()
    with caplog.at_level(logging.WARNING, "runbundle"):
        told.complain("disk", "first")
        told.complain("disk", "second")
        told.complain("net", "other", level=logging.WARNING)
        now[0] += EVERY_S
        told.complain("disk", "third")
    assert [(record.message, record.levelname) for record in caplog.records] == [
        ("first", "ERROR"), ("other", "WARNING"), ("third", "ERROR"),
    ]  # fmt: skip
