"""Payloads come out of what frameworks put around them; what is in no envelope comes back as it is."""

import time
from typing import Any

import pytest

from runbundle.signals.dialects.forms.envelopes import Opened, arguments_of, python_value, response_id, result_of

PLAIN = {"city": "Paris"}


@pytest.mark.parametrize(
    ("payload", "opened"),
    [
        ('{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"city": "Paris"}}', Opened(PLAIN)),
        ('{"args": [], "kwargs": {"city": "Paris"}}', Opened(PLAIN)),
        ('{"args": ["Paris"], "kwargs": {}}', Opened("Paris")),
        ('{"type": "tool_call", "name": "f", "args": {"city": "Paris"}, "id": "c1"}', Opened(PLAIN, "c1")),
        ('{"input_str": "x", "inputs": {"city": "Paris"}, "kwargs": {"tool_call_id": "c1"}}', Opened(PLAIN, "c1")),
        ("{'city': 'Paris'}", Opened(PLAIN)),
        ({"args": [], "kwargs": PLAIN}, Opened(PLAIN)),
        ('{"city": "Paris"}', Opened('{"city": "Paris"}')),
        ("Paris", Opened("Paris")),
        ('{"args": [1, 2], "kwargs": {"a": 1}}', Opened('{"args": [1, 2], "kwargs": {"a": 1}}')),
        ('{"kwargs": {"a": 1}, "city": "Paris"}', Opened('{"kwargs": {"a": 1}, "city": "Paris"}')),
        ('{"kwargs": ', Opened('{"kwargs": ')),
        (None, Opened(None)),
    ],
)
def test_arguments_come_out_of_their_envelope(payload: Any, opened: Opened) -> None:
    """As JSON values; a single positional one bare."""
    assert arguments_of(payload) == opened


def test_a_parameter_called_kwargs_is_no_envelope() -> None:
    """But where the instrumentation is known to write keyword arguments so."""
    text = '{"kwargs": {"city": "Paris"}}'
    assert arguments_of(text).value == text
    assert arguments_of(text, keywords=True).value == PLAIN


@pytest.mark.parametrize(
    ("payload", "opened"),
    [
        ('{"type": "tool", "data": {"content": "ok", "tool_call_id": "c1"}}', Opened("ok", "c1")),
        ('{"lc": 1, "type": "constructor", "kwargs": {"content": "ok", "tool_call_id": "c1"}}', Opened("ok", "c1")),
        ('{"output": {"kwargs": {"content": "ok", "tool_call_id": "c1"}, "lc": 1}}', Opened("ok", "c1")),
        ('{"type": "tool", "content": "ok", "tool_call_id": "c1", "status": "error"}', Opened("ok", "c1", True)),
        ('{"raw_output": {"city": "Paris"}, "is_error": false, "tool_name": "f"}', Opened(PLAIN)),
        ('{"raw_output": "no", "is_error": true}', Opened("no", None, True)),
        ('[{"text": "{\\"city\\": \\"Paris\\"}"}]', Opened('{"city": "Paris"}')),
        ('{"type": "tool", "data": {"content": [{"type": "text", "text": "a"}], "tool_call_id": ""}}', Opened("a")),
        ("{'city': 'Paris'}", Opened(PLAIN)),
        ("('a', 1)", Opened(["a", 1])),
        ("sunny", Opened("sunny")),
        ('{"text": "a"}', Opened('{"text": "a"}')),
        ('{"data": {"content": 1}}', Opened('{"data": {"content": 1}}')),
        ('[{"text": "a"}, {"text": "b"}]', Opened('[{"text": "a"}, {"text": "b"}]')),
        ('{"output": {"a": 1}}', Opened('{"output": {"a": 1}}')),
        (7, Opened(7)),
    ],
)  # fmt: skip
def test_results_come_out_of_their_envelope(payload: Any, opened: Opened) -> None:
    """With the call's id and its failure, where the envelope says them."""
    assert result_of(payload) == opened


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': (1, -2.5e3), 'b': [True, False, None]}", {"a": [1, -2500.0], "b": [True, False, None]}),
        ("""{'it': "it's", 'q': 'say "x"', 'e': 'a\\nb\\x41'}""", {"it": "it's", "q": 'say "x"', "e": "a\nbA"}),
        ("['None', 'True (', '),']", ["None", "True (", "),"]),
        ("(1,)", [1]),
    ],
)
def test_a_python_value_is_read_as_repr_wrote_it(text: str, value: Any) -> None:
    """Whatever its strings have in them."""
    assert python_value(text) == value


@pytest.mark.alone
@pytest.mark.parametrize(
    "text",
    [
        "{1: 2}", "{'a'}", "{'a': nan}", "{'a': f()}", "['a' 'b']", "{'a': object at 0x7}", "{'a': b'x'}", "['a",
        "[" * 60_000, "(" * 60_000, "{" + "'\\" * 20_000, "[" + "-" * 60_000 + "1]", "[" + "1(" * 20_000,
        "[" + "'a'," * 20_000,
    ],
)  # fmt: skip
def test_what_is_no_value_stays_text(text: str) -> None:
    """Sets, calls, objects, and what would be deeper than a stack: each in no time."""
    before = time.thread_time()
    assert python_value(text) == text
    assert result_of(text).value == text
    assert time.thread_time() - before < 1


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ('{"id":"chatcmpl-1","choices":[]}', "chatcmpl-1"),
        ('{"generations": [[{"message": {"kwargs": {"id": "lc_run-1", "response_metadata": {"id": "r1"}}}}]]}', "r1"),
        ('{"generations": [[{"message": {"kwargs": {"id": "msg_1", "response_metadata": {}}}}]]}', "msg_1"),
        ('{"generations": [[{"message": {"kwargs": {"id": "run-1", "response_metadata": {}}}}]]}', None),
        ('{"generations": [7, [{}]], "response_metadata": 1}', None),
        ("hello", None),
        (None, None),
    ],
)
def test_a_response_has_the_id_of_its_provider(text: Any, identity: str | None) -> None:
    """Not LangChain's own."""
    assert response_id(text) == identity
