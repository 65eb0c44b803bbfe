"""Lines of ended spans: the same from both cores, with one memory of what a run withheld."""

import threading
import time
import tomllib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from runbundle.core import native, spans
from runbundle.core.spans import SpanLines
from runbundle.format.contract import parse_contract
from runbundle.journal.lines import begun_of, parse_line, record_line
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own

RULES = [
    {"selector": "/city", "action": "keep"},
    {"selector": "/email", "data_class": "personal"},
    {"selector": "/text", "target": "output", "action": "keep"},
]
FIND = parse_contract({"name": "find", "data": {"rules": RULES}})
ASKED = '{"city":"Oslo","email":"ada.lovelace@example.org"}'
SCOPE: Any = {"name": "lib", "version": "1", "schema_url": "", "attributes": {}}

needs_native = pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")


def record(run_id: str = "run-1", **attributes: Any) -> Any:
    """Return the raw record of a call of the tool `find`, with more attributes."""
    given = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}
    return {
        "run_id": run_id, "tenant_id": "", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": "execute_tool find", "kind": 0, "start_ns": 1, "end_ns": 2,
        "status_code": 1, "status_message": "",
        "attributes": given | {key.replace("__", "."): value for key, value in attributes.items()},
        "events": [], "links": [], "scope": SCOPE, "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    }  # fmt: skip


def asked(run_id: str = "run-1", **more: Any) -> Any:
    """Return a call whose arguments hold an address that the contract withholds."""
    return record(run_id, gen_ai__tool__call__arguments=ASKED, **more)


def told(text: str, run_id: str = "run-1", **more: Any) -> Any:
    """Return a call with a text in its result, which the contract keeps."""
    return record(run_id, gen_ai__tool__call__result='{"text":"%s"}' % text, **more)


LEFT = {"tool_response": "[REDACTED:credential]"}
"""Leaves a span to Python: a marker that was there before."""


def redactor() -> Redactor:
    """Return a redactor with the contract."""
    return Redactor(Policy(contracts={"find": FIND}, digester=Digester(b"k")))


def attributes(line: bytes) -> dict[str, Any]:
    """Return the attributes that a line holds."""
    found = parse_line(line)
    assert found is not None
    return found["attributes"]


def test_without_a_native_core_python_writes_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails, and the counts say it."""
    monkeypatch.setattr(spans, "core_of", lambda _: None)
    lines = SpanLines(redactor())
    assert lines.line(asked(), 3) == record_line("span", redactor().redact_span(asked()), 3)
    assert (lines.by_native, lines.by_python) == (0, 1)


def test_a_plan_that_the_native_core_does_not_take_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that cannot be made, and one that raises, cost nothing but time."""
    monkeypatch.setattr(spans, "core_of", mock.Mock(side_effect=TypeError))
    assert SpanLines(redactor()).line(asked(), 3) == record_line("span", redactor().redact_span(asked()), 3)
    broken = mock.Mock()
    broken.span_line.side_effect = RuntimeError
    monkeypatch.setattr(spans, "core_of", lambda _: broken)
    assert SpanLines(redactor()).line(asked(), 3) == record_line("span", redactor().redact_span(asked()), 3)


def test_a_core_is_not_used_whose_contracts_changed_while_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread declares a stricter contract just then: the span is redacted under it, by Python."""
    given, made = redactor(), list[mock.Mock]()

    def core_of(_: Redactor) -> mock.Mock:
        if not made:
            given.use_contracts({})
        made.append(mock.Mock(**{"span_line.return_value": b"a line of a core"}))
        return made[-1]

    monkeypatch.setattr(spans, "core_of", core_of)
    lines, strict = SpanLines(given), Redactor(Policy(digester=Digester(b"k")))
    assert lines.line(told("what is kept no more"), 0) == record_line(
        "span", strict.redact_span(told("what is kept no more")), 0
    )
    made[0].span_line.assert_not_called()
    assert lines.line(told("x"), 0) == b"a line of a core"
    assert len(made) == 2


@pytest.mark.parametrize(("said", "is_there"), [("0", False), ("no", False), ("1", True), ("", True)])
def test_a_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch, said: str, is_there: bool) -> None:
    """`RUNBUNDLE_NATIVE=0`; by default it is used where it is installed."""
    monkeypatch.delenv("RUNBUNDLE_NATIVE", raising=False)
    native.module.cache_clear()
    known = native.module()
    monkeypatch.setenv("RUNBUNDLE_NATIVE", said)
    native.module.cache_clear()
    try:
        assert native.module() is (known if is_there else None)
    finally:
        monkeypatch.undo()
        native.module.cache_clear()


def test_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that this package works with is the one that is built here."""
    crate = tomllib.loads((Path(__file__).parents[3] / "native" / "Cargo.toml").read_text())
    assert crate["package"]["version"] == native.VERSION
    monkeypatch.setattr(native.importlib, "import_module", lambda _: mock.Mock(__version__="0.0.9"))
    native.module.cache_clear()
    try:
        assert native.module() is None
    finally:
        native.module.cache_clear()


@needs_native
def test_the_native_core_writes_the_line_that_python_writes() -> None:
    """A call under a contract, an error with a stack, an event, a link, a run with its configuration."""
    one = asked(
        undeclared__key="x", runbundle__effect="main:7", runbundle__config='{"model":"m","api_key":"hunter2xx"}'
    )
    said = {"exception.type": "E", "exception.message": "m"}
    one["events"] = [{"name": "exception", "time_ns": 5, "attributes": said, "dropped": 0}]
    one["links"] = [
        {"trace_id": "3" * 32, "span_id": "4" * 16, "trace_state": "", "attributes": {"a": 1}, "dropped": 0}
    ]
    one["status_message"] = "it failed"
    lines = SpanLines(redactor())
    assert lines.line(one, 3) == record_line("span", redactor().redact_span(one), 3)
    assert (lines.by_native, lines.by_python) == (1, 0)


@pytest.mark.parametrize("is_there", [True, False])
def test_the_start_of_a_run_is_redacted_by_either_core_and_not_counted(
    monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """What is told of it is what Python tells; flush() counts spans that have ended."""
    if not is_there:
        monkeypatch.setattr(spans, "core_of", lambda _: None)
    lines = SpanLines(redactor())
    one = record(
        gen_ai__operation__name="invoke_agent", runbundle__config='{"model":"m","api_key":"hunter2xx"}', app="x"
    )
    assert lines.begun(one) == begun_of(redactor().redact_span(one))
    assert lines.counted() == {}


@needs_native
def test_messages_among_a_models_arguments_are_the_native_cores() -> None:
    """A decorated function is given them by name, with what else was asked."""
    said = '[{"role":"user","parts":[{"type":"tool_call","id":"c1","name":"f"}]},{"role":"odd"}]'
    for given in (
        '{"messages":%s}' % said,
        '{"b":%s,"a":[{"type":"ai","id":"c1"}],"model":"gpt","tools":["x"],"none":[]}' % said,
        '{"role":"user","history":%s}' % said,
    ):
        lines = SpanLines(redactor())
        span = record(gen_ai__operation__name="chat", gen_ai__input__messages=given)
        assert lines.line(span, 3) == record_line("span", redactor().redact_span(span), 3)
        assert lines.counted() == {"native": 1}


@needs_native
def test_texts_that_are_kept_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each text; a span of which one does not stay is left to Python, with what was learned of the others."""
    asked_of: list[list[str]] = []
    stay = native._stay
    monkeypatch.setattr(native, "_stay", lambda texts: asked_of.append(texts) or stay(texts))
    lines = SpanLines(redactor())
    city = '{"city":["%s","%s"]}'
    for first, second in (("Oslo", "Bergen"), ("Bergen", "Moss"), ("Bodø", f"ghp_{'a1B2' * 9}"), ("Bodø", "Moss")):
        span = record(gen_ai__tool__call__arguments=city % (first, second))
        assert lines.line(span, 3) == record_line("span", redactor().redact_span(span), 3)
    assert asked_of == [["Oslo", "Bergen"], ["Moss"], ["Bodø", f"ghp_{'a1B2' * 9}"]]
    assert lines.counted() == {"native": 3, "python": 1}


@needs_native
def test_what_one_core_saw_withheld_the_other_masks() -> None:
    """Whichever of them handled the span with the value, and with the span that repeats it."""
    for first, second in (({}, LEFT), (LEFT, {}), ({}, {}), (LEFT, LEFT)):
        lines = SpanLines(redactor())
        lines.line(asked(**first), 0)
        line = lines.line(told("wrote to ada.lovelace@example.org", **second), 0)
        assert b"ada.lovelace" not in line
        assert attributes(line)["gen_ai.tool.call.result"] == '{"text":"wrote to [REDACTED:personal]"}' or second
        assert b"taint" in line


@needs_native
def test_the_values_of_a_run_are_remembered_as_by_python_alone() -> None:
    """In the same order, bounded in the same way, and the same number forgotten."""
    lines, python, line = SpanLines(redactor()), redactor(), b""
    for number in range(300):
        emails = ",".join(f'"secret value {number}-{place}"' for place in range(3))
        one = record(gen_ai__tool__call__arguments=f'{{"email":[{emails}],"n":{10**6 + 7 * number}}}')
        if number % 50 == 49:
            one["attributes"]["runbundle.redaction"] = "left to Python"
        line = lines.line(one, 0)
        assert line == record_line("span", python.redact_span(one), 0), number
    assert b"taint:forgotten" in line
    mine, theirs = lines._redactor.taint_table("", "run-1"), python.taint_table("", "run-1")
    assert list(mine.classes.items()) == list(theirs.classes.items())
    assert list(mine.numbers.items()) == list(theirs.numbers.items())
    assert mine.forgotten == theirs.forgotten
    assert lines.by_native == 294


@needs_native
def test_runs_are_forgotten_when_python_forgets_them() -> None:
    """After 256 others a run's values are no longer masked by either core."""
    lines, python = SpanLines(redactor()), redactor()
    for one in [asked("first"), *(asked(f"run-{n}") for n in range(256)), told("ada.lovelace@example.org", "first")]:
        line = lines.line(one, 0)
        assert line == record_line("span", python.redact_span(one), 0)
    assert b"ada.lovelace" in line


@needs_native
def test_a_secret_that_is_learned_later_is_masked_from_then_on() -> None:
    """In names, ids and kept text that were judged before."""
    lines = SpanLines(redactor())
    one = told("the word is Xk7-Qm2-Zr9", gen_ai__response__id="Xk7-Qm2-Zr9", gen_ai__agent__name="Xk7-Qm2-Zr9")
    assert lines.line(one, 0).count(b"Xk7-Qm2-Zr9") == 3
    KNOWN.register("Xk7-Qm2-Zr9")
    line = lines.line(one, 0)
    assert b"Xk7-Qm2-Zr9" not in line
    assert line == record_line("span", redactor().redact_span(one), 0)


@needs_native
def test_an_answer_that_was_asked_for_before_a_secret_was_learned_is_not_remembered() -> None:
    """Another thread may register one while Python judges."""
    lines = SpanLines(redactor())
    lines.line(record(), 0)
    real = native.judged_identifier

    def slow(text: str) -> bool:
        answer = real(text)
        KNOWN.register("Xk7-Qm2-Zr9")
        return answer

    with mock.patch.object(native, "judged_identifier", slow):
        lines = SpanLines(redactor())
        lines.line(record(gen_ai__response__id="Xk7-Qm2-Zr9"), 0)
    assert b"Xk7-Qm2-Zr9" not in lines.line(record(gen_ai__response__id="Xk7-Qm2-Zr9"), 0)


def test_a_long_text_is_not_looked_at_together_with_others() -> None:
    """It would be looked at twice wherever it holds an id; the short ones are looked at once for that."""
    given, long = ["it rains in Oslo", "x " * 600 + "6f1c1c62-51d0-4f2a-9d6e-0f7a3c1b2e9d", "7 of 9"], "y " * 600
    with mock.patch.object(native, "surely_stay", wraps=native.surely_stay) as looked:
        assert native._stay([*given, long]) == [True] * 4  # pyright: ignore[reportPrivateUsage]
        assert native._stay([f"use {'ghp_' + 'a1B2' * 9} {long}", *given]) == [False, True, True, True]  # pyright: ignore[reportPrivateUsage]
    assert [call.args[0] for call in looked.mock_calls] == [["it rains in Oslo", "7 of 9"]] * 2


@needs_native
def test_texts_that_were_judged_before_a_secret_was_learned_are_not_remembered() -> None:
    """The same holds for what is judged together."""
    real = native._stay

    def slow(texts: list[str]) -> list[bool]:
        answers = real(texts)
        KNOWN.register("Xk7-Qm2-Zr8")
        return answers

    with mock.patch.object(native, "_stay", slow):
        lines = SpanLines(redactor())
        lines.line(told("Xk7-Qm2-Zr8"), 0)
    assert b"Xk7-Qm2-Zr8" not in lines.line(told("Xk7-Qm2-Zr8"), 0)


@needs_native
def test_a_contract_that_is_declared_later_holds_from_then_on() -> None:
    """Of the same lines, and back again."""
    one = Redactor(Policy(digester=Digester(b"k")))
    lines = SpanLines(one)
    assert b"Oslo" not in lines.line(asked(), 0)
    one.use_contracts({"find": FIND})
    assert b"Oslo" in lines.line(asked(), 0)
    one.use_contracts({})
    assert b"Oslo" not in lines.line(asked(), 0)
    assert lines.by_native == 3


@needs_native
def test_what_nobody_may_hold_up_is_raised() -> None:
    """An interrupt while Python judges; any other fault there leaves the span to Python."""
    for raised, seen in ((KeyboardInterrupt, True), (ValueError, False)):
        with mock.patch.object(native, "safe_name", mock.Mock(side_effect=raised)):
            lines = SpanLines(redactor())
            if seen:
                with pytest.raises(KeyboardInterrupt):
                    lines.line(record(), 0)
            else:
                assert lines.line(record(), 0) == record_line("span", redactor().redact_span(record()), 0)
                assert lines.by_python == 1


@needs_native
@pytest.mark.timeout(60)
def test_threads_that_judge_and_spans_that_end_meanwhile_do_not_wait_for_each_other() -> None:
    """A judgement lets go of the interpreter, and another span ends within it, as where garbage is collected."""
    lines: SpanLines
    real, within = native.safe_name, threading.local()

    def slow(text: str) -> bool:
        time.sleep(0.001)
        if not getattr(within, "busy", False):
            within.busy = True
            lines.line(asked(gen_ai__agent__name=f"inner {text}"), 0)
            within.busy = False
        return real(text)

    with mock.patch.object(native, "safe_name", slow):
        lines = SpanLines(redactor())
        lines.line(record(), 0)
        wrong: list[bytes] = []

        def work(number: int) -> None:
            for step in range(20):
                one = asked("shared", gen_ai__agent__name=f"agent {number} {step}")
                line = lines.line(one, 0)
                if attributes(line)["gen_ai.tool.call.arguments"].count("[REDACTED") or b"lovelace" in line:
                    wrong.append(line)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    table = lines._redactor.taint_table("", "shared")
    assert list(table.classes) == ["ada.lovelace@example.org"]


@needs_native
def test_a_digester_of_another_kind_is_left_to_python() -> None:
    """Its digests may be made otherwise."""

    class Other(Digester):
        pass

    assert native.core_of(Redactor(Policy(digester=Other(b"k")))) is None


@needs_native
def test_keys_that_only_a_redactor_writes_leave_a_span_to_python() -> None:
    """A record that was redacted before comes back unchanged."""
    once = redactor().redact_span(asked())
    lines = SpanLines(redactor())
    assert lines.line(once, 0) == record_line("span", redactor().redact_span(once), 0)
    assert own.RECEIPT in once["attributes"]
    assert lines.by_python == 1
