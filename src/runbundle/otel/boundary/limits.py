"""Limits on the size of spans and logs that others have set.

Limits of the environment cut only what is forwarded by OTLP, never what is in a bundle. A provider that somebody else
has built has cut its spans before this library sees them; then the record states what was cut.
"""

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link

from runbundle.errors import ConfigError
from runbundle.otel.boundary.span_records import bounded_list
from runbundle.redaction.captured import CONTENT_KINDS, Said, with_said
from runbundle.redaction.markers import MARKER, marker
from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.cuts import CUT, TEXT
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import SpanRecord

_SHORT_KINDS = frozenset({"name", "id", "number"})
_GENERAL = "OTEL_ATTRIBUTE_"


class Limits(NamedTuple):
    """Maximum counts, and maximum lengths of strings in characters; None is no limit."""

    attributes: int | None = None
    chars: int | None = None
    part_attributes: int | None = None
    """Maximum attributes of an event or a link."""
    part_chars: int | None = None
    events: int | None = None
    links: int | None = None


# -- of the environment, for what is forwarded ------------------------------------------------------------------------


def span_limits_of_environment() -> Limits | None:
    """Return the limits that `OTEL_*` variables set on spans; None if they set none.

    The SDK's own defaults do not count. Raises `ConfigError` for a value that is no number.
    """
    chars, count = _number(f"{_GENERAL}VALUE_LENGTH_LIMIT"), _number(f"{_GENERAL}COUNT_LIMIT")
    limits = Limits(
        _number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count),
        _number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", chars),
        _number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count),
        chars,
        _number("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        _number("OTEL_SPAN_LINK_COUNT_LIMIT"),
    )
    return limits if any(limit is not None for limit in limits) else None


def log_limits_of_environment() -> Limits | None:
    """Return the limits that `OTEL_*` variables set on log records; None if they set none.

    Raises `ConfigError` for a value that is no number.
    """
    limits = Limits(
        _number("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", _number(f"{_GENERAL}COUNT_LIMIT")),
        _number("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", _number(f"{_GENERAL}VALUE_LENGTH_LIMIT")),
    )
    return limits if any(limit is not None for limit in limits) else None


def _number(variable: str, default: int | None = None) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"{variable} is not a number", hint="a number of 0 or more; unset it for no limit")
    return int(text)


def limited_span(span: ReadableSpan, limits: Limits) -> ReadableSpan:
    """Return a copy of a redacted span that keeps to the limits and states what was cut."""
    events, links = span.events, span.links
    kept_events = events if limits.events is None else events[max(0, len(events) - limits.events) :]
    kept_links = links if limits.links is None else links[: limits.links]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=limited_attributes(span.attributes, span.dropped_attributes, limits.attributes, limits.chars),
        events=bounded_list(
            [
                Event(
                    e.name,
                    limited_attributes(e.attributes, e.dropped_attributes, limits.part_attributes, limits.part_chars),
                    e.timestamp,
                )
                for e in kept_events
            ],
            span.dropped_events + len(events) - len(kept_events),
        ),
        links=bounded_list(
            [
                Link(
                    k.context,
                    limited_attributes(k.attributes, k.dropped_attributes, limits.part_attributes, limits.part_chars),
                )
                for k in kept_links
            ],
            span.dropped_links + len(links) - len(kept_links),
        ),
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def limited_attributes(
    attributes: Mapping[str, Any] | None, dropped: int, count: int | None, chars: int | None
) -> BoundedAttributes:
    """Return redacted attributes within the limits: at most `count`, strings of at most `chars` characters.

    Attributes that name the run and the kind of work are dropped last. Our own records of a redaction are never cut:
    half of one would be worse than none.
    """
    kept: dict[str, Any] = dict(attributes or {})
    if chars is not None:
        cut: dict[str, Any] = {}
        for key, value in kept.items():
            if SPAN_KEYS.get(key) != "own" and key != own.CAPTURE and any(len(text) > chars for text in _texts(value)):
                short = _shortened(value, chars)
                if short != value:
                    cut[key] = short
        kept.update(cut)
        state_cut_keys(kept, cut)
    before = len(kept)
    if count is not None and before > count:
        first = sorted(kept, key=lambda key: not key.startswith(("runbundle.", "gen_ai.operation", semconv.TOOL_NAME)))
        kept = {key: kept[key] for key in first[:count]}
    result = BoundedAttributes(attributes=kept, immutable=True)
    result.dropped = dropped + before - len(kept)
    return result


def _shortened(value: Any, chars: int) -> Any:
    if isinstance(value, str):
        if len(value) <= chars:
            return value
        for found in MARKER.finditer(value):
            if found.start() <= chars < found.end():
                # Half a marker would be text again. One that is all there is stays, whatever the limit.
                return value[: found.start()] if found.start() else found.group()
        return value[:chars]
    if isinstance(value, Mapping):
        return {key: _shortened(item, chars) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_shortened(item, chars) for item in cast("Sequence[Any]", value)]
    return value


# -- of other people's providers, for what is recorded ----------------------------------------------------------------


def state_cut(attributes: dict[str, Any], chars: int | None, *, but: Container[str] = ()) -> None:
    """State, in raw attributes, which values are exactly as long as their provider's limit and so may have been cut.

    A rest of content is replaced by a marker, since it would be parsed and digested as if it were whole. Names and ids
    stay, and are stated as cut. `but` holds keys of values that are known to be whole.
    """
    if chars is None:
        return
    cut = [
        key for key, value in attributes.items() if key not in but and any(len(text) == chars for text in _texts(value))
    ]
    for key in cut:
        if SPAN_KEYS.get(key) not in _SHORT_KINDS:
            attributes[key] = marker("oversize")
    known = [key for key in cut if key in SPAN_KEYS]
    if len(known) < len(cut):
        attributes[CUT] = TEXT  # a key that nobody declared may be a secret itself
    if own.CAPTURE in cut:  # what it said of the others is lost
        known += [key for key in attributes if SPAN_KEYS.get(key) in CONTENT_KINDS and key not in but]
    state_cut_keys(attributes, known)


def state_cuts(span: ReadableSpan, raw: SpanRecord) -> None:
    """State in the raw record of a span which of its values its provider has cut.

    The limit is that of the span's own attributes; where these do not say it, that of the environment.
    """
    # A private name: the public one shows them without their limit.
    attributes: Any = getattr(span, "_attributes", None)
    limit = char_limit_of(attributes)
    if limit is None and not hasattr(attributes, "max_value_len"):
        limit = _of_environment()
    state_cut(raw["attributes"], limit)
    for part, of_part in zip((*span.events, *span.links), (*raw["events"], *raw["links"]), strict=False):
        state_cut(of_part["attributes"], char_limit_of(part.attributes))


def _of_environment() -> int | None:
    try:
        limits = span_limits_of_environment()
    except ConfigError:
        return None
    return None if limits is None else limits.chars


def state_cut_keys(attributes: dict[str, Any], keys: Iterable[str]) -> None:
    """Add to `runbundle.capture` in `attributes` that the values under `keys` are cut."""
    said = {key: Said("cut") for key in keys if key != own.CAPTURE}
    if said:
        attributes[own.CAPTURE] = with_said(attributes.get(own.CAPTURE), said)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        value = list(cast("Mapping[str, Any]", value).values())
    if isinstance(value, list | tuple):
        return (text for item in cast("Sequence[Any]", value) for text in _texts(item))
    return ()


def char_limit_of(attributes: Any) -> int | None:
    """Return the length limit that attributes of an event, a link or a log record were cut to; None if none."""
    limit: Any = getattr(attributes, "max_value_len", None)
    return limit if isinstance(limit, int) else None
