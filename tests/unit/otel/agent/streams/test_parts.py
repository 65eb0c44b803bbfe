"""Laws of what becomes of a stream's items: one answer, one digest, however it was cut, and in bounded memory."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.otel.agent.streams.parts import MAX_ITEMS, Joined, Joiner, Joining
from tests.support.chunks import DIALECTS

Dialect = Callable[[Sequence[str], Sequence[str]], list[Any]]


def joined(items: Sequence[Any], joining: Joining = "answer") -> Joined:
    """Return what becomes of items."""
    joiner = Joiner(joining)
    for item in items:
        joiner.add(item)
    return joiner.joined()


def cut(data: st.DataObject, text: Any) -> list[Any]:
    """Cut text or bytes into pieces, of which some may be empty."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data(), text=st.text(), arguments=st.text(min_size=1))
def test_an_answer_has_one_digest_however_it_was_cut(
    data: st.DataObject, dialect: Dialect, text: str, arguments: str
) -> None:
    """In every dialect, and the same in all of them: text, tool call, tokens."""
    made = joined(dialect(cut(data, text), cut(data, arguments)))
    assert made[:5] == joined(DIALECTS[0]([text], [arguments]))[:5]
    assert (made.word, made.chunked) == ("whole", False)
    assert made.answer is not None
    assert made.answer.usage["gen_ai.usage.input_tokens"] == 10
    assert made.answer.usage["gen_ai.usage.output_tokens"] == 4


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_is_one_message(dialect: Dialect) -> None:
    """With what each provider says of the call beside it."""
    made = joined(dialect(["It is ", "done."], ['{"order": ', '"A-1"}']))
    call = {"id": "call_9", "name": "refund", "arguments": '{"order": "A-1"}'}
    assert orjson.loads(made.text) == [{"role": "assistant", "content": "It is done.", "tool_calls": [call]}]
    assert made.answer is not None
    if dialect.__name__ not in ("own", "records"):
        assert made.answer.model in ("m-2026", "c-2026")
        assert made.answer.finish_reasons[-1] in ("tool_calls", "tool_use", "completed")


@pytest.mark.parametrize("dialect", DIALECTS)
@given(a=st.tuples(st.text(), st.text(min_size=1)), b=st.tuples(st.text(), st.text(min_size=1)))
def test_other_answers_have_other_digests(dialect: Dialect, a: tuple[str, str], b: tuple[str, str]) -> None:
    """Also where what one says is what the other calls a tool with."""
    one, other = (joined(dialect([text], [arguments])) for text, arguments in (a, b))
    assert (one.sha256 == other.sha256) == (one.text == other.text) == (orjson.dumps(a) == orjson.dumps(b))


@given(data=st.data(), text=st.text() | st.binary(), joining=st.sampled_from(["answer", "text"]))
def test_text_and_bytes_are_joined(data: st.DataObject, text: Any, joining: Joining) -> None:
    """Whatever they are pieces of, the digest is of the whole."""
    made = joined(cut(data, text), joining)
    assert made == joined([text], joining)
    assert made.sha256
    assert not made.chunked
    if isinstance(text, str):
        assert orjson.loads(made.text) == text


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()) | st.integers() | st.none(), min_size=1))
def test_other_items_are_a_sequence_and_say_so(items: list[Any]) -> None:
    """A list, as long as it is small; two sequences with one digest are the same."""
    made = joined(items, "items")
    assert made.chunked
    assert len(orjson.loads(made.text)) == len(items)
    assert made.sha256 != joined([*items, None], "items").sha256


def test_a_long_sequence_has_a_digest_of_all_of_it() -> None:
    """Not only of what is kept: the last of many items makes a difference, and so does where one ends."""
    many = list(range(5 * MAX_ITEMS))
    made = joined(many)
    assert (made.word, made.chunked) == ("oversize", True)
    assert made.text.startswith("[REDACTED:oversize:bytes=")
    assert made == joined(many)
    assert made.sha256 != joined([*many[:-1], 0]).sha256
    assert joined([11, 1] * MAX_ITEMS).sha256 != joined([1, 11] * MAX_ITEMS).sha256


@pytest.mark.parametrize("dialect", DIALECTS)
def test_more_than_a_span_holds_has_a_digest_of_all_of_it(dialect: Dialect) -> None:
    """However it was cut, and whether the text is too long or the arguments are."""
    for texts, arguments in ((["ab" * 700_000], ["{}"]), (["x"], ["cd" * 700_000]), (["a" * 600_000], ["b" * 600_000])):
        pieces = [[whole[i : i + 70_001] for i in range(0, len(whole), 70_001)] for (whole,) in (texts, arguments)]
        made, again = joined(dialect(texts, arguments)), joined(dialect(*pieces))
        assert made[:5] == again[:5]
        assert (made.word, made.text[:20], len(made.sha256)) == ("oversize", "[REDACTED:oversize:b", 64)
        assert joined(dialect([*texts, "!"], arguments)).sha256 != made.sha256


def test_records_of_a_tool_are_not_put_together() -> None:
    """What a tool yields under `content` is a record, not a fragment; so are a model's deltas that name themselves."""
    one, other = ([{"content": "ab"}, {"content": "c"}], [{"content": "a"}, {"content": "bc"}])
    assert joined(one, "text").sha256 != joined(other, "text").sha256
    assert joined(one).sha256 == joined(other).sha256
    named = [[{"id": n, **item} for n, item in enumerate(items)] for items in (one, other)]
    assert joined(named[0]).sha256 != joined(named[1]).sha256
    assert joined(named[0]).chunked


def test_what_is_not_known_is_not_dropped() -> None:
    """A delta with a field of its own is an item; a provider's with a part of its own has it in the answer."""
    odd = [{"content": "a", "score": 1}, {"content": "b", "score": 2}]
    assert joined(odd).chunked
    assert joined(odd).sha256 != joined([{**item, "score": 0} for item in odd]).sha256
    with_audio = [{"choices": [{"index": 0, "delta": {"content": "a", "audio": {"data": d}}}]} for d in ("x", "y")]
    assert joined(with_audio).sha256 != joined(with_audio[:1] * 2).sha256
    assert joined(with_audio).chunked


def test_text_among_other_items_is_joined_too() -> None:
    """It is one part of the sequence, however it was cut."""
    assert joined(["a", "b", {"done": 1}]) == joined(["ab", "", {"done": 1}])
    assert orjson.loads(joined(["a", "b", {"done": 1}]).text) == ["ab", {"done": 1}]


class Hostile:
    """Answers no question."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


HARMFUL: dict[str, Callable[[], Any]] = {
    "hostile": Hostile,
    "hostile choices": lambda: {"choices": Hostile()},
    "hostile choice": lambda: {"choices": [Hostile()]},
    "an object": object,
    "no number": lambda: float("nan"),
    "odd type": lambda: {"type": [], "content": {}},
    "half an event": lambda: {"type": "response.output_item.done"},
    "content that is none": lambda: {"content": 5},
}


@pytest.mark.parametrize("make", HARMFUL.values(), ids=list(HARMFUL))
def test_no_item_does_harm(make: Callable[[], Any]) -> None:
    """It is a part of the answer, or a marker in its place; the rest is there."""
    made = joined(["before", make(), "after"])
    assert "before" in made.text
    assert "after" in made.text


def test_memory_does_not_grow_with_the_stream() -> None:
    """Nor with the number of its items, nor with their size."""

    def used(count: int) -> int:
        tracemalloc.start()
        joiner, numbers = Joiner("answer"), Joiner("items")
        for n in range(count):
            joiner.add({"content": "some text, again and again "})
            numbers.add(n)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    used(100)
    assert used(200_000) < used(60_000) + 500_000
