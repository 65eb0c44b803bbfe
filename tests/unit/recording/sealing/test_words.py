"""What a process and the one that seals for it say to each other is what was meant."""

import os
from pathlib import Path

import pytest

from runbundle.errors import BundleQuarantined, MalformedBundle, RunbundleError, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.segment import SegmentLines
from runbundle.recording.results import BegunElsewhere, Published, StillWritten, Wanted
from runbundle.recording.sealing.words import Answer, Request, answer_line, answer_of, request_line, request_of

RUNS = [RunKey("acme", "r1"), RunKey("", "r2")]


def test_a_request_comes_as_it_was_made() -> None:
    """Also with a path that is no text, and with secrets of any characters."""
    odd = Path(os.fsdecode(b"/spool/\xff\xe4 \xc3\xa4"))
    lines = SegmentLines(odd / "s.lines", ((1, 2), (5, 9)), 5)
    wanted = [Wanted(RUNS[0], True, None), Wanted(RUNS[1], False, 2.5, lines)]
    request = Request(Path("/store"), odd, "17-abc", wanted, False, True, [("hunter2 ä \n", True), ("x" * 9, False)])
    line = request_line(request)
    assert line.count(b"\n") == 1
    found = request_of(line)
    assert found._replace(secrets=[tuple(one) for one in found.secrets]) == request


def test_an_answer_says_what_was_returned_and_what_was_raised() -> None:
    """Errors with their message and hint; one that has more to say is left out."""
    outcomes = {
        RunKey("", "a"): Published("t/a", {"span_id": 2}, 3),
        RunKey("", "b"): None,
        RunKey("", "c"): StillWritten("held"),
        RunKey("", "d"): BegunElsewhere("elsewhere"),
        RunKey("", "e"): BundleQuarantined("found", hint="revoke"),
        RunKey("", "f"): StoreUnavailable("full", hint="free"),
        RunKey("", "g"): MalformedBundle("odd", file="run.json"),
        RunKey("", "h"): RunbundleError("no records"),
    }
    found = answer_of(answer_line(Answer(outcomes, [(40, "said")])))
    assert found.logged == [(40, "said")]
    assert set(outcomes) - set(found.outcomes) == {RunKey("", "g")}
    for run, outcome in found.outcomes.items():
        meant = outcomes[run]
        assert type(outcome) is type(meant)
        if isinstance(outcome, RunbundleError):
            assert isinstance(meant, RunbundleError)
            assert (outcome.message, outcome.hint, outcome.code) == (meant.message, meant.hint, meant.code)
        else:
            assert outcome == meant


@pytest.mark.parametrize(
    "line",
    [b"{}\n", b"[]\n", b"hello\n", b'{"outcomes": [1], "logged": []}\n', b'{"outcomes": [[["", "r"], "x", 1]]}\n'],
)
def test_nonsense_is_no_answer(line: bytes) -> None:
    """It raises what is taken for nonsense."""
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        answer_of(line)
