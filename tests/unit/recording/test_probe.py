"""What the spool stands on is logged, by what it lacks."""

import logging
from pathlib import Path

import pytest

from runbundle.recording import probe as ground
from runbundle.recording.probe import Ground, stands_on

GIB = 1 << 30


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return what was logged: levels and codes."""
    return [(record.levelno, record.getMessage().partition(":")[0]) for record in caplog.records]


@pytest.mark.parametrize(
    ("found", "logged"),
    [
        (Ground(frozenset(), "", 500 * GIB, 1000 * GIB), []),
        (Ground(frozenset({"locks", "sync"}), "", 500 * GIB, 1000 * GIB), [(logging.WARNING, "RB909")] * 2),
        (Ground(frozenset(), "Permission denied", 500 * GIB, 1000 * GIB), [(logging.ERROR, "RB904")]),
        (Ground(frozenset(), "", GIB - 1, 50 * GIB), [(logging.WARNING, "RB911")]),
        (Ground(frozenset(), "", 5 * GIB, 1000 * GIB), [(logging.WARNING, "RB911")]),
        (Ground(frozenset(), "", -1, 0), []),
    ],
    ids=["all", "no locks", "refused", "little", "little of much", "not said"],
)
def test_what_the_ground_lacks_is_logged_once_each(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, found: Ground, logged: list[tuple[int, str]]
) -> None:
    """A warning for each guarantee and for little space, an error where nothing can be written; none for good ground.

    Every line names the spool, and what was found is returned.
    """
    monkeypatch.setattr(ground, "probe", lambda folder: found)
    with caplog.at_level(logging.WARNING, "runbundle"):
        assert stands_on(Path("the spool")) == found
    assert said(caplog) == logged
    assert all("the spool" in record.getMessage() for record in caplog.records)


def test_a_spool_that_cannot_be_made_is_an_error_and_no_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where its folder belongs: it is logged, and stays."""
    (tmp_path / "file").write_text("x")
    with caplog.at_level(logging.WARNING, "runbundle"):
        found = stands_on(tmp_path / "file" / "spool")
    assert found.error
    assert (logging.ERROR, "RB904") in said(caplog)
    assert (tmp_path / "file").read_text() == "x"


def test_a_spool_that_was_tried_is_left_as_it_was(tmp_path: Path) -> None:
    """It is made if need be, and nothing is left in it."""
    assert stands_on(tmp_path / "a" / "spool").error == ""
    assert list((tmp_path / "a" / "spool").iterdir()) == []
