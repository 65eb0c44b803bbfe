"""The fields of a chunk are read without running its code, and what is no text or list is none."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.chunks import read_chunk, read_message
from runbundle.otel.agent.streams.fields import (
    add_blocks,
    add_envelope,
    add_finish,
    arguments_text,
    fields_of,
    list_in,
    text_in,
)


class Trap:
    """An object with code behind an attribute, and behind those that it does not have."""

    def __init__(self) -> None:
        self.type = "x"

    @property
    def content(self) -> str:
        raise AssertionError("content")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@dataclass(slots=True)
class Slots:
    """A data class without a dict."""

    content: str = "a"


class Open(BaseModel):
    """A model that keeps what it does not declare."""

    model_config = ConfigDict(extra="allow")
    content: str


def test_fields_are_read_of_any_object_without_running_its_code() -> None:
    """Of mappings, data classes, models with extras and plain objects; of values and classes there are none."""
    assert fields_of({"a": 1}) == {"a": 1}
    assert fields_of(Slots()) == {"content": "a"}
    assert fields_of(Open(content="a", more="b")) == {"content": "a", "more": "b"}  # type: ignore[call-arg]
    assert fields_of(Trap()) == {"type": "x"}
    assert [fields_of(value) for value in ("text", 1, None, [1], Slots)] == [{}] * 5


def test_what_is_of_another_type_is_nothing() -> None:
    """Text, lists and arguments of a call are taken as such or not at all."""
    assert [text_in(value) for value in ("a", None, 5, ["a"])] == ["a", "", "", ""]
    assert [list_in(value) for value in ([1], (1,), "ab", None)] == [[1], [1], [], []]
    assert [arguments_text(value) for value in ('{"a":', {"a": 1}, None, 5)] == ['{"a":', '{"a":1}', "", ""]


def test_each_provider_is_read_by_its_own_module() -> None:
    """A chunk of each adds to the answer; one that is none adds nothing and is said to be none."""
    chunks: list[tuple[dict[str, Any], bool]] = [
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, False),
        ({"type": "response.output_text.delta", "delta": "a"}, False),
        ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}, False),
        ({"content": "a", "tool_call_chunks": []}, False),
        ({"content": "a"}, True),
    ]
    for chunk, own_deltas in chunks:
        answer = Answer()
        assert read_chunk(answer, chunk, own_deltas=own_deltas), chunk
        assert answer.has_text(), chunk
    answer = Answer()
    assert not read_chunk(answer, {"content": "a"}, own_deltas=False)
    assert not read_chunk(answer, {"content": "a", "row": 1}, own_deltas=True)
    assert not answer.has_text()
    assert read_message(answer, {"role": "assistant", "content": [{"type": "text", "text": "a"}]})
    assert answer.has_text()


def test_blocks_of_content_are_texts_by_kind_and_others_are_parts() -> None:
    """In the choice that they are of; blocks that have nothing add nothing."""
    answer = Answer()
    add_blocks(
        answer,
        ["a", {"type": "text", "text": "b"}, {"type": "thinking", "thinking": "hm"}, {"text": "c"},
         {"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "d"}, {}, None, 5],
        0,
    )  # fmt: skip
    assert answer.value() == [{"role": "assistant", "content": "abcd", "reasoning": "hm", "refusal": "no"}]
    assert not answer.chunked
    add_blocks(answer, [{"type": "image", "reasoning": "not its kind"}], 1)
    assert answer.chunked
    assert [len(message.get("parts", [])) for message in answer.value()] == [0, 1]


def test_the_envelope_of_an_answer_is_the_first_that_is_known() -> None:
    """Model and id each by itself; what is no text is none."""
    answer = Answer()
    for said in ({"model": None, "id": 5}, {"model": "m"}, {"model": "other", "id": "1"}, {"id": "2"}):
        add_envelope(answer, said)
    assert (answer.model, answer.response_id) == ("m", "1")
    assert not answer.said


def test_a_reason_to_stop_is_taken_once_and_few_are() -> None:
    """In the order in which they came; no text, no reason."""
    answer = Answer()
    for reason in ("stop", None, "", 5, "length", "stop"):
        add_finish(answer, reason)
    assert answer.finish_reasons == ["stop", "length"]
    for number in range(20):
        add_finish(answer, f"reason {number}")
    assert len(answer.finish_reasons) == 8
