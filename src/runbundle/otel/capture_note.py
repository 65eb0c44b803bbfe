"""What became of captured values, said beside them in one attribute of their span, `runbundle.capture`.

The attribute is compact JSON by attribute key: `{"gen_ai.output.messages":{"word":"abandoned","sha256":"…","bytes":9,
"chunked":true}}`. A value that is whole and was not cut into chunks has no entry; a span without entries has no
attribute. `sha256` is of raw content, unkeyed: the boundary must turn it into a keyed digest before it goes anywhere.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from runbundle.models.bundle import CaptureWord

CAPTURE_KEY = "runbundle.capture"
"""The attribute's key."""


def note(
    span: Any, key: str, word: CaptureWord, *, sha256: str = "", size_bytes: int | None = None, chunked: bool = False
) -> None:
    """Note what became of the value under `key`, beside what is noted of the span's other values.

    `span` is a live span. `sha256` is of the value's canonical text, in hex, or "" where there is no digest of the
    whole; `size_bytes` is that text's size; `chunked` says that the value is a sequence, which the same answer cut
    into other items does not share.
    """
    if word == "whole" and not chunked:
        return
    entry: dict[str, Any] = {"word": word}
    if sha256:
        entry["sha256"] = sha256
    if size_bytes is not None:
        entry["bytes"] = size_bytes
    if chunked:
        entry["chunked"] = True
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    text = said.get(CAPTURE_KEY)
    noted = cast("dict[str, Any]", orjson.loads(text)) if isinstance(text, str) else {}
    noted[key] = entry
    span.set_attribute(CAPTURE_KEY, orjson.dumps(noted).decode())
