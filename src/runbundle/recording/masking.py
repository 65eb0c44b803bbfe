"""Credentials masked in the records of a run whose bundle was found to hold some: in values, never in what names a run.

The bundle is then assembled anew of the masked records, so that its files agree as those of any other do. What is an
id, a time, a digest, a count or a fixed word stays as it is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from runbundle.redaction.detectors.detector import MASK, format_detector, masked
from runbundle.redaction.markers import is_marker, key_marker
from runbundle.redaction.permitted.kept_text import is_known_number
from runbundle.signals.keys import NAMES_RUNS, SPAN_KEYS

_FORMAT = frozenset({
    "k", "run_id", "tenant_id", "trace_id", "span_id", "parent_span_id", "remote_parent", "trace_state", "kind",
    "start_ns", "end_ns", "time_ns", "status_code", "is_run", "label", "lane", "severity", "dropped", "resource",
    "schema_url",
})  # fmt: skip
"""Fields of a record whose values are not an application's."""


def masked_entries(entries: Iterable[dict[str, Any]], hits: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of journals with the credentials in their values masked; count them in `hits`, by rule.

    What a run's span said at its start it mostly says again at its end: those at starts count where there are no
    others.
    """
    at_starts: Counter[str] = Counter()
    for entry in entries:
        if format_detector().hits(orjson.dumps(entry).decode()):
            yield _clean(entry, at_starts if entry["k"] == "start" else hits, data=False)
        else:
            yield entry
    if not hits:
        hits.update(at_starts)


def _clean(value: Any, hits: Counter[str], *, data: bool) -> Any:
    if isinstance(value, str):
        return _text(value, hits, data=data)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        number = 0
        for name, item in cast("dict[str, Any]", value).items():
            if (SPAN_KEYS.get(name) == "own" or name in NAMES_RUNS) if data else name in _FORMAT:
                made[name] = item
                continue
            shown = name
            if data and SPAN_KEYS.get(name) is None and _text(name, hits, data=False) != name:
                shown, number = key_marker(
                    max(number, len(made)) + 1, cast("dict[str, Any]", value)
                )  # the redactor has counted, too
            made[shown] = _clean(item, hits, data=data or name == "attributes")
        return made
    if isinstance(value, list):
        return [_clean(item, hits, data=data) for item in cast("list[Any]", value)]
    if data and isinstance(value, int | float) and not isinstance(value, bool) and is_known_number(value):
        hits["known-secret"] += 1
        return MASK
    return value


def _text(value: str, hits: Counter[str], *, data: bool) -> str:
    found = format_detector().hits(value)
    if not found or is_marker(value):
        return value
    if data and value[:1] in ("{", "["):
        try:
            inner = orjson.loads(value)
        except orjson.JSONDecodeError:
            pass
        else:
            return orjson.dumps(_clean(inner, hits, data=True), option=orjson.OPT_SORT_KEYS).decode()
    for span in found:
        hits[span.rule] += 1
    return masked(value, found)
