"""An answer from chunks: its text, its calls, and how providers' chunks are told."""

from hashlib import sha256
from typing import Any

import pytest

from runbundle.otel.agent.streams.answer import MAX_CALLS, Answer, GrowingText
from runbundle.otel.agent.streams.chunks import fields_of, read_chunk, read_message


def test_a_text_that_is_digested_keeps_nothing_and_counts_all() -> None:
    """The digest is that of the whole, before and after."""
    text = GrowingText()
    text.add("before ")
    text.digest_only()
    text.add("after")
    assert text.oversize
    assert text.value() == {"sha256": sha256(b"before after").hexdigest(), "bytes": 12}


def test_fragments_of_one_call_are_put_together() -> None:
    """One without an index goes on with the last, one with another id begins its own."""
    answer = Answer()
    answer.add_call(None, "c1", "find", '{"a":')
    answer.add_call(None, "", "", "1}")
    answer.add_call(None, "c2", "drop", "{}")
    assert answer.has_arguments(("id", "c2", 1))
    [message] = answer.value()
    assert [(c["id"], c["name"], c["arguments"]) for c in message["tool_calls"]] == [
        ("c1", "find", '{"a":1}'),
        ("c2", "drop", "{}"),
    ]


def test_an_answer_of_too_many_calls_says_that_it_is_cut() -> None:
    """It keeps those that it has room for."""
    answer = Answer()
    for index in range(MAX_CALLS + 1):
        answer.add_call(index, f"c{index}")
    assert answer.cut
    assert len(answer.value()[0]["tool_calls"]) == MAX_CALLS


def test_a_part_that_is_no_text_makes_the_answer_chunked() -> None:
    """Whoever cut it otherwise would have other parts."""
    answer = Answer()
    answer.add_text("content", "hello")
    assert answer.has_text()
    assert not answer.chunked
    answer.add_part({"image": 1})
    assert answer.chunked
    assert answer.value()[0]["parts"] == ['{"image":1}']


def test_a_delta_that_names_another_message_begins_one() -> None:
    """One without a name goes on with the last."""
    answer = Answer()
    places = [answer.message_index(name, 0) for name in ("a", "", "a", "b", "")]
    assert places[0] == places[1] == places[2] != places[3] == places[4]
    assert answer.chunked


def test_tokens_are_counted_last_or_together() -> None:
    """A count that is no integer is none."""
    answer = Answer()
    answer.add_usage({"prompt_tokens": 3, "completion_tokens": True, "other": 5})
    answer.add_usage({"input_tokens": 4})
    assert answer.usage == {"gen_ai.usage.input_tokens": 4}
    answer.add_usage({"input_tokens": 4}, add=True)
    assert answer.usage == {"gen_ai.usage.input_tokens": 8}


@pytest.mark.parametrize("own_deltas", [True, False])
def test_a_delta_of_ones_own_is_a_chunk_of_a_model_alone(own_deltas: bool) -> None:
    """A tool's mapping with the same keys is a record; nothing is added then."""
    answer = Answer()
    assert read_chunk(answer, {"content": "hi"}, own_deltas=own_deltas) is own_deltas
    assert answer.said is own_deltas
    assert not read_chunk(Answer(), {"content": "hi", "unknown": "lost?"}, own_deltas=True)


def test_a_whole_answer_is_told_by_its_shape() -> None:
    """Anything else is left alone."""
    answer = Answer()
    assert read_message(answer, {"role": "assistant", "content": [{"type": "text", "text": "hi"}]})
    assert answer.value()[0]["content"] == "hi"
    assert not read_message(Answer(), {"role": "user", "content": "hi"})


def test_the_fields_of_an_object_are_those_that_it_stores() -> None:
    """A property is not asked, nor an attribute that is computed."""

    class Chunk:
        def __init__(self) -> None:
            self.text = "hi"

        @property
        def delta(self) -> Any:
            raise RuntimeError

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert fields_of(Chunk()) == {"text": "hi"}
    assert [fields_of(value) for value in ("text", 1, None, Chunk)] == [{}, {}, {}, {}]
