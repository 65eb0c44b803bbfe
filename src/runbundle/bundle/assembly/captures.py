"""How completely the values of a span were captured: a `CaptureWord` for each, by attribute key."""

from collections.abc import Mapping
from typing import Any

from runbundle.bundle.assembly.timeline import Span
from runbundle.format.base import CaptureWord
from runbundle.redaction.captured import Said, parse_capture, worst
from runbundle.signals import own, semconv

VALUES = frozenset(
    {
        semconv.ARGUMENTS, semconv.RESULT, semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES,
        semconv.SYSTEM_INSTRUCTIONS, semconv.PROMPT, semconv.COMPLETION, semconv.QUERY_TEXT,
        semconv.DOCUMENTS, semconv.ALL_MESSAGES, semconv.FINAL_RESULT, own.RESULT,
        own.CONFIG, own.QUERY, own.DOCUMENT_CONTENT,
    }
)  # fmt: skip
"""Keys of the attributes that hold an agent's values. Such a value is `whole` unless the span says otherwise."""


def stated_captures(attributes: Mapping[str, Any]) -> dict[str, Said]:
    """Return the entries of the attribute `runbundle.capture`, by key; empty if all values are whole."""
    return (parse_capture(attributes[own.CAPTURE]) or {}) if own.CAPTURE in attributes else {}


def capture_words(attributes: Mapping[str, Any]) -> dict[str, CaptureWord]:
    """Return the capture word of each value among `attributes`, and of absent values for which there is a word."""
    if VALUES.isdisjoint(attributes) and own.CAPTURE not in attributes:
        return {}
    words: dict[str, CaptureWord] = dict.fromkeys(VALUES.intersection(attributes), "whole")
    if own.CAPTURE in attributes:
        words.update((key, said.word) for key, said in stated_captures(attributes).items())
    return words


def captures_of_span(span: Span) -> dict[str, list[CaptureWord]]:
    """Return the capture words of all values of a span and its events, by attribute key."""
    found: dict[str, list[CaptureWord]] = {key: [word] for key, word in capture_words(span.attributes).items()}
    for event in span.record["events"]:
        for key, word in capture_words(event["attributes"]).items():
            found.setdefault(key, []).append(word)
    return found


def worst_by_key(found: Mapping[str, list[CaptureWord]]) -> dict[str, CaptureWord]:
    """Return one capture word for each key: the worst."""
    return {key: words[0] if len(words) == 1 else worst(words) for key, words in found.items()}
