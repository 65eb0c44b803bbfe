"""What became of the values that a span carries: a word for each, by attribute key."""

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
"""Attributes with the values that an agent works on; each has a word, if it is `whole`."""


def said_of(attributes: Mapping[str, Any]) -> dict[str, Said]:
    """Return what is said of the values among some attributes that are not whole."""
    return (parse_capture(attributes[own.CAPTURE]) or {}) if own.CAPTURE in attributes else {}


def words_of(attributes: Mapping[str, Any]) -> dict[str, CaptureWord]:
    """Return the word of each value among some attributes; also of one that is not there, if there is a word for it."""
    if VALUES.isdisjoint(attributes) and own.CAPTURE not in attributes:
        return {}
    words: dict[str, CaptureWord] = dict.fromkeys(VALUES.intersection(attributes), "whole")
    if own.CAPTURE in attributes:
        words.update((key, said.word) for key, said in said_of(attributes).items())
    return words


def captures(span: Span) -> dict[str, list[CaptureWord]]:
    """Return the words of all values of a span and of its events."""
    found: dict[str, list[CaptureWord]] = {key: [word] for key, word in words_of(span.attributes).items()}
    for event in span.record["events"]:
        for key, word in words_of(event["attributes"]).items():
            found.setdefault(key, []).append(word)
    return found


def summed(found: Mapping[str, list[CaptureWord]]) -> dict[str, CaptureWord]:
    """Return one word for each key: the worst of its values."""
    return {key: words[0] if len(words) == 1 else worst(words) for key, words in found.items()}
