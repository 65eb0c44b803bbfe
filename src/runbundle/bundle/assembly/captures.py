"""What became of the values that a span carries: a word for each, by attribute key."""

from collections.abc import Mapping
from typing import Any

from runbundle.bundle.assembly.timeline import Span
from runbundle.format.base import CaptureWord
from runbundle.redaction.captured import CAPTURE, Said, parse_capture, worst

VALUES = frozenset(
    {
        "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.input.messages", "gen_ai.output.messages",
        "gen_ai.system_instructions", "gen_ai.prompt", "gen_ai.completion", "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents", "pydantic_ai.all_messages", "final_result", "runbundle.result",
        "runbundle.config", "runbundle.query", "runbundle.document.content",
    }
)  # fmt: skip
"""Attributes with the values that an agent works on; each has a word, if it is `whole`."""


def stated_captures(attributes: Mapping[str, Any]) -> dict[str, Said]:
    """Return what is said of the values among some attributes that are not whole."""
    return (parse_capture(attributes[CAPTURE]) or {}) if CAPTURE in attributes else {}


def capture_words(attributes: Mapping[str, Any]) -> dict[str, CaptureWord]:
    """Return the word of each value among some attributes; also of one that is not there, if there is a word for it."""
    if VALUES.isdisjoint(attributes) and CAPTURE not in attributes:
        return {}
    words: dict[str, CaptureWord] = dict.fromkeys(VALUES.intersection(attributes), "whole")
    if CAPTURE in attributes:
        words.update((key, said.word) for key, said in stated_captures(attributes).items())
    return words


def captures_of_span(span: Span) -> dict[str, list[CaptureWord]]:
    """Return the words of all values of a span and of its events."""
    found: dict[str, list[CaptureWord]] = {key: [word] for key, word in capture_words(span.attributes).items()}
    for event in span.record["events"]:
        for key, word in capture_words(event["attributes"]).items():
            found.setdefault(key, []).append(word)
    return found


def worst_by_key(found: Mapping[str, list[CaptureWord]]) -> dict[str, CaptureWord]:
    """Return one word for each key: the worst of its values."""
    return {key: words[0] if len(words) == 1 else worst(words) for key, words in found.items()}
