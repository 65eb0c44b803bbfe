"""Keeps the original values of a span whose provider somebody else has built: the span itself shows redacted ones.

The boundary puts the originals back into the record for the bundle, so that it is the same as on a provider of ours.
They are in memory while the span is open, in the table of live spans, and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.signals.records import SpanRecord

_BESIDE = otel_context.create_key("runbundle-beside")


class Originals:
    """The original name, attributes and events of one span, and the redacted ones that it shows instead."""

    __slots__ = ("attributes", "events", "name", "shown", "shown_name")

    def __init__(self, name: str = "", attributes: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.shown_name = name
        self.attributes: dict[str, Any] = {}
        self.shown: dict[str, Any] = {}
        self.events: list[tuple[str, int, str, dict[str, Any]]] = []
        """For each event: the name and time that the span shows, then the original name and attributes."""
        self.add(attributes or {})

    def __repr__(self) -> str:
        return "<Originals>"

    def add(self, attributes: Mapping[str, Any]) -> None:
        """Add original attributes, in the form in which an SDK holds them."""
        for key, value in attributes.items():
            self.attributes[key] = tuple(cast("list[Any]", value)) if isinstance(value, list) else value

    def restore(self, record: SpanRecord) -> None:
        """Replace the redacted values in a span's raw record by the originals.

        A value that other code has set under the same key since is left as it is.
        """
        theirs, own = record["attributes"], dict(self.attributes)
        for key, value in self.shown.items():
            if key in theirs:
                if _same(theirs[key], value):
                    del theirs[key]
            elif "attributes" in record["dropped"]:
                _one_less(record["dropped"])  # limits have evicted it, and it is put back
        record["attributes"] = own | theirs
        if self.name and record["name"] == self.shown_name:
            record["name"] = self.name
        given: dict[tuple[str, int], list[tuple[str, dict[str, Any]]]] = {}
        for shown_name, time_ns, name, attributes in self.events:
            given.setdefault((shown_name, time_ns), []).append((name, attributes))
        for event in record["events"] if given else ():
            same = given.get((event["name"], event["time_ns"]))
            if same:
                event["name"], event["attributes"] = same.pop(0)


def originals_in(context: Context | None) -> Originals | None:
    """Return the originals that a context holds for the span that starts in it; None if there are none."""
    found = otel_context.get_value(_BESIDE, context)
    return found if isinstance(found, Originals) else None


def context_with_originals(originals: Originals, context: Context) -> Context:
    """Return a context that holds the originals of the span to be started in it."""
    return otel_context.set_value(_BESIDE, originals, context)


def _same(now: Any, shown: Any) -> bool:
    """Tell whether a span still has what it was made to show, or what limits have left of that."""
    if type(now) is str and type(shown) is str:
        return shown.startswith(now)
    if type(now) is tuple and type(shown) in (list, tuple):
        items, given = cast("tuple[Any, ...]", now), cast("Sequence[Any]", shown)
        return len(items) == len(given) and all(map(_same, items, given))
    return now == shown


def _one_less(dropped: dict[str, int]) -> None:
    dropped["attributes"] -= 1
    if dropped["attributes"] <= 0:
        del dropped["attributes"]
