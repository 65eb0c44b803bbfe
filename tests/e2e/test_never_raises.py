"""Nothing that an agent calls raises for data, whatever the data is; what is a mistake of a developer raises early."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

import runbundle
from runbundle.bundle.verify import verify
from tests.conftest import sealed
from tests.support.odd import DATA, NOT_DATA, PARTLY, Hostile

Configured = Callable[..., runbundle.Handle]

ODD: dict[str, Any] = {
    **{name: value for name, (value, _) in DATA.items()}, **NOT_DATA, **PARTLY, "None": None, "list": ["a"],
    "long": "x" * 100_000, "empty": "", "not UTF-8": b"\xff", "surrogate": "\ud800", "negative": -1, "True": True,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_whatever_it_is_given_nothing_raises(configured: Configured, name: str) -> None:
    """Every method of a run's handle, every start, in every argument; the run is sealed and verified."""
    handle = configured(contracts=[{"name": "t", "data": {"rules": []}, "policy": "allow"}])
    odd = ODD[name]
    with runbundle.start_run(odd, run_id=odd, request_id=odd, tenant_id=odd, user_id=odd, session_id=odd, config=odd,
                             resumed_from=odd) as run:  # fmt: skip
        for call in (
            lambda: run.set_result(odd),
            lambda: run.policy_decision(odd, rule=odd, reason=odd, tool=odd),
            lambda: run.add_evidence(odd, query=odd, retriever=odd),
            lambda: run.add_evidence([odd, {"id": odd, "uri": odd, "title": odd, "score": odd, "content": odd}]),
            lambda: run.score("judge", odd),
            lambda: run.score(odd, odd, label=odd),
            lambda: run.event(odd, odd=odd, text="x"),
            lambda: run.event("e", **{"": odd, "\ud800": odd}),
            lambda: run.usage(input_tokens=odd, output_tokens=odd, model=odd),
        ):
            assert call() is None  # type: ignore[func-returns-value]
        for start in (
            lambda: runbundle.start_agent(odd, input=odd),
            lambda: runbundle.start_step(odd),
            lambda: runbundle.start_tool(odd, odd, call_id=odd, attempt=odd),
            lambda: runbundle.start_tool("t", odd),
            lambda: runbundle.start_model(odd, odd, provider=odd, operation=odd),
            lambda: runbundle.start_retriever(odd, odd),
        ):
            with start():
                pass
        for decorate in (runbundle.tool, runbundle.agent, runbundle.model, runbundle.retriever, runbundle.step):
            if name not in ("generator", "coroutine"):  # such a one is followed, by one of its kind
                assert decorate(lambda given: given)(odd) is odd
            assert decorate(name="n")(lambda given: [given])(odd)[0] is odd
    runbundle.register_secret(odd)
    bundle = sealed(handle)
    assert verify(bundle.store, bundle.key).verdict in ("verified", "incomplete")
    codes = {finding.code for finding in verify(bundle.store, bundle.key).findings}
    # What was registered as a secret after it was recorded is masked when the bundle is sealed, and nothing else is.
    masked = bundle.index.redaction.masked or {}
    assert set(masked) <= {"known-secret"}
    assert not {code for code in codes if not code.startswith("RB3")} - ({"RB413"} if masked else set()), codes


def test_what_has_another_type_is_recorded_as_far_as_it_can_be(configured: Configured) -> None:
    """A word is a label, a text is a document, None is nothing."""
    handle = configured()
    with runbundle.start_run("r") as run:
        run.score("judge", "high")  # type: ignore[arg-type]
        run.score("judge", "0.5")  # type: ignore[arg-type]
        run.score("judge", None)  # type: ignore[arg-type]
        run.add_evidence(["text"])  # type: ignore[list-item]
        run.add_evidence("text")  # type: ignore[arg-type]
        run.add_evidence({"id": "d", "content": "text"})  # type: ignore[arg-type]
        run.add_evidence(None)  # type: ignore[arg-type]
        run.add_evidence([None])  # type: ignore[list-item]
    assert handle.flush()
    bundle = runbundle_of(handle)
    scores = [e["attributes"] for e in bundle.events() if e["type"] == "score"]
    assert [s.get("gen_ai.evaluation.score.label") for s in scores] == ["high", None]
    assert [s.get("gen_ai.evaluation.score.value") for s in scores] == [None, 0.5]
    documents = bundle.evidence().retrievals[0].documents
    assert [document.id for document in documents] == ["1", "1", "d"]
    assert len({document.digest for document in documents}) == 1


def runbundle_of(handle: runbundle.Handle) -> Any:
    """Return the one bundle of a store."""
    from runbundle.bundle.reader import Bundle

    (key,) = handle.store.list_dirs()
    return Bundle.open(handle.store, key)


def test_what_could_not_be_recorded_is_counted(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """By what it was; flush() is false, and a log line that quotes nothing says so once."""
    handle = configured()
    with runbundle.start_run("r") as run:
        for _ in range(3):
            run.score("judge", object(), label="high")  # type: ignore[arg-type]
            run.usage(input_tokens="many")  # type: ignore[arg-type]
        run.add_evidence([{"id": "d", "score": "high"}])
        run.add_evidence({"id": "d"} if n < 1 else 1 / 0 for n in range(2))  # type: ignore[misc]
    result = handle.flush()
    assert not result
    assert result.dropped == {"given_score": 3, "given_usage": 3, "given_document_score": 1, "given_documents": 1}
    assert caplog.text.count("(usage)") <= 1


def test_a_claim_to_an_id_is_logged_without_quoting_it(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """A client may send any id; the application's log is no place for it."""
    caplog.set_level(logging.DEBUG)
    configured()
    with runbundle.start_run("r", run_id="../secret/words", tenant_id="../secret/words"):
        pass
    assert "secret" not in caplog.text


def test_ids_of_other_types_are_ids(configured: Configured) -> None:
    """A UUID and a number have a text that everybody would give them."""
    import uuid

    handle = configured()
    with runbundle.start_run("r", run_id=uuid.UUID(int=7), tenant_id=42):  # type: ignore[arg-type]
        pass
    assert sealed(handle).key == "42/00000000-0000-0000-0000-000000000007"


def test_anything_that_can_be_called_can_be_decorated(configured: Configured) -> None:
    """A partial and an object have no name of their own, and an object may have no hash."""

    class Lookup:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, word: str) -> str:
            return word

    handle = configured()
    with runbundle.start_run("r"):
        assert runbundle.tool(functools.partial(max, 1))(2) == 2
        assert runbundle.tool(Lookup())("w") == "w"
    assert [call.tool for call in sealed(handle).tool_calls().calls] == ["max", "Lookup"]


@pytest.mark.parametrize("decorate", [runbundle.tool, runbundle.run, runbundle.agent, runbundle.step, runbundle.model])
def test_a_mistake_of_the_developer_raises_when_it_is_made(decorate: Any) -> None:
    """What cannot be called, and an option that is not known, are refused where they stand."""
    with pytest.raises(runbundle.ConfigError, match="not callable"):
        decorate("a name")
    with pytest.raises(TypeError):
        decorate(nmae="a name")


def test_an_approval_is_asked_for_whatever_the_arguments_are(configured: Configured) -> None:
    """A decider sees them, and a call that needs its answer gets one."""
    seen: list[Any] = []
    handle = configured(
        contracts=[{"name": "t", "policy": "require_approval"}], decider=lambda call: bool(seen.append(call) or True)
    )
    hostile = Hostile()
    with runbundle.start_run("r"):
        with runbundle.start_tool("t", hostile):
            pass
        assert runbundle.tool(name="t")(lambda given: given)(hostile) is hostile
    assert len(seen) == 2
    assert [call.policy.decision for call in sealed(handle).tool_calls().calls] == ["approved", "approved"]
