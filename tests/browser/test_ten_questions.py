"""Ten questions at 3 a.m., each answered by one command, and by at most four clicks on the page."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from runbundle.store import ArtifactStore
from runbundle.view.server import Server
from tests.browser.chromium import Page
from tests.browser.questions import done
from tests.docs import questions_page
from tests.support.mixed_store import KEY, Mixed, own_folders
from tests.support.questions import QUESTIONS, Question, known, night_store, said

Serve = Callable[[ArtifactStore], Server]
each = pytest.mark.parametrize("question", QUESTIONS, ids=[f"question-{n}" for n in range(1, len(QUESTIONS) + 1)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """The store: 300 mixed runs of three tenants, live, crashed, quarantined, and one of 100,000 spans."""
    with own_folders(tmp_path_factory), night_store(tmp_path_factory.mktemp("night") / "s") as store:
        yield store


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's key, by which raw ids are found."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY)


@each
def test_one_command_answers(made: Mixed, question: Question) -> None:
    """At 80 columns, in which every line fits that a person reads; and in a pipe, where nothing is cut."""
    words = known(made)
    narrow, piped = said(made, question, words, columns=80), said(made, question, words)
    for text in question.answer:
        assert text in narrow
        assert text in piped
    assert "\N{HORIZONTAL ELLIPSIS}" not in re.sub(r"(?m)^\N{HORIZONTAL ELLIPSIS} .*", "", piped)


@each
def test_at_most_four_clicks_answer(made: Mixed, served: Serve, page: Page, question: Question) -> None:
    """On the page of the store, from the list of all its runs."""
    assert question.clicks <= 4
    page.open(served(made.store).link())
    done(page, question, known(made))
    assert page.complaints == []


def test_the_guide_has_these_questions_and_the_output_of_their_commands(made: Mixed) -> None:
    """But for ids of spans and traces, and for what time it is; python -m tests.docs.questions_page writes it."""
    os.environ.pop("COLUMNS", None)
    wanted = questions_page.page(made)
    assert questions_page.steady(questions_page.PAGE.read_text()) == questions_page.steady(wanted)
