"""Credentials masked in a bundle that is about to be published: in its values, and never in the format's own text.

What a redactor let through stands in the same words in events.jsonl and in what is derived from it, so that the same
masks in each leave them in agreement. What is an id, a time, a digest, a count or a fixed word is the format's.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from runbundle.bundle.assemble import Assembled
from runbundle.bundle.parts import Part, part
from runbundle.models.canonical import to_json_bytes
from runbundle.redaction.detectors.kept import is_known_number
from runbundle.redaction.detectors.text import MASK, format_detector, masked
from runbundle.redaction.keys import SPAN_KEYS
from runbundle.redaction.markers import is_marker, marker

_FORMAT = frozenset({
    "schema", "run_id", "tenant_id", "trace_id", "span_id", "parent_span_id", "time_ns", "type", "op", "joined",
    "capture", "source", "status", "duration_ns", "started_at", "ended_at", "redactions", "severity", "links",
    "dropped", "digest", "bytes", "side_effects", "decision", "cited_by", "rank", "sha256", "path", "media_type",
    "files", "counts", "usage", "trace_ids", "redaction", "completeness", "supersedes", "config", "contract",
})  # fmt: skip
"""Keys of the format, outside of data, whose values are its own."""
_DATA = frozenset({"attributes", "view"})
"""Keys below which everything is data, but for what a redactor writes about it."""
_SOURCES = ("config.snapshot.json", "events.jsonl")
"""The files that the others are derived from."""


def mask(bundle: Assembled, scratch: Path, before: Mapping[str, int]) -> Counter[str]:
    """Mask the credentials in the values of a bundle's files; return how many there were, by rule.

    Files that hold none stay as they are. Sizes and digests are made again, and run.json says how many were masked,
    with those of the revision `before`.
    """
    found: dict[str, Counter[str]] = {}
    for place, made in enumerate(bundle.parts):
        if any(format_detector().hits(piece.decode("utf-8", "replace")) for piece in made.pieces()):
            hits = found[made.name] = Counter()
            clean = part(made.name, _cleaned(made, hits), scratch)
            if hits:
                bundle.parts[place] = clean
                made.close()
            else:
                clean.close()
    said: Counter[str] = Counter()
    about = _clean(bundle.said, said, "", data=False)
    total = sum((hits for name, hits in found.items() if name in _SOURCES), Counter[str]())
    total = total or sum(found.values(), Counter[str]()) or said
    if total or before:
        about["redaction"] = {**about["redaction"], "masked": dict(sorted((total + Counter(before)).items()))}
        bundle.say(about)
    return total


def _cleaned(made: Part, hits: Counter[str]) -> Iterator[bytes]:
    if not made.name.endswith(".jsonl"):
        value = orjson.loads(b"".join(made.pieces()))
        data = {"config": _clean(value["config"], hits, "", data=True)} if made.name == _SOURCES[0] else {}
        yield to_json_bytes({**_clean(value, hits, "", data=False), **data}, indent=True)
        return
    for piece in made.pieces():
        for line in piece.splitlines(keepends=True):
            if format_detector().hits(line.decode("utf-8", "replace")):
                value = orjson.loads(line)
                clean = _clean(value, hits, "", data=False)
                yield to_json_bytes(clean) if clean != value else line
            else:
                yield line


def _clean(value: Any, hits: Counter[str], key: str, *, data: bool) -> Any:
    if isinstance(value, str):
        return _text(value, hits, data=data)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for name, item in cast("dict[str, Any]", value).items():
            ours = SPAN_KEYS.get(name) == "own" if data else name in _FORMAT and not (name == "type" and key == "error")
            if ours:
                made[name] = item
                continue
            shown = name
            if data and SPAN_KEYS.get(name) is None and _text(name, hits, data=False) != name:
                shown = marker("key", index=len(made) + 1)
            made[shown] = _clean(item, hits, name, data=data or name in _DATA)
        return made
    if isinstance(value, list):
        return [_clean(item, hits, key, data=data) for item in cast("list[Any]", value)]
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
            return orjson.dumps(_clean(inner, hits, "", data=True), option=orjson.OPT_SORT_KEYS).decode()
    for span in found:
        hits[span.rule] += 1
    return masked(value, found)
