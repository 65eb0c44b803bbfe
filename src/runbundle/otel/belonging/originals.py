"""What a span was given, kept beside it: on somebody else's provider the span itself holds redacted values only.

For the bundle the boundary lays it over what the span says, so that one is recorded there as it is on a provider of
ours. It is in memory while the span is open, in the table of live spans, and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.signals.records import SpanRecord

_BESIDE = otel_context.create_key("runbundle-beside")


class Originals:
    """The name, the attributes and the events that one span was given, and what it shows of them."""

    __slots__ = ("attributes", "events", "name", "shown", "shown_name")

    def __init__(self, name: str = "", attributes: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.shown_name = name
        self.attributes: dict[str, Any] = {}
        self.shown: dict[str, Any] = {}
        self.events: list[tuple[str, int, str, dict[str, Any]]] = []
        """As the span shows it: the name and the time; as it is: the name and the attributes."""
        self.add(attributes or {})

    def __repr__(self) -> str:
        return "<Originals>"

    def add(self, attributes: Mapping[str, Any]) -> None:
        """Take note of attributes, as an SDK would hold them."""
        for key, value in attributes.items():
            self.attributes[key] = tuple(cast("list[Any]", value)) if isinstance(value, list) else value

    def restore(self, record: SpanRecord) -> None:
        """Put what was given in the place of what the span shows of it, in the span's raw record.

        What somebody has set anew since, under the same key, is left as it is.
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
    """Return what the span that starts in a context was given, where that is not on the span."""
    found = otel_context.get_value(_BESIDE, context)
    return found if isinstance(found, Originals) else None


def context_with_originals(originals: Originals, context: Context) -> Context:
    """Return the context in which to start a span that was given more than it shows."""
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
