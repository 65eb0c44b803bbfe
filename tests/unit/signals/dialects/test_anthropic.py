"""Anthropic's own SDK says why a message ended under a name of its own."""

from runbundle.signals.operations import operation
from tests.unit.signals.dialects.spans import dumped, read


def test_the_reason_to_stop_is_the_reason_to_finish() -> None:
    """As a list, as in the conventions; one that is there already stays."""
    chat = {"gen_ai.operation.name": "chat"}
    said = read("anthropic.messages.create", {**chat, "anthropic.message.stop_reason": "tool_use"})
    assert said == {**chat, "gen_ai.response.finish_reasons": ["tool_use"]}
    both = {**chat, "gen_ai.response.finish_reasons": ["stop"], "anthropic.message.stop_reason": "end_turn"}
    assert read("x", both) == {**chat, "gen_ai.response.finish_reasons": ["stop"]}
    assert read("x", {**chat, "anthropic.message.stop_reason": 5})["anthropic.message.stop_reason"] == 5


def test_its_spans_and_those_of_an_instrumentation_agree() -> None:
    """Each call is there twice, with the same id, model, reason and counts."""
    keys = ("gen_ai.response.id", "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    by_scope: dict[str, list[tuple[str, ...]]] = {}
    for record in dumped("anthropic_genai"):
        said = record["attributes"]
        assert operation(said) == "model"
        assert said["gen_ai.response.finish_reasons"]
        by_scope.setdefault(record["scope"]["name"], []).append(tuple(str(said[key]) for key in keys))
    own = by_scope.pop("com.anthropic.sdk.python")
    (other,) = by_scope.values()
    assert sorted(own) == sorted(other)
    for record in dumped("anthropic_genai"):
        if record["scope"]["name"] == "com.anthropic.sdk.python":
            assert record["attributes"]["http.request.method"] == "POST"
