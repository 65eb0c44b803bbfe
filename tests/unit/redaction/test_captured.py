"""What the redactor makes of words, of digests of the whole, and of messages."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.contract import parse_contract
from runbundle.redaction.captured import WORDS
from runbundle.redaction.markers import Digester, canonical, is_digest, marker_parts
from runbundle.redaction.messages import describe_messages
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.keys import SPAN_KEYS
from tests.support.records import keys, record_of_ours, values

CONTRACT = parse_contract({"name": "t", "data": {"rules": [{"selector": "/a", "action": "keep"}]}})
REDACTOR = Redactor(Policy(contracts={"t": CONTRACT}, digester=Digester(b"k")))
DIGEST = Digester(b"k")
ARGUMENTS, MESSAGES = "gen_ai.tool.call.arguments", "gen_ai.input.messages"


def redacted(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a redacted span, which come back unchanged when redacted again."""
    once = REDACTOR.redact_span(record_of_ours(attributes))
    assert REDACTOR.redact_span(once) == once
    return once["attributes"]


def oversize(key: str, sha256: str = "0" * 64) -> str:
    """Return what is said of a value that was too large."""
    return orjson.dumps({key: {"word": "oversize", "sha256": sha256, "bytes": 5_000_000}}).decode()


_words = st.sampled_from(
    [key for key, kind in SPAN_KEYS.items() if kind in ("content", "messages", "arguments", "result")]
)
_entries = st.one_of(
    st.fixed_dictionaries({"word": st.sampled_from(WORDS)}),
    st.just({"word": "oversize", "sha256": "ab" * 32, "bytes": 5}),
    st.just({"word": "abandoned", "sha256": "cd" * 32, "bytes": 5}),
    st.just({"word": "cut", "note": "SECRETWORD"}),
)


@given(st.dictionaries(keys, values, max_size=6), st.dictionaries(_words, _entries, max_size=3))
def test_words_keep_redaction_total_and_idempotent(attributes: dict[str, Any], said: dict[str, Any]) -> None:
    """Whatever is said of which values, a redacted record comes back unchanged, without a plain digest."""
    made = redacted({**attributes, **dict.fromkeys(said, "x"), "runbundle.capture": orjson.dumps(said).decode()})
    assert "failed" not in made["runbundle.redaction"]
    assert not any(secret in repr(made) for secret in ("ab" * 32, "cd" * 32, "SECRETWORD"))


@pytest.mark.parametrize("word", ["cut", "not_consumed", "unserialisable"])
@pytest.mark.parametrize("tool", ["t", "other"])
def test_what_was_not_seen_whole_has_no_digest(word: str, tool: str) -> None:
    """Of two different values it could be the same."""
    said = {key: {"word": word} for key in (ARGUMENTS, MESSAGES, "runbundle.result")}
    made = redacted({
        "gen_ai.tool.name": tool, ARGUMENTS: '{"a":1}', MESSAGES: '[{"role":"user"}]', "runbundle.result": "x",
        "runbundle.capture": orjson.dumps(said).decode(),
    })  # fmt: skip
    assert orjson.loads(made["runbundle.capture"]) == said
    assert "h1:" not in repr({k: v for k, v in made.items() if "contract" not in k})
    assert made[ARGUMENTS] == ('{"a":1}' if tool == "t" else "[REDACTED:undeclared]")
    assert made[MESSAGES] == "[REDACTED:content:roles=user]"
    assert "runbundle.messages" not in made


@pytest.mark.parametrize("tool", ["t", "other"])
@pytest.mark.parametrize(
    "text", ['{"a":1,"b":"[REDACTED:oversize:bytes=5000000]"}', "[REDACTED:oversize:bytes=5000000]"]
)
def test_what_was_too_large_has_a_keyed_digest_of_the_whole(tool: str, text: str) -> None:
    """It depends on the whole alone, not on what is left of it, and the size is that of the whole."""
    made = redacted({"gen_ai.tool.name": tool, ARGUMENTS: text, "runbundle.capture": oversize(ARGUMENTS)})
    other = redacted({"gen_ai.tool.name": tool, ARGUMENTS: text, "runbundle.capture": oversize(ARGUMENTS, "1" * 64)})
    digest = DIGEST(f"tool|{tool}|arguments", b"sha256:" + b"0" * 64)
    assert (made["runbundle.tool.arguments.digest"], made["runbundle.tool.arguments.bytes"]) == (digest, 5_000_000)
    assert orjson.loads(made["runbundle.capture"]) == {
        ARGUMENTS: {"word": "oversize", "digest": digest, "bytes": 5_000_000}
    }
    assert other["runbundle.tool.arguments.digest"] != digest
    assert "0" * 64 not in repr(made)
    if tool == "t" and text.startswith("{"):
        assert orjson.loads(made[ARGUMENTS])["a"] == 1
    else:
        assert marker_parts(made[ARGUMENTS]) == (digest, 5_000_000)


def test_the_marker_of_a_large_message_is_of_the_whole() -> None:
    """Digest and size of the whole; the roles of what is left; no digests of single messages."""
    made = redacted({MESSAGES: '[{"role":"user","content":"x"}]', "runbundle.capture": oversize(MESSAGES)})
    assert marker_parts(made[MESSAGES]) == (DIGEST("content", b"sha256:" + b"0" * 64), 5_000_000)
    assert made[MESSAGES].endswith(":roles=user]")
    assert "runbundle.messages" not in made


@given(values, values)
def test_different_data_has_different_bytes_to_digest(one: Any, other: Any) -> None:
    """Integers of any size, lone surrogates, NaN and deep nesting too."""
    assert canonical([2**70, one]) != canonical([2**71, one])
    assert canonical(["\ud800", one]) != canonical(["\ud801", one])
    assert (canonical(["\ud800", one]) == canonical(["\ud800", other])) == (canonical([one]) == canonical([other]))


def test_what_is_no_data_has_no_bytes_to_digest() -> None:
    """Two objects of one type are not equal for being of one type."""
    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    cycle: list[Any] = []
    cycle.append(cycle)
    assert canonical(deep) is not None
    assert canonical([float("nan")]) != canonical([None])
    for value in (object(), [object()], cycle, {"a": object()}, {object(): 1}):
        assert canonical(value) is None
    made = redacted({"url.full": object(), "mine": object(), "gen_ai.tool.call.arguments": [object()]})
    assert "h1:" not in repr(made)


def told(value: Any) -> dict[str, Any]:
    """Return what is said of messages."""
    found = describe_messages(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(), DIGEST)
    assert found is not None
    return found


def conversation(call: str, answer: str = "sunny") -> list[dict[str, Any]]:
    """Return messages in which an id is echoed."""
    return [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "tool_calls": [{"id": call, "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": call, "content": answer},
        {"type": "human", "content": [call, "and"]},
    ]


def test_messages_have_a_role_and_a_digest_each() -> None:
    """In order; equal messages have equal ones, wherever they stand."""
    one, other = told(conversation("call_1")), told(conversation("call_2"))
    assert [role for role, _ in one["roles"]] == ["user", "assistant", "tool", "user"]
    assert all(is_digest(digest) for _, digest in one["roles"])
    assert one["roles"][0] == other["roles"][0]
    assert one["roles"][1] != other["roles"][1]


def test_two_conversations_that_differ_in_ids_alone_are_equal_in_neutral() -> None:
    """Ids are numbers in the order of their first appearance, wherever they are echoed; anything else tells."""
    neutral = told(conversation("call_1"))["neutral"]
    assert told(conversation("call_2"))["neutral"] == neutral
    assert told(conversation("call_1", "rainy"))["neutral"] != neutral
    swapped = conversation("call_1")
    swapped[2]["tool_call_id"] = "call_9"  # the answer to another call
    assert told(swapped)["neutral"] != neutral


def test_an_id_in_what_a_tool_was_given_is_data() -> None:
    """Two orders are not equal for being called by their ids."""

    def call(order: str) -> Any:
        return [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "u", "name": "f", "input": {"id": order}}]}
        ]

    assert told(call("A-1"))["neutral"] != told(call("A-2"))["neutral"]


def test_messages_are_found_among_the_arguments_of_a_model() -> None:
    """What is beside them is part of what was asked."""
    alone = told({"messages": conversation("c")})
    assert alone == told(conversation("c"))
    assert told({"messages": conversation("c"), "temperature": 1})["neutral"] != alone["neutral"]
    assert [role for role, _ in told({"role": "assistant", "content": "x"})["roles"]] == ["assistant"]
    assert [role for role, _ in told("just text")["roles"]] == [""]


def test_of_many_messages_the_first_have_digests_and_all_are_counted() -> None:
    """The digest of them all is of all."""
    many = [{"role": "user", "content": str(n)} for n in range(100)]
    found = told(many)
    assert (len(found["roles"]), found["more"]) == (64, 36)
    assert told([*many[:99], {"role": "user", "content": "other"}])["neutral"] != found["neutral"]


@pytest.mark.parametrize("text", ["not json", "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100 + ' id"'])
def test_what_cannot_be_read_as_messages_is_content_alone(text: str) -> None:
    """There is the digest of the text, and nothing more."""
    made = redacted({MESSAGES: text})
    assert marker_parts(made[MESSAGES])[0]


@pytest.mark.parametrize(
    "text",
    [
        '{"gen_ai.input.messages":{"roles":[["secret","h1:00000000:' + "A" * 26 + '"]],"neutral":"x"}}',
        '{"secret":{"roles":[],"neutral":"h1:00000000:' + "A" * 26 + '"}}', '{"gen_ai.input.messages":"secret"}',
        '{"gen_ai.input.messages":{"roles":[],"neutral":"h1:00000000:' + "A" * 26 + '","x":"secret"}}', "secret", 5,
    ],
)  # fmt: skip
def test_nothing_else_travels_as_digests_of_messages(text: Any) -> None:
    """What has not their shape is dropped."""
    assert "secret" not in repr(redacted({"runbundle.messages": text}))


@given(
    st.dictionaries(
        st.sampled_from([MESSAGES, "gen_ai.output.messages"]),
        values.map(
            lambda v: (
                orjson.dumps(v, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
                if not isinstance(v, bytes) and _plain(v)
                else "x"
            )
        ),
    )
)
def test_messages_of_any_json_keep_redaction_idempotent(attributes: dict[str, Any]) -> None:
    """And what is said of them has its shape, or it would not come back."""
    made = redacted(attributes)
    assert "failed" not in made["runbundle.redaction"]
    assert set(orjson.loads(made.get("runbundle.messages", "{}"))) <= set(attributes)


def _plain(value: Any) -> bool:
    try:
        orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return False
    return True
