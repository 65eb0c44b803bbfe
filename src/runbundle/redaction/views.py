"""Views: the parts that are kept of a tool's arguments and result, of a run's result, and of a run's configuration."""

from typing import Any

import orjson

from runbundle.redaction.captured import DIGESTED, Said
from runbundle.redaction.contents import content_marker, digest_of_whole, payload_domain
from runbundle.redaction.markers import coarse_size, is_marker
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import redact_payload
from runbundle.redaction.payloads.shrink import shrink
from runbundle.redaction.payloads.taint import scrub
from runbundle.redaction.plan import Work
from runbundle.redaction.receipt import withhold
from runbundle.signals import own, semconv
from runbundle.signals.reading import value_of
from runbundle.signals.records import Attributes

MAX_PAYLOAD_BYTES = 262_144
"""In a tool payload above this size the largest parts become markers before rules are applied."""
MAX_OPENED_BYTES = 1_048_576
"""A text above this size is not parsed; a marker with its digest and size takes its place."""


def put_arguments(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:  # noqa: ARG001
    """Add the view of a tool's arguments, with their digest and size."""
    _payload(kept, "arguments", semconv.ARGUMENTS, value, work)


def put_result(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:  # noqa: ARG001
    """Add the view of a tool's result, with its digest and size."""
    _payload(kept, "result", semconv.RESULT, value, work)


def _payload(kept: Attributes, kind: str, key: str, value: Any, work: Work) -> None:
    """Put a digest and a size always, and a view if the tool has a contract."""
    said = work.said.get(key) if work.said else None
    if is_marker(value) and not (said and said.sha256):
        kept[key] = value
        return
    rules = work.plan.payloads.get((work.tool, "input" if kind == "arguments" else "output"))
    data = value if isinstance(value, str | bytes) and len(value) > MAX_OPENED_BYTES else _parsed(value)
    digest, size = _digest_of(kept, kind, data, work, said)
    if rules is None:
        kept[key] = withhold(work.receipt, kind, "no-contract", "undeclared", action="digest", digest=digest, size=size)
        return
    if size is None or size > MAX_PAYLOAD_BYTES:
        small = shrink(data, MAX_PAYLOAD_BYTES) if isinstance(value, str | bytes) and data is not value else None
        if small is None or is_marker(small):
            kept[key] = withhold(work.receipt, kind, "oversize", "oversize", action="digest", digest=digest, size=size)
            return
        if small is not data:
            work.receipt.add(kind, "oversize", "shorten")
        data = small
    view = redact_payload(data, rules, work.tenant.digest, work.receipt, kind, work.taint)
    work.views.append((kept, key, kind, view))


def put_outcome(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:  # noqa: ARG001
    """Add the view of a run's result, under the policy's rules for results."""
    view: Any = value
    if not is_marker(value):
        rules = work.plan.result
        view = redact_payload(_parsed(value), rules, work.tenant.digest, work.receipt, "result", work.taint)
    work.views.append((kept, key, "result", view))


def put_configuration(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:  # noqa: ARG001
    """Add a run's configuration without its secrets."""
    if is_marker(value):
        kept[key] = value
        return
    try:
        data = value_of(value) if isinstance(value, str | bytes) else value
    except orjson.JSONDecodeError:
        kept[key] = content_marker(key, value, work, "attributes")
        return
    kept[key] = orjson.dumps(redact_configuration(data, work.receipt), option=orjson.OPT_SORT_KEYS).decode()


def write_views(work: Work) -> None:
    """Write the collected views. To be called when all payloads of the record were seen, so that all taint is known."""
    for kept, key, path, view in work.views:
        clean = scrub(view, work.taint, work.receipt, path)
        kept[key] = clean if is_marker(clean) else orjson.dumps(clean, option=orjson.OPT_SORT_KEYS).decode()


def _digest_of(kept: Attributes, kind: str, data: Any, work: Work, said: Said | None) -> tuple[str, int | None]:
    """Return digest and size of a payload, and put them into the attributes; neither where the whole was not seen."""
    names = own.PAYLOAD_DIGEST[kind], own.PAYLOAD_BYTES[kind]
    if said is not None and said.word not in DIGESTED:
        for name in names:
            kept.pop(name, None)
        return "", None
    if names[0] not in kept:
        digest, size = digest_of_whole(work.tenant.digest, payload_domain(work.tool, kind), data, said)
        if not digest:
            return "", None
        kept[names[0]], kept[names[1]] = digest, size if size is None else coarse_size(size)
    return kept[names[0]], kept.get(names[1])


def _parsed(value: Any) -> Any:
    if isinstance(value, str | bytes):
        try:
            return value_of(value)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return value
    return value
