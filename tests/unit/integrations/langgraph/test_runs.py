"""A run begins with an invocation of a graph, and continues that of the checkpoint from which it goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context

import runbundle
from runbundle.integrations.langgraph import runs
from runbundle.integrations.langgraph.runs import checkpoint_loaded
from runbundle.otel.agent.run_handle import current_run

Configured = Callable[..., runbundle.Handle]


@pytest.fixture
def invocation(configured: Configured) -> Iterator[Callable[..., Any]]:
    """Make this context one in which a graph was invoked."""
    configured()
    before = otel_context.get_current()
    token = otel_context.attach(before)
    made: list[Any] = []

    def make(*, goes_on: bool) -> Any:
        found = runs._Invocation("graph", "t", goes_on, "", before)
        runs._begun.set(found)
        made.append(found)
        return found

    yield make
    runs._begun.set(None)
    for found in made:
        if found.scope is not None:
            found.scope.finish(None)
    otel_context.detach(token)


def test_outside_an_invocation_nothing_begins(configured: Configured) -> None:
    """A thread whose state an application only reads is no run."""
    configured()
    checkpoint_loaded("t", "", "1", "r")
    assert not current_run().run_id


@pytest.mark.parametrize(("thread_id", "namespace"), [("other", ""), ("t", "sub")])
def test_only_the_main_namespace_of_the_invoked_thread_begins_its_run(
    invocation: Callable[..., Any], thread_id: str, namespace: str
) -> None:
    """Checkpoints of sub-graphs and of other threads do not."""
    found = invocation(goes_on=True)
    checkpoint_loaded(thread_id, namespace, "1", "r")
    assert found.scope is None


@pytest.mark.parametrize(
    ("goes_on", "checkpoint_id", "run_id", "continued"),
    [(True, "1", "r", True), (False, "1", "r", False), (True, "", "", False), (True, "1", "no / id", False)],
    ids=["goes on", "new input", "no checkpoint", "a run id that is none"],
)
def test_an_invocation_that_goes_on_continues_the_run_of_its_checkpoint(
    invocation: Callable[..., Any], goes_on: bool, checkpoint_id: str, run_id: str, continued: bool
) -> None:
    """With new input, or without a checkpoint to go on from, it is a run of its own; it begins once."""
    found = invocation(goes_on=goes_on)
    checkpoint_loaded("t", "", checkpoint_id, run_id)
    assert found.scope is not None
    assert (current_run().run_id == "r") is continued
    scope = found.scope
    checkpoint_loaded("t", "", checkpoint_id, "another")
    assert found.scope is scope
